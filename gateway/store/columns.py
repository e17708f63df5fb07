"""Column types that give back exactly what was put in, on SQLite and PostgreSQL alike."""

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import msgspec
import zstandard
from sqlalchemy import JSON, BigInteger, Boolean, Date, DateTime, Dialect, LargeBinary, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from schema.formats import CHINA_TIME, Format, Kind

KEY = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that is compared byte by byte, so that keys have one order everywhere."""

PLAIN = JSON(none_as_null=True)


class Instant(TypeDecorator[datetime]):
    """An aware instant, read back in China time. SQLite keeps the wall clock of +08:00, so its texts sort as instants do."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As the database keeps it; raises ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("时间没有时区")
        local = in_china(value)
        return local if dialect.name == "postgresql" else local.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """As it was put in, in China time."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=CHINA_TIME) if value.tzinfo is None else in_china(value)


class Listed(TypeDecorator[tuple[Any, ...]]):
    """The values of a list element, as a tuple."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        super().__init__()

    def process_bind_param(self, value: tuple[Any, ...] | None, dialect: Dialect) -> list[Any] | None:
        """Dates and instants are written as ISO texts."""
        del dialect
        if value is None:
            return None
        return [item.isoformat() if isinstance(item, date) else item for item in value]

    def process_result_value(self, value: list[Any] | None, dialect: Dialect) -> tuple[Any, ...] | None:
        """The tuple that was put in."""
        del dialect
        if value is None:
            return None
        read = READ_FROM_TEXT.get(self.kind)
        return tuple(value) if read is None else tuple(read(item) for item in value)


class JsonText(TypeDecorator[Any]):
    """A piece of JSON that the database gives out as text."""

    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """What the text says."""
        del dialect
        return None if value is None else msgspec.json.decode(value)


class Packed(TypeDecorator[bytes]):
    """Bytes, kept packed with Zstandard where that is worth it, and given back as they were put in."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """As the database keeps it."""
        del dialect
        return None if value is None else pack(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        """As it was put in."""
        del dialect
        return None if value is None else unpack(bytes(value))


ZSTD = b"\x28\xb5\x2f\xfd"
"""How packed bytes begin; bytes that begin so themselves are always packed."""
WORTH_PACKING = 512


def pack(data: bytes) -> bytes:
    """Bytes as they are kept."""
    return zstandard.compress(data, 1) if len(data) >= WORTH_PACKING or data.startswith(ZSTD) else data


def unpack(data: bytes) -> bytes:
    """The bytes that were packed."""
    return zstandard.decompress(data) if data.startswith(ZSTD) else data


READ_FROM_TEXT: dict[Kind, Callable[[str], Any]] = {"date": date.fromisoformat, "datetime": datetime.fromisoformat}


def in_china(moment: datetime) -> datetime:
    """The aware instant in China time; one that is there already is not sent through UTC, which the year 1 does not survive."""
    there = moment.utcoffset() == CHINA_TIME.utcoffset(None)
    return moment.replace(tzinfo=CHINA_TIME) if there else moment.astimezone(CHINA_TIME)


def column_type(form: Format) -> TypeEngine[Any]:
    """The type that keeps values of a data element format."""
    if form.many:
        return Listed(form.kind)
    match form.kind:
        case "text":
            return Text()
        case "number" | "money":
            return BigInteger()
        case "date":
            return Date()
        case "datetime":
            return Instant()
        case "boolean":
            return Boolean()
        case "structure":
            return PLAIN


def current_type(form: Format) -> TypeEngine[Any]:
    """The type that keeps such values where they are filtered and ordered by: texts have one order everywhere."""
    return KEY if form.kind == "text" and not form.many else column_type(form)


def write_json(value: object) -> str:
    """JSON that every database takes: ASCII, so that no half of a surrogate pair and no NUL stands in it by itself."""
    return json.dumps(value, separators=(",", ":"), default=str)


def write_json_fast(value: object) -> str:
    """JSON that reads the same as `write_json`, written in a fraction of the time wherever that can be."""
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, UnicodeEncodeError):  # what only `write_json` knows how to write
        return write_json(value)
