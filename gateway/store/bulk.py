"""Many rows at once, past what SQLAlchemy does for each: COPY on PostgreSQL, one prepared statement for all on SQLite.

Rows are given column by column, since that is how they are converted fastest. They are what the tables' own types would
have written; whatever reads them need not know which way they came.
"""

import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from functools import lru_cache
from itertools import chain, repeat
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Integer,
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

from gateway.store.columns import Instant, Listed, Packed, in_china, pack, write_json_fast
from schema.formats import CHINA_TIME, UNSTORABLE

Cells = Sequence[Any]
Row = bytes | tuple[Any, ...]
"""A row as COPY reads it, or as SQLite's driver takes it."""
Convert = Callable[[Sequence[Any]], Sequence[Any]]
JSON_LINES = msgspec.json.Encoder()
WALL_CLOCK = len("2024-06-01 08:00:00.000000")
"""Characters of a moment without its zone."""
NULL = f"\x02{secrets.token_hex(4)}"
"""How an absent value is written for COPY; nobody outside can know it, so no text can be taken for it."""
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


AT_ONCE = 500
"""Rows that are written for COPY at once."""
MOST_PARAMETERS = 10_000
"""Of one statement on SQLite, where it takes as many: before 3.32 it took 999."""


class Constant:
    """The same value in every row."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Form(NamedTuple):
    """The columns of rows that are written, and on SQLite the cells that are the same in all of them, given once for many:
    those of the first columns."""

    names: tuple[str, ...]
    fixed: tuple[Any, ...] = ()


def insert_columns(connection: Connection, table: Table, columns: Mapping[str, Cells | Constant], count: int) -> None:
    """Insert `count` rows; columns that are not named get their defaults."""
    if not count:
        return
    dialect = connection.dialect.name
    if dialect != "postgresql":
        form = form_of(table, columns, dialect)
        insert_rows(connection, table, form, written_rows(table, columns, count, dialect))
        return
    text = _insert_text(table, tuple(columns), dialect)
    with driver(connection) as raw, closing(raw.cursor()) as cursor, cursor.copy(text) as copy:
        for start in range(0, count, AT_ONCE):  # the server takes in one part while the next is written
            end = min(start + AT_ONCE, count)
            copy.write(_block(_converted(table, columns, start, end, True), end - start))


def form_of(table: Table, columns: Mapping[str, Cells | Constant], dialect: str) -> Form:
    """The form of the rows that are written of these columns."""
    if dialect == "postgresql":
        return Form(tuple(columns))
    fixed = {name: cells for name, cells in columns.items() if isinstance(cells, Constant)}
    names = (*fixed, *(name for name in columns if name not in fixed))
    return Form(names, tuple(_converted_constant(table.c[name], cells, False)[0] for name, cells in fixed.items()))


def written_rows(table: Table, columns: Mapping[str, Cells | Constant], count: int, dialect: str) -> list[Row]:
    """The rows, each as `insert_rows` takes it."""
    rows: list[Row] = []
    is_postgresql = dialect == "postgresql"
    if not is_postgresql:
        columns = {name: cells for name, cells in columns.items() if not isinstance(cells, Constant)}
    for start in range(0, count, AT_ONCE):
        end = min(start + AT_ONCE, count)
        converted = _converted(table, columns, start, end, is_postgresql)
        if is_postgresql:
            rows += _block(converted, end - start).encode().split(b"\n")[:-1]
        else:
            rows += zip(*converted, strict=True)
    return rows


def insert_rows(connection: Connection, table: Table, form: Form, rows: Sequence[Row]) -> None:
    """Insert rows that are written already; columns that are not named get their defaults."""
    text = _insert_text(table, form.names, connection.dialect.name)
    with driver(connection) as raw, closing(raw.cursor()) as cursor:
        if connection.dialect.name == "postgresql":
            with cursor.copy(text) as copy:
                for start in range(0, len(rows), AT_ONCE):
                    copy.write(b"\n".join([*rows[start : start + AT_ONCE], b""]))  # type: ignore[list-item]
        else:
            _insert_many(cursor, text, form, rows)


def _insert_many(cursor: Any, text: str, form: Form, rows: Sequence[Any]) -> None:
    """Many rows by each statement: while one runs, other threads do."""
    most = min(MOST_PARAMETERS, cursor.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER))
    width = len(form.names) - len(form.fixed)
    count = (most - len(form.fixed)) // width
    whole = len(rows) - len(rows) % count
    if whole:
        several = _several(text, form, count)
        for start in range(0, whole, count):
            cursor.execute(several, [*form.fixed, *chain.from_iterable(rows[start : start + count])])
    cursor.executemany(text, [(*form.fixed, *row) for row in rows[whole:]])


@lru_cache(maxsize=64)
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
        constants = [
            None if cells.value is None else _converted_constant(table.c[name], cells, True)[0]
            for name, cells in fixed.items()
        ]
        with driver(connection) as raw:
            raw.execute(statement, [*constants, msgspec.json.encode(rows).decode(), source]).close()
        return
    sets = [f"{prepare(name)} = ?" for name in names]
    statement = f"UPDATE {prepare(table.name)} SET {', '.join(sets)} WHERE {where} ? AND key = ?"
    converted = _converted(table, columns, 0, len(keys), False)
    with driver(connection) as raw, closing(raw.cursor()) as cursor:
        cursor.executemany(statement, zip(*converted, repeat(source, len(keys)), keys, strict=True))


def among(connection: Connection, of: ColumnElement[Any], texts: Collection[str]) -> ColumnElement[bool]:
    """That a text is one of these, however many they are; without those that no database can keep.

    A subquery, not an array to compare with: on a table that was never analysed PostgreSQL would compare every row of
    another index with every one of them.
    """
    if connection.dialect.name == "postgresql":
        given = cast(bindparam(None, _array(storable(texts)), Text, unique=True), ARRAY(Text))
        return of.in_(select(func.unnest(given)))
    each = func.json_each(msgspec.json.encode(storable(texts)).decode()).table_valued(column("value", Text))
    return of.in_(select(each.c.value))


def rows_of(connection: Connection, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What a query gives, as the driver's own tuples. Parameters are written `%s`."""
    if connection.dialect.name != "postgresql":
        statement = statement.replace("%s", "?")
    with driver(connection) as raw, closing(raw.cursor()) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def listed_in(connection: Connection, texts: Collection[str]) -> tuple[str, str]:
    """SQL that says that what stands before it is one of these texts, and its one parameter, for `rows_of`."""
    if connection.dialect.name == "postgresql":
        return "IN (SELECT unnest(CAST(%s AS text[])))", _array(storable(texts))
    return "IN (SELECT value FROM json_each(%s))", msgspec.json.encode(storable(texts)).decode()


