"""Statements of questions that are asked again and again with other values: written once for each shape, not for every one.

The shape of a question is the question with a slot wherever a value stood. What SQL is made of it is remembered with the
tables; making it anew took a third of the time of a page.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Select

from gateway.store.bulk import driver
from schema.conditions import All, Compare, Condition, Not, Some, Through
from schema.cursors import Position

MOST_KEPT = 2000
Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the value with this number stands."""

    number: int


class Values:
    """Takes the values out of a question, one after the other."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def slot(self, value: Any) -> Slot:
        """The slot for a value."""
        self.found.append(value)
        return Slot(len(self.found) - 1)

    def position(self, position: Position | None) -> Position | None:
        """A place in a list; that it lacks a value is a part of the shape."""
        if position is None:
            return None
        values = tuple(None if value is None else self.slot(value) for value in position.values)
        return Position(values, self.slot(position.key))  # type: ignore[arg-type]

    def condition(self, what: Condition) -> Condition:
        """A condition; how many values one is compared with, and whether there is to be one, are a part of the shape."""
        match what:
            case Compare(operator="isNull"):
                return what
            case Compare(operator="in"):
                return replace(what, value=tuple(map(self.slot, what.value)))
            case Compare(operator="prefix"):
                return replace(
                    what, value=tuple(None if end is None else self.slot(end) for end in text_range(what.value))
                )
            case Compare():
                return replace(what, value=self.slot(what.value))
            case All() | Some():
                return replace(what, parts=tuple(map(self.condition, what.parts)))
            case Not() | Through():
                return replace(what, part=self.condition(what.part))


def text_range(prefix: str) -> tuple[str | None, str | None]:
    """From which text on and up to which (it not included) all begin so; None where there is no bound. Every database answers
    that from its index: texts are compared code point by code point."""
    end = prefix.rstrip("\U0010ffff")
    if not end:
        return prefix or None, None
    last = ord(end[-1]) + 1
    return prefix, end[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)


@dataclass(frozen=True, slots=True)
class Statement:
    """A query with its slots: `values` are by the name (or place) of each parameter a number and what writes it, or the value
    that always stands there; `reads` turn cells into values, by their place."""

    text: str
    slots: Sequence[tuple[str, int, Read | None]]
    constants: Mapping[str, Any]
    order: Sequence[str] | None
    reads: Sequence[tuple[int, Read]]

    def rows(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What the query gives with these values. PostgreSQL plans it for them each time: a plan for any values would take an
        index for a year of cases that is right for a day of them."""
        given = dict(self.constants)
        for name, number, write in self.slots:
            given[name] = values[number] if write is None else write(values[number])
        words = {"prepare": False} if connection.dialect.name == "postgresql" else {}
        with driver(connection) as raw:
            cursor = raw.execute(
                self.text, given if self.order is None else [given[name] for name in self.order], **words
            )
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            cursor.close()
        return with_values(rows, self.reads)


def with_values(rows: list[tuple[Any, ...]], reads: Sequence[tuple[int, Read]]) -> list[tuple[Any, ...]]:
    """Rows with the cells at these places turned into values."""
    if not reads:
        return rows
    made = []
    for row in rows:
        cells = list(row)
        for place, read in reads:
            if cells[place] is not None:
                cells[place] = read(cells[place])
        made.append(tuple(cells))
    return made


def write_statement(query: Select[Any], dialect: Dialect) -> Statement:
    """The statement of a query in which slots stand for values."""
    compiled: Any = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    slots: list[tuple[str, int, Read | None]] = []
    constants: dict[str, Any] = {}
    for name, value in compiled.params.items():
        bind = compiled.binds.get(name)
        if bind is None:  # one of several values, named after all of them
            bind = compiled.binds[name.rpartition("_")[0]]
        write = bind.type.dialect_impl(dialect).bind_processor(dialect)
        if isinstance(value, Slot):
            slots.append((name, value.number, write))
        else:
            constants[name] = value if write is None else write(value)
    columns: Sequence[ColumnElement[Any]] = list(query.selected_columns)
    reads = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    places = [(place, read) for place, read in enumerate(reads) if read is not None]
    return Statement(compiled.string, slots, constants, compiled.positiontup if compiled.positional else None, places)
