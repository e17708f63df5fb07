"""Data return as it is run: workers over one PostgreSQL with PgQueuer between them, or the loop inside a gateway; real sources."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from adapters.simulator.faults import Fault
from contract_tests.federation import Federation, definitions_of
from contract_tests.six_systems import calm, six
from contract_tests.stores import database, empty_database, opened, postgres, state, url
from contract_tests.waiting import until
from gateway.returning import return_everything
from gateway.settings import PROJECT
from gateway.store.store import Store

__all__ = ["calm", "database", "postgres", "six", "url"]
IN_TURN = ("case_code", "allotted", "raw_digest")
"""What depends on which stream was first, or on the very bytes of an answer."""


@contextmanager
def workers(six: Federation, number: int) -> Iterator[list[subprocess.Popen[str]]]:
    """So many processes of `gateway worker`; those that are left end by SIGTERM, with nothing to complain about."""
    environment = {**os.environ, **six.environment, **six.settings_changed}  # noqa: TID251 - of a process
    command = [sys.executable, "-m", "gateway.cli", "worker"]
    started = [
        subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(number)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        ended = {process.pid: (process.wait(30), process.communicate()[1]) for process in started}
    assert {status for status, _ in ended.values()} <= {0, -signal.SIGKILL}, ended
    assert [told for _, told in ended.values() if "Traceback" in told] == []


def ended(store: Store) -> dict[tuple[str, str], list[str]]:
    """Stream -> how its runs ended."""
    run = store.tables.run
    query = select(run.c.source, run.c.operation, run.c.status).order_by(run.c.id)
    found: dict[tuple[str, str], list[str]] = {}
    for source, operation, status in store.database.read(lambda c: c.execute(query).all()):
        found.setdefault((source, operation), []).append(status)
    return found


def streams_of(six: Federation) -> set[tuple[str, str]]:
    mappings = definitions_of(six.settings).mappings
    return {(m.name, name) for m in mappings.values() for name, operation in m.operations.items() if operation.changes}


def make_due(store: Store) -> None:
    """All streams, now."""
    stream = store.tables.stream
    store.database.write(lambda c: c.execute(update(stream).values(due_at=select(func.now()).scalar_subquery())))


@pytest.fixture
def expected(six: Federation, tmp_path: Path) -> dict[str, Any]:
    """What one process that reads one stream after the other leaves in a store."""
    address = f"sqlite:///{tmp_path / 'expected.db'}"
    six.settings_changed = {"GATEWAY_DATABASE_URL": address}
    return_everything(six.settings, definitions_of(six.settings), lambda _: None)
    six.forget_calls()
    with opened(address) as store:
        return state(store, IN_TURN)


def test_workers_share_the_streams_and_one_that_is_killed_and_a_queue_that_is_lost_lose_nothing(
    six: Federation, postgres: str, expected: dict[str, Any]
) -> None:
    with empty_database(postgres) as address, opened(address) as store:
        six.settings_changed = {"GATEWAY_DATABASE_URL": address, "GATEWAY_SYNC_HEARTBEAT": "2"}
        six.simulators["traffic_police"].faults.add(Fault("slow", seconds=3.0))
        with workers(six, 2) as (one, other):
            until(lambda: "running" in ended(store).get(("traffic_police", "violations_changed"), ()), SQLAlchemyError)
            until(lambda: len(ended(store)) == len(streams_of(six)), SQLAlchemyError)
            holder = holder_of(store, "traffic_police")
            busy, free = (one, other) if holder.endswith(f":{one.pid}") else (other, one)
            assert holder.endswith(f":{busy.pid}")
            busy.kill()
            six.simulators["traffic_police"].faults.clear()
            until(lambda: all(statuses[-1] == "succeeded" for statuses in ended(store).values()), SQLAlchemyError)
            assert set(ended(store)) == streams_of(six)
            assert state(store, IN_TURN) == expected
            dispatched = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
            assert store.database.read(lambda c: c.execute(text(dispatched)).scalar_one()) >= len(streams_of(six))
            lose_queue(store)
            make_due(store)
            until(lambda: all(s[-1] == "succeeded" and len(s) > 1 for s in ended(store).values()), SQLAlchemyError)
            assert free.poll() is None
            assert state(store, IN_TURN) == expected


def holder_of(store: Store, source: str) -> str:
    lease = store.tables.lease
    return str(
        store.database.read(lambda c: c.execute(select(lease.c.holder).where(lease.c.source == source)).scalar_one())
    )


def lose_queue(store: Store) -> None:
    mine = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'pgqueuer%'"
    store.database.write(
        lambda c: [c.execute(text(f'DROP TABLE "{name}" CASCADE')) for name in c.execute(text(mine)).scalars().all()]
    )


def test_gateways_fill_their_store_by_themselves_and_answer_meanwhile(
    six: Federation, url: str, expected: dict[str, Any]
) -> None:
    six.settings_changed = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_SYNC_EMBEDDED": "true",
        "GATEWAY_SYNC_HEARTBEAT": "2",
    }
    count = {"query": "{ enforcementCases { totalCount } streams { source lastRun } }"}
    with opened(url) as store:
        with six.served() as address, six.served() as beside:
            until(lambda: set(ended(store)) == streams_of(six), SQLAlchemyError)
            until(lambda: all(statuses[-1] == "succeeded" for statuses in ended(store).values()), SQLAlchemyError)
            for each in (address, beside):
                body = httpx.post(f"{each}/graphql", json=count, trust_env=False).json()
                assert body["data"]["enforcementCases"]["totalCount"] == len(expected["current_enforcement_case"])
            assert state(store, IN_TURN) == expected
        six.simulators["binhai_market"].faults.add(Fault("fail"))
        first = ended(store)
        make_due(store)
        with six.served():
            until(lambda: all(len(statuses) > len(first[stream]) for stream, statuses in ended(store).items()))
            until(lambda: "running" not in {statuses[-1] for statuses in ended(store).values()})
        failed = [stream[0] for stream, statuses in ended(store).items() if statuses[-1] == "failed"]
        assert failed == ["binhai_market"]
        assert state(store, IN_TURN) == expected
