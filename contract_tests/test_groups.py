"""Whatever lists are grouped by, the groups are those that plain Python makes, on SQLite and PostgreSQL alike."""

import random
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from contract_tests.stores import AGENCY, NOON, case, database, page, postgres
from contract_tests.stores import store as store
from contract_tests.stores import url as url
from gateway.store.groups import Grouped, kept_together
from gateway.store.store import Store
from schema.conditions import Compare
from schema.grouping import Grouping

__all__ = ["database", "postgres", "store", "url"]
LENGTHS = {"month": 7, "year": 4, "city": 4}
UNITS = {
    "filed_date": ("value", "month", "year"),
    "violation_start_date": ("value", "month"),
    "violation_division_code": ("value", "city"),
    "agency_code": ("value",),
    "case_status": ("value",),
    "recorded_at": ("month", "year"),
}
MEASURES: Any = (("sum", "involved_amount"), ("max", "involved_amount"), ("min", "filed_date"))
DAYS = [date(2023, 12, 30) + timedelta(days=n) for n in (0, 1, 2, 33, 400)]
LISTS = 60


def random_values(rng: random.Random) -> dict[str, Any]:
    values = {
        "filed_date": rng.choice((*DAYS, None)),
        "violation_start_date": rng.choice((*DAYS, None)),
        "violation_division_code": rng.choice(("350102", "350103", "350203", None)),
        "case_status": rng.choice(("FILED", "CLOSED", None)),
        "recorded_at": rng.choice((NOON, NOON + timedelta(days=20), None)),
        "involved_amount": rng.choice((0, 7, -3, 2**61, None)),
    }
    return {name: value for name, value in values.items() if value is not None}


def grouped(cases: Sequence[dict[str, Any]], by: Sequence[Grouping]) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What a group has in common -> how many there are, and what is measured."""
    members: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for values in cases:
        members[tuple(told(values.get(one.element), one.unit) for one in by)].append(values)
    return {key: (len(of), *(measured(of, *what) for what in MEASURES)) for key, of in members.items()}


def told(value: Any, unit: str) -> Any:
    if value is None or unit == "value":
        return value
    text = str(value)[: LENGTHS[unit]]
    return f"{text}00" if unit == "city" else text


def measured(members: Sequence[dict[str, Any]], function: str, element: str) -> Any:
    values = [values[element] for values in members if element in values]
    return {"sum": sum, "min": min, "max": max}[function](values) if values else None


def test_groups_are_those_that_plain_python_makes(store: Store) -> None:
    rng = random.Random(5)
    cases = [{"agency_code": AGENCY, **random_values(rng)} for _ in range(150)]
    store.land(page(*(case(f"{n}", **values) for n, values in enumerate(cases))))
    table, ways = store.tables.current["EnforcementCase"], set()
    for _ in range(LISTS):
        elements = rng.sample(list(UNITS), rng.randint(1, 3))
        by = [Grouping(element, unit) for element in elements for unit in rng.sample(UNITS[element], 1)]
        by += [Grouping("filed_date", "year")] if Grouping("filed_date", "month") in by and rng.random() < 0.3 else []
        where = rng.choice((None, Compare("filed_date", "gte", DAYS[1])))
        chosen = [c for c in cases if where is None or ("filed_date" in c and c["filed_date"] >= DAYS[1])]
        found = store.count(Grouped("EnforcementCase", 1000, where, tuple(by), MEASURES)).groups
        assert {
            tuple(group.key[one.name] for one in by): (group.count, *(group.measured[what] for what in MEASURES))
            for group in found
        } == grouped(chosen, by)
        assert [group.count for group in found] == sorted((group.count for group in found), reverse=True)
        ways.add(bool(kept_together(table, [table.c[element] for element in {one.element for one in by}])))
    assert ways == {True, False}


def test_what_an_index_holds_only_where_it_is_told_is_not_kept_together_by_it(store: Store) -> None:
    parties = store.tables.current["Party"]
    assert kept_together(parties, [parties.c.uscc]) == []
    cases = store.tables.current["EnforcementCase"]
    both = [cases.c.violation_division_code, cases.c.filed_date]
    assert kept_together(cases, reversed(both)) == both
    assert kept_together(cases, [cases.c.closed_date]) == []
