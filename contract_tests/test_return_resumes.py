"""The database fails under data return that goes on by itself: it says what to mend, loses nothing, and goes on once that is mended."""

import asyncio
import base64
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from sqlalchemy import event, make_url, select, text
from sqlalchemy.exc import SQLAlchemyError

from contract_tests.changing import Changing, with_changes, with_page_size
from contract_tests.servers import PostgresServer, own_postgres, unprivileged
from contract_tests.small_disk import filled, small_disk
from contract_tests.stores import REGISTRY, database, listed, opened, page, party, postgres, url
from contract_tests.test_migrations import without
from contract_tests.test_sync_run import MARKET, case, names, told
from contract_tests.waiting import until_at_last
from gateway.store.faults import FULL, READ_ONLY, UNREACHABLE, WRONG_ACCOUNT
from gateway.store.store import Store
from gateway.sync.run import Manner
from gateway.sync.schedule import Loop
from gateway.sync.stream import Streams
from schema.problems import Problems

__all__ = ["database", "postgres", "url"]
pytestmark = pytest.mark.anyio
MAPPING = with_page_size(with_changes(MARKET, "cases_changed", every=0.2), "cases_changed", 5)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL that a test may spoil, with the tables of raw payloads on a small disk."""

    url: str
    postgres: PostgresServer
    disk: Path

    def do(self, *statements: str) -> None:
        """As somebody who is not the gateway."""
        with psycopg.connect(self.url.replace("+psycopg", "").replace("tester:", "keeper:"), autocommit=True) as keeper:
            for statement in statements:
                keeper.execute(statement)
            keeper.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'tester'")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="spoiled-") as made, ExitStack() as stack:
        Path(made).chmod(0o755)
        disk = stack.enter_context(small_disk(Path(made) / "disk", 4, unprivileged()))
        running = stack.enter_context(own_postgres())
        with psycopg.connect(running.url.replace("+psycopg", ""), autocommit=True) as connection:
            password = make_url(running.url).password
            connection.execute(f"CREATE ROLE keeper SUPERUSER LOGIN PASSWORD '{password}'")
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        with opened(running.url) as store:
            store.database.write(lambda c: c.execute(text("ALTER TABLE landing SET TABLESPACE small")))
        yield Server(running.url, running, disk)


def records(first: int, count: int) -> list[dict[str, Any]]:
    """Cases whose payloads need room on the disk: nothing in them can be compressed."""
    return [case(n, n, BZ=base64.b64encode(os.urandom(6000)).decode()) for n in range(first, first + count)]


async def fails_and_goes_on(store: Store, fault: AbstractContextManager[object], said: str) -> None:
    """A loop reads a source; the fault comes, is told, and goes; everything is there, once."""
    source = Changing("GXSJ", records(0, 5))
    streams = Streams(store, {MAPPING.name: MAPPING}, lambda _: source, str, Manner("me", 1.5), lambda _: None)
    threads = ThreadPoolExecutor(8)
    asyncio.get_running_loop().set_default_executor(threads)
    loop = asyncio.create_task(Loop(store, {MAPPING.name: MAPPING}, streams.run_due, 1.0).forever())
    try:
        with structlog.testing.capture_logs() as logs:
            await until_at_last(lambda: names(store) == told(source), SQLAlchemyError, in_thread=True)
            with fault:
                source.records += records(5, 10)
                await until_at_last(
                    lambda: said in {line.get("error") for line in logs}, SQLAlchemyError, in_thread=True
                )
                assert not loop.done()
            await until_at_last(lambda: names(store) == told(source), SQLAlchemyError, in_thread=True)
            await until_at_last(lambda: last_run(store) == "succeeded", SQLAlchemyError, in_thread=True)
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        threads.shutdown()  # then nobody holds a connection any more
    table, landing = store.tables.changed, store.tables.landing
    changed = store.database.read(lambda c: c.execute(select(table.c["keys"])).scalars().all())
    assert sorted(key for keys in changed for key in keys) == sorted(
        f"{MAPPING.agency}/{number}" for number in told(source)
    )
    digests = store.database.read(lambda c: c.execute(select(landing.c.digest)).scalars().all())
    assert len(digests) == len(set(digests))


def last_run(store: Store) -> str:
    run = store.tables.run
    return str(
        store.database.read(lambda c: c.execute(select(run.c.status).order_by(run.c.id.desc())).scalars().first())
    )


def spoiled(done: str, undone: str) -> Callable[[Server], AbstractContextManager[None]]:
    """A fault that one statement makes and another mends. `{password}` is the gateway's own."""

    @contextmanager
    def fault(server: Server) -> Iterator[None]:
        password = make_url(server.url).password
        server.do(done.format(password=password))
        yield
        server.do(undone.format(password=password))

    return fault


