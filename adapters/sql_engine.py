"""Connections to a database: read only, bounded in time, and cut when a call must not wait any longer.

No driver can be trusted to give up on a server that accepts and never answers. So whoever waits holds a `Watch` that
knows the driver's connection, and cutting its socket ends the wait.
"""

import math
import os
import socket
import sqlite3
import threading
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import psycopg
import pymysql
import sqlalchemy as sa
from psycopg.adapt import Loader
from psycopg.types import datetime as pg_datetime
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader
from sqlalchemy import event

from adapters.decode import parse_json
from adapters.errors import SourceTimeout
from adapters.mapping.written import SqlConnect
from adapters.secrets import PREFIX, BadSecret

DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}

STEP = math.log(1.05)
LONGEST_IDLE = 5.0
"""Seconds after which a connection that comes from the pool is asked whether it is still there."""

SHORTEST_CONNECT = 2
"""Seconds; libpq gives connecting no less."""


class Watch:
    """One call's time, and the driver's connection that it waits for; `deadline` by time.monotonic."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._raw: Any = None
        self.is_aborted = False

    def left(self) -> float:
        """Seconds until the deadline. Raises SourceTimeout when there are none."""
        left = self._deadline - time.monotonic()
        if left <= 0 or self.is_aborted:
            raise SourceTimeout()
        return left

    def hold(self, raw: Any) -> None:
        """The call now waits for this connection. Raises SourceTimeout when nobody waits for the call any more."""
        with self._lock:
            if self.is_aborted:
                raise SourceTimeout()
            self._raw = raw

    def release(self) -> None:
        """The connection belongs to others again."""
        with self._lock:
            self._raw = None

    def abort(self) -> None:
        """Whatever the call still waits for ends now."""
        with self._lock:
            self.is_aborted = True
            if self._raw is not None:
                _cut(self._raw)
                self._raw = None


def database_url(name: str, value: str) -> sa.URL:
    """The address in an `env:NAME` value, with the drivers and the read-only mode used here. Raises BadSecret."""
    try:
        url = sa.make_url(value)
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        url.get_dialect()
    except (sa.exc.ArgumentError, ValueError):
        raise BadSecret(name.removeprefix(PREFIX), "应为 SQLAlchemy 的数据库地址") from None
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith(("file:", ":memory:")):
        url = url.set(database=f"file:{quote(url.database)}", query={"mode": "ro", "uri": "true"})
    return url


def open_engine(url: sa.URL, connect: SqlConnect, watched: threading.local) -> sa.Engine:
    """An engine whose connections are prepared once and held by the `watch` of the thread that uses them."""
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=connect.concurrency,
        max_overflow=0,
        pool_timeout=connect.timeout,
        pool_reset_on_return=None,  # nothing is ever begun on these connections
        isolation_level="AUTOCOMMIT",
        connect_args=_connect_args(url, connect.timeout),
        hide_parameters=True,
    )

    def hold(raw: Any, *_: Any) -> None:
        if (watch := getattr(watched, "watch", None)) is not None:
            watch.hold(raw)

    def connect_in_time(_dialect: Any, _record: Any, _arguments: Any, words: dict[str, Any]) -> None:
        if (watch := getattr(watched, "watch", None)) is not None and "connect_timeout" in words:
            words["connect_timeout"] = max(SHORTEST_CONNECT, math.ceil(watch.left()))

    def release(_raw: Any, record: Any) -> None:
        record.info["used"] = time.monotonic()
        if (watch := getattr(watched, "watch", None)) is not None:
            watch.release()

    def check(raw: Any, record: Any, _held: Any) -> None:
        """Firewalls drop what is idle without telling: after a while a connection is asked whether it is there."""
        hold(raw)
        if time.monotonic() - record.info.get("used", math.inf) > LONGEST_IDLE and not _is_alive(engine, raw):
            raise sa.exc.InvalidatePoolError

    def prepare(raw: Any, _record: Any) -> None:
        hold(raw)
        _prepare(raw, connect.timeout)

    event.listen(engine, "do_connect", connect_in_time)
    event.listen(engine, "connect", prepare)
    event.listen(engine, "checkout", check)
    event.listen(engine, "checkin", release)
    return engine


def was_used_before(held: Any) -> bool:
    """Whether a connection of the pool has answered before, so that it may have been lost since."""
    return "used" in held.info


def limit_time(held: Any, raw: Any, left: float) -> None:
    """The server gives up a little before us, so that the connection stays usable.

    Limits are steps of 5 % and set only where they differ: setting one is a question of its own.
    """
    if isinstance(raw, psycopg.Connection):
        step = math.floor(math.log(max(1.0, left * 1000)) / STEP)
        if held.info.get("limit") != step:
            raw.execute(f"SET statement_timeout = {max(1, int(0.98 * math.exp(step * STEP)))}")
            held.info["limit"] = step


def _is_alive(engine: sa.Engine, raw: Any) -> bool:
    try:
        return bool(engine.dialect.do_ping(raw))
    except Exception as error:
        return not engine.dialect.is_disconnect(error, raw, None)  # type: ignore[arg-type]


def _connect_args(url: sa.URL, timeout: float) -> dict[str, Any]:
    seconds = max(SHORTEST_CONNECT, math.ceil(timeout))
    match url.get_driver_name():
        case "psycopg":
            keepalive = {"keepalives": 1, "keepalives_idle": 30, "tcp_user_timeout": seconds * 1000}
            return {"connect_timeout": seconds, "client_encoding": "utf8", **keepalive}
        case "pymysql":
            charset = {} if "charset" in url.query else {"charset": "utf8mb4"}
            return {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds, **charset}
        case "pysqlite":
            return {"timeout": timeout}
        case _:
            return {}


def _prepare(raw: Any, timeout: float) -> None:
    """Read only, texts as they are, Chinese time. A server of MySQL's family is spared what it does not understand."""
    match raw:
        case psycopg.Connection():
            _prepare_postgres(raw)
        case pymysql.Connection():
            milliseconds = int(timeout * 1000)
            for statement in (
                "SET SESSION TRANSACTION READ ONLY",
                "SET SESSION time_zone = '+08:00'",
                f"SET SESSION MAX_EXECUTION_TIME = {milliseconds}",
            ):
                with suppress(pymysql.Error), raw.cursor() as cursor:
                    cursor.execute(statement)
        case sqlite3.Connection():
            raw.execute("PRAGMA query_only = ON")


