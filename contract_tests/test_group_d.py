"""Group D of the catalogue of faults: what databases do, over a real PostgreSQL, MySQL's protocol and SQLite."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

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
from adapters.mapping.load import load_mapping, load_mappings
from adapters.mapping.record import map_record
from adapters.open import open_source
from adapters.simulator.serve import address_variable, invent_secrets, start
from adapters.source import Call, Page
from adapters.sql import SqlSource
from adapters.sql_statement import array_of
from contract_tests.servers import postgres_server
from schema.load import load_registry

pytestmark = pytest.mark.anyio

REGISTRY = load_registry()
EXCHANGE = load_mappings(REGISTRY)["binhai_exchange"]
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


# D1 connections


KILL = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'reader'"
ALIVE = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader'"


async def test_d1_a_backend_killed_while_idle_costs_one_repeated_question(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source) == [ROW]
        db.run(KILL)
        await db.becomes(ALIVE, 0)
        assert await ask(source) == [ROW]
        assert db.one(ALIVE) == 1


async def test_d1_a_backend_killed_in_the_query_is_unavailability_and_the_next_call_is_answered(
    db: Database, tmp_path: Path
) -> None:
    async with opened(db.reader, tmp_path) as source:
        with db.connected() as connection, connection.transaction():
            connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(ask(source))
            await db.becomes("SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
                             "WHERE usename = 'reader' AND NOT granted", 1)  # fmt: skip
            db.run(KILL)
            with pytest.raises(SourceUnavailable) as told:
                await call
        assert says_nothing_of_the_source(told.value)
        assert await ask(source) == [ROW]


async def test_d1_an_idle_connection_that_a_firewall_dropped_is_noticed_within_the_call(
    db: Database, tmp_path: Path
) -> None:
    """The other side is gone and says nothing: what is sent is never answered, so the call ends in its own time."""
    port = sa.make_url(db.reader).port
    assert port is not None
    async with _Proxy(port) as proxy:
        url = sa.make_url(db.reader).set(port=proxy.port).render_as_string(hide_password=False)
        async with opened(url, tmp_path) as source:
            assert await ask(source) == [ROW]
            proxy.is_deaf = True
            with pytest.raises(SourceTimeout):
                await ask(source, timeout=SHORT)
            proxy.is_deaf = False
            assert await ask(source) == [ROW]


class _Proxy:
    """Passes bytes on to PostgreSQL, until it is deaf: then connections stay open and nothing moves."""

    def __init__(self, port: int) -> None:
        self._to, self.is_deaf, self.port = port, False, 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "_Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        was_deaf = False
        try:
            while data := await source.read(65536):
                was_deaf |= self.is_deaf
                if not was_deaf:
                    sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.close()


# D2 time


@contextmanager
def stopped(db: Database) -> Iterator[None]:
    """The whole server accepts connections and answers nothing."""
    pids = [
        db.one("SELECT pg_read_file('postmaster.pid')").split()[0],
        *str(db.one("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE usename = 'reader'") or "").split(),
    ]
    try:
        for pid in pids:
            os.kill(int(pid), signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(int(pid), signal.SIGCONT)


async def test_d2_a_stopped_server_costs_each_call_its_own_time_and_no_more(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source) == [ROW]
        with stopped(db):
            for _ in range(2):
                async with asyncio.timeout(PATIENCE):
                    with pytest.raises(SourceTimeout) as told:
                        await ask(source, timeout=SHORT)
            assert says_nothing_of_the_source(told.value)
        assert await ask(source) == [ROW]


@pytest.mark.parametrize("how", ["slow", "locked"])
async def test_d2_the_server_itself_ends_what_takes_too_long_and_keeps_the_connection(
    db: Database, tmp_path: Path, how: str
) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source) == [ROW]
        backend = db.one("SELECT pid FROM pg_stat_activity WHERE usename = 'reader'")
        if how == "slow":
            db.run("ALTER TABLE t RENAME TO kept", "CREATE VIEW t AS SELECT kept.* FROM kept, pg_sleep(60)",
                   "GRANT SELECT ON t TO reader")  # fmt: skip
        with db.connected() as connection:
            if how == "locked":
                connection.execute("BEGIN")
                connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(SourceTimeout):
                await ask(source, timeout=1.0)
        if how == "slow":
            db.run("DROP VIEW t", "ALTER TABLE kept RENAME TO t")
        await db.becomes(f"{ALIVE} AND state = 'active'", 0)
        assert await ask(source) == [ROW]
        assert db.one(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}") in (0, 1)


async def test_d2_a_call_that_waits_for_a_connection_waits_no_longer_than_its_own_time(
    db: Database, tmp_path: Path
) -> None:
    async with opened(db.reader, tmp_path) as source:
        with db.connected() as connection, connection.transaction():
            connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            first = asyncio.create_task(ask(source))
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(SourceTimeout):
                    await ask(source, timeout=SHORT)
            assert not first.done()
        assert await first == [ROW]


async def test_d2_a_cancelled_call_is_cancelled_on_the_server(db: Database, tmp_path: Path) -> None:
    waiting = (
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE usename = 'reader' AND NOT granted"
    )
    async with opened(db.reader, tmp_path) as source:
        with db.connected() as connection, connection.transaction():
            connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            call = asyncio.create_task(ask(source))
            await db.becomes(waiting, 1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            await db.becomes(waiting, 0)


# D3 drift


async def test_d3_a_column_that_is_dropped_turns_its_field_off_and_nothing_else(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert (await page(source)).notes == {}
        db.run("ALTER TABLE t DROP COLUMN title")
        for _ in range(2):
            answer = await page(source)
            assert answer.records == [{name: text for name, text in ROW.items() if name != "title"}]
            assert answer.notes == {"drift": "表 t：缺少列 title"}
        mapped = map_record(source.mapping, "Inspection", answer.records[0], str)
        assert (mapped.values["inspection_no"], mapped.values.get("inspection_name"), mapped.issues) == ("一", None, [])
        assert await source.differences(LONG) == ["表 t 缺少列 title"]


async def test_d3_a_renamed_column_is_the_same_and_when_it_is_back_so_is_the_field(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(db.reader, tmp_path) as source:
        db.run("ALTER TABLE t RENAME COLUMN title TO caption")
        assert "title" not in (await ask(source))[0]
        db.run("ALTER TABLE t RENAME COLUMN caption TO title")
        monkeypatch.setattr("adapters.sql.LOOKING_AGAIN", 0.0)
        source._drift["by_no"].until = 0.0
        assert ((await page(source)).records, (await page(source)).notes) == ([ROW], {})


@pytest.mark.parametrize("change", ["DROP COLUMN no", "RENAME COLUMN no TO number", "RENAME TO gone"])
async def test_d3_without_its_key_or_its_table_nothing_can_be_asked(db: Database, tmp_path: Path, change: str) -> None:
    async with opened(db.reader, tmp_path) as source:
        db.run("DROP TABLE IF EXISTS gone", f"ALTER TABLE t {change}")
        with pytest.raises(SourceContractBroken) as told:
            await ask(source)
        assert says_nothing_of_the_source(told.value)


async def test_d3_a_retyped_column_is_read_as_what_it_is_now_and_noted(db: Database, tmp_path: Path) -> None:
    """The sixth question is a prepared one, which PostgreSQL refuses when the type of a column has changed since."""
    async with opened(db.reader, tmp_path) as source:
        for _ in range(7):
            assert await ask(source) == [ROW]
        db.run("ALTER TABLE t ALTER COLUMN seq TYPE varchar(10) USING 'x' || seq")
        answer = await page(source)
        assert (answer.records, answer.notes) == ([{**ROW, "seq": "x7"}], {"drift": "表 t：列 seq 的类型变了"})
        (issue,) = map_record(source.mapping, "Inspection", answer.records[0], str).issues
        assert (issue.element, issue.raw) == ("change_no", "x7")


async def test_d3_the_zone_of_the_server_and_its_date_style_change_nothing(db: Database, tmp_path: Path) -> None:
    db.run("ALTER ROLE reader SET timezone = 'America/New_York'", "ALTER ROLE reader SET datestyle = 'German, DMY'",
           "ALTER TABLE t ALTER COLUMN moved TYPE timestamptz USING moved AT TIME ZONE 'Asia/Shanghai'")  # fmt: skip
    try:
        async with opened(db.reader, tmp_path) as source:
            assert await ask(source) == [ROW]
    finally:
        db.run("ALTER ROLE reader RESET ALL")


# D4 values


@pytest.mark.parametrize(
    "key",
    ["' OR 1=1 --", "一' OR '1'='1", "%", "_", "\\", '"', "{一}", '一","二', "NULL", "＇ OR ＂", "%(keys)s", ":keys",
     "一;DROP TABLE t", "", " 一"],
)  # fmt: skip
async def test_d4_a_key_is_a_value_and_nothing_else(db: Database, tmp_path: Path, key: str) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source, key) == []
        assert await ask(source, key, "一") == [ROW]
        db.run("DELETE FROM t WHERE no = '一'")
        with db.connected() as connection:
            connection.execute("INSERT INTO t (no, title) VALUES (%s, '难')", (key,))
        assert [record["no"] for record in await ask(source, key)] == [key]


async def test_d4_nul_is_refused_before_the_database_and_spoils_nothing(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        with pytest.raises(SourceRejected):
            await ask(source, "一\x00")
        assert await ask(source) == [ROW]


async def test_d4_ten_thousand_keys_are_one_array_where_there_are_arrays(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source, *(str(n) for n in range(10_000)), "一") == [ROW]
        assert len(source._statements["by_no"].asked(Call("by_no", LONG, keys=["1"] * 10_000))) == 1
        assert len(source._statements["by_no"].texts) == 1


async def test_d4_ten_thousand_keys_are_chunks_where_there_are_none(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/d.db")
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
        for number in (5, 9_998):
            connection.exec_driver_sql("INSERT INTO t VALUES (?, 'x', 1, NULL)", (str(number),))
    engine.dispose()
    async with opened(f"sqlite:///{tmp_path}/d.db", tmp_path) as source:
        assert [record["no"] for record in await ask(source, *map(str, range(10_000)))] == ["5", "9998"]
        asked = source._statements["by_no"].asked(Call("by_no", LONG, keys=list(map(str, range(10_000)))))
        assert [len(parameters) - text.count("LIMIT") for text, parameters in asked] == [1025] * 10
        for number in (1, 3, 4, 5, 700):
            await ask(source, *map(str, range(number)))
        assert sorted(source._statements["by_no"].texts) == [1, 4, 8, 1024]


def test_d4_an_array_is_written_so_that_no_value_can_leave_it() -> None:
    assert array_of(['a"b', "c\\d", "{}", ",", "", "NULL"]) == '{"a\\"b","c\\\\d","{}",",","","NULL"}'


async def test_d4_names_come_from_the_mapping_and_are_quoted(db: Database, tmp_path: Path) -> None:
    db.run('ALTER TABLE t RENAME COLUMN title TO "1=1; --"')
    mapping = MAPPING.replace("inspection_name:   title", 'inspection_name: {path: "1=1; --"}').replace("; --", ";--")
    db.run('ALTER TABLE t RENAME COLUMN "1=1; --" TO "1=1;--"')
    async with opened(db.reader, tmp_path, mapping) as source:
        assert (await ask(source))[0]["1=1;--"] == "检查"


# D5 an account that can write


@pytest.mark.parametrize("right", ["UPDATE", "INSERT", "DELETE"])
async def test_d5_an_account_that_can_write_is_refused_before_anything_is_read(
    db: Database, tmp_path: Path, right: str
) -> None:
    """Refused is the source, not the gateway: one agency's careless grant must not take the others down."""
    db.run(f"GRANT {right} ON t TO reader")
    async with opened(db.reader, tmp_path) as source:
        with pytest.raises(SourceDenied, match="能写表 t") as told:
            await ask(source)
        assert says_nothing_of_the_source(told.value)
        assert await source.differences(LONG) == ["账号能写表 t，应只有读权限（或在映射中写 may_write）"]
        db.run(f"REVOKE {right} ON t FROM reader")
        assert await ask(source) == [ROW]
        assert await source.differences(LONG) == []
    assert db.one("SELECT count(*) FROM t") == 2