def full_disk(server: Server) -> AbstractContextManager[None]:
    return filled(server.disk)


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    server.postgres.stop()
    yield
    server.postgres.start()


FAULTS = {
    "full disk": (full_disk, FULL),
    "read-only": (
        spoiled(
            "ALTER ROLE tester SET default_transaction_read_only = on",
            "ALTER ROLE tester RESET default_transaction_read_only",
        ),
        READ_ONLY,
    ),
    "wrong password": (
        spoiled("ALTER ROLE tester PASSWORD 'another'", "ALTER ROLE tester PASSWORD '{password}'"),
        WRONG_ACCOUNT,
    ),
    "lost table": (
        spoiled("ALTER TABLE link RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO link"),
        "数据库里少了一张表：请从备份恢复",
    ),
    "lost column": (
        spoiled(
            "ALTER TABLE landing RENAME COLUMN raw TO elsewhere", "ALTER TABLE landing RENAME COLUMN elsewhere TO raw"
        ),
        "数据库的表少了一列：请从备份恢复，或重新启动以补齐",
    ),
    "stopped": (stopped, UNREACHABLE),
}
"""What happens to the database: how, and what is said of it."""


@pytest.mark.parametrize(("fault", "said"), FAULTS.values(), ids=FAULTS)
async def test_data_return_into_a_postgresql_that_fails_goes_on_by_itself_once_that_is_mended(server, fault, said):
    with opened(server.url) as store:
        for table in reversed(store.tables.metadata.sorted_tables):
            store.database.write(lambda c, t=table: c.execute(t.delete()))
        await fails_and_goes_on(store, fault(server), said)


async def test_data_return_into_a_file_on_a_full_disk_goes_on_by_itself_once_there_is_room(tmp_path):
    with small_disk(tmp_path / "disk", 8) as disk, opened(f"sqlite:///{disk / 'gateway.db'}") as store:
        await fails_and_goes_on(store, filled(disk), FULL)


# Migrations


def test_a_migration_killed_at_any_statement_leaves_a_store_that_old_code_can_use_and_new_code_bring_up(url):
    older, landed, statement = Store(url, without("phone")), 0, 1
    older.create()
    while ends(lambda at=statement: bring_up_and_die(url, at)) == -signal.SIGKILL:
        older.create()
        landed += older.land(page(party(f"p{statement}"), received=100 + statement)).applied
        older.close()
        statement = statement + 1 + statement // 3
    assert (landed > 5, statement > 30) == (True, True)
    with pytest.raises(Problems, match="存储的结构比本程序新"):
        older.create()
    older.close()
    with opened(url) as newer:
        newer.land(page(party("new", phone="1"), received=1000))
        assert listed(newer, "Party", 1000)[2] == landed + 1
        assert [stored.mapped.values["phone"] for stored in newer.by_keys("Party", ["new"])] == ["1"]


def bring_up_and_die(url: str, statement: int) -> None:
    """Today's code starts, and is killed in front of its so many-th statement, if it comes to it."""
    newer, left = Store(url, REGISTRY), [None] * statement
    event.listen(
        newer.database.engine,
        "before_cursor_execute",
        lambda *_: left.pop() if len(left) > 1 else os.kill(os.getpid(), signal.SIGKILL),
    )
    newer.create()


def ends(work: Callable[[], None]) -> int:
    """How a process that does this ends."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
