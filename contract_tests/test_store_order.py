"""Pages may come in any order and any number of times: of one source the latest telling of an entity holds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from adapters.mapping.record import Mapped, record_digest
from contract_tests.stores import (
    AGENCY,
    PARTY,
    case,
    database,
    decision,
    hour,
    listed,
    names,
    new_store,
    page,
    party,
    postgres,
    store,
    url,
    with_decisions,
    with_parties,
)
from gateway.store.arriving import Landing, lightened
from gateway.store.store import Landed, Store

__all__ = ["database", "postgres", "store", "url"]


# The latest telling holds


def test_a_page_that_comes_again_changes_nothing(store):
    assert store.land(page(case("1"), case("2"))) == Landed(applied=2)
    assert store.land(page(case("1"), case("2"))) == Landed(unchanged=2)


def test_the_same_told_later_only_moves_as_of(store):
    store.land(page(case("1"), received=100))
    assert store.land(page(case("1"), received=101)) == Landed(unchanged=1)
    (stored,) = store.by_keys("EnforcementCase", [f"{AGENCY}/1"])
    assert (stored.fetched_at, stored.as_of) == (hour(100), hour(101))


def test_an_older_record_never_overwrites_a_newer_one(store):
    store.land(page(case("1", version=2, case_name="新"), received=100))
    assert store.land(page(case("1", version=1, case_name="旧"), received=101)) == Landed(duplicate=1)
    assert names(store, "1") == {"1": "新"}
    (stored,) = store.by_keys("EnforcementCase", [f"{AGENCY}/1"])
    assert stored.as_of == hour(100)


def test_a_newer_time_with_the_same_values_still_keeps_out_what_lies_between(store):
    store.land(page(case("1", version=1, case_name="甲"), received=100))
    assert store.land(page(case("1", version=3, case_name="甲"), received=101)) == Landed(unchanged=1)
    assert store.land(page(case("1", version=2, case_name="乙"), received=102)) == Landed(duplicate=1)
    assert names(store, "1") == {"1": "甲"}


def test_without_a_time_of_change_what_was_received_last_holds(store):
    store.land(page(case("1", version=None, case_name="后"), received=101))
    assert store.land(page(case("1", version=None, case_name="先"), received=100)) == Landed(duplicate=1)
    assert names(store, "1") == {"1": "后"}


@pytest.mark.parametrize("way", ["SHA-256 of the record", "BLAKE2b"])
def test_what_was_told_when_digests_were_taken_otherwise_is_known_when_it_is_told_again(store, way):
    told = case("1", recorded_at=hour(1))
    before = {
        "SHA-256 of the record": record_digest({"values": told.values, "refs": {}, "embedded": {}}),
        "BLAKE2b": blake2b(
            msgspec.json.encode((told.values, {}, {}), order="deterministic"), digest_size=20
        ).hexdigest(),
    }
    store.land(page(told, received=100))
    table = store.tables.entities["EnforcementCase"]
    store.database.write(lambda c: c.execute(update(table).values(record_digest=before[way])))
    assert store.land(page(case("1", recorded_at=hour(1)), received=101)) == Landed(unchanged=1)
    assert store.land(page(case("1", recorded_at=hour(2)), received=102)) == Landed(applied=1)


def test_a_number_of_change_orders_as_a_time_does(store):
    newer, older = case("1", version=None, case_name="新"), case("1", version=None, case_name="旧")
    newer.provenance["change_no"], older.provenance["change_no"] = 10, 9
    store.land(page(newer, received=100))
    assert store.land(page(older, received=101)) == Landed(duplicate=1)
    assert names(store, "1") == {"1": "新"}


def test_of_one_record_twice_on_a_page_the_latest_holds(store):
    told = (case("1", 2, case_name="乙"), case("1", 3, case_name="丙"), case("1", 3, case_name="丁"), case("1", 1))
    assert store.land(page(*told)) == Landed(applied=1, duplicate=3)
    assert names(store, "1") == {"1": "丁"}


# Tombstones


def test_a_tombstone_hides_the_entity_and_an_older_record_does_not_bring_it_back(store):
    store.land(page(with_parties(case("1", 1), party(PARTY)), received=100))
    assert store.land(page(case("1", 3), received=101, gone={0})) == Landed(applied=1)
    assert store.land(page(case("1", 2, case_name="迟"), received=102)) == Landed(duplicate=1)
    assert names(store, "1") == {}
    assert listed(store, "EnforcementCase", 10) == ([], False, 0)
    assert store.related("EnforcementCase", "parties", [PARTY], 10) == {PARTY: []}
    assert store.land(page(case("1", 4, case_name="重来"), received=103)) == Landed(applied=1)
    assert names(store, "1") == {"1": "重来"}


def test_a_tombstone_that_comes_before_its_record_keeps_it_out(store):
    assert store.land(page(case("1", 2), gone={0}, received=100)) == Landed(applied=1)
    assert store.land(page(case("1", 1), received=101)) == Landed(duplicate=1)
    assert store.land(page(case("1", 2), gone={0}, received=102)) == Landed(unchanged=1)
    assert names(store, "1") == {}


def test_a_tombstone_without_a_time_holds_against_what_is_stored(store):
    store.land(page(case("1", 5), received=100))
    deleted = [("EnforcementCase", f"{AGENCY}/1"), ("EnforcementCase", f"{AGENCY}/2")]
    assert store.land(page(received=101, deleted=deleted)) == Landed(applied=1, unchanged=1)
    assert names(store, "1") == {}
    assert store.land(page(received=102, deleted=deleted)) == Landed(unchanged=2)


def test_a_tombstone_keeps_its_evidence_and_the_last_values(store):
    store.land(page(case("1", 1), received=100))
    tombstone = page(case("1", 2, case_name="甲（注销）"), gone={0}, received=101)
    store.land(tombstone)
    table, landing = store.tables.entities["EnforcementCase"], store.tables.landing
    query = select(table.c.case_name, table.c.deleted_at, landing.c.raw).join(
        landing, landing.c.digest == table.c.raw_digest
    )
    assert store.database.read(lambda c: c.execute(query).one()) == ("甲", hour(101), tombstone.raw)


# What stands inside a record


def test_what_is_embedded_is_as_recent_as_its_record(store):
    store.land(page(with_parties(case("2", 2), party(PARTY, phone="新"))))
    store.land(page(with_parties(case("1", 1), party(PARTY, phone="旧")), received=101))
    assert [stored.mapped.values["phone"] for stored in store.by_keys("Party", [PARTY])] == ["新"]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_an_anonymous_entity_lives_as_long_as_it_stands_in_a_record(store, order):
    undecided = with_decisions(case("1", 1), decision("~market:1"))
    decided = with_decisions(case("1", 2, case_name="乙"), decision(f"{AGENCY}/罚1"))
    pages = [page(undecided), page(decided)]
    for index in order:
        store.land(pages[index])
    key = f"{AGENCY}/1"
    assert store.related("PenaltyDecision", "case", [key], 10) == {key: [f"{AGENCY}/罚1"]}
    assert store.by_keys("PenaltyDecision", ["~market:1"]) == []


def test_an_anonymous_entity_in_two_records_stays_for_the_second(store):
    store.land(page(with_parties(case("1"), party("~market:1")), with_parties(case("2"), party("~market:1"))))
    store.land(page(with_parties(case("1", 2)), received=101))
    assert [stored.mapped.key for stored in store.by_keys("Party", ["~market:1"])] == ["~market:1"]
    store.land(page(case("2", 2), gone={0}, received=102))
    assert store.by_keys("Party", ["~market:1"]) == []


# Any order, any number of times


def state(store: Store) -> list[Any]:
    """Everything a reader of the store can tell; but of anonymous entities not by which of several records they were told."""
    seen: list[Any] = []
    for entity in ("EnforcementCase", "Party", "PenaltyDecision"):
        table = store.tables.entities[entity]
        keys = store.database.read(lambda c, t=table: list(c.execute(select(t.c.key)).scalars()))
        for stored in store.by_keys(entity, keys):
            when = stored.as_of if stored.mapped.is_identified else None
            seen.append((stored.mapped if when else replace(stored.mapped, provenance={}), stored.source, when))
    link = store.tables.link
    return [*seen, store.database.read(lambda c: c.execute(select(link).order_by(*link.c)).all())]


@st.composite
def tellings(draw: st.DrawFn) -> tuple[Mapped, bool]:
    told = case(draw(st.sampled_from("12")), draw(st.integers(1, 3)), case_name=draw(st.sampled_from("甲乙")))
    parties = draw(st.sets(st.sampled_from([PARTY, "~market:1", "~market:2"]), max_size=2))
    with_parties(told, *(party(key) for key in sorted(parties)))
    with_decisions(told, *(decision(key) for key in draw(st.sets(st.sampled_from(["d1"]), max_size=1))))
    return told, draw(st.booleans())


@st.composite
def pages_and_an_order(draw: st.DrawFn) -> tuple[list[Landing], list[int]]:
    made = []
    for received in range(draw(st.integers(1, 5))):
        told = draw(st.lists(tellings(), min_size=1, max_size=3))
        gone = {index for index, (_, is_gone) in enumerate(told) if is_gone}
        made.append(page(*(mapped for mapped, _ in told), gone=gone, received=received))
    extra = draw(st.lists(st.sampled_from(range(len(made))), max_size=3))
    return made, draw(st.permutations([*range(len(made)), *extra]))


@pytest.fixture
def two_stores(database: str) -> Iterator[tuple[Store, Store]]:
    with ExitStack() as stack:
        yield stack.enter_context(new_store(database)), stack.enter_context(new_store(database))


def test_any_order_and_repetition_of_pages_ends_in_the_same_state(two_stores):
    straight, shuffled = two_stores

    @settings(max_examples=60, deadline=None)
    @given(pages_and_an_order())
    def check(drawn: tuple[list[Landing], list[int]]) -> None:
        pages, order = drawn
        empty(straight)
        empty(shuffled)
        for landing in pages:
            straight.land(landing)
        for index in order:
            shuffled.land(pages[index])
        assert state(shuffled) == state(straight)

    check()


@pytest.mark.parametrize("writes_rows", [True, False])
def test_pages_made_ready_before_land_as_others_do_and_as_often_as_they_are_wanted(two_stores, writes_rows):
    straight, prepared = two_stores

    @settings(max_examples=30, deadline=None)
    @given(pages_and_an_order())
    def check(drawn: tuple[list[Landing], list[int]]) -> None:
        pages, order = drawn
        empty(straight)
        empty(prepared)
        ready = [lightened(prepared.make_ready(landing, writes_rows=writes_rows)) for landing in pages]
        for index in order:
            assert prepared.land(ready[index]) == straight.land(pages[index])
        assert state(prepared) == state(straight)

    check()


def test_a_page_made_ready_leaves_out_what_is_found_to_be_no_record_later(store):
    ready = store.make_ready(page(case("1"), case("2"), records=[{"n": "1"}, {"n": "2"}]), writes_rows=True)
    found = lightened(replace(ready, faults={0: "字段没有见过"}))
    assert store.land(found) == Landed(applied=1, quarantined=1)
    assert names(store, "1", "2") == {"2": "甲"}
    table = store.tables.quarantine
    kept = store.database.read(lambda c: c.execute(select(table.c.payload, table.c.reason)).all())
    assert kept == [({"n": "1"}, "字段没有见过")]
    assert store.database.read(lambda c: c.execute(select(store.tables.landing.c.raw)).scalar_one()) == ready.raw


def empty(store: Store) -> None:
    store.database.write(
        lambda c: [c.execute(table.delete()) for table in reversed(store.tables.metadata.sorted_tables)]
    )


def test_pages_landed_by_many_at_once_end_in_the_same_state(two_stores):
    straight, together = two_stores
    pages = [
        page(
            *(with_parties(case(str(n), v, case_name=f"{v}"), party(PARTY, phone=str(v))) for n in range(4)), received=v
        )
        for v in range(12)
    ]
    for landing in pages:
        straight.land(landing)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(together.land, reversed(pages)))
    assert state(together) == state(straight)


def test_a_relation_leads_where_the_word_that_counts_says_until_that_source_says_it_is_gone(store: Store) -> None:
    def told(source: str, hour: int, *parties: str, gone: bool = False) -> None:
        mapped = case("1", hour)
        mapped.refs["parties"] = parties
        store.land(page(mapped, source=source, received=hour, gone={0} if gone else set()))

    def leads() -> list[str]:
        found = store.related("EnforcementCase", "parties", ["p1", "p2", "p3"], 5)
        return [target for target, keys in found.items() if keys]

    told("b", 100, "p2", "p3")
    assert leads() == ["p2", "p3"]
    told("a", 101, "p1", "p2")
    assert leads() == ["p1", "p2"]
    told("b", 102, "p3")
    assert leads() == ["p1", "p2"]
    assert store.related("EnforcementCase", "parties", ["p3"], 5, "b") == {"p3": [f"{AGENCY}/1"]}
    told("a", 103, gone=True)
    assert leads() == ["p3"]
    told("a", 104, "p1")
    assert leads() == ["p1"]
