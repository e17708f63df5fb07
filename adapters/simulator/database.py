"""The tables of a mapped database: MySQL's statements, read only, over an in-memory SQLite filled from the samples."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlglot
from mysql_mimic.errors import SQLSTATES, ErrorCode, MysqlError
from mysql_mimic.results import ResultColumn
from mysql_mimic.types import ColumnType
from sqlglot import expressions as exp

from adapters.simulator.samples import Dataset

ACCESS_DENIED, NO_SUCH_TABLE, NO_SUCH_COLUMN = 1142, 1146, 1054
SQLSTATES.update(
    {ACCESS_DENIED: b"42000", NO_SUCH_TABLE: b"42S02", NO_SUCH_COLUMN: b"42S22", 1213: b"40001", 1226: b"42000"}
)
"""The states that MySQL sends with these errors, and mysql-mimic does not know."""

WHOLE = {"TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT", "UTINYINT", "USMALLINT", "UINT", "UBIGINT"}
WIRE_TYPES = {
    **dict.fromkeys(WHOLE, ColumnType.LONGLONG),
    "DECIMAL": ColumnType.NEWDECIMAL,
    "FLOAT": ColumnType.DOUBLE,
    "DOUBLE": ColumnType.DOUBLE,
    "DATE": ColumnType.DATE,
    "DATETIME": ColumnType.DATETIME,
    "TIMESTAMP": ColumnType.TIMESTAMP,
    "TIMESTAMPTZ": ColumnType.TIMESTAMP,
}
READS = (exp.Query, exp.Show, exp.Set, exp.Use, exp.Describe, exp.Transaction, exp.Commit, exp.Rollback)


@dataclass(frozen=True, slots=True)
class Column:
    """A column as `schema.sql` declares it; `type` is sqlglot's name for it, `scale` how many decimals it has."""

    name: str
    type: str
    declared: str
    scale: int = 0


def parse_statements(sql: str) -> list[exp.Expr]:
    """MySQL statements that only read. Raises MysqlError for any other and for what is no SQL."""
    try:
        statements = [s for s in sqlglot.parse(sql, read="mysql") if s is not None]
    except sqlglot.errors.SqlglotError as error:
        raise MysqlError(f"You have an error in your SQL syntax: {error}", ErrorCode.PARSE_ERROR) from None
    for statement in statements:
        if not isinstance(statement, READS) or statement.find(exp.Into, exp.DML):
            raise MysqlError("SELECT command only: this user may not write", ACCESS_DENIED)
    return statements


