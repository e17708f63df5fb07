"""The least there is to do: rows that are ready, merged into the very table that lists read, with all its indexes.

PostgreSQL: COPY into a temporary table, then one INSERT … ON CONFLICT DO UPDATE. SQLite: `executemany` of an upsert. One
transaction. `python -m … TARGET_URL ROWS` prints seconds.
"""

import json
import sqlite3
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

from adapters.mapping.compiled import Compiler
from adapters.mapping.load import load_mappings
from contract_tests.benchmarks.return_parts.cpu import busy
from contract_tests.benchmarks.return_parts.world import record
from gateway.store.identity import make_hash_id
from gateway.store.store import Store
from gateway.store.tables import element_column
from schema.load import load_registry
from schema.registry import OWNER

FOLDER = Path(__file__).parent / "mappings"
ENTITY = "EnforcementCase"


def ready_rows(count: int) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Column names, and rows of values as a driver takes them."""
    registry = load_registry()
    mapping = load_mappings(registry, FOLDER)["exchange"]
    mapped = Compiler(make_hash_id("benchmark")).compiled(mapping, ENTITY, None).page(map(record, range(count)), None)
    elements = list(registry.entities[ENTITY].elements)
    names = ["key", OWNER, *map(element_column, elements)]
    rows = [(one.key, one.owner, *(_plain(one.values.get(name)) for name in elements)) for one in mapped]
    return names, rows


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else value


def merge(target: str, count: int) -> dict[str, float]:
    """Make an empty store, and merge the rows into its table."""
    store = Store(target, load_registry())
    store.create()
    table = store.tables.current[ENTITY].name
    store.close()
    names, rows = ready_rows(count)
    columns = ", ".join(names)
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name != "key")
    url = make_url(target)
    if url.get_backend_name() == "sqlite":
        sqlite3.register_adapter(date, date.isoformat)
        sqlite3.register_adapter(datetime, lambda at: at.replace(tzinfo=None).isoformat(" ", "microseconds"))
        raw = sqlite3.connect(str(url.database), isolation_level=None)
        raw.execute("PRAGMA journal_mode = WAL")
        upsert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))}) ON CONFLICT (key) DO UPDATE SET {sets}"
        started, before = time.perf_counter(), busy()
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(upsert, rows)
        raw.execute("COMMIT")
    else:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = psycopg.connect(address)
        started, before = time.perf_counter(), busy()
        connection.execute(f"CREATE TEMP TABLE ready (LIKE {table}) ON COMMIT DROP".encode())
        with connection.cursor() as cursor, cursor.copy(f"COPY ready ({columns}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)
        upsert = f"INSERT INTO {table} ({columns}) SELECT {columns} FROM ready ON CONFLICT (key) DO UPDATE SET {sets}"
        connection.execute(upsert.encode())
        connection.commit()
    return {"seconds": time.perf_counter() - started, "cpu": busy() - before, "rows": count}


if __name__ == "__main__":
    print(json.dumps(merge(sys.argv[1], int(sys.argv[2]))))
