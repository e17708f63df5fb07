"""Cells as the drivers take them: texts for COPY on PostgreSQL, values for parameters on SQLite; column by column."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Integer, Table, Text

from gateway.store.columns import Instant, Listed, Packed, in_china, pack, write_json_fast
from schema.formats import CHINA_TIME

Cells = Sequence[Any]
Convert = Callable[[Sequence[Any]], Sequence[Any]]
JSON_LINES = msgspec.json.Encoder()
NULL = f"\x02{secrets.token_hex(4)}"
"""How an absent value is written for COPY; nobody outside can know it, so no text can be taken for it."""
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Constant:
    """The same value in every row."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def copy_block(converted: Sequence[Cells], count: int) -> str:
    """The rows as COPY reads them. Nearly always no text needs to be escaped, which one look at the whole tells."""
    block = "\n".join(map("\t".join, zip(*converted, strict=True))) + "\n"
    width = len(converted) - 1
    if "\\" in block or "\r" in block or block.count("\t") != count * width or block.count("\n") != count:
        escaped = [[cell.translate(ESCAPED) for cell in cells] for cells in converted]
        block = "\n".join(map("\t".join, zip(*escaped, strict=True))) + "\n"
    return block


def converted_columns(
    table: Table, columns: Mapping[str, Cells | Constant], start: int, end: int, is_postgresql: bool
) -> list[Cells]:
    """Some rows, column by column, as the driver takes them."""
    converted: list[Cells] = []
    for name, cells in columns.items():
        if isinstance(cells, Constant):
            converted.append(converted_constant(table.c[name], cells, is_postgresql) * (end - start))
        else:
            converted.append(_converter(table.c[name], is_postgresql)(cells[start:end]))
    return converted


def converted_constant(of: Column[Any], cells: Constant, is_postgresql: bool) -> list[Any]:
    """Its one cell, as the driver takes it."""
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
    "instant": lambda cells: [NULL if cell is None else _wall_clock(cell) + "+08" for cell in cells],
    "boolean": lambda cells: [NULL if cell is None else "t" if cell else "f" for cell in cells],
    "json": lambda cells: _or_null(_json_texts(cells)),
    "listed": lambda cells: [NULL if cell is None else _listed(cell) for cell in cells],
    "packed": lambda cells: [NULL if cell is None else "\\x" + pack(cell).hex() for cell in cells],
}
_FOR_SQLITE: dict[str, Convert] = {
    "text": list,
    "number": list,
    "date": lambda cells: [None if cell is None else cell.isoformat() for cell in cells],
    "instant": lambda cells: [None if cell is None else _wall_clock(cell) for cell in cells],
    "boolean": lambda cells: [None if cell is None else int(cell) for cell in cells],
    "json": _json_texts,
    "listed": lambda cells: [None if cell is None else _listed(cell) for cell in cells],
    "packed": lambda cells: [None if cell is None else pack(cell) for cell in cells],
}


def _wall_clock(moment: datetime) -> str:
    """The moment as clocks in China show it; with its zone it would take twice as long to write."""
    there = moment if moment.tzinfo is CHINA_TIME else in_china(_aware(moment))
    return there.replace(tzinfo=None).isoformat(" ", "microseconds")
