"""Databases, read only: lookups by key list, changes by cursor. Blocking drivers run in threads of their own."""

import asyncio
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
import pymysql
import sqlalchemy as sa

from adapters.errors import SourceContractBroken, SourceTimeout, SourceUnavailable
from adapters.latest import latest
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import SqlConnect
from adapters.page import operation_of, told_by
from adapters.secrets import Secrets, resolve
from adapters.source import Call, Page
from adapters.sql_engine import Watch, database_url, open_engine
from adapters.sql_errors import sql_error
from adapters.sql_statement import MOST_ROWS, Statement, statement_for
from adapters.sql_text import as_text, canonical_json
from schema.formats import CHINA_TIME

DRIVER_ERRORS = (sa.exc.SQLAlchemyError, psycopg.Error, pymysql.Error, sqlite3.Error, OSError, ValueError)


class SqlSource:
    """A source that is a database. As many threads and connections as the mapping allows calls at once."""

    def __init__(self, mapping: SourceMapping, connect: SqlConnect, secrets: Secrets) -> None:
        self.mapping = mapping
        url = database_url(connect.url, resolve(connect.url, secrets))
        self._statements = {name: statement_for(mapping, op) for name, op in mapping.operations.items()}
        self._threads = ThreadPoolExecutor(connect.concurrency, thread_name_prefix=f"sql-{mapping.name}")
        self._watched = threading.local()
        self._engine = open_engine(url, connect, self._watched)
        self._is_closed = False

    async def call(self, call: Call) -> Page:
        """Run one query."""
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
        statement = self._statements[operation.name]
        self._watched.watch = watch
        try:
            rows = self._rows(statement, call, watch)
        except DRIVER_ERRORS as error:
            if watch.is_aborted:
                raise SourceTimeout() from None
            raise sql_error(error, statement.table) from None
        finally:
            self._watched.watch = None
        if len(rows) > MOST_ROWS:
            raise SourceContractBroken(f"表 {statement.table} 一次查询超过 {MOST_ROWS} 行")
        raw = canonical_json(rows)
        records = latest(rows, operation.latest_of, operation.latest_by) if operation.changes is None else rows
        return Page(records, raw, "application/json", datetime.now(CHINA_TIME))

    def _rows(self, statement: Statement, call: Call, watch: Watch) -> list[dict[str, Any]]:
        watch.left()
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                milliseconds = max(
                    1, int(watch.left() * 950)
                )  # a little before us, so that the connection stays usable
                connection.exec_driver_sql(f"SET statement_timeout = {milliseconds}")
            result = connection.execute(statement.query(call))
            return [dict(zip(statement.columns, map(as_text, row), strict=True)) for row in result]
