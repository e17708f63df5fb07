"""Which sources tell of which entities: what is skipped where only one does, and never where another does too."""

import threading

import pytest
from sqlalchemy import func, select, text

from contract_tests.stores import case, database, hour, names, page, party, postgres, store
from gateway.store import current as current_rows
from gateway.store.bulk import insert_columns
from gateway.store.cells import Constant
from gateway.store.tellers import others_tell

__all__ = ["database", "postgres", "store"]


def tellers(store) -> set[tuple[str, str]]:
    table = store.tables.teller
    return set(store.database.read(lambda c: c.execute(select(table.c.told_in, table.c.source)).all()))


def do_others_tell(store, entity: str, source: str) -> bool:
    return store.database.read(lambda c: others_tell(c, store.tables, entity, source))


def test_whoever_tells_of_an_entity_is_written_down_once(store):
    assert not do_others_tell(store, "EnforcementCase", "market")
    for received in (100, 101):
        store.land(page(case("1", received), case("2", received), received=received))
    assert tellers(store) == {("enforcement_case", "market")}
    assert not do_others_tell(store, "EnforcementCase", "market")
    assert do_others_tell(store, "EnforcementCase", "city")
    store.land(page(party("p"), source="city"))
    assert not do_others_tell(store, "EnforcementCase", "market")
    store.land(page(case("3"), source="city"))
    assert do_others_tell(store, "EnforcementCase", "market")


def test_a_store_from_before_finds_who_told_of_what(store):
    store.land(page(case("1"), party("p")))
    store.land(page(case("1"), source="city"))
    before = tellers(store)
    assert before == {("enforcement_case", "market"), ("party", "market"), ("enforcement_case", "city")}

    def as_it_was(connection):
        connection.execute(text("DELETE FROM teller"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))

    store.database.write(as_it_was)
    store.create()
    assert tellers(store) == before


def test_two_sources_that_tell_of_the_same_for_the_first_time_at_once_make_one_row(store):
    """The second begins before the first is committed, and knows nothing of it until then."""
    is_in, may_end = threading.Event(), threading.Event()

    def wait(*_: object) -> None:
        is_in.set()
        assert may_end.wait(30)

    first = threading.Thread(target=lambda: store.land(page(case("1"), case("2")), also=wait))
    first.start()
    assert is_in.wait(30)
    second = threading.Thread(target=lambda: store.land(page(case("1"), case("3"), source="city")))
    second.start()
    second.join(0.5)
    may_end.set()
    first.join()
    second.join()
    current = store.tables.current["EnforcementCase"]
    assert store.database.read(lambda c: c.execute(select(func.count()).select_from(current)).scalar_one()) == 3
    assert len(names(store, "1", "2", "3")) == 3


def test_what_was_there_is_made_anew_however_few_keys_go_at_once(store, monkeypatch):
    """Of four keys, two at a time: as many were there as are new."""
    monkeypatch.setattr(current_rows, "MOST_AT_ONCE", 2)
    store.land(page(case("1"), case("2")))
    told = [case(number, 2, case_name=f"案件{number}") for number in "1234"]
    store.land(store.make_ready(page(*told, received=101), writes_rows=True))
    assert names(store, *"1234") == {number: f"案件{number}" for number in "1234"}
    current = store.tables.current["EnforcementCase"]
    held = store.database.read(lambda c: c.execute(select(current.c.case_name).order_by(current.c.key)).scalars().all())
    assert held == [f"案件{number}" for number in "1234"]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 17, 5000, 7499, 7501])
def test_any_number_of_rows_goes_in_whole(store, count):
    changed = store.tables.changed
    keys = [[f"k{n}"] for n in range(count)]
    columns = {"entity": Constant("Party"), "keys": keys, "kind": Constant("created"), "source": Constant("market")}
    columns["at"] = [hour(n % 100) for n in range(count)]
    store.database.write(lambda c: insert_columns(c, changed, columns, count))
    query = select(changed.c["keys"], changed.c.at).order_by(changed.c.sequence)
    assert store.database.read(lambda c: c.execute(query).all()) == list(zip(keys, columns["at"], strict=True))
