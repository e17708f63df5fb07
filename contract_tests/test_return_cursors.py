"""Cursors over ties, shuffled and drifting pages, late commits, clocks that step back, other page sizes and kinds of cursor."""

import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from adapters.errors import SourceUnavailable
from contract_tests.changing import TODAY, Changing, with_changes, with_page_size
from contract_tests.stores import case as told_case
from contract_tests.stores import database, new_store, page, postgres, store, url
from contract_tests.test_sync_run import (
    EXCHANGE,
    LICENCE,
    MARKET,
    ORDERED,
    case,
    cases,
    decision,
    licence,
    names,
    sync,
    told,
)
from gateway.store.store import Store
from gateway.sync.walks import DISORDERED, DRIFTED

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio


def notes(store: Store) -> list[str]:
    run = store.tables.run
    return (
        store.database.read(lambda c: c.execute(select(run.c.notes).order_by(run.c.id.desc()).limit(1)).scalar()) or []
    )


@pytest.mark.parametrize("way", ["place", "number", "ascending", "since"])
async def test_ten_thousand_records_with_one_time_are_all_read(way):
    number = 10_000
    with new_store("sqlite") as store:
        if way == "place":
            mapping = with_page_size(EXCHANGE, "penalties_changed", 1000)
            source = Changing("cd_time", [decision(n, 1, "i") for n in range(number)], ties=("cd_id", "cd_batch"))
            await sync(source, store, mapping, "penalties_changed")
            found = len(names_of(store, "PenaltyDecision"))
        elif way == "since":
            source = Changing("seqNo", [licence(n, 7) for n in range(number)], counts=False)
            await sync(source, store, with_page_size(LICENCE, "licenses_changed", 1000), "licenses_changed")
            found = len(names_of(store, "License"))
        else:
            mapping = with_page_size(ORDERED if way == "ascending" else MARKET, "cases_changed", 1000)
            await sync(Changing("GXSJ", [case(n, 1) for n in range(number)]), store, mapping)
            found = len(names_of(store, "EnforcementCase"))
    assert found == number


def names_of(store: Store, entity: str) -> list[str]:
    table = store.tables.entities[entity]
    return list(store.database.read(lambda c: c.execute(select(table.c.key)).scalars().all()))


async def test_records_that_move_between_pages_while_they_are_read_are_not_passed_over(store):
    class Moving(Changing):
        async def call(self, call: Any) -> Any:
            if len(self.calls) in (1, 2):  # behind what was read: everything after it moves up by one place
                number = len(self.calls) - 1
                self.records = [r for r in self.records if r["AJBH"] != f"{number:03d}"]
                self.records.append(case(number, 50 + number, "移动"))
            return await super().call(call)

    source = Moving("GXSJ", cases(20))
    await sync(source, store)
    assert names(store) == told(source)
    assert DRIFTED in notes(store)


async def test_records_that_move_behind_those_that_leave_without_a_word_are_not_passed_over(store):
    class Leaving(Changing):
        async def call(self, call: Any) -> Any:
            if len(self.calls) in (2, 3):  # it was read already, and takes up no place any more
                self.records = [r for r in self.records if r["AJBH"] != f"{len(self.calls):03d}"]
            return await super().call(call)

    source = Leaving("GXSJ", cases(21))
    await sync(source, store, with_page_size(MARKET, "cases_changed", 5))
    assert names(store).items() >= told(source).items()
    assert DRIFTED in notes(store)


@pytest.mark.parametrize("mapping", [MARKET, ORDERED])
async def test_shuffled_pages_lose_nothing_and_are_told_of(store, mapping):
    source = Changing("GXSJ", cases(23), order=lambda records: sorted(records, key=lambda r: hash_of(r["AJBH"])))
    for minute in (40, 55):
        source.records.append(case(minute, minute))
        await sync(source, store, mapping)
        assert names(store) == told(source)
        assert minute == 55 or any(note.startswith(DISORDERED[:8]) for note in notes(store))


def hash_of(text: str) -> int:
    return int(text) * 7919 % 101


