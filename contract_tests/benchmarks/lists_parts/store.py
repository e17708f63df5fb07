"""The store of the benchmark, of the gateway's own making: landed by a real data return, or filled many times as fast by SQL.

Filling writes the rows and links that landing writes, but neither payloads nor the feed of changes, which no list reads.
`differences` tells what landing and filling do not agree on: it has to be nothing.
"""

import asyncio
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from adapters.mapping.load import load_mappings
from adapters.mapping.model import SourceMapping
from adapters.open import open_source
from contract_tests.benchmarks.lists_parts import made
from gateway.store.identity import make_hash_id
from gateway.store.store import Store
from gateway.sync.run import run_changes
from schema.load import load_registry
from schema.registry import Registry

PARTS = Path(__file__).parent
MAPPINGS = PARTS / "mappings"
SOURCE, ADDRESS = "province", "BENCH_LISTS_URL"
FILLED = ("enforcement_case", "party", "link", "identity", "current_enforcement_case", "current_party")
VOLATILE = {"raw_digest", "record_digest", "fetched_at", "as_of", "allotted_at"}
"""What says when and with which payload something came."""


def land(url: str, feed: str, cases: int, parties: int) -> None:
    """A new store with what a real data return takes in from a database that tells so many cases."""
    with psycopg.connect(plain(feed)) as connection:
        made.make(connection, parties)
        connection.execute((PARTS / "told.sql").read_text("utf-8").replace("%(cases)s", str(cases)).encode())
    registry = load_registry()
    store = Store(url, registry)
    try:
        store.create()
        asyncio.run(_take_in(store, _mapping(registry), plain(feed)))
        assert not store.issues(limit=1), store.issues(limit=1)
    finally:
        store.close()
    _settle(url)


async def _take_in(store: Store, mapping: SourceMapping, feed: str) -> None:
    source = open_source(mapping, {ADDRESS: feed})
    for operation in ("parties_changed", "cases_changed"):
        result = await run_changes(source, mapping, operation, store, make_hash_id("benchmark"), lambda _: None)
        assert (result.applied, result.quarantined) == (result.fetched, 0), result
    await source.aclose()


def fill(url: str, cases: int, parties: int) -> None:
    """A new store with so many cases, its indexes made when the rows are there."""
    registry = load_registry()
    store = Store(url, registry)
    try:
        store.create()
        names = [store.tables.metadata.tables[name] for name in FILLED]
        indexes = [index for table in names for index in table.indexes]
        words = {
            "owner": _mapping(registry).agency,
            "raw_digest": "0" * 64,
            "record_digest": "0" * 38,
            "spec_version": registry.version,
            "mapping_version": _mapping(registry).version,
            "cases": cases,
        }
        with psycopg.connect(plain(url)) as connection:
            made.make(connection, parties)
        with store.database.engine.begin() as connection:
            connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
            connection.exec_driver_sql("SET LOCAL work_mem = '256MB'")
            for index in indexes:
                index.drop(connection)
            for statement in (PARTS / "fill.sql").read_text("utf-8").format(**words).split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)
            for entity in ("EnforcementCase", "Party"):
                told, current = store.tables.entities[entity], store.tables.current[entity]
                columns = [column.name for column in current.columns]
                connection.execute(
                    current.insert().from_select(
                        columns, told.select().with_only_columns(*(told.c[name] for name in columns))
                    )
                )
            for index in indexes:
                index.create(connection)
    finally:
        store.close()
    _settle(url)


def differences(one: str, other: str) -> list[str]:
    """Tables that two stores do not agree on, with the first rows in which they differ."""
    found: list[str] = []
    with psycopg.connect(plain(one)) as left, psycopg.connect(plain(other)) as right:
        for table in FILLED:
            mine, theirs = _rows(left, table), _rows(right, table)
            if mine != theirs:
                apart = next(((a, b) for a, b in zip(mine, theirs, strict=False) if a != b), None)
                found.append(f"{table}: {len(mine)} and {len(theirs)} rows, first {apart}")
    return found


def _rows(connection: psycopg.Connection[Any], table: str) -> list[str]:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(f'SELECT * FROM "{table}"'.encode())
        rows = [{name: value for name, value in row.items() if name not in VOLATILE} for row in cursor.fetchall()]
    return sorted(map(str, rows))


def plain(url: str) -> str:
    """The address as the driver takes it."""
    return url.replace("+psycopg", "")


def _mapping(registry: Registry) -> SourceMapping:
    return load_mappings(registry, MAPPINGS)[SOURCE]


def _settle(url: str) -> None:
    """As autovacuum leaves a database sooner or later."""
    with psycopg.connect(plain(url), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