async def test_d5_a_mapping_may_waive_it_and_still_nothing_is_written(db: Database, tmp_path: Path) -> None:
    async with opened(db.url, tmp_path, WAIVED) as source:
        assert await ask(source) == [ROW]
        db.run("ALTER TABLE t RENAME TO kept", "CREATE OR REPLACE FUNCTION wrote() RETURNS varchar LANGUAGE sql AS "
               "$$ INSERT INTO kept (no) VALUES ('三') RETURNING no $$",
               "CREATE VIEW t AS SELECT wrote() AS no, title, seq, moved FROM kept")  # fmt: skip
        with pytest.raises(SourceRejected):
            await ask(source, "三")
    assert db.one("SELECT count(*) FROM kept") == 2
    db.run("DROP VIEW t", "ALTER TABLE kept RENAME TO t")


async def test_d5_over_mysql_a_refused_write_is_the_proof_too() -> None:
    with start(EXCHANGE, invent_secrets(EXCHANGE)) as simulator:
        source = open_source(EXCHANGE, {address_variable(EXCHANGE): simulator.url})
        assert isinstance(source, SqlSource)
        assert (await source.call(Call("inspections_by_no", LONG, keys=["1"]))).records == []
        assert (source._is_proven, await source.differences(LONG)) == (True, [])
        assert len(simulator.calls.seen()) >= 1
        await source.aclose()


@pytest.mark.parametrize(
    ("change", "error"),
    [({"password": "CANARY"}, SourceDenied), ({"host": "canary.invalid"}, SourceUnavailable), ({"port": 9}, SourceUnavailable)],
)  # fmt: skip
async def test_no_public_message_tells_of_the_source(
    db: Database, tmp_path: Path, change: dict[str, Any], error: type[SourceError]
) -> None:
    url = sa.make_url(db.reader).set(**change).render_as_string(hide_password=False)
    async with opened(url, tmp_path) as source:
        with pytest.raises(error) as told:
            await ask(source)
    assert says_nothing_of_the_source(told.value)
