"""Stores to test with: a SQLite file, and a schema of a real PostgreSQL, each new and empty; and pages to put into them."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from adapters.mapping.record import Mapped
from adapters.mapping.truth import CONFLICT
from contract_tests.emptying import schema_of_its_own, used_again
from gateway.store.arriving import Landing
from gateway.store.issues import open_issues
from gateway.store.search import Search
from gateway.store.store import Store
from schema.cursors import Position
from schema.formats import CHINA_TIME
from schema.load import load_registry

REGISTRY = load_registry()
AGENCY = "11350100MB0A00018J"
PARTY = "91350100M000100Y43"
NOON = datetime(2024, 6, 1, 12, tzinfo=CHINA_TIME)
RECEIVED = {
    "fetched_at",
    "as_of",
    "deleted_at",
    "at",
    "first_seen",
    "last_seen",
    "recorded_at",
    "superseded_at",
    "run_id",
    "id",
    "allotted_at",
    "resolved_at",
}
"""Columns that say when something arrived here, or number it."""


@pytest.fixture(scope="session")
def postgres(one_postgres: str) -> str:
    """The URL of a running PostgreSQL, the same for all modules."""
    return one_postgres


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of a PostgreSQL, or `sqlite`; everything of the store is tested on both."""
    return "sqlite" if request.param == "sqlite" else str(request.getfixturevalue("postgres"))


@pytest.fixture
def url(database: str) -> Iterator[str]:
    """Where a new store may be made."""
    with empty_database(database) as address:
        yield address


@pytest.fixture
def store(database: str, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A new store; at `url`, where a test asks for that."""
    with opened(request.getfixturevalue("url")) if "url" in request.fixturenames else new_store(database) as made:
        yield made


@contextmanager
def empty_database(database: str) -> Iterator[str]:
    """A file of its own, or a schema of its own."""
    if database == "sqlite":
        with tempfile.TemporaryDirectory(dir=_in_memory()) as folder:
            yield f"sqlite:///{Path(folder) / 'store' / 'gateway.db'}"
        return
    with schema_of_its_own(database) as address:
        yield address


@contextmanager
def new_store(database: str) -> Iterator[Store]:
    """A store with nothing in it."""
    ready = empty_database(database) if database == "sqlite" else used_again(database, _make)
    with ready as address, opened(address) as made:
        yield made


def _make(address: str) -> None:
    with opened(address):
        pass


def _in_memory() -> str | None:
    """Where files need no disk, if there is such a place with room in it: what tests kill are processes, not machines."""
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() and shutil.disk_usage(folder).free > 2**31 else None


@contextmanager
def opened(url: str, **words: object) -> Iterator[Store]:
    """The store at `url`, made if need be."""
    made = Store(url, REGISTRY, **words)  # type: ignore[arg-type]
    try:
        made.create()
        yield made
    finally:
        made.close()


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


def listed(store: Store, entity: str, first: int, after_key: str | None = None) -> tuple[list[str], bool, int | None]:
    """Keys in order, whether there are more behind them, and how many there are in all."""
    after = None if after_key is None else Position((), after_key)
    found = store.search(Search(entity, first, after=after, counts=True))
    return found.keys, found.has_next, found.total


def state(store: Store, besides: Collection[str] = ()) -> dict[str, list[Any]]:
    """Every row that tells of entities, except when it arrived; `besides`: other columns to leave out.

    Of what sources disagree on, which is found anew whenever one of them tells something, only what holds now.
    """
    tables, skipped = store.tables, RECEIVED | set(besides)
    told = [*tables.entities.values(), *tables.current.values(), tables.link]
    told += [tables.history, tables.issue, tables.quarantine, tables.identity]
    found: dict[str, list[Any]] = {}
    for table in told:
        kept = [column for column in table.columns if column.name not in skipped]
        rows = store.database.read(lambda c, kept=kept: c.execute(select(*kept)).mappings().all())
        found[table.name] = sorted(({**row, "row": _without(row.get("row"), skipped)} for row in rows), key=repr)
    found["issue"] = [row for row in found["issue"] if row["check_type"] != CONFLICT]
    open_now = [one.issue for one in store.database.read(lambda c: open_issues(c, tables, None, 1000))]
    found["conflict"] = [issue for issue in sorted(open_now, key=repr) if issue.check_type == CONFLICT]
    return {name: rows for name, rows in found.items() if rows}


def _without(row: Any, skipped: Collection[str]) -> Any:
    return row and {name: value for name, value in row.items() if name not in skipped}
