"""A MySQL server: the real wire protocol, native passwords, one user who may only read."""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from mysql_mimic import MysqlServer, Session
from mysql_mimic.auth import IdentityProvider, NativePasswordAuthPlugin, User
from mysql_mimic.errors import MysqlError
from mysql_mimic.packets import make_text_resultset_row
from mysql_mimic.results import ResultColumn, ResultSet
from mysql_mimic.stream import ConnectionClosed
from mysql_mimic.variables import GlobalVariables, SessionVariables
from sqlglot import expressions as exp

from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.simulator.database import Database, parse_statements
from adapters.simulator.faults import Fault
from adapters.simulator.http import LOGIN_PAGE
from adapters.simulator.simulation import Simulation

UNKNOWN_ERROR, LOCK_WAIT_TIMEOUT, USER_LIMIT_REACHED = 1105, 1205, 1226
SQL_MODE = "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO"
BROKEN = (ConnectionError, ConnectionClosed, EOFError, MysqlError, struct.error)
"""How a conversation ends when the other side is gone, or never spoke MySQL."""


class SqlServer:
    """The server on one socket. `url` is an SQLAlchemy URL whose user, password and database are the ones to accept."""

    def __init__(self, simulation: Simulation, url: str) -> None:
        parts = urlsplit(url)
        name = parts.path.removeprefix("/")
        self._database = Database(simulation.dataset)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = _Server(
            self._writers,
            session_factory=lambda: _Session(simulation, self._database, name),
            identity_provider=_OneUser(unquote(parts.username or ""), unquote(parts.password or "")),
        )

    async def start(self, listening: socket.socket) -> None:
        """Accept connections."""
        for library in ("mysql_mimic", "sqlglot"):
            logging.getLogger(library).setLevel(logging.CRITICAL)  # the client hears of its errors; nobody else has to
        await self._server.start_server(sock=listening, port=None)

    async def stop(self) -> None:
        """Close every connection and stop accepting."""
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()
        self._database.close()


class _Server(MysqlServer):  # type: ignore[misc]
    """Knows its connections, and takes their loss for what it is."""

    def __init__(self, writers: set[asyncio.StreamWriter], **words: Any) -> None:
        super().__init__(**words)
        self._writers = writers

    async def _client_connected_cb(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(*BROKEN):
                await super()._client_connected_cb(reader, writer)
        finally:
            writer.close()
            self._writers.discard(writer)


class _OneUser(IdentityProvider):  # type: ignore[misc]
    """One user; anybody else is treated like a wrong password, as MySQL does."""

    def __init__(self, name: str, password: str) -> None:
        self._name, self._right = name, NativePasswordAuthPlugin.create_auth_string(password)

    async def get_user(self, username: str) -> User:
        """The user, or one whose password nobody has."""
        right = self._right if username == self._name else "00" * 20
        return User(username, auth_string=right, auth_plugin=NativePasswordAuthPlugin.name)


class _Session(Session):  # type: ignore[misc]
    """One connection."""

    def __init__(self, simulation: Simulation, database: Database, name: str) -> None:
        variables = SessionVariables(GlobalVariables())
        variables.set("sql_mode", SQL_MODE)
        variables.set("time_zone", "+08:00")
        super().__init__(variables)
        self._simulation, self._tables, self._name = simulation, database, name

    async def init(self, connection: Any) -> None:
        """A connection begins. mysql-mimic goes on after a failed authentication; here it ends."""
        await super().init(connection)
        if self.username is None:
            connection.stream.writer.close()

    def _parse(self, sql: str) -> list[exp.Expr]:
        if self.username is None:
            raise ConnectionResetError
        return parse_statements(sql)

    async def schema(self) -> dict[str, Any]:
        """What information_schema and SHOW tell."""
        tables = self._tables.tables.items()
        return {self._name: {table: {c.name: c.declared for c in columns.values()} for table, columns in tables}}

    async def _show(self, expression: exp.Show) -> Any:
        if expression.name.upper() == "CREATE TABLE":
            target = expression.args["target"].name
            return [(target, self._tables.create_statement(target))], ["Table", "Create Table"]
        return await super()._show(expression)

    async def query(self, expression: exp.Expr, _sql: str, _attrs: dict[str, str]) -> Any:
        """One SELECT over the tables."""
        names = {table.name for table in expression.find_all(exp.Table)}
        if not names & set(self._tables.tables):
            return self._tables.run(expression)
        operation = _operation(self._simulation.mapping, expression, names)
        self._simulation.calls.add(operation, _number_of_keys(expression))
        disturbance = self._simulation.faults.take(operation)
        if not await self._simulation.wait(disturbance.seconds):
            self._cut()
        if disturbance.fault is not None and disturbance.fault.kind != "truncate":
            self._go_wrong(disturbance.fault)
        rows, columns = self._tables.run(expression)
        return ResultSet(self._half(rows, columns) if disturbance.fault else rows, columns)

    def _go_wrong(self, fault: Fault) -> NoReturn:
        match fault.kind:
            case "fail":
                raise MysqlError("Unknown error", UNKNOWN_ERROR)
            case "throttle":
                raise MysqlError("User has exceeded the 'max_questions' resource", USER_LIMIT_REACHED)
            case "fault":
                raise MysqlError(
                    "Lock wait timeout exceeded; try restarting transaction", int(fault.code or LOCK_WAIT_TIMEOUT)
                )
            case "garbage":
                self.connection.stream.writer.write(f"HTTP/1.1 200 OK\r\n\r\n{LOGIN_PAGE}".encode())
        self._cut()

    async def _half(self, rows: Sequence[Any], columns: Sequence[ResultColumn]) -> AsyncIterator[Any]:
        """Send half of the rows, and close the connection."""
        stream = self.connection.stream
        stream.write_many([make_text_resultset_row(row, columns) for row in rows[: len(rows) // 2]])
        await stream.drain()
        self._cut()
        yield  # never reached; it makes this what mysql-mimic iterates over

    def _cut(self) -> NoReturn:
        self.connection.stream.writer.close()
        raise ConnectionResetError


def _operation(mapping: SourceMapping, expression: exp.Expr, names: set[str]) -> str:
    """The operation that a SELECT is: on its table, a lookup when its column is compared with keys, else changes."""
    on_table = [op for op in mapping.operations.values() if op.written.request.table in names]
    searches = [op.name for op in on_table if op.search]
    if searches and (expression.find(exp.Group) or expression.find(exp.Like)):
        return searches[0]  # pages of whole records are grouped by them; nothing else we send is
    compared = {column.name for found in expression.find_all(exp.In, exp.EQ) for column in found.find_all(exp.Column)}
    for operation in on_table:
        if operation.lookup and _column(operation) in compared:
            return operation.name
    return next((op.name for op in on_table if op.changes), on_table[0].name if on_table else "")


def _column(operation: OperationMapping) -> str:
    path = operation.lookup.field.path if operation.lookup else None
    return path.steps[-1][0] if path and path.steps else ""


def _number_of_keys(expression: exp.Expr) -> int:
    """How many different values a column is compared with."""
    listed = {value.sql() for found in expression.find_all(exp.In) for value in found.expressions}
    equal = {
        found.expression.sql() for found in expression.find_all(exp.EQ) if isinstance(found.expression, exp.Literal)
    }
    return len(listed or equal)