class Database:
    """The tables. They are filled again when the dataset has changed."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._version = -1
        self._connection: sqlite3.Connection | None = None
        self._creates = [s for s in sqlglot.parse(dataset.ddl, read="mysql") if isinstance(s, exp.Create)]
        self.tables = {_table_name(create): _columns(create) for create in self._creates if create.kind == "TABLE"}

    def create_statement(self, table: str) -> str:
        """What `SHOW CREATE TABLE` tells. Raises MysqlError."""
        if table not in self.tables:
            raise MysqlError(f"Table '{table}' doesn't exist", NO_SUCH_TABLE)
        lines = ",\n".join(f"  `{c.name}` {c.declared}" for c in self.tables[table].values())
        return f"CREATE TABLE `{table}` (\n{lines}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"

    def run(self, statement: exp.Expr) -> tuple[list[tuple[Any, ...]], list[ResultColumn]]:
        """The rows of a SELECT, and their columns with MySQL's types. Raises MysqlError."""
        portable = statement.copy()
        for table in portable.find_all(exp.Table):
            table.set("db", None)
        try:
            cursor = self._filled().execute(portable.sql(dialect="sqlite"))
            rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise _as_mysql(error) from None
        names = [description[0] for description in cursor.description]
        return rows, self._result_columns(portable, names, rows)

    def close(self) -> None:
        """Forget the tables."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._version = None, -1

    def _filled(self) -> sqlite3.Connection:
        if self._connection is not None and self._version == self._dataset.version:
            return self._connection
        self.close()
        connection = sqlite3.connect(":memory:")
        for table, columns in self.tables.items():
            kinds = ", ".join(f'"{c.name}" {"INTEGER" if c.type in WHOLE else "TEXT"}' for c in columns.values())
            connection.execute(f'CREATE TABLE "{table}" ({kinds})')
            self._fill(connection, table, columns)
        for create in self._creates:
            if create.kind == "INDEX":
                connection.execute(create.sql(dialect="sqlite"))
        connection.execute("PRAGMA query_only = ON")
        self._connection, self._version = connection, self._dataset.version
        return connection

    def _fill(self, connection: sqlite3.Connection, table: str, columns: Mapping[str, Column]) -> None:
        marks = ", ".join("?" for _ in columns)
        rows = [
            [_stored(column, row.get(column.name)) for column in columns.values()]
            for row in self._dataset.records(table)
        ]
        connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', rows)

    def _result_columns(
        self, statement: exp.Expr, names: Sequence[str], rows: Sequence[Sequence[Any]]
    ) -> list[ResultColumn]:
        known = {
            column.name.lower(): WIRE_TYPES.get(column.type, ColumnType.VAR_STRING)
            for table in statement.find_all(exp.Table)
            for column in self.tables.get(table.name, {}).values()
        }
        projections = statement.selects if isinstance(statement, exp.Query) else []
        has_star = any(projection.is_star for projection in projections)
        columns = []
        for index, name in enumerate(names):
            meant = name if has_star or index >= len(projections) else _column_of(projections[index])
            inferred = next((row[index] for row in rows if row[index] is not None), "")
            fallback = ColumnType.LONGLONG if isinstance(inferred, int) else ColumnType.VAR_STRING
            columns.append(ResultColumn(name, known.get((meant or "").lower(), fallback)))
        return columns


def _column_of(projection: exp.Expr) -> str | None:
    """The column whose type a projection has: itself, or inside of MAX, MIN and COALESCE."""
    inner = projection.unalias()
    while isinstance(inner, exp.Max | exp.Min | exp.Coalesce | exp.Paren):
        inner = inner.this
    return inner.name if isinstance(inner, exp.Column) else None


def _table_name(create: exp.Create) -> str:
    return str(create.this.this.name if isinstance(create.this, exp.Schema) else create.this.name)


def _columns(create: exp.Create) -> dict[str, Column]:
    columns = {}
    for definition in create.this.expressions:
        if isinstance(definition, exp.ColumnDef):
            kind = definition.args["kind"]
            sizes = [int(size.name) for size in kind.expressions]
            scale = sizes[1] if kind.this.name == "DECIMAL" and len(sizes) > 1 else 0
            declared = kind.sql(dialect="mysql").lower().replace(" ", "")
            columns[definition.name] = Column(definition.name, kind.this.name, declared, scale)
    return columns


def _stored(column: Column, value: Any) -> Any:
    """A sample's text as the column holds it: decimals with all their decimals, as text, so that no digit is lost."""
    if value is None:
        return None
    if column.type == "DECIMAL":
        try:
            return f"{Decimal(str(value)).quantize(Decimal(1).scaleb(-column.scale)):f}"
        except InvalidOperation:
            raise MysqlError(f"样例里 {column.name} 的值 {value!r} 不是金额") from None
    return int(value) if column.type in WHOLE else str(value)


def _as_mysql(error: sqlite3.Error) -> MysqlError:
    text = str(error)
    if text.startswith("no such table: "):
        return MysqlError(f"Table '{text[15:]}' doesn't exist", NO_SUCH_TABLE)
    if text.startswith("no such column: "):
        return MysqlError(f"Unknown column '{text[16:]}' in 'field list'", NO_SUCH_COLUMN)
    return MysqlError(f"You have an error in your SQL syntax: {text}", ErrorCode.PARSE_ERROR)
