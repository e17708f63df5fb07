"""Every version of an entity is kept: what holds, what held, and what came too late to hold, in the source's time and ours."""

import pytest

from adapters.mapping.record import Mapped
from contract_tests.stores import (
    AGENCY,
    REGISTRY,
    case,
    database,
    hour,
    page,
    party,
    postgres,
    store,
    url,
    with_parties,
)
from contract_tests.test_store import every_value
from gateway.store.store import Store

__all__ = ["database", "postgres", "store", "url"]
KEY = f"{AGENCY}/1"


def told(store: Store, key: str = KEY, source: str | None = None) -> list[tuple[object, ...]]:
    """Name, valid time, system time and whether it is gone, of every version."""
    return [
        (
            one.mapped.values.get("case_name"),
            (one.valid_from, one.valid_to),
            (one.recorded_at, one.superseded_at),
            one.is_gone,
        )
        for one in store.history("EnforcementCase", key, source)
    ]


def test_each_version_has_its_time_in_the_source_and_in_the_store(store):
    store.land(page(case("1", 1, case_name="甲"), received=100))
    store.land(page(case("1", 3, case_name="乙"), received=101))
    assert told(store) == [
        ("甲", (hour(1), hour(3)), (hour(100), hour(101)), False),
        ("乙", (hour(3), None), (hour(101), None), False),
    ]


def test_what_comes_too_late_is_kept_where_it_belongs_and_once(store):
    store.land(page(case("1", 3, case_name="乙"), received=100))
    for received in (101, 102):
        store.land(page(case("1", 1, case_name="甲"), received=received))
    assert told(store) == [
        ("甲", (hour(1), hour(3)), (hour(101), hour(101)), False),
        ("乙", (hour(3), None), (hour(100), None), False),
    ]


def test_all_versions_of_one_page_are_kept(store):
    store.land(page(*(case("1", version, case_name=name) for version, name in ((2, "乙"), (1, "甲"), (3, "丙")))))
    assert [(name, valid) for name, valid, *_ in told(store)] == [
        ("甲", (hour(1), hour(2))),
        ("乙", (hour(2), hour(3))),
        ("丙", (hour(3), None)),
    ]


def test_a_deletion_and_a_return_are_versions_too(store):
    store.land(page(case("1", 1), received=100))
    store.land(page(case("1", 2), gone={0}, received=101))
    store.land(page(case("1", 3, case_name="重来"), received=102))
    assert told(store) == [
        ("甲", (hour(1), hour(2)), (hour(100), hour(101)), False),
        ("甲", (hour(2), hour(3)), (hour(101), hour(102)), True),
        ("重来", (hour(3), None), (hour(102), None), False),
    ]


def test_what_is_told_again_unchanged_is_no_version(store):
    store.land(page(case("1", 1), received=100))
    store.land(page(case("1", 1), received=101))
    assert len(told(store)) == 1


def test_each_source_has_a_history_of_its_own(store):
    store.land(page(case("1", 1, case_name="甲"), received=100))
    store.land(page(case("1", 2, case_name="丁"), received=101, source="police"))
    assert [name for name, *_ in told(store)] == ["甲", "丁"]
    assert [name for name, *_ in told(store, source="police")] == ["丁"]
    assert told(store, "nobody") == []


def test_a_party_that_stands_in_many_records_has_one_version_for_each_thing_told(store):
    cases = (with_parties(case(str(number), number), party("p", phone="1")) for number in range(1, 9))
    store.land(page(*cases))
    store.land(page(with_parties(case("9", 9), party("p", phone="2")), received=101))
    assert [one.mapped.values["phone"] for one in store.history("Party", "p")] == ["1", "2"]


@pytest.mark.parametrize("late", [False, True])
def test_versions_of_every_entity_come_back_exactly_as_they_were_told(store, late):
    versions = {entity: [version(entity, number) for number in range(2)] for entity in REGISTRY.entities}
    for received, number in enumerate([1, 0] if late else [0, 1], 100):
        store.land(page(*(told[number] for told in versions.values()), received=received))
    for entity, told in versions.items():
        assert [one.mapped for one in store.history(entity, "k")] == told


def version(entity: str, number: int) -> Mapped:
    """A telling that has every element and relation, as recent as its number."""
    values = {name: every_value(e.format, number) for name, e in REGISTRY.entities[entity].elements.items()}
    provenance = {"source_updated_at": hour(number), "change_no": 10**17, "batch_no": "b", "source_record_id": "r"}
    refs = dict.fromkeys(REGISTRY.entities[entity].relations, ("x", "中/1"))
    return Mapped(entity, "k", AGENCY, values, provenance, refs)
