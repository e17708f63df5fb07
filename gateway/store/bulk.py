"""Many rows at once, past what SQLAlchemy does for each: COPY on PostgreSQL, one prepared statement for all on SQLite.

Rows are given column by column, since that is how they are converted fastest. They are what the tables' own types would
have written; whatever reads them need not know which way they came.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from gateway.store.cells import Cells, Constant
from gateway.store.cells_copy import NULL, CopyRows
from gateway.store.cells_sqlite import ParameterRows
from gateway.store.columns import in_china
from gateway.store.keys import array, json_array, storable
from gateway.store.turns import RECORDS, Pause, no_pause, waiting
from schema.formats import CHINA_TIME

Row = bytes | tuple[Any, ...]
"""A row as COPY reads it, or as SQLite's driver takes it."""
AT_ONCE = 500
"""Rows that are written for COPY at once."""
MOST_PARAMETERS = 10_000
"""Of one statement on SQLite, where it takes as many: before 3.32 it took 999. With 30,000 nothing was faster, and the statements
that are kept took 10 MB more."""
SQLITE_INSERT = "INSERT OR FAIL INTO"
"""Many rows at once: the first bad one is the end of the transaction, so SQLite need not be able to undo this statement alone, for which
it would copy every page that it changes into a file of its own, which was a quarter of all that a return wrote."""
FEW = 8
"""Rows of the smallest statement for several; fewer go one by one."""


class Form(NamedTuple):
    """The columns of rows that are written, and on SQLite the cells that are the same in all of them, given once for many:
    those of the first columns."""

    names: tuple[str, ...]
    fixed: tuple[Any, ...] = ()


def insert_columns(connection: Connection, table: Table, columns: Mapping[str, Cells | Constant], count: int) -> None:
    """Insert `count` rows; columns that are not named get their defaults."""
    if count:
        way = _way(table, columns, connection.dialect.name)
        parts = (way.rows(start, min(start + AT_ONCE, count)) for start in range(0, count, AT_ONCE))
        _insert(connection, table, Form(way.names, way.fixed), parts)


def written(
    table: Table, columns: Mapping[str, Cells | Constant], count: int, dialect: str, give_way: Pause = no_pause
) -> tuple[Form, list[Row]]:
    """So many rows, each as `insert_rows` takes it, and their form."""
    way = _way(table, columns, dialect)
    rows: list[Row] = []
    for start in range(0, count, RECORDS):
        give_way()
        rows += way.rows(start, min(start + RECORDS, count))
    return Form(way.names, way.fixed), rows


def joined(first: Row, last: Row) -> Row:
    """A row for COPY of two, with the columns of both."""
    assert isinstance(first, bytes)
    assert isinstance(last, bytes)
    return first + b"\t" + last


def insert_rows(connection: Connection, table: Table, form: Form, rows: Sequence[Row]) -> None:
    """Insert rows that are written already; columns that are not named get their defaults."""
    _insert(connection, table, form, (rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)))


def _way(table: Table, columns: Mapping[str, Cells | Constant], dialect: str) -> CopyRows | ParameterRows:
    return CopyRows(table, columns) if dialect == "postgresql" else ParameterRows(table, columns)


def _insert(connection: Connection, table: Table, form: Form, parts: Iterable[Sequence[Any]]) -> None:
    """PostgreSQL takes in one part while the next is written."""
    text = _insert_text(table, form.names, connection.dialect.name)
    with driver(connection) as raw, closing(raw.cursor()) as cursor:
        if connection.dialect.name == "postgresql":
            with cursor.copy(text) as copy:
                for part in parts:
                    copy.write(b"\n".join([*part, b""]))
        else:
            _insert_many(cursor, text, form, list(chain.from_iterable(parts)))


