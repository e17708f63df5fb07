"""Values of database drivers as text: exactly what the database holds, in one form for all databases."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any
from uuid import UUID

import msgspec

from adapters.errors import SourceContractBroken
from schema.formats import CHINA_TIME

TEXTS = frozenset({str, type(None)})
AT_ONCE = 200
"""Rows that are handled by one call of a library in C, during which no other thread has its turn."""
JSON = msgspec.json.Encoder()


def as_text(value: Any) -> Any:
    """A value of a row as its text; None stays None, and JSON columns and arrays become trees of texts, their names in order.

    Numbers have no exponent, instants are `2024-06-01 08:00:00` (with microseconds if there are any; those with a zone in
    China time), booleans `1` and `0`. Raises SourceContractBroken for bytes that are no UTF-8 text.
    """
    match value:
        case None | str():
            return value
        case bool():
            return "1" if value else "0"
        case int():
            return str(value)
        case Decimal():
            return format(value, "f")
        case float():
            return format(Decimal(repr(value)), "f")
        case datetime():
            local = value if value.tzinfo is None else value.astimezone(CHINA_TIME).replace(tzinfo=None)
            return local.isoformat(sep=" ")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return _clock(value)
        case bytes() | bytearray() | memoryview():
            return _decoded(bytes(value))
        case UUID():
            return str(value)
        case Mapping():
            texts = {str(name): as_text(item) for name, item in value.items()}
            return {name: texts[name] for name in sorted(texts)}
        case list() | tuple():
            return [as_text(item) for item in value]
    raise SourceContractBroken(f"数据库的类型 {type(value).__name__} 没有文字形式")


def records_of(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows as records of texts; those that hold nothing but texts, as PostgreSQL's do here, are only given names."""
    records: list[dict[str, Any]] = []
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        if TEXTS.issuperset(map(type, chain.from_iterable(some))):
            records += [dict(zip(columns, row, strict=True)) for row in some]
        else:
            records += [dict(zip(columns, map(as_text, row), strict=True)) for row in some]
    return records


def canonical_json(rows: list[dict[str, Any]]) -> bytes:
    """Rows, whose columns come in the order of their names, as bytes for landing; equal rows give equal bytes. They are written a
    part at a time, so that other threads come to their turn."""
    parts = [JSON.encode(rows[start : start + AT_ONCE])[1:-1] for start in range(0, len(rows), AT_ONCE)]
    return b"[" + b",".join(parts) + b"]"


def _clock(duration: timedelta) -> str:
    """MySQL gives a TIME column as a duration, which may be negative or longer than a day."""
    sign, duration = ("-", -duration) if duration < timedelta(0) else ("", duration)
    seconds = duration.days * 86400 + duration.seconds
    fraction = f".{duration.microseconds:06}" if duration.microseconds else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise SourceContractBroken("二进制列不是 UTF-8 文字") from None
