"""Cells of rows that are written in bulk, column by column, and what both databases' ways of writing them have in common."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Integer, Text

from gateway.store.columns import Instant, Listed, Packed, in_china, write_json_fast
from schema.formats import CHINA_TIME

Cells = Sequence[Any]
LINES = msgspec.json.Encoder()
"""Writes many values by one call, each on a line of its own."""


class Constant:
    """The same value in every row."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Looked(Sequence[Any]):
    """What some mappings have under one name, None where they have nothing: looked up when it is written, a part at a time, since
    the mappings of a whole page do not stay at hand in the processor from one column to the next."""

    __slots__ = ("mappings", "name")

    def __init__(self, mappings: Sequence[Mapping[str, Any]], name: str) -> None:
        self.mappings = mappings
        self.name = name

    def __len__(self) -> int:
        return len(self.mappings)

    def __getitem__(self, place: Any) -> Any:
        name = self.name
        if isinstance(place, slice):
            return [mapping.get(name) for mapping in self.mappings[place]]
        return self.mappings[place].get(name)


Columns = dict[str, Cells | Constant]


@lru_cache(maxsize=4096)
def kind_of(column: Column[Any]) -> str:
    """How cells of a column are written. Raises TypeError where that is not known."""
    for kind, name in _KINDS:
        if isinstance(column.type, kind):
            return name
    raise TypeError(f"no bulk form for {column.type!r}")


_KINDS: tuple[tuple[Any, str], ...] = (
    (Instant, "instant"),
    (Listed, "json"),
    (Packed, "packed"),
    (JSON, "json"),
    (Boolean, "boolean"),
    (BigInteger, "number"),
    (Integer, "number"),
    (Date, "date"),
    (Text, "text"),
)


def json_lines(cells: Cells) -> bytes:
    """Each value as JSON, and the end of its line."""
    try:
        return LINES.encode_lines(cells)
    except (TypeError, UnicodeEncodeError):
        return b"".join(write_json_fast(_plain(cell)).encode() + b"\n" for cell in cells)


def _plain(value: Any) -> Any:
    """Dates and instants in a list as ISO texts, which `write_json` would write otherwise."""
    if not isinstance(value, tuple):
        return value
    return [item.isoformat() if isinstance(item, date) else item for item in value]


def zoned(cells: Cells) -> Cells:
    """Instants in China time, None as it is. Raises ValueError for one without a zone."""
    return [cell if cell is None or cell.tzinfo is CHINA_TIME else in_china(_aware(cell)) for cell in cells]


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("时间没有时区")
    return value
