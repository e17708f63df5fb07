"""What a file is read as: rows, each with its place in the file, its record, and what is wrong with it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import msgspec

from adapters.source import Record

LONGEST_LINE = 1024 * 1024
"""Bytes of one line."""
MOST_COLUMNS = 1024
NDJSON = "application/x-ndjson"
ROWS = "application/vnd.minzhifa.rows+x-ndjson"
"""Lines of `[number, record, fault]`: how rows are kept whose file has no lines of its own."""
LINE = re.compile(r"; line=(\d+)")
"""In a media type: the line of the file that the first line of a payload was."""


class Unreadable(Exception):
    """The file as a whole cannot be taken; says why, in Chinese."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file. `number`: its line, its row or its place in a list, counted from 1. `raw` is what it was read from,
    from line `start` on: with the empty lines before it.
    """

    number: int
    record: Record
    raw: bytes
    fault: str | None = None
    start: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A file being read. `opening` and the `raw` of rows that follow one another are a payload of this media type, in which
    `reread` finds the same rows.

    `hint` is what may be behind columns that are not there.
    """

    rows: Iterator[Row]
    columns: Sequence[str] = ()
    opening: bytes = b""
    media_type: str = ROWS
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


def payload_of(reading: Reading, rows: Sequence[Row]) -> tuple[bytes, str]:
    """The payload of rows that follow one another, and its media type."""
    line = "" if reading.media_type == ROWS or not rows else f"; line={rows[0].start or rows[0].number}"
    return reading.opening + b"".join(row.raw for row in rows), reading.media_type + line


def kept_row(number: int, record: Record, fault: str | None = None) -> Row:
    """A row that is kept as a line of ROWS."""
    return Row(number, record, msgspec.json.encode([number, record, fault]) + b"\n", fault)


def reread_rows(raw: bytes) -> Iterator[Row]:
    """The rows in a payload of ROWS. Raises Unreadable."""
    try:
        for line in raw.splitlines():
            number, record, fault = msgspec.json.decode(line, type=tuple[int, dict[str, Any], str | None])
            yield kept_row(number, record, fault)
    except msgspec.MsgspecError:
        raise Unreadable("保存的原文已损坏") from None