def _prepare_postgres(raw: psycopg.Connection[Any]) -> None:
    was_autocommit, raw.autocommit = raw.autocommit, True
    raw.execute("SET default_transaction_read_only = on")
    for statement in (
        "SET TIME ZONE 'Asia/Shanghai'",
        "SET datestyle = ISO",
        "SET client_connection_check_interval = '1s'",
    ):
        with suppress(psycopg.DatabaseError):
            raw.execute(statement)
    raw.autocommit = was_autocommit
    for name, loader in _AS_TEXT.items():
        raw.adapters.register_loader(name, loader)
    set_json_loads(lambda data: parse_json(data if isinstance(data, str) else data.decode()), context=raw)


class _Moment(Loader):
    """A timestamp as text; a fraction of a second has six digits."""

    def load(self, data: Any) -> Any:
        """The text."""
        text = bytes(data).decode()
        head, _, fraction = text.partition(".")
        return f"{head}.{fraction.ljust(6, '0')}" if fraction.isdigit() else text


class _Instant(pg_datetime.TimestamptzLoader):
    """A timestamp with zone: its text in China time, which PostgreSQL gives; what has another offset is worked out."""

    def load(self, data: Any) -> Any:
        """The text, or the instant."""
        text = bytes(data).decode()
        if text.endswith("+08"):
            return _Moment(0).load(text[:-3].encode())
        try:
            return super().load(data)
        except psycopg.DataError:
            return text


class _Truth(Loader):
    """A boolean as 1 or 0."""

    def load(self, data: Any) -> Any:
        """The text."""
        return "1" if bytes(data) == b"t" else "0"


_AS_TEXT: dict[str, type[Loader]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid", "numeric", "date", "uuid"), TextLoader),
    "bool": _Truth,
    "timestamp": _Moment,
    "timestamptz": _Instant,
}
"""What PostgreSQL writes as we want it is not made into Python's values and back."""


def _cut(raw: Any) -> None:
    """End what a driver waits for, from another thread."""
    with suppress(OSError, psycopg.Error, pymysql.Error, sqlite3.Error):
        match raw:
            case psycopg.Connection():
                with socket.socket(fileno=os.dup(raw.fileno())) as duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)
            case pymysql.Connection():
                if (own := getattr(raw, "_sock", None)) is not None:
                    own.shutdown(socket.SHUT_RDWR)
            case sqlite3.Connection():
                raw.interrupt()