def rows_under(connection: Connection, table: str, also: str, keys: Collection[str]) -> tuple[str, str]:
    """SQL for the rows of a table under these keys that fulfil `also`, named `told`, and its one parameter, which comes first.

    On PostgreSQL each key is looked up by the primary key, whatever the planner believes of a table that has just grown.
    """
    if connection.dialect.name == "postgresql":
        found = f'SELECT * FROM "{table}" AS one WHERE one.key = wanted.key AND {also} OFFSET 0'
        each = f"unnest(CAST(%s AS text[])) AS wanted(key) CROSS JOIN LATERAL ({found}) AS told"
        return each, _array(storable(keys))
    found = f'SELECT * FROM "{table}" WHERE key IN (SELECT value FROM json_each(%s)) AND {also}'
    return f"({found}) AS told", msgspec.json.encode(storable(keys)).decode()


def run(connection: Connection, statement: str, values: Sequence[Any]) -> None:
    """Execute a statement as the driver does. Parameters are written `%s`."""
    if connection.dialect.name != "postgresql":
        statement = statement.replace("%s", "?")
    with driver(connection) as raw:
        raw.execute(statement, values).close()


def storable(texts: Collection[str]) -> list[str]:
    """Each text once, in order, without those that no database can keep: no row can have them. Sources mostly tell them in
    order, which makes sorting easy."""
    kept = sorted(dict.fromkeys(texts))
    if UNSTORABLE.search("\n".join(kept)):
        kept = [text for text in kept if not UNSTORABLE.search(text)]
    return kept


