"""The store takes pages in any order and any number of times, and gives back exactly what the latest telling said."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from adapters.mapping.record import Mapped
from contract_tests.stores import REGISTRY, database, empty_database, opened, postgres, store, url
from gateway.store.runs import RunSuperseded
from gateway.store.store import Landed, Landing, Progress, Store
from schema.formats import CHINA_TIME, Format

__all__ = ["database", "postgres", "store", "url"]

AGENCY = "11350100MB0A00018J"
PARTY = "91350100M000100Y43"
NOON = datetime(2024, 6, 1, 12, tzinfo=CHINA_TIME)
SAMPLES: dict[str, list[Any]] = {
    "text": ["当事人𠮷䶮", "", "a\nb'\"%_"],
    "number": [0, -1, 10**17],
    "money": [1, -(2**62), 2**62],
    "date": [date(1, 1, 1), date(2024, 2, 29), date(9999, 12, 31)],
    "datetime": [
        datetime(1, 1, 1, tzinfo=CHINA_TIME),
        datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=CHINA_TIME),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=CHINA_TIME),
    ],
    "boolean": [True, False, True],
}


def hour(number: int) -> datetime:
    return NOON + timedelta(hours=number)


def case(number: str, version: int | None = 1, **values: Any) -> Mapped:
    """Case `number` as the market system tells it, changed in the given hour."""
    values = {"agency_code": AGENCY, "source_case_no": number, "case_name": "甲", **values}
    provenance = {} if version is None else {"source_updated_at": hour(version)}
    return Mapped("EnforcementCase", f"{AGENCY}/{number}", AGENCY, values, provenance)


def with_parties(mapped: Mapped, *parties: Mapped) -> Mapped:
    mapped.embedded["parties"] = parties
    mapped.refs["parties"] = tuple(party.key for party in parties)
    return mapped


def with_decisions(mapped: Mapped, *decisions: Mapped) -> Mapped:
    mapped.embedded["penalty_decisions"] = decisions
    for decision in decisions:
        decision.refs["case"] = (mapped.key,)
    return mapped


def party(key: str, **values: Any) -> Mapped:
    return Mapped("Party", key, AGENCY, {"party_name": "福州甲公司", **values})


def decision(key: str) -> Mapped:
    return Mapped("PenaltyDecision", key, AGENCY, {"decision_content": "罚款"})


def page(*mapped: Mapped, received: int = 100, **words: Any) -> Landing:
    """What arrived in the given hour; different pages have different payloads."""
    raw = repr((mapped, received, words)).encode()
    words = {"source": "market", "operation": "cases", "mapping_version": "m1", **words}
    return Landing(raw=raw, media_type="application/json", received_at=hour(received), mapped=mapped, **words)


def names(store: Store, *numbers: str) -> dict[str, str]:
    """Case number -> name, as the store tells it."""
    found = store.by_keys("EnforcementCase", [f"{AGENCY}/{number}" for number in numbers])
    return {stored.mapped.values["source_case_no"]: stored.mapped.values["case_name"] for stored in found}


def every_value(form: Format, index: int) -> Any:
    return tuple(SAMPLES[form.kind]) if form.many else SAMPLES[form.kind][index]


# What goes in comes out


@pytest.mark.parametrize("entity", REGISTRY.entities)
def test_every_element_of_every_entity_comes_back_exactly(store, entity):
    elements = REGISTRY.entities[entity].elements
    told = [
        Mapped(
            entity,
            f"k{index}",
            AGENCY,
            {name: every_value(element.format, index) for name, element in elements.items()},
            {"source_updated_at": hour(index), "change_no": 10**17, "batch_no": "b", "source_record_id": "r"},
            {relation: ("x", "中/1") for relation in REGISTRY.entities[entity].relations},
        )
        for index in range(3)
    ]
    store.land(page(*told))
    assert [stored.mapped for stored in store.by_keys(entity, ["k2", "k0", "k1", "k9"])] == told


def test_instants_come_back_in_china_time(store):
    store.land(page(case("1", recorded_at=datetime.fromisoformat("2024-06-01T00:30:00+00:00"))))
    (stored,) = store.by_keys("EnforcementCase", [f"{AGENCY}/1"])
    assert stored.mapped.values["recorded_at"].isoformat() == "2024-06-01T08:30:00+08:00"
    assert [stored.as_of.isoformat(), stored.fetched_at.utcoffset()] == [hour(100).isoformat(), timedelta(hours=8)]


def test_each_source_has_its_own_copy(store):
    store.land(page(case("1")))
    store.land(page(case("1", case_name="乙"), source="police"))
    assert [(s.source, s.mapped.values["case_name"]) for s in store.by_keys("EnforcementCase", [f"{AGENCY}/1"])] == [
        ("market", "甲"),
        ("police", "乙"),
    ]


def test_a_payload_is_kept_once_byte_for_byte(store):
    store.land(page(case("1")))
    store.land(page(case("1")))
    table = store.tables.landing
    kept = store.database.read(lambda connection: connection.execute(select(table.c.raw, table.c.received_at)).all())
    assert kept == [(page(case("1")).raw, hour(100))]


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
    assert store.page("EnforcementCase", 10, None) == ([], False, 0)
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


def test_what_is_embedded_is_stored_and_put_together_again(store):
    told = with_decisions(with_parties(case("1"), party(PARTY), party("~market:1")), decision(f"{AGENCY}/罚1"))
    store.land(page(told, answered={"1": [told.key]}))
    inside = {"parties": "Party", "penalty_decisions": "PenaltyDecision"}
    ((stored,),) = store.answers("market", "cases", ["1"], inside).values()
    assert without_provenance(stored.mapped) == without_provenance(told)
    assert store.related("PenaltyDecision", "case", [told.key], 10) == {told.key: [f"{AGENCY}/罚1"]}


def without_provenance(mapped: Mapped) -> Mapped:
    """What is embedded takes the time of the record it stood in, so only the rest is compared."""
    inside = {name: tuple(map(without_provenance, children)) for name, children in mapped.embedded.items()}
    return replace(mapped, provenance={}, embedded=inside)


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


# Answers of a source that is down


def test_known_to_be_empty_is_not_the_same_as_never_asked(store):
    store.land(page(case("1"), answered={"1": [f"{AGENCY}/1"], "2": []}))
    found = store.answers("market", "cases", ["1", "2", "3"])
    assert {text: [s.mapped.key for s in stored] for text, stored in found.items()} == {"1": [f"{AGENCY}/1"], "2": []}
    assert store.answers("market", "others", ["1"]) == {}
    assert store.answers("police", "cases", ["1"]) == {}


def test_an_older_answer_does_not_replace_a_newer_one(store):
    store.land(page(case("1"), answered={"p": [f"{AGENCY}/1"]}, received=101))
    store.land(page(answered={"p": []}, received=100))
    assert [s.mapped.key for s in store.answers("market", "cases", ["p"])["p"]] == [f"{AGENCY}/1"]
    store.land(page(answered={"p": []}, received=102))
    assert store.answers("market", "cases", ["p"]) == {"p": []}


def test_an_answer_tells_of_no_entity_that_is_gone_and_is_silent_on_one_that_was_refused(store):
    refused = case("2")
    refused.quarantined = True
    store.land(page(case("1"), refused, answered={"1": [f"{AGENCY}/1"], "2": [f"{AGENCY}/2"]}))
    store.land(page(case("1", 2), gone={0}, received=101))
    assert store.answers("market", "cases", ["1", "2"]) == {"1": []}


# Lists and relations


def test_a_list_is_paged_in_the_order_of_keys_and_counts_each_entity_once(store):
    store.land(page(case("b"), case("a"), case("A"), case("中"), case("1")))
    store.land(page(case("a"), source="police"))
    keys = [f"{AGENCY}/{number}" for number in ("1", "A", "a", "b", "中")]
    assert store.page("EnforcementCase", 3, None) == (keys[:3], True, 5)
    assert store.page("EnforcementCase", 3, keys[2]) == (keys[3:], False, 5)
    assert store.page("EnforcementCase", 0, None) == ([], True, 5)


def test_anonymous_entities_are_not_listed(store):
    store.land(page(with_parties(case("1"), party("~market:1"), party(PARTY))))
    assert store.page("Party", 10, None) == ([PARTY], False, 1)


def test_relations_are_followed_backwards_at_most_so_far(store):
    store.land(page(*(with_parties(case(str(number)), party(PARTY)) for number in range(5))))
    store.land(page(with_parties(case("3"), party(PARTY)), source="police"))
    found = store.related("EnforcementCase", "parties", [PARTY, "nobody"], 4)
    assert found == {PARTY: [f"{AGENCY}/{number}" for number in range(4)], "nobody": []}


def test_what_no_database_keeps_is_simply_not_found(store):
    store.land(page(case("1"), answered={"a\0": [], "\ud800": []}))
    assert store.by_keys("EnforcementCase", ["a\0", "\ud800"]) == []
    assert store.answers("market", "cases", ["a\0", "\ud800"]) == {}
    assert store.related("EnforcementCase", "parties", ["a\0"], 1) == {"a\0": []}
    assert store.page("EnforcementCase", 1, f"{AGENCY}\0") == ([f"{AGENCY}/1"], False, 1)
    assert store.find_identified("EnforcementCase", ["\ud800"]) == {}


# Whole or not at all


def test_a_page_of_a_run_that_was_superseded_leaves_no_trace(store):
    begun = store.begin_run("market", "cases")
    later = store.begin_run("market", "cases")
    with pytest.raises(RunSuperseded):
        store.land(page(case("1")), Progress(begun.run_id, 1, "c"))
    assert names(store, "1") == {}
    assert store.land(page(case("1")), Progress(later.run_id, 1, "c")) == Landed(applied=1)
    assert store.begin_run("market", "cases").cursor == "c"


def test_a_ledger_that_does_not_balance_is_refused_by_the_database(store):
    row = {"run_id": store.begin_run("market", "cases").run_id, "page": 1, "at": NOON}
    counts = {"fetched": 3, "applied": 1, "unchanged": 1, "duplicate": 0, "quarantined": 0}
    with pytest.raises(IntegrityError, match="ledger_balances"):
        store.database.write(lambda connection: connection.execute(insert(store.tables.ledger).values(**row, **counts)))


def test_tables_may_be_made_again_and_by_many_at_once(url):
    start = Barrier(4)

    def make(_: int) -> None:
        start.wait()
        with opened(url) as made:
            made.create()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))


def test_an_element_that_the_specification_gains_gets_its_column(url):
    whole = REGISTRY.entities["Party"]
    fewer = {name: element for name, element in whole.elements.items() if name not in ("phone", "birth_date")}
    before = replace(REGISTRY, entities={**REGISTRY.entities, "Party": replace(whole, elements=fewer)})
    made = Store(url, before)
    made.create()
    made.land(page(party(PARTY)))
    made.close()
    with opened(url) as store:
        store.land(page(party("p2", phone="1", birth_date=date(2000, 1, 1))))
        assert [s.mapped.values.get("phone") for s in store.by_keys("Party", [PARTY, "p2"])] == [None, "1"]


def test_a_store_needs_a_file():
    with pytest.raises(ValueError, match="文件"):
        Store("sqlite://", REGISTRY)


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
        urls = [stack.enter_context(empty_database(database)) for _ in range(2)]
        yield stack.enter_context(opened(urls[0])), stack.enter_context(opened(urls[1]))


def test_any_order_and_repetition_of_pages_ends_in_the_same_state(two_stores):
    straight, shuffled = two_stores

    @settings(max_examples=60, deadline=None)
    @given(pages_and_an_order())
    def check(drawn: tuple[list[Landing], list[int]]) -> None:
        pages, order = drawn
        for store in two_stores:
            empty(store)
        for landing in pages:
            straight.land(landing)
        for index in order:
            shuffled.land(pages[index])
        assert state(shuffled) == state(straight)

    check()


def empty(store: Store) -> None:
    store.database.write(lambda c: [c.execute(table.delete()) for table in reversed(store.tables.metadata.sorted_tables)])


def test_pages_landed_by_many_at_once_end_in_the_same_state(two_stores, url):
    del url
    straight, together = two_stores
    pages = [
        page(*(with_parties(case(str(n), v, case_name=f"{v}"), party(PARTY, phone=str(v))) for n in range(4)), received=v)
        for v in range(12)
    ]
    for landing in pages:
        straight.land(landing)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(together.land, reversed(pages)))
    assert state(together) == state(straight)


