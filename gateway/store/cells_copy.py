"""Rows for COPY on PostgreSQL, as its text format: cells parted by tabs.

Most of a row is written by one call of msgspec, as JSON: where no backslash is in it, as before quotes and control characters,
nothing but its quotes, commas and brackets has to be replaced. Where there is one, rows are written cell by cell.
"""

import secrets
from collections.abc import Callable, Mapping
from itertools import repeat
from typing import Any

from sqlalchemy import Column, Table

from gateway.store.cells import LINES, Cells, Constant, json_lines, kind_of, zoned
from gateway.store.columns import pack

NULL = f"~{secrets.token_hex(4)}"
"""How an absent value is written; nobody outside can know it, so no text can be taken for it."""
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class CopyRows:
    """The rows of these columns. `names`: of the columns, as they follow each other: values, JSON and bytes, what is the same in
    all rows; all of them stand in each row, none is `fixed`."""

    fixed: tuple[Any, ...] = ()

    def __init__(self, table: Table, columns: Mapping[str, Cells | Constant]) -> None:
        given = {name: cells for name, cells in columns.items() if not isinstance(cells, Constant)}
        same = {name: cells.value for name, cells in columns.items() if isinstance(cells, Constant)}
        kinds = {name: kind_of(table.c[name]) for name in given}
        plain = [name for name in given if kinds[name] not in _NESTED]
        nested = [name for name in given if kinds[name] in _NESTED]
        assert plain, "rows have something of their own"
        self.names = (*plain, *nested, *same)
        self._plain = [(given[name], _PLAIN[kinds[name]]) for name in plain]
        self._nested = [(given[name], _NESTED[kinds[name]]) for name in nested]
        self._tail = b"".join(b"\t" + _constant(table.c[name], value) for name, value in same.items())

    def rows(self, start: int, end: int) -> list[bytes]:
        """Some of them, without their ends of line."""
        rows = _plain_rows([write(cells[start:end]) for cells, write in self._plain])
        parts = [part for cells, write in self._nested for part in (repeat(b"\t"), write(cells[start:end]))]
        return list(map(b"".join, zip(rows, *parts, repeat(self._tail), strict=False)))


def _plain_rows(columns: list[Cells]) -> list[bytes]:
    """Of texts, and of dates and instants that JSON has as texts."""
    rows = list(zip(*columns, strict=True))
    try:
        lines = LINES.encode_lines(rows)
    except UnicodeEncodeError:  # half of a surrogate pair, of which the database is to be told
        lines = b"\\"
    if b"\\" in lines:
        return [b"\t".join(map(_cell, row)) for row in rows]
    return lines[2:-3].replace(b'","', b"\t").split(b'"]\n["')


def _cell(value: Any) -> bytes:
    if isinstance(value, str):
        return value.translate(ESCAPED).encode()
    return LINES.encode(value)[1:-1]


def _constant(of: Column[Any], value: Any) -> bytes:
    kind, cells = kind_of(of), (value,)
    return _NESTED[kind](cells)[0] if kind in _NESTED else _cell(_PLAIN[kind](cells)[0])


def _with_nulls(cells: Cells) -> Cells:
    return [NULL if cell is None else cell for cell in cells] if None in cells else cells


def _json(cells: Cells) -> list[bytes]:
    texts = json_lines(cells)[:-1].replace(b"\\", b"\\\\").split(b"\n")
    if None not in cells:
        return texts
    return [NULL.encode() if cell is None else text for cell, text in zip(cells, texts, strict=True)]


def _bytes(cells: Cells) -> list[bytes]:
    return [(NULL if cell is None else f"\\\\x{pack(cell).hex()}").encode() for cell in cells]


_PLAIN: dict[str, Callable[[Cells], Cells]] = {
    "text": _with_nulls,
    "number": lambda cells: [NULL if cell is None else str(cell) for cell in cells],
    "date": _with_nulls,
    "instant": lambda cells: _with_nulls(zoned(cells)),
    "boolean": lambda cells: [NULL if cell is None else "t" if cell else "f" for cell in cells],
}
_NESTED: dict[str, Callable[[Cells], list[bytes]]] = {"json": _json, "packed": _bytes}
