"""What a file is read as: rows, each with its place in the file, its record, and what is wrong with it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from adapters.source import Record

LONGEST_LINE = 1024 * 1024
"""Bytes of one line."""
MOST_COLUMNS = 1024
NDJSON = "application/x-ndjson"


class Unreadable(Exception):
    """The file as a whole cannot be taken; says why, in Chinese."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file. `number`: its line, its row or its place in a list, counted from 1. `raw` is what it was read from."""

    number: int
    record: Record
    raw: bytes
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A file being read. `opening` and the `raw` of any rows are again a file, of this media type, with these rows.

    `hint` is what may be behind columns that are not there.
    """

    rows: Iterator[Row]
    columns: Sequence[str] = ()
    opening: bytes = b""
    media_type: str = NDJSON
    hint: str = ""


def column_names(cells: Iterable[str | None], place: str) -> list[str]:
    """The names of columns as one line, blanks within them made one; "" where there is none. Raises Unreadable."""
    names = [" ".join((cell or "").split()) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise Unreadable(f"{place}（表头）是空的")
    if len(names) > MOST_COLUMNS:
        raise Unreadable(f"{place}（表头）超过 {MOST_COLUMNS} 列")
    doubled = sorted({name for name in names if name and names.count(name) > 1})
    if doubled:
        raise Unreadable(f"{place}（表头）有重名的列 {'、'.join(f'“{name}”' for name in doubled)}")
    return names


def record_of(
    names: Sequence[str], cells: Sequence[str | None], place: str
) -> tuple[dict[str, str | None], str | None]:
    """The record in a row's cells, and what is wrong with it. A column without a name has to be empty."""
    record = {name: cell for name, cell in zip(names, cells, strict=False) if name}
    beyond = [number for number, cell in enumerate(cells, 1) if cell and (number > len(names) or not names[number - 1])]
    if beyond:
        return record, f"{place}：第 {'、'.join(map(str, beyond[:5]))} 格有内容，表头却没有列名"
    return record, None


def lines_of(content: BinaryIO) -> Iterator[bytes]:
    """The lines with their ends. Raises Unreadable for one that is too long."""
    number = 0
    while line := content.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise Unreadable(f"第 {number} 行超过 {LONGEST_LINE} 字节")
        yield line


def as_line(record: Record) -> bytes:
    """A record as a line of NDJSON."""
    return msgspec.json.encode(record) + b"\n"