def _insert_many(cursor: Any, text: str, form: Form, rows: Sequence[Any]) -> None:
    """Many rows by each statement: while one runs other threads do, and after each their turn has to end. What is left over
    goes by fewer and fewer, so that few statements are ever written."""
    most = min(MOST_PARAMETERS, cursor.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    width = len(form.names) - len(form.fixed)
    count, start = (most - len(form.fixed)) // width, 0
    while count >= FEW:
        several = _several(text, form, count) if len(rows) - start >= count else ""
        while len(rows) - start >= count:
            cursor.execute(several, [*form.fixed, *chain.from_iterable(rows[start : start + count])])
            start += count
        count //= 2
    cursor.executemany(text, [(*form.fixed, *row) for row in rows[start:]])


@lru_cache(maxsize=256)
def _several(text: str, form: Form, count: int) -> str:
    """The statement for so many rows; what is the same in all of them is one parameter."""
    same = [f"?{number}" for number in range(1, len(form.fixed) + 1)]
    one = f"({', '.join([*same, *repeat('?', len(form.names) - len(form.fixed))])})"
    return f"{text.partition(' VALUES ')[0]} VALUES {', '.join(repeat(one, count))}"


def update_columns(
    connection: Connection, table: Table, source: str, keys: Sequence[str], columns: Mapping[str, Cells | Constant]
) -> None:
    """Set columns of the rows that this source told under these keys."""
    if not keys:
        return
    is_postgresql = connection.dialect.name == "postgresql"
    names, prepare = tuple(columns), connection.dialect.identifier_preparer.quote
    given = {name: cells for name, cells in columns.items() if not isinstance(cells, Constant)}
    fixed = {name: cells for name, cells in columns.items() if isinstance(cells, Constant)}
    where = f"{prepare('source')} = "
    if is_postgresql:
        sets = [
            f"{prepare(name)} = told.{prepare(name)}" if name in given else f"{prepare(name)} = %s" for name in names
        ]
        typed = ", ".join(f"{prepare(n)} {_type_text(table.c[n], connection)}" for n in ("key", *given))
        statement = (
            f"UPDATE {prepare(table.name)} SET {', '.join(sets)} FROM json_to_recordset(%s::json) AS told ({typed})"
            f" WHERE {prepare(table.name)}.{where} %s AND {prepare(table.name)}.key = told.key"
        )
        rows = [dict(zip(("key", *given), row, strict=True)) for row in zip(keys, *given.values(), strict=True)]
        constants = [cells.value for cells in fixed.values()]
        with driver(connection) as raw:
            raw.execute(statement, [*constants, msgspec.json.encode(rows).decode(), source]).close()
        return
    way = ParameterRows(table, columns)
    sets = [f"{prepare(name)} = ?" for name in way.names]
    statement = f"UPDATE {prepare(table.name)} SET {', '.join(sets)} WHERE {where} ? AND key = ?"
    with driver(connection) as raw, closing(raw.cursor()) as cursor:
        cursor.executemany(
            statement, [(*way.fixed, *row, source, key) for row, key in zip(way.rows(0, len(keys)), keys, strict=True)]
        )


def among(connection: Connection, of: ColumnElement[Any], texts: Collection[str]) -> ColumnElement[bool]:
    """That a text is one of these, however many they are; without those that no database can keep.

    A subquery, not an array to compare with: on a table that was never analysed PostgreSQL would compare every row of
    another index with every one of them.
    """
    if connection.dialect.name == "postgresql":
        given = cast(bindparam(None, array(storable(texts)), Text, unique=True), ARRAY(Text))
        return of.in_(select(func.unnest(given)))
    each = func.json_each(json_array(storable(texts))).table_valued(column("value", Text))
    return of.in_(select(each.c.value))


def rows_of(connection: Connection, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a query gives, as the driver's own tuples. Parameters are written `%s`."""
    if connection.dialect.name != "postgresql":
        statement = statement.replace("%s", "?")
    with driver(connection) as raw, closing(raw.cursor()) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def in_pieces(
    connection: Connection, query: str, values: Sequence[Any], at_once: int
) -> Iterator[list[tuple[Any, ...]]]:
    """What a query gives whose rows begin with their key and come in its order, some at a time, however many there are. Its last two
    parameters are the key that all are behind, and how many there may be."""
    last = ""
    while rows := rows_of(connection, query, (*values, last, at_once)):
        yield rows
        last = rows[-1][0]


def listed_in(connection: Connection, texts: Collection[str]) -> tuple[str, str]:
    """SQL that says that what stands before it is one of these texts, and its one parameter, for `rows_of`."""
    if connection.dialect.name == "postgresql":
        return "IN (SELECT unnest(CAST(%s AS text[])))", array(storable(texts))
    return "IN (SELECT value FROM json_each(%s))", json_array(storable(texts))


def rows_under(connection: Connection, table: str, also: str, keys: Collection[str]) -> tuple[str, str]:
    """SQL for the rows of a table under these keys that fulfil `also`, named `told`, and its one parameter, which comes first.

    On PostgreSQL each key is looked up by the primary key, whatever the planner believes of a table that has just grown.
    """
    if connection.dialect.name == "postgresql":
        found = f'SELECT * FROM "{table}" AS one WHERE one.key = wanted.key AND {also} OFFSET 0'
        each = f"unnest(CAST(%s AS text[])) AS wanted(key) CROSS JOIN LATERAL ({found}) AS told"
        return each, array(storable(keys))
    found = f'SELECT * FROM "{table}" WHERE key IN (SELECT value FROM json_each(%s)) AND {also}'
    return f"({found}) AS told", json_array(storable(keys))


def run(connection: Connection, statement: str, values: Sequence[Any]) -> None:
    """Execute a statement as the driver does. Parameters are written `%s`."""
    if connection.dialect.name != "postgresql":
        statement = statement.replace("%s", "?")
    with driver(connection) as raw:
        raw.execute(statement, values).close()


def instant_of(value: Any) -> datetime:
    """An instant as the driver gives it, in China time."""
    return datetime.fromisoformat(value).replace(tzinfo=CHINA_TIME) if isinstance(value, str) else in_china(value)


@contextmanager
def driver(connection: Connection) -> Iterator[Any]:
    """The driver's own connection; its errors are told as SQLAlchemy tells them, without values."""
    dbapi = connection.dialect.dbapi
    assert dbapi is not None
    try:
        with waiting(connection):
            yield connection.connection.driver_connection
    except dbapi.Error as error:
        raise DBAPIError.instance(
            None,
            None,
            error,
            dbapi.Error,
            hide_parameters=True,
            dialect=connection.dialect,
        ) from error


@lru_cache(maxsize=512)
def _insert_text(table: Table, names: tuple[str, ...], dialect: str) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    if dialect == "postgresql":
        return f"COPY \"{table.name}\" ({quoted}) FROM STDIN (NULL '{NULL}')"
    return f'{SQLITE_INSERT} "{table.name}" ({quoted}) VALUES ({", ".join("?" * len(names))})'


def _type_text(of: Column[Any], connection: Connection) -> str:
    return of.type.compile(dialect=connection.dialect)
