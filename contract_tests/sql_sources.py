"""A database of an exchange: a real PostgreSQL with one table and an account that may only read it, and its source."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from adapters.errors import SourceError
from adapters.mapping.load import load_mapping
from adapters.open import open_source
from adapters.source import Call, Page
from adapters.sql import SqlSource
from contract_tests.servers import postgres_server
from schema.load import load_registry

REGISTRY = load_registry()
SHORT, LONG, PATIENCE = 0.5, 20.0, 15.0
MAPPING = """
source: exchange
title: 交换库
agency: 11350100MB0A00018J
owner: 信息中心
connect: {kind: sql, url: env:EXCHANGE_URL, timeout: 20s, concurrency: 1}
operations:
  by_no:
    request: {table: t}
    lookup: {entity: Inspection, by: inspection_no, batch: 5000}
  changed:
    request: {table: t}
    page: {size: 50}
    changes: {entity: Inspection, cursor: source_updated_at}
entities:
  Inspection:
    key: inspection_no
    fields:
      inspection_no:     no
      inspection_name:   title
      change_no:         {path: seq, as: integer}
      source_updated_at: {path: moved, as: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
"""
WAIVED = MAPPING.replace("concurrency: 1}", "concurrency: 1, may_write: !!bool true}")
KILL = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'reader'"
ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'"
TABLE = "CREATE TABLE t (no varchar(40), title varchar(40), seq integer, moved timestamp)"
ROW = {"no": "一", "title": "检查", "seq": "7", "moved": "2024-01-01 08:00:00"}
LEAKS = ("CANARY", "127.0.0.1", "SELECT", "ORA-", "tester", "reader", "postgresql", "t_", "title", "password")


class Database:
    """A database on a running PostgreSQL, with one table `t` and an account that may only read it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reader = sa.make_url(url).set(username="reader", password="right").render_as_string(hide_password=False)

    @contextmanager
    def connected(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True) as connection:
            yield connection

    def run(self, *statements: str) -> None:
        with self.connected() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def renew(self) -> None:
        self.run(
            "DROP TABLE IF EXISTS t CASCADE",
            TABLE,
            "INSERT INTO t VALUES ('一', '检查', 7, '2024-01-01 08:00:00'), ('二', '复查', 8, '2024-01-02 08:00:00')",
            "GRANT SELECT ON t TO reader",
        )

    def one(self, sql: str) -> Any:
        with self.connected() as connection:
            row = connection.execute(sql.encode()).fetchone()
            return row[0] if row else None

    async def becomes(self, sql: str, value: object) -> None:
        for _ in range(int(PATIENCE / 0.02)):
            if self.one(sql) == value:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"{sql} never became {value}")


@pytest.fixture(scope="module")
def server() -> Iterator[Database]:
    with postgres_server() as url:
        made = Database(url)
        made.run("CREATE ROLE reader LOGIN PASSWORD 'right'")
        yield made


@pytest.fixture
def db(server: Database) -> Database:
    server.renew()
    return server


@asynccontextmanager
async def opened(url: str, folder: Path, mapping: str = MAPPING) -> AsyncIterator[SqlSource]:
    (folder / "exchange").mkdir(exist_ok=True)
    (folder / "exchange" / "mapping.yaml").write_text(mapping, "utf-8")
    source = open_source(load_mapping(REGISTRY, folder / "exchange"), {"EXCHANGE_URL": url})
    assert isinstance(source, SqlSource)
    try:
        yield source
    finally:
        await source.aclose()


async def page(source: SqlSource, *keys: str, timeout: float = LONG) -> Page:
    return await source.call(Call("by_no", timeout, keys=keys or ["一"]))


async def ask(source: SqlSource, *keys: str, timeout: float = LONG) -> list[Any]:
    return list((await page(source, *keys, timeout=timeout)).records)


def says_nothing_of_the_source(error: SourceError) -> bool:
    return not [word for word in LEAKS if word in error.public_message]