@pytest.mark.parametrize("mapping", [MARKET, ORDERED])
async def test_a_record_committed_late_is_found_by_the_overlap_however_long_the_run_took(store, mapping):
    now = TODAY.replace(second=0)

    def at(number: int, seconds: int) -> dict[str, Any]:
        moment = now.fromtimestamp(now.timestamp() + seconds, now.tzinfo)
        return case(number, 0, GXSJ=moment.strftime("%Y-%m-%d %H:%M:%S"))

    source = Changing("GXSJ", [at(n, -300 + n) for n in range(12)])
    await sync(source, store, mapping)
    source.records.append(at(99, -590))
    await sync(source, store, mapping)
    assert names(store) == told(source)


async def test_another_page_size_between_runs_changes_nothing(store):
    source = Changing("GXSJ", cases(30), fails_at={4})
    for size in (3, 7, 1, 30):
        try:
            await sync(source, store, with_page_size(ORDERED, "cases_changed", size))
        except SourceUnavailable:
            continue
        assert names(store) == told(source)


async def test_a_batch_number_of_an_exchange_table_is_a_cursor(store):
    field = EXCHANGE.entities["PenaltyDecision"].provenance["batch_no"]
    mapping = with_page_size(
        with_changes(EXCHANGE, "penalties_changed", cursor=field, overlap=0), "penalties_changed", 3
    )
    rows = [{**decision(n, 1, "i"), "cd_batch": f"2024060{1 + n // 4}"} for n in range(12)]
    source = Changing("cd_batch", rows, ties=("cd_id",))
    assert (await sync(source, store, mapping, "penalties_changed")).cursor == "20240603"
    source.records.append({**decision(77, 1, "i"), "cd_batch": "20240603"})
    assert (await sync(source, store, mapping, "penalties_changed")).applied == 1
    assert len(names_of(store, "PenaltyDecision")) == 13


async def test_a_run_cut_short_inside_a_tie_goes_on_from_its_last_row(store):
    mapping = with_page_size(EXCHANGE, "penalties_changed", 5)
    rows = [decision(n, 1, "i") for n in range(30)]
    source = Changing("cd_time", rows, ties=("cd_id", "cd_batch"), fails_at={4})
    with pytest.raises(SourceUnavailable):
        await sync(source, store, mapping, "penalties_changed")
    first = source.calls[-1].cursor
    source.calls.clear()
    source.fails_at.clear()
    await sync(source, store, mapping, "penalties_changed")
    assert source.calls[0].cursor == first
    assert len(names_of(store, "PenaltyDecision")) == 30


class AnyOrder(RuleBasedStateMachine):
    """Pages land in any order, any number of times, some never before the end: the state is always the same."""

    database = "sqlite"

    @initialize(
        versions=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5), st.sampled_from("甲乙丙")), max_size=12)
    )
    def begin(self, versions: list[tuple[int, int, str]]) -> None:
        told_once = {(number, version): name for number, version, name in versions}
        records = [told_case(str(n), v, case_name=name) for (n, v), name in sorted(told_once.items())]
        self.pages = [page(*records[at : at + 2], received=10 + at) for at in range(0, len(records), 2)]
        self.context = new_store(self.database)
        self.store = self.context.__enter__()
        self.landed: set[int] = set()

    @rule(number=st.integers(0, 5))
    def land(self, number: int) -> None:
        if number < len(self.pages):
            self.store.land(self.pages[number])
            self.landed.add(number)

    @invariant()
    def what_is_there_is_the_latest_of_what_landed(self) -> None:
        if not hasattr(self, "store"):
            return
        latest: dict[str, tuple[Any, str]] = {}
        for mapped in itertools.chain.from_iterable(self.pages[n].mapped for n in self.landed):
            version = mapped.provenance["source_updated_at"]
            latest[mapped.key] = max(latest.get(mapped.key, (version, "")), (version, mapped.values["case_name"]))
        table = self.store.tables.entities["EnforcementCase"]
        rows = self.store.database.read(lambda c: c.execute(select(table.c.key, table.c.case_name)).all())
        assert {row.key: row.case_name for row in rows} == {key: name for key, (_, name) in latest.items()}

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.context.__exit__(None, None, None)


def test_any_order_subset_and_repetition_of_pages_converges(database):
    AnyOrder.database = database
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=6, stateful_step_count=10, deadline=None))
