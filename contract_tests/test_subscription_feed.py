"""What is told of changes: everything that was committed, once, in the order of its source, whoever wrote it; and no more."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import delete

from contract_tests.stores import (
    AGENCY,
    NOON,
    REGISTRY,
    case,
    database,
    decision,
    empty_database,
    hour,
    opened,
    page,
    party,
    postgres,
    store,
    url,
    with_decisions,
    with_parties,
)
from gateway.store.feed import LEAST_KEPT_FOR, MOST_KEPT, MOST_KEYS, PRUNED_EVERY, Position, record_changes
from gateway.store.landing import land
from gateway.store.run_states import RunState
from gateway.store.runs import INTERRUPTED
from gateway.store.store import Progress, Store

__all__ = ["database", "postgres", "store", "url"]
START = Position(told="3:3:")
"""Before everything, on either database."""


def told(store: Store, since: Position, most: int = 1000) -> tuple[list[tuple[str, str, str, str]], Position]:
    """Entity, last part of the key, kind and source of everything new, read in pieces; and the position behind it."""
    found = []
    while True:
        reading = store.changes(since, most)
        found += [(c.entity, c.key.split("/")[-1], c.kind, c.source) for c in reading.changes]
        since = reading.position
        if not reading.has_more:
            return found, since


def kinds(store: Store, since: Position) -> tuple[list[tuple[str, str]], Position]:
    found, position = told(store, since)
    return [(key, kind) for _, key, kind, _ in found], position


def write(store: Store, count: int, moment: object) -> None:
    changes = {("Party", f"p{n:03}"): "changed" for n in range(count)}
    store.database.write(
        lambda connection: record_changes(connection, store.tables, "market", changes, moment)  # type: ignore[arg-type]
    )


# What is a change


def test_an_entity_is_created_changed_deleted_and_created_again(store: Store) -> None:
    position = store.end_of_changes()
    steps = [
        (page(case("1", 1), received=1), [("1", "created")]),
        (page(case("1", 2, case_name="乙"), received=2), [("1", "changed")]),
        (page(received=3, deleted=[("EnforcementCase", f"{AGENCY}/1")]), [("1", "deleted")]),
        (page(case("1", 4), received=4), [("1", "created")]),
    ]
    for landing, expected in steps:
        store.land(landing)
        found, position = kinds(store, position)
        assert found == expected


def test_what_says_nothing_new_is_no_change(store: Store) -> None:
    store.land(page(case("1", 5), received=5))
    position = store.end_of_changes()
    store.land(page(case("1", 5), received=6))  # told again
    store.land(page(case("1", 4, case_name="旧"), received=7))  # superseded
    store.land(page(received=8, deleted=[("EnforcementCase", "never known")]))
    store.land(page(case("9", 9), received=9, gone=[0]))  # a tombstone of what the source never told
    assert kinds(store, position)[0] == []


def test_another_source_that_tells_the_same_entity_is_a_change_of_its_own(store: Store) -> None:
    position = store.end_of_changes()
    store.land(page(case("1", 1), received=1))
    store.land(page(case("1", 1), received=2, source="exchange"))
    assert told(store, position)[0] == [
        ("EnforcementCase", "1", "created", "market"),
        ("EnforcementCase", "1", "created", "exchange"),
    ]


def test_what_stands_inside_a_record_changes_with_it(store: Store) -> None:
    position = store.end_of_changes()
    store.land(page(with_parties(case("1", 1), party("p1"), party("~1/0")), received=1))
    found, position = told(store, position)
    assert sorted(found) == [
        ("EnforcementCase", "1", "created", "market"),
        ("Party", "0", "created", "market"),
        ("Party", "p1", "created", "market"),
    ]
    store.land(page(with_parties(case("1", 2), party("p1", party_name="改")), received=2))
    found, _ = told(store, position)
    assert sorted(found) == [
        ("EnforcementCase", "1", "changed", "market"),
        ("Party", "0", "deleted", "market"),
        ("Party", "p1", "changed", "market"),
    ]


def test_a_page_that_does_not_go_in_is_not_told(store: Store) -> None:
    position = store.end_of_changes()
    with pytest.raises(ValueError, match="stop"):
        store.database.write(lambda connection: [_land(store, connection, page(case("1"))), _stop()])
    assert kinds(store, position)[0] == []


def _land(store: Store, connection: object, landing: object) -> None:
    land(connection, store.tables, REGISTRY, store.truth, landing, None, NOON)  # type: ignore[arg-type]


def _stop() -> None:
    raise ValueError("stop")


# Reading


def test_every_change_is_read_once_in_pieces_by_whoever_reads(store: Store, url: str) -> None:
    before = store.end_of_changes()
    cases = [with_decisions(case(str(n), 1), decision(f"d{n}")) for n in range(5)]
    store.land(page(*cases, received=1))
    with opened(url) as elsewhere:
        found, position = told(elsewhere, before, most=3)
        assert sorted(found) == sorted(
            [("EnforcementCase", str(n), "created", "market") for n in range(5)]
            + [("PenaltyDecision", f"d{n}", "created", "market") for n in range(5)]
        )
        assert told(elsewhere, position)[0] == []
        elsewhere.land(page(case("7", 2), received=2))
        assert kinds(store, position)[0] == [("7", "created")]
        assert kinds(elsewhere, store.end_of_changes())[0] == []


def test_transactions_that_are_committed_in_another_order_are_all_told_once(postgres: str) -> None:
    with empty_database(postgres) as url, opened(url) as store:
        position = store.end_of_changes()
        is_written, may_commit = threading.Event(), threading.Event()

        def slowly(connection: object) -> None:
            _land(store, connection, page(party("slow"), source="slow"))
            is_written.set()
            assert may_commit.wait(30)

        thread = threading.Thread(target=lambda: store.database.write(slowly))
        thread.start()
        assert is_written.wait(30)
        late_comer = store.end_of_changes()  # begins to listen while the slow one is under way
        store.land(page(decision("quick"), source="quick"))
        found, position = kinds(store, position)
        assert found == [("quick", "created")]
        assert kinds(store, position)[0] == []
        may_commit.set()
        thread.join()
        found, position = kinds(store, position)
        assert found == [("slow", "created")]
        assert kinds(store, position)[0] == []
        assert sorted(kinds(store, late_comer)[0]) == [("quick", "created"), ("slow", "created")]


@pytest.mark.parametrize("most", [1, 7, MOST_KEYS, MOST_KEYS + 1, 1000])
def test_many_changes_are_told_once_in_their_order_however_they_are_read(store: Store, most: int) -> None:
    counts = (1, MOST_KEYS - 1, MOST_KEYS, 2 * MOST_KEYS + 3, 1)
    position = store.end_of_changes()
    for number, count in enumerate(counts):
        write(store, count, hour(number))
    found, position = told(store, position, most)
    assert [key for _, key, _, _ in found] == [f"p{n:03}" for count in counts for n in range(count)]
    assert told(store, position, most)[0] == []


def test_what_is_half_read_when_it_is_dropped_does_not_hide_what_follows(store: Store) -> None:
    position = store.end_of_changes()
    write(store, 3, hour(0))
    half = store.changes(position, 2)
    changed = store.tables.changed
    store.database.write(lambda connection: connection.execute(delete(changed)))
    write(store, 3, hour(1))
    seen = replace(half.position, upto="")  # as of now: another reading begins
    assert [change.key for change in store.changes(seen, 9).changes] == ["p000", "p001", "p002"]


# Forgetting


def test_old_changes_are_dropped_and_young_ones_kept(store: Store) -> None:
    write(store, MOST_KEYS * (PRUNED_EVERY - 2), hour(0))
    write(store, 1, hour(23))
    write(store, 1, hour(25))
    assert [change.at for change in store.changes(START, 5000).changes] == [hour(23), hour(25)]
    assert MOST_KEPT > PRUNED_EVERY
    assert timedelta(minutes=15) < LEAST_KEPT_FOR


# Runs


def test_runs_are_told_as_they_stand_with_their_ledgers(store: Store) -> None:
    begun = store.begin_run("market", "cases")
    (first,) = store.run_states()
    assert first == RunState(1, "market", "cases", "running", first.started_at, None, None)
    store.land(page(case("1"), case("2"), received=1), Progress(begun.run_id, 1, "a"))
    store.land(page(case("2"), case("3"), received=2), Progress(begun.run_id, 2, "b"))
    (second,) = store.run_states([first])
    assert (second.status, second.pages, second.fetched, second.applied, second.unchanged) == ("running", 2, 4, 3, 1)
    store.finish_run(begun.run_id, "b")
    (third,) = store.run_states([second])
    assert (third.status, third.pages, third.finished_at is None) == ("succeeded", 2, False)
    assert store.run_states([third]) == [third]


def test_a_run_that_failed_or_was_superseded_says_so(store: Store) -> None:
    store.begin_run("market", "cases", seconds=0)
    known = store.run_states()
    other = store.begin_run("market", "cases")
    store.fail_run(other.run_id, "来源系统暂时无法访问")
    assert [(s.run_id, s.status, s.error) for s in store.run_states(known)] == [
        (1, "failed", INTERRUPTED),
        (2, "failed", "来源系统暂时无法访问"),
    ]