def _array(texts: Sequence[str]) -> str:
    """An array of texts as PostgreSQL reads it; the driver would take longer to write it than the server to use it."""
    block = '","'.join(texts)
    if "\\" in block or block.count('"') != 2 * max(0, len(texts) - 1):
        block = '","'.join(text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return f'{{"{block}"}}' if texts else "{}"


def instant_of(value: Any) -> datetime:
    """An instant as the driver gives it, in China time."""
    return datetime.fromisoformat(value).replace(tzinfo=CHINA_TIME) if isinstance(value, str) else in_china(value)


@contextmanager
def driver(connection: Connection) -> Iterator[Any]:
    """The driver's own connection; its errors are told as SQLAlchemy tells them, without values."""
    dbapi = connection.dialect.dbapi
    assert dbapi is not None
    try:
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
    return f'INSERT INTO "{table.name}" ({quoted}) VALUES ({", ".join("?" * len(names))})'


def _type_text(of: Column[Any], connection: Connection) -> str:
    return of.type.compile(dialect=connection.dialect)


def _block(converted: Sequence[Cells], count: int) -> str:
    """The rows as COPY reads them. Nearly always no text needs to be escaped, which one look at the whole tells."""
    block = "\n".join(map("\t".join, zip(*converted, strict=True))) + "\n"
    width = len(converted) - 1
    if "\\" in block or "\r" in block or block.count("\t") != count * width or block.count("\n") != count:
        escaped = [[cell.translate(ESCAPED) for cell in cells] for cells in converted]
        block = "\n".join(map("\t".join, zip(*escaped, strict=True))) + "\n"
    return block


def _converted(
    table: Table, columns: Mapping[str, Cells | Constant], start: int, end: int, is_postgresql: bool
) -> list[Cells]:
    """Some rows, column by column, as the driver takes them."""
    converted: list[Cells] = []
    for name, cells in columns.items():
        if isinstance(cells, Constant):
            converted.append(_converted_constant(table.c[name], cells, is_postgresql) * (end - start))
        else:
            converted.append(_converter(table.c[name], is_postgresql)(cells[start:end]))
    return converted


def _converted_constant(of: Column[Any], cells: Constant, is_postgresql: bool) -> list[Any]:
    return list(_converter(of, is_postgresql)((cells.value,)))


def _converter(of: Column[Any], is_postgresql: bool) -> Convert:
    return (_FOR_COPY if is_postgresql else _FOR_SQLITE)[_kind(of)]


@lru_cache(maxsize=4096)
def _kind(of: Column[Any]) -> str:
    for kind, name in _KINDS:
        if isinstance(of.type, kind):
            return name
    raise TypeError(f"no bulk form for {of.type!r}")


_KINDS: tuple[tuple[Any, str], ...] = (
    (Instant, "instant"),
    (Listed, "listed"),
    (Packed, "packed"),
    (JSON, "json"),
    (Boolean, "boolean"),
    (BigInteger, "number"),
    (Integer, "number"),
    (Date, "date"),
    (Text, "text"),
)


def _json_texts(values: Sequence[Any]) -> list[str]:
    """Each value as JSON, None as it is."""
    if None in values:
        return [None if value is None else write_json_fast(value) for value in values]  # type: ignore[misc]
    try:
        return JSON_LINES.encode_lines(values).decode().split("\n")[:-1]
    except (TypeError, UnicodeEncodeError):
        return list(map(write_json_fast, values))


def _or_null(texts: Sequence[Any]) -> Sequence[Any]:
    return [NULL if text is None else text for text in texts] if None in texts else texts


def _listed(value: Iterable[Any]) -> str:
    return write_json_fast([item.isoformat() if isinstance(item, date) else item for item in value])


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("时间没有时区")
    return value


_FOR_COPY: dict[str, Convert] = {
    "text": _or_null,
    "number": lambda cells: [NULL if cell is None else str(cell) for cell in cells],
    "date": lambda cells: [NULL if cell is None else cell.isoformat() for cell in cells],
    "instant": lambda cells: [NULL if cell is None else _there(cell).isoformat(" ") for cell in cells],
    "boolean": lambda cells: [NULL if cell is None else "t" if cell else "f" for cell in cells],
    "json": lambda cells: _or_null(_json_texts(cells)),
    "listed": lambda cells: [NULL if cell is None else _listed(cell) for cell in cells],
    "packed": lambda cells: [NULL if cell is None else "\\x" + pack(cell).hex() for cell in cells],
}
_FOR_SQLITE: dict[str, Convert] = {
    "text": list,
    "number": list,
    "date": lambda cells: [None if cell is None else cell.isoformat() for cell in cells],
    "instant": lambda cells: [
        None if cell is None else _there(cell).isoformat(" ", "microseconds")[:WALL_CLOCK] for cell in cells
    ],
    "boolean": lambda cells: [None if cell is None else int(cell) for cell in cells],
    "json": _json_texts,
    "listed": lambda cells: [None if cell is None else _listed(cell) for cell in cells],
    "packed": lambda cells: [None if cell is None else pack(cell) for cell in cells],
}


def _there(moment: datetime) -> datetime:
    """The moment in China time."""
    return moment if moment.tzinfo is CHINA_TIME else in_china(_aware(moment))
