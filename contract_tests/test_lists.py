"""Lists are filtered, ordered, paged and counted exactly, on SQLite and PostgreSQL alike: compared with plain Python."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract_tests.stores import (
    AGENCY,
    NOON,
    REGISTRY,
    case,
    database,
    empty_database,
    opened,
    page,
    party,
    postgres,
    with_parties,
)
from contract_tests.stores import store as store
from contract_tests.stores import url as url
from gateway.store.groups import Grouped
from gateway.store.search import Search
from gateway.store.store import Store
from schema.conditions import All, Compare, Condition, Not, Order, Some, Through
from schema.cursors import print_cursor, read_cursor
from schema.evaluation import holds, in_order, position_of
from schema.grouping import Grouping

__all__ = ["database", "postgres", "store", "url"]
CASE = REGISTRY.entities["EnforcementCase"]
STATUSES = list(REGISTRY.codes["case_status"].members)[:4]
LETTERS = "aA%_甲𠮷\ud7ff\U0010ffff\\"
texts = st.text(LETTERS, min_size=1, max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "case_name": texts,
    "case_status": st.sampled_from(STATUSES),
    "filed_date": st.dates(date(2024, 1, 30), date(2024, 3, 2)),
    "involved_amount": st.sampled_from([0, 1, 5, 10**15, 2**62]),
    "is_major": st.booleans(),
    "recorded_at": st.integers(0, 5).map(lambda n: NOON + timedelta(microseconds=n)),
}
Values = dict[str, Any]


@st.composite
def worlds(draw: st.DrawFn) -> list[tuple[Values, list[int]]]:
    """Up to twelve cases, each with values, some absent, and some of three parties."""
    some = {name: st.none() | values for name, values in VALUES.items()}
    cases = draw(st.lists(st.fixed_dictionaries(some), max_size=12))
    parties = st.lists(st.integers(0, 2), unique=True)
    return [({k: v for k, v in values.items() if v is not None}, draw(parties)) for values in cases]


@st.composite
def comparisons(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(list(VALUES)))
    operators = ["eq", "in", "isNull"]
    operators += ["prefix", "contains"] if name == "case_name" else []
    operators += ["gte", "lte"] if name in ("filed_date", "involved_amount", "recorded_at") else []
    operator: Any = draw(st.sampled_from(operators))
    value: Any = draw(st.booleans() if operator == "isNull" else VALUES[name])
    return Compare(name, operator, (value, draw(VALUES[name])) if operator == "in" else value)


through = st.builds(lambda text: Through("parties", Compare("party_name", "contains", text)), st.sampled_from("012名"))
conditions = st.recursive(
    comparisons() | through,
    lambda inner: (
        st.builds(lambda parts: All(tuple(parts)), st.lists(inner, max_size=3))
        | st.builds(lambda parts: Some(tuple(parts)), st.lists(inner, max_size=3))
        | st.builds(Not, inner)
    ),
    max_leaves=6,
)
orders = st.lists(
    st.builds(Order, st.sampled_from(list(VALUES)), st.booleans()), max_size=3, unique_by=lambda o: o.element
)


def means(condition: Condition, values: Values, parties: list[int]) -> bool:
    """What a condition means: the same as for lists that are answered live."""
    return holds(
        condition,
        values,
        lambda through: any(means(through.part, {"party_name": f"名{number}"}, []) for number in parties),
    )


def in_order_asked(found: list[tuple[str, Values]], order: tuple[Order, ...]) -> list[str]:
    """Keys in the order asked for: what has no value last, equal ones by their key."""
    places = [position_of(REGISTRY, CASE, order, key, values) for key, values in found]
    return [place.key for place in in_order(order, places)]


@pytest.fixture(scope="module")
def one_store(database: str) -> Iterator[Store]:
    with empty_database(database) as address, opened(address) as made:
        yield made


@given(world=worlds(), condition=conditions | st.none(), order=orders, size=st.integers(1, 5))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_holds_what_fulfils_the_condition_in_order_read_from_either_end(
    one_store: Store, world: list[tuple[Values, list[int]]], condition: Condition | None, order: list[Order], size: int
) -> None:
    empty(one_store)
    fill(one_store, world)
    by = tuple(order)
    found = [(f"{AGENCY}/{n:02d}", v) for n, (v, p) in enumerate(world) if condition is None or means(condition, v, p)]
    expected = in_order_asked(found, by)
    assert all_pages(one_store, condition, by, size, backwards=False) == expected
    assert all_pages(one_store, condition, by, size, backwards=True) == expected


def all_pages(store: Store, where: Condition | None, order: tuple[Order, ...], size: int, backwards: bool) -> list[str]:
    """Every page of a list, from the front or from the end, put together; each page is checked on the way."""
    keys: list[str] = []
    place = None
    while True:
        edge = {"before" if backwards else "after": place}
        found = store.search(Search("EnforcementCase", size, where, order, backwards=backwards, counts=True, **edge))  # type: ignore[arg-type]
        keys = found.keys + keys if backwards else keys + found.keys
        more, other = (found.has_previous, found.has_next) if backwards else (found.has_next, found.has_previous)
        assert other is (place is not None)
        if not more:
            assert found.total == len(keys)
            return keys
        assert len(found.keys) == size
        edge_position = found.positions[0 if backwards else -1]
        place = read_cursor(CASE, order, print_cursor(CASE, order, edge_position))
        assert place == edge_position


def fill(store: Store, world: list[tuple[Values, list[int]]]) -> None:
    cases = [
        with_parties(
            case(f"{n:02d}", **{"case_name": None, **values}), *(party(f"p{p}", party_name=f"名{p}") for p in parties)
        )
        for n, (values, parties) in enumerate(world)
    ]
    for mapped in cases:
        mapped.values = {name: value for name, value in mapped.values.items() if value is not None}
    if cases:
        store.land(page(*cases))


def empty(store: Store) -> None:
    tables = store.tables
    store.database.write(
        lambda connection: [connection.execute(table.delete()) for table in reversed(tables.metadata.sorted_tables)]
    )


def test_a_cursor_stays_good_while_rows_come_and_go(store: Store) -> None:
    store.land(page(*(case(f"{n}", filed_date=date(2024, 1, n)) for n in (2, 4, 6))))
    by = (Order("filed_date"),)
    first = store.search(Search("EnforcementCase", 2, order=by))
    store.land(page(case("1", filed_date=date(2024, 1, 1)), case("5", filed_date=date(2024, 1, 5)), received=101))
    store.land(page(received=102, deleted=[("EnforcementCase", f"{AGENCY}/4")]))
    rest = store.search(Search("EnforcementCase", 5, order=by, after=first.positions[-1]))
    assert rest.keys == [f"{AGENCY}/5", f"{AGENCY}/6"]


def test_a_list_shows_and_filters_by_the_same_value_when_sources_differ(store: Store) -> None:
    store.land(page(case("1", case_name="乙的说法"), source="b"))
    assert keys_with(store, "乙的说法") == [f"{AGENCY}/1"]
    store.land(page(case("1", case_name="甲的说法", cause_of_action="甲"), source="a"))
    assert keys_with(store, "乙的说法") == []
    assert keys_with(store, "甲的说法") == [f"{AGENCY}/1"]
    store.land(page(source="a", received=101, deleted=[("EnforcementCase", f"{AGENCY}/1")]))
    assert keys_with(store, "乙的说法") == [f"{AGENCY}/1"]
    assert keys_with(store, "甲的说法") == []


def test_an_allotted_code_can_be_searched_for(store: Store) -> None:
    store.land(page(case("1")))
    code = store.identify("EnforcementCase", [f"{AGENCY}/1"])[f"{AGENCY}/1"]
    found = store.search(Search("EnforcementCase", 5, Compare("case_code", "eq", code)))
    assert found.keys == [f"{AGENCY}/1"]


def test_a_store_made_before_there_was_what_holds_now_gets_it(url: str) -> None:
    with opened(url) as store:
        store.land(page(with_parties(case("1", case_name="甲"), party("p1"))))
        tables = store.tables
        store.database.write(lambda c: [t.drop(c) for t in tables.current.values()])
        store.database.write(lambda c: c.exec_driver_sql("ALTER TABLE issue DROP COLUMN severity"))
    with opened(url) as store:
        assert keys_with(store, "甲") == [f"{AGENCY}/1"]
        assert store.issues() == []
        through = Through("parties", Compare("party_name", "eq", "福州甲公司"))
        assert store.search(Search("EnforcementCase", 5, through)).keys == [f"{AGENCY}/1"]


def keys_with(store: Store, name: str) -> list[str]:
    return store.search(Search("EnforcementCase", 5, Compare("case_name", "eq", name))).keys


def test_groups_count_sum_and_find_extremes_exactly(store: Store) -> None:
    store.land(
        page(
            case("1", case_status=STATUSES[0], filed_date=date(2024, 1, 31), involved_amount=2**62),
            case("2", case_status=STATUSES[0], filed_date=date(2024, 1, 1), involved_amount=2**62),
            case("3", case_status=STATUSES[0], filed_date=date(2024, 2, 1), involved_amount=-7),
            case("4", filed_date=date(2024, 2, 1)),
        )
    )
    measures: Any = (("sum", "involved_amount"), ("min", "filed_date"), ("max", "involved_amount"))
    by = (Grouping("case_status", "value"), Grouping("filed_date", "month"))
    found = store.count(Grouped("EnforcementCase", 10, None, by, measures))
    assert [(dict(g.key), g.count, tuple(g.measured.values())) for g in found.groups] == [
        ({"case_status": STATUSES[0], "filed_date_month": "2024-01"}, 2, (2**63, date(2024, 1, 1), 2**62)),
        ({"case_status": STATUSES[0], "filed_date_month": "2024-02"}, 1, (-7, date(2024, 2, 1), -7)),
        ({"case_status": None, "filed_date_month": "2024-02"}, 1, (None, date(2024, 2, 1), None)),
    ]
    assert not found.has_more
    assert store.count(Grouped("EnforcementCase", 1, None, by)).has_more
    assert store.count(Grouped("EnforcementCase", 1, Compare("case_name", "eq", "无"))).groups[0].count == 0


def test_months_of_instants_are_those_of_china(store: Store) -> None:
    midnight = datetime(2024, 3, 1, 0, 30, tzinfo=NOON.tzinfo)
    store.land(page(case("1", recorded_at=midnight), case("2", recorded_at=midnight - timedelta(hours=1))))
    found = store.count(Grouped("EnforcementCase", 10, None, (Grouping("recorded_at", "month"),)))
    assert sorted(g.key["recorded_at_month"] for g in found.groups) == ["2024-02", "2024-03"]


def test_divisions_are_grouped_by_their_city(store: Store) -> None:
    codes = ("350102", "350103", "350203")
    store.land(page(*(case(f"{n}", violation_division_code=code) for n, code in enumerate(codes))))
    found = store.count(Grouped("EnforcementCase", 10, None, (Grouping("violation_division_code", "city"),)))
    assert [(g.key["violation_division_code_city"], g.count) for g in found.groups] == [("350100", 2), ("350200", 1)]
