"""Group D of the catalogue of faults: what databases do, over a real PostgreSQL, MySQL's protocol and SQLite."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from adapters.errors import (
    SourceTimeout,
    SourceUnavailable,
)
from contract_tests.sql_sources import (
    ALIVE,
    KILL,
    PATIENCE,
    ROW,
    SHORT,
    Database,
    ask,
    db,
    opened,
    says_nothing_of_the_source,
    server,
)

__all__ = ["db", "server"]

pytestmark = pytest.mark.anyio


# D1 connections


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
