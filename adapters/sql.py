"""Databases, read only: lookups by key list, changes by cursor. Blocking drivers run in threads of their own.

SQLAlchemy writes the statements and keeps the connections; rows come as the driver's own tuples. Threads serve every driver
alike, and a psycopg that leaves values as text is no slower in one than asyncpg outside (benchmarks/RESULTS.md).
"""

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import pymysql
import sqlalchemy as sa

from adapters.errors import SourceContractBroken, SourceDenied, SourceTimeout, SourceUnavailable
from adapters.latest import latest
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import SqlConnect
from adapters.page import operation_of, told_by
from adapters.secrets import Secrets, resolve
from adapters.source import Call, Page
from adapters.sql_engine import Watch, database_url, limit_time, open_engine, was_used_before
from adapters.sql_errors import is_missing_column, is_stale, sql_error
from adapters.sql_proof import can_write, columns_of
from adapters.sql_statement import MOST_ROWS, Asked, Statement, statement_for
from adapters.sql_text import AT_ONCE, canonical_json, records_of
from schema.formats import CHINA_TIME

DRIVER_ERRORS = (sa.exc.SQLAlchemyError, psycopg.Error, pymysql.Error, sqlite3.Error, OSError, ValueError)

LOOKING_AGAIN = 60.0
"""Seconds after which a column that was gone is asked for again."""


@dataclass(slots=True)
class Drift:
    """How a table differs from the mapping or from what it was: columns that are gone (until when that is believed), and
    the types that its columns had when they were first read."""

    gone: tuple[str, ...] = ()
    until: float = 0.0
    reduced: Statement | None = None
    types: dict[str, Any] = field(default_factory=dict)
    retyped: set[str] = field(default_factory=set)

    def notes(self, table: str) -> dict[str, str]:
        """What is told beside the records."""
        told = [f"缺少列 {name}" for name in self.gone] + [f"列 {name} 的类型变了" for name in sorted(self.retyped)]
        return {"drift": f"表 {table}：{'，'.join(told)}"} if told else {}


