"""JSON of agencies: a document with a list of records somewhere, read whole, and NDJSON, a record a line, in bounded memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from adapters.errors import SourceContractBroken
from adapters.file_rows import NDJSON, Reading, Row, Unreadable, kept_row, lines_of
from adapters.json_tree import parse_json
from adapters.mapping.paths import RecordPath

LARGEST_JSON = 32 * 1024 * 1024
"""Bytes of a JSON document, which has to be read whole; NDJSON may be as large as any file."""
BOM = b"\xef\xbb\xbf"


def read_json(file: Path, records: RecordPath) -> Reading:
    """The records of a document. Raises Unreadable."""
    if file.stat().st_size > LARGEST_JSON:
        raise Unreadable(f"JSON 文件超过 {LARGEST_JSON // 1024**2} MB，请改用 NDJSON（每行一条）")
    try:
        tree = parse_json(file.read_bytes().removeprefix(BOM))
        if records.steps and not records.is_there(tree):
            raise Unreadable(f"JSON 里没有 {records.text}")
        found = tree if not records.steps and isinstance(tree, list) else records.all(tree)
    except UnicodeDecodeError as error:
        raise Unreadable(f"不是 UTF-8 编码（第 {error.start + 1} 字节）") from None
    except (SourceContractBroken, ValueError) as error:
        raise Unreadable(str(error)) from None
    return Reading(_Rows(found))


class _Rows(Iterator[Row]):
    """The rows of a list; what has been given is let go of."""

    def __init__(self, found: list[Any]) -> None:
        self.left = found[::-1]
        self.number = 0

    def __next__(self) -> Row:
        if not self.left:
            raise StopIteration
        self.number += 1
        return _row(self.number, self.left.pop())


def read_ndjson(content: BinaryIO, first: int = 1) -> Reading:
    """The records of lines, empty ones passed over; `first` is what the first line is called. Raises Unreadable."""
    return Reading(_lines(content, first), media_type=NDJSON)


def _lines(content: BinaryIO, first: int) -> Iterator[Row]:
    start, before = first, b""
    for number, line in enumerate(lines_of(content), first):
        text = (line.removeprefix(BOM) if number == 1 else line).strip()
        if not text:
            before += line
            continue
        record, fault = _record(number, text)
        yield Row(number, record, before + text + b"\n", fault, start)
        start, before = number + 1, b""


def _record(number: int, text: bytes) -> tuple[dict[str, Any], str | None]:
    """The record in a line, and what is wrong with it."""
    shown: dict[str, Any] = {"": text.decode("utf-8", "replace")[:2000]}
    try:
        value = parse_json(text)
    except UnicodeDecodeError as error:
        return shown, f"第 {number} 行第 {error.start + 1} 字节不是 UTF-8 编码"
    except SourceContractBroken as error:
        return shown, f"第 {number} 行{str(error).replace('第 1 行第', '第')}"
    return (value, None) if isinstance(value, dict) else (shown, f"第 {number} 行不是记录（JSON 对象）")


def _row(number: int, value: Any) -> Row:
    if isinstance(value, dict):
        return kept_row(number, value)
    shown = {"": value if isinstance(value, str) else None}
    return kept_row(number, shown, f"第 {number} 条不是记录（JSON 对象）")
