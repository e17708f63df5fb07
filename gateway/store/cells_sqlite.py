"""Rows for SQLite, as its driver takes parameters."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table

from gateway.store.cells import LINES, Cells, Constant, json_lines, kind_of, zoned
from gateway.store.columns import pack

Convert = Callable[[Cells], Cells]


class ParameterRows:
    """The rows of these columns. `names`: those of which the cells are the same in all rows come first, and their cells are
    `fixed`, once for all."""

    def __init__(self, table: Table, columns: Mapping[str, Cells | Constant]) -> None:
        fixed = {name: cells.value for name, cells in columns.items() if isinstance(cells, Constant)}
        given = {name: cells for name, cells in columns.items() if not isinstance(cells, Constant)}
        self.names = (*fixed, *given)
        self.fixed = tuple(_WAYS[kind_of(table.c[name])]((value,))[0] for name, value in fixed.items())
        self._given = [(cells, _WAYS[kind_of(table.c[name])]) for name, cells in given.items()]

    def rows(self, start: int, end: int) -> list[tuple[Any, ...]]:
        """The given cells of some of them."""
        if not self._given:
            return [()] * (end - start)
        return list(zip(*(convert(cells[start:end]) for cells, convert in self._given), strict=True))


def _json(cells: Cells) -> Cells:
    texts = json_lines(cells).decode().split("\n")[:-1]
    return [None if cell is None else text for cell, text in zip(cells, texts, strict=True)] if None in cells else texts


def _dates(cells: Cells) -> Cells:
    if None in cells:
        return [None if cell is None else cell.isoformat() for cell in cells]
    return LINES.encode_lines(cells).decode()[1:-2].split('"\n"')


def _wall_clocks(cells: Cells) -> Cells:
    """Instants as clocks in China show them."""
    there = zoned(cells)
    if None not in there:
        clocks = LINES.encode_lines([cell.replace(tzinfo=None) for cell in there]).decode()
        if "." not in clocks:
            shown = clocks[1:-2].replace("T", " ").replace('"\n"', ".000000\n") + ".000000"
            return shown.split("\n")
    return [None if cell is None else _wall_clock(cell) for cell in there]


def _wall_clock(moment: datetime) -> str:
    """With its zone it would take twice as long to write."""
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


_WAYS: dict[str, Convert] = {
    "text": list,
    "number": list,
    "date": _dates,
    "instant": _wall_clocks,
    "boolean": lambda cells: [None if cell is None else int(cell) for cell in cells],
    "json": _json,
    "packed": lambda cells: [None if cell is None else pack(cell) for cell in cells],
}
