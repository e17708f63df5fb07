"""One database, SQLite or PostgreSQL: connections that read, and write transactions that are repeated when they collide."""

import contextlib
import hashlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import DBAPIError, DisconnectionError

from gateway.store.columns import write_json
from gateway.store.points import Points, pass_by
from gateway.store.turns import Turns, waiting
from schema.formats import UNSTORABLE

T = TypeVar("T")
Item = TypeVar("Item")
ATTEMPTS = 4
BUSY_MS = 10_000
SQLITE = (
    f"busy_timeout = {BUSY_MS}",
    "page_size = 16384",
    "journal_mode = WAL",
    "foreign_keys = ON",
    "cache_size = -32768",
    "wal_autocheckpoint = 8000",
)
"""Many indexes are written at once: with 2 MB of cache and a checkpoint every 4 MB a page of 5,000 took twice as long; with one every
32 MB, which is after each such page, it took 4 % longer than with 128 MB, since it changes most pages of most indexes. The size
of pages counts for new files only: of a return of 80,000 cases pages of 16 KB take 9 % less than of 8 KB, 13 % less than of
4 KB, while a single case takes 14 % more than with 8 KB."""
IDLE = 1.0
"""Seconds after which a connection that was not used is asked whether it is still there."""
COLLISIONS = {"40001", "40P01", "23505"}
"""PostgreSQL's states for a serialization failure, a deadlock, and a unique key that another transaction took first."""


class Database:
    """The engine and the rule for writing: on SQLite one writer at a time, on PostgreSQL locks named by what is written."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        is_sqlite = self.engine.dialect.name == "sqlite"
        self._reading = self.engine if is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self.turns = Turns()
        self.points: Points = pass_by
        """Called with the name of each point that a write transaction comes to."""
        self._writer: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if is_sqlite else contextlib.nullcontext()
        )

    def read(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, which only reads and may run again when a connection turns out to be cut.

        On SQLite it is one transaction. On PostgreSQL each statement is one of its own, which sees no less than in a common
        one of READ COMMITTED, and needs no BEGIN and no ROLLBACK, at which the driver would forget what it has prepared.
        """
        try:
            with self._reading.connect() as connection:
                return work(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with self._reading.connect() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], T]) -> T:
        """The result of `work`, committed whole or not at all. `work` may run again after a collision, or when the connection
        was cut before the end."""
        for attempt in range(1, ATTEMPTS + 1):
            is_ending = False
            try:
                with self._writer, self.engine.connect() as connection, self.turns.landing():
                    connection.execution_options(writes=True, points=self.points, turns=self.turns)
                    connection.begin()  # what goes past SQLAlchemy alone would otherwise not be committed
                    result = work(connection)
                    self.points("commit.before")
                    is_ending = True
                    with self.turns.waiting():
                        connection.commit()
                    self.points("commit.after")
                    return result
            except DBAPIError as error:
                was_cut = error.connection_invalidated and not is_ending
                if attempt == ATTEMPTS or not (was_cut or _is_collision(error)):
                    raise
            time.sleep(random.uniform(0, 0.02 * 2**attempt))
        raise AssertionError("the last attempt returns or raises")

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def lock(connection: Connection, *names: str) -> None:
    """Wait until no other transaction holds this lock; held to the end of this one. SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        digest = hashlib.sha256("\0".join(names).encode()).digest()
        number = int.from_bytes(digest[:8], "big", signed=True)
        with waiting(connection):
            connection.execute(select(func.pg_advisory_xact_lock(number)))


def chunks(items: Sequence[Item], size: int = 500) -> Iterator[Sequence[Item]]:
    """The items in pieces that fit into one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def key_chunks(keys: Iterable[str]) -> Iterator[Sequence[str]]:
    """Keys to look for, each once, in pieces; without those that no row can have because no database can keep them."""
    yield from chunks(sorted({key for key in keys if not UNSTORABLE.search(key)}))


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        if not address.database or address.database == ":memory:":
            raise ValueError("存储需要一个文件，例如 sqlite:////var/lib/gateway/gateway.db")
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, json_serializer=write_json, hide_parameters=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _open_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "checkin", _begin_idling)
        event.listen(engine, "checkout", partial(_look_after_idling, engine))
    return engine


def _open_sqlite(connection: sqlite3.Connection, record: object) -> None:
    del record
    connection.isolation_level = None  # BEGIN is ours: see _begin_sqlite
    for pragma in SQLITE:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare_postgresql(connection: Any, record: object) -> None:
    """A fixed offset: with a historical zone, or UTC, the first and last days of the calendar cannot be read back.

    Statements are not compiled by the server: that takes it longer than any of ours runs.
    """
    del record
    try:
        connection.execute("SET TIME ZONE 'Etc/GMT-8'")
        connection.execute("SET jit = off")
        connection.commit()
    except BaseException:  # the pool lets go of it without closing it
        connection.close()
        raise


def _begin_idling(connection: Any, record: Any) -> None:
    del connection
    record.info["idle_since"] = time.monotonic()


def _look_after_idling(engine: Engine, connection: Any, record: Any, proxy: object) -> None:
    """Ask a connection that nobody used for a while whether it is still there; one that was just used is taken at its word."""
    del proxy
    if time.monotonic() - record.info.get("idle_since", time.monotonic()) > IDLE:
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


def _is_collision(error: DBAPIError) -> bool:
    if isinstance(error.orig, sqlite3.Error):
        return "locked" in str(error.orig) or "UNIQUE constraint" in str(error.orig)
    return getattr(error.orig, "sqlstate", None) in COLLISIONS