class SqlSource:
    """A source that is a database. As many threads and connections as the mapping allows calls at once."""

    def __init__(self, mapping: SourceMapping, connect: SqlConnect, secrets: Secrets) -> None:
        self.mapping, self.connect = mapping, connect
        url = database_url(connect.url, resolve(connect.url, secrets))
        self._watched = threading.local()
        self._engine = open_engine(url, connect, self._watched)
        dialect = self._engine.dialect
        self._statements = {name: statement_for(mapping, op, dialect) for name, op in mapping.operations.items()}
        self._drift = {name: Drift() for name in self._statements}
        self._threads = ThreadPoolExecutor(connect.concurrency, thread_name_prefix=f"sql-{mapping.name}")
        self._is_proven = connect.may_write
        self._is_closed = False

    async def call(self, call: Call) -> Page:
        """Run one query. Raises SourceDenied for an account that could write, unless the mapping waives that."""
        with told_by(self.mapping, call):
            operation = operation_of(self.mapping, call)
            if self._is_closed:
                raise SourceUnavailable("已关闭")
            watch = Watch(time.monotonic() + call.timeout)
            work = asyncio.get_running_loop().run_in_executor(self._threads, self._page, operation, call, watch)
            try:
                async with asyncio.timeout(call.timeout):
                    return await work
            except TimeoutError:
                raise SourceTimeout() from None
            finally:
                watch.abort()

    async def differences(self, timeout: float) -> list[str]:
        """What of the database is not as the mapping has it, in words: columns that are gone, an account that can write.

        Raises SourceError when the database cannot be asked.
        """
        watch = Watch(time.monotonic() + timeout)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._differences, watch)
        try:
            async with asyncio.timeout(timeout):
                return await work
        except TimeoutError:
            raise SourceTimeout() from None
        finally:
            watch.abort()

    def reread(self, operation: OperationMapping, raw: bytes, media_type: str) -> Page:
        """The page that rows were, from what was kept of them."""
        try:
            rows = msgspec.json.decode(raw, type=list[dict[str, Any]])
        except msgspec.DecodeError:
            raise SourceContractBroken("不是数据库来源的载荷") from None
        records = latest(rows, operation.latest_of, operation.latest_by) if operation.changes is None else rows
        return Page(records, raw, media_type, datetime.now(CHINA_TIME))

    async def aclose(self) -> None:
        """Let go of connections; may be called twice.

        Threads end first: a connection that one of them is still making would come back to a pool that nobody closes.
        """
        if not self._is_closed:
            self._is_closed = True
            await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
            await asyncio.to_thread(self._engine.dispose)

    def _page(self, operation: OperationMapping, call: Call, watch: Watch) -> Page:
        """The page, read in a thread. Raises SourceError only."""
        statement, drift = self._statements[operation.name], self._drift[operation.name]
        self._watched.watch = watch
        try:
            rows = self._rows(statement, drift, call, watch)
        except DRIVER_ERRORS as error:
            if watch.is_aborted:
                raise SourceTimeout() from None
            raise sql_error(error, statement.name) from None
        finally:
            self._watched.watch = None
        if len(rows) > MOST_ROWS:
            raise SourceContractBroken(f"表 {statement.name} 一次查询超过 {MOST_ROWS} 行")
        raw = canonical_json(rows)
        records = latest(rows, operation.latest_of, operation.latest_by) if operation.changes is None else rows
        notes = drift.notes(statement.name)
        following = statement.following(rows[-1]) if operation.changes and rows else None
        return Page(records, raw, "application/json", datetime.now(CHINA_TIME), next=following, notes=notes)

    def _rows(self, statement: Statement, drift: Drift, call: Call, watch: Watch) -> list[dict[str, Any]]:
        """The rows; those columns that are gone are left out of them, as long as the question can be asked at all."""
        if drift.reduced and time.monotonic() > drift.until:
            drift.gone, drift.reduced = (), None
        try:
            return self._asked(drift.reduced or statement, drift, call, watch)
        except DRIVER_ERRORS as error:
            if not is_missing_column(error):
                raise
            gone = self._columns_gone(statement, watch)
            if not gone or not statement.essential.isdisjoint(gone):
                raise
            drift.gone, drift.until = gone, time.monotonic() + LOOKING_AGAIN
            drift.reduced = statement.without(gone)
            return self._asked(drift.reduced, drift, call, watch)

    def _asked(self, statement: Statement, drift: Drift, call: Call, watch: Watch) -> list[dict[str, Any]]:
        """The rows of every query of a call. One whose connection came from the pool and is lost is asked once more, on a
        new one: it only reads. What a new connection loses is left to whoever calls."""
        rows: list[dict[str, Any]] = []
        most = statement.most(call)
        for asked in statement.asked(call):
            if most is not None and len(rows) >= most:
                break
            try:
                found = self._fetched(asked, watch)
            except _Lost:
                self._engine.dispose()
                found = self._fetched(asked, watch)
            values, description = found
            _compare_types(statement.columns, description, drift)
            rows += records_of(statement.columns, values)
        return rows[:most]

    def _fetched(self, asked: Asked, watch: Watch) -> tuple[Any, Any]:
        """Rows as the driver's tuples, and what it says of their columns."""
        watch.left()
        with closing(self._engine.raw_connection()) as held:
            raw = held.driver_connection
            was_idle = was_used_before(held)
            try:
                limit_time(held, raw, watch.left())
                if not self._is_proven:
                    self._prove(raw)
                with closing(raw.cursor()) as cursor:  # type: ignore[union-attr]
                    cursor.execute(*asked)
                    return _all_rows(cursor), cursor.description
            except DRIVER_ERRORS as error:
                if is_stale(error, self._engine.dialect, raw):
                    held.invalidate(error)
                    if was_idle and not watch.is_aborted:
                        raise _Lost from error
                raise

    def _prove(self, raw: Any) -> None:
        """The account can write to none of the tables. Raises SourceDenied."""
        for statement in self._statements.values():
            if can_write(raw, statement.probes()):
                raise SourceDenied(f"账号能写表 {statement.name}：请来源只授予读权限，或在映射中写 may_write")
        self._is_proven = True

    def _differences(self, watch: Watch) -> list[str]:
        told: dict[str, None] = {}
        self._watched.watch = watch
        for statement in self._statements.values():
            try:
                gone = self._columns_gone(statement, watch)
                with closing(self._engine.raw_connection()) as held:
                    may_write = not self.connect.may_write and can_write(held.driver_connection, statement.probes())
            except DRIVER_ERRORS as error:
                raise sql_error(error, statement.name) from None
            told |= dict.fromkeys(f"表 {statement.name} 缺少列 {name}" for name in gone)
            if may_write:
                told[f"账号能写表 {statement.name}，应只有读权限（或在映射中写 may_write）"] = None
        self._watched.watch = None
        return list(told)

    def _columns_gone(self, statement: Statement, watch: Watch) -> tuple[str, ...]:
        watch.left()
        with closing(self._engine.raw_connection()) as held:
            there = columns_of(held.driver_connection, statement.nothing())
        return tuple(name for name in statement.columns if name not in there)


class _Lost(Exception):
    """A connection that had answered before is lost"""


def _all_rows(cursor: Any) -> list[Any]:
    """What a query found, a part at a time: while many rows are made other threads have no turn."""
    rows: list[Any] = []
    while some := cursor.fetchmany(AT_ONCE):
        rows += some
    return rows


def _compare_types(columns: tuple[str, ...], description: Any, drift: Drift) -> None:
    types = {name: column[1] for name, column in zip(columns, description, strict=True)}
    drift.retyped |= {name for name, kind in types.items() if drift.types.setdefault(name, kind) != kind}
