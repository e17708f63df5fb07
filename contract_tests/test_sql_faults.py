"""A real PostgreSQL that is slow, locked, stopped, killed, or full of strange values."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
import sqlalchemy as sa

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceTimeout,
    SourceUnavailable,
)
from adapters.mapping.load import load_mapping
from adapters.mapping.written import SqlConnect
from adapters.open import open_source
from adapters.source import Call, Page, Source
from adapters.sql_engine import database_url, open_engine
from adapters.sql_text import as_text, canonical_json, records_of
from contract_tests.servers import postgres_server
from schema.load import load_registry

pytestmark = pytest.mark.anyio

REGISTRY = load_registry()
SHORT, LONG, PATIENCE = 0.5, 20.0, 15.0
MAPPING = """
source: exchange
title: 交换库
agency: 11350100MB0A00018J
owner: 信息中心
connect: {kind: sql, url: env:EXCHANGE_URL, timeout: 20s, concurrency: 2, may_write: !!bool true}
operations:
  by_no:
    request: {table: TABLE}
    lookup: {entity: Inspection, by: inspection_no, batch: 5000}
  changed:
    request: {table: TABLE}
    page: {size: 2}
    changes: {entity: Inspection, cursor: source_updated_at}
entities:
  Inspection:
    key: inspection_no
    fields:
      inspection_no:     no
      source_updated_at: {path: moved, as: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        with connected(url) as connection:
            connection.execute("CREATE TABLE t (no integer, moved timestamp)")
            connection.execute("INSERT INTO t VALUES (1, '2024-01-01 08:00:00'), (2, '2024-01-02 08:00:00.5')")
            connection.execute("CREATE VIEW slow AS SELECT no, moved FROM t, pg_sleep(60)")
            connection.execute("CREATE SCHEMA other CREATE TABLE t (no text, moved timestamptz)")
            connection.execute("INSERT INTO other.t VALUES ('1', '2024-01-01 08:00:00+08')")
            connection.execute("CREATE ROLE nobody LOGIN PASSWORD 'right'")
            connection.execute(
                "CREATE FUNCTION wrote() RETURNS int LANGUAGE sql AS $$ INSERT INTO t VALUES (9, now()) RETURNING 9 $$"
            )
            connection.execute("CREATE VIEW writing AS SELECT wrote() AS no, now() AS moved")
        yield url


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@asynccontextmanager
async def source(url: str, folder: Path, table: str = "t") -> AsyncIterator[Source]:
    """A source whose every call asks `table`."""
    (folder / "exchange").mkdir(exist_ok=True)
    (folder / "exchange" / "mapping.yaml").write_text(MAPPING.replace("TABLE", table), "utf-8")
    opened = open_source(load_mapping(REGISTRY, folder / "exchange"), {"EXCHANGE_URL": url})
    try:
        yield opened
    finally:
        await opened.aclose()


async def ask(asked: Source, timeout: float = LONG, *keys: str) -> list[Any]:
    page: Page = await asked.call(Call("by_no", timeout, keys=keys or ["1"]))
    return list(page.records)


FIRST = [{"no": "1", "moved": "2024-01-01 08:00:00"}]


# Values


async def test_keys_and_cursors_are_read_as_what_their_columns_hold(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path) as asked:
        assert await ask(asked) == FIRST
        page = await asked.call(Call("changed", LONG, since="2024-01-01 08:00:01", page=0))
    assert page.records == [{"no": "2", "moved": "2024-01-02 08:00:00.500000"}]


async def test_a_table_in_a_schema_and_a_cursor_with_a_zone_in_chinese_time(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path, "other.t") as asked:
        found = [
            (await asked.call(Call("changed", LONG, since=since, page=0))).records
            for since in ("2024-01-01 08:00:00", "2024-01-01 08:00:01")
        ]
    assert found == [FIRST, []]


@pytest.mark.parametrize("key", ["abc", "1.5", "99999999999", "\x00"])
async def test_a_key_that_its_column_cannot_hold_is_rejected(postgres: str, tmp_path: Path, key: str) -> None:
    async with source(postgres, tmp_path) as asked:
        with pytest.raises(SourceRejected):
            await ask(asked, LONG, key)
        assert await ask(asked) == FIRST


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("1.10::numeric(20,6)", "1.100000"),
        ("1e-7::numeric", "0.0000001"),
        ("123456789012345678901234567890.12::numeric", "123456789012345678901234567890.12"),
        ("'NaN'::numeric", "NaN"),
        ("9007199254740993::bigint", "9007199254740993"),
        ("0.1::float8", "0.1"),
        ("1e-7::float8", "0.0000001"),
        ("true", "1"),
        ("false", "0"),
        ("timestamp '2024-06-01 08:00:00'", "2024-06-01 08:00:00"),
        ("timestamp '2024-06-01 08:00:00.5'", "2024-06-01 08:00:00.500000"),
        ("timestamptz '2024-06-01 00:00:00Z'", "2024-06-01 08:00:00"),
        ("timestamp 'infinity'", "infinity"),
        ("date '-infinity'", "-infinity"),
        ("date '0044-03-15 BC'", "0044-03-15 BC"),
        ("date '0001-01-01'", "0001-01-01"),
        ("date '2024-06-01'", "2024-06-01"),
        ("time '08:00:00.5'", "08:00:00.500000"),
        ("'  a '::char(5)", "  a  "),
        ("convert_to('闽', 'UTF8')", "闽"),
        ("'6f1c0f4e-0000-4000-8000-000000000001'::uuid", "6f1c0f4e-0000-4000-8000-000000000001"),
        ("""'{"a": [1.10, true, null]}'::jsonb""", {"a": ["1.10", "true", None]}),
        ("ARRAY['a', NULL]", ["a", None]),
        ("NULL::int", None),
        ("''::text", ""),
    ],
)  # fmt: skip
def test_values_are_the_text_of_what_the_database_holds(postgres: str, sql: str, text: Any) -> None:
    connect = SqlConnect(kind="sql", url="env:X")
    engine = open_engine(database_url("env:X", postgres), connect, threading.local())
    try:
        with engine.connect() as connection:
            (value,) = connection.exec_driver_sql(f"SELECT {sql}").one()
            assert as_text(value) == text
    finally:
        engine.dispose()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+3"), "1000"),
        (1e16, "10000000000000000"),
        (datetime(2024, 6, 1, tzinfo=UTC), "2024-06-01 08:00:00"),
        (date(1, 1, 1), "0001-01-01"),
        (clock_time(8), "08:00:00"),
        (timedelta(hours=30, microseconds=5), "30:00:00.000005"),
        (-timedelta(minutes=1), "-00:01:00"),
        (b"abc", "abc"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("0000-00-00", "0000-00-00"),
    ],
)
def test_values_of_other_drivers(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize("value", [b"\xff\xfe", object()])
def test_a_value_without_text_breaks_the_contract(value: Any) -> None:
    with pytest.raises(SourceContractBroken):
        as_text(value)


def test_equal_rows_are_equal_bytes_whatever_the_order_inside_them_and_what_stands_beside() -> None:
    columns = ("a", "b")
    first = records_of(columns, [({"y": 1, "x": [True, {"n": None, "m": 2}]}, "文")] * 3)
    second = records_of(columns, [({"x": [True, {"m": 2, "n": None}], "y": 1}, "文")] * 3)
    assert first[0] == {"a": {"x": ["1", {"m": "2", "n": None}], "y": "1"}, "b": "文"}
    assert canonical_json(first) == canonical_json(second) == msgspec.json.encode(second, order="deterministic")
    texts: list[tuple[Any, ...]] = [("1", None), ("2", "二")] * 150
    mixed = [*texts, (3, None)]
    assert records_of(columns, mixed)[:300] == records_of(columns, texts)
    assert records_of(columns, mixed)[300] == {"a": "3", "b": None}
    assert msgspec.json.decode(canonical_json(records_of(columns, mixed))) == records_of(columns, mixed)


# Time


async def becomes(connection: psycopg.Connection[tuple[Any, ...]], sql: str, value: object) -> None:
    for _ in range(int(PATIENCE / 0.02)):
        if connection.execute(sql).fetchone() == (value,):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{sql} never became {value}")


async def assert_times_out(asked: Source) -> None:
    started = time.monotonic()
    with pytest.raises(SourceTimeout):
        await ask(asked, SHORT)
    assert time.monotonic() - started < PATIENCE


async def test_a_slow_query_ends_with_the_call_on_the_server_too(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path, "slow") as asked:
        await assert_times_out(asked)
    with connected(postgres) as connection:
        await becomes(connection, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 0)


async def test_a_locked_table_is_not_waited_for(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path) as asked:
        with connected(postgres) as connection, connection.transaction():
            connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            await assert_times_out(asked)
        assert await ask(asked) == FIRST


async def test_stopped_backends_are_not_waited_for_and_do_not_block_the_next_calls(
    postgres: str, tmp_path: Path
) -> None:
    async with source(postgres, tmp_path) as asked:
        await asyncio.gather(ask(asked), ask(asked))
        with stopped(postgres):
            for _ in range(3):
                await assert_times_out(asked)
        assert await ask(asked) == FIRST


@contextmanager
def stopped(url: str) -> Iterator[None]:
    """Every process of the server accepts and never answers."""
    with ExitStack() as going_on, connected(url) as connection:
        own = connection.info.backend_pid
        (server,) = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone() or ("",)
        others = connection.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'").fetchall()
        for pid in [*(pid for (pid,) in others if pid != own), int(str(server).split()[0])]:
            os.kill(pid, signal.SIGSTOP)
            going_on.callback(os.kill, pid, signal.SIGCONT)
        yield


async def test_calls_beyond_the_concurrency_wait_no_longer_than_their_own_time(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path, "slow") as asked:
        started = time.monotonic()
        failures = await asyncio.gather(*(ask(asked, SHORT) for _ in range(20)), return_exceptions=True)
        assert time.monotonic() - started < PATIENCE
    assert {type(failure) for failure in failures} == {SourceTimeout}


async def test_a_cancelled_call_lets_go_here_and_on_the_server(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path) as asked:
        with connected(postgres) as connection, connection.transaction():
            connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            calls = [asyncio.create_task(ask(asked)) for _ in range(2)]
            waiting = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND NOT granted"
            await becomes(connection, waiting, 2)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            await becomes(connection, waiting, 0)
        assert await ask(asked) == FIRST


# Connections


async def test_connections_that_were_cut_while_idle_are_made_anew(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path) as asked:
        await asyncio.gather(ask(asked), ask(asked))
        with connected(postgres) as connection:
            others = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            connection.execute(f"SELECT pg_terminate_backend(pid) {others}")
            await becomes(connection, f"SELECT count(*) {others}", 0)
        assert await ask(asked) == FIRST


async def test_a_backend_killed_in_the_query_is_unavailability(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path, "slow") as asked:
        call = asyncio.create_task(ask(asked))
        with connected(postgres) as connection:
            killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            await becomes(connection, killed, True)
        with pytest.raises(SourceUnavailable):
            await call


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"password": "CANARY"}, SourceDenied),
        ({"username": "CANARY"}, SourceDenied),
        ({"username": "nobody", "password": "right"}, SourceDenied),
        ({"database": "CANARY"}, SourceUnavailable),
        ({"port": 9}, SourceUnavailable),
        ({"host": "no-such-host.invalid"}, SourceUnavailable),
    ],
)
async def test_who_may_not_and_what_is_not_there(
    postgres: str, tmp_path: Path, change: dict[str, Any], error: type[SourceError]
) -> None:
    url = sa.make_url(postgres).set(**change).render_as_string(hide_password=False)
    async with source(url, tmp_path) as asked:
        with pytest.raises(error) as raised:
            await ask(asked)
    assert type(raised.value) is error
    told = f"{raised.value!s} {raised.value.detail}"
    assert [word for word in ("CANARY", "127.0.0.1", "invalid", "SELECT", "tester") if word in told] == []


async def test_a_query_that_would_write_is_rejected_and_writes_nothing(postgres: str, tmp_path: Path) -> None:
    async with source(postgres, tmp_path, "writing") as asked:
        with pytest.raises(SourceRejected):
            await ask(asked, LONG, "9")
    with connected(postgres) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
