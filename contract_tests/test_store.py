"""The store gives back exactly what it was told, in lists, along relations, and as the answers of a source that is down."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from adapters.mapping.record import Mapped
from contract_tests.stores import (
    AGENCY,
    NOON,
    PARTY,
    REGISTRY,
    case,
    database,
    decision,
    hour,
    listed,
    names,
    opened,
    page,
    party,
    postgres,
    store,
    url,
    with_decisions,
    with_parties,
)
from gateway.store.landing import Fate
from gateway.store.runs import RunSuperseded
from gateway.store.store import Landed, Progress, Store
from schema.formats import CHINA_TIME, Format

__all__ = ["database", "postgres", "store", "url"]

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
    "structure": [[], {"签署人": "𠮷", "序列号": [1, 0.5, None, True]}, [{"signer": "甲"}, [["b'\"%_"]]]],
}


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
            dict.fromkeys(REGISTRY.entities[entity].relations, ("x", "中/1")),
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
    assert listed(store, "EnforcementCase", 3) == (keys[:3], True, 5)
    assert listed(store, "EnforcementCase", 3, keys[2]) == (keys[3:], False, 5)


def test_anonymous_entities_are_not_listed(store):
    store.land(page(with_parties(case("1"), party("~market:1"), party(PARTY))))
    assert listed(store, "Party", 10) == ([PARTY], False, 1)


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
    assert store.find_identified("EnforcementCase", ["\ud800"]) == {}


# Whole or not at all


def test_a_page_of_a_run_that_was_superseded_leaves_no_trace(store):
    begun = store.begin_run("market", "cases", seconds=0)
    later = store.begin_run("market", "cases")
    with pytest.raises(RunSuperseded):
        store.land(page(case("1")), Progress(begun.run_id, 1, "c"))
    assert names(store, "1") == {}
    assert store.land(page(case("1")), Progress(later.run_id, 1, "c")) == Landed(applied=1)
    store.fail_run(later.run_id, "")
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


def test_a_store_needs_a_file():
    with pytest.raises(ValueError, match="文件"):
        Store("sqlite://", REGISTRY)


def test_whoever_lands_a_page_may_write_beside_it_and_learns_the_fate_of_each_record(store):
    store.land(page(case("1", 1), case("2", 5)))
    told: list[tuple[Landed, list[Fate]]] = []
    mapped = [case("1", 2, case_name="乙"), case("2", 5), case("2", 4), case("3"), case("4")]
    landing = page(*mapped, faults={4: "第 5 行缺 2 格"}, received=101)
    landed = store.land(landing, also=lambda _connection, landed, fates: told.append((landed, list(fates))))
    fates = [
        Fate("applied"),
        Fate("unchanged"),
        Fate("duplicate"),
        Fate("applied"),
        Fate("quarantined", "第 5 行缺 2 格"),
    ]
    assert told == [(landed, fates)]
    assert landed == Landed(applied=2, unchanged=1, duplicate=1, quarantined=1)


def test_what_is_written_beside_a_page_goes_in_with_it_or_not_at_all(store):
    def fails(*_given: object) -> None:
        raise RuntimeError("beside")

    with pytest.raises(RuntimeError, match="beside"):
        store.land(page(case("1")), also=fails)
    assert names(store, "1") == {}
