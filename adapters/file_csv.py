"""CSV of agencies: UTF-8 or GB18030, a head in any line, fields that run over several lines; faults by line and column."""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from adapters.file_rows import Reading, Row, Unreadable, column_names, lines_of, record_of
from adapters.mapping.delivered import FileConnect

BOMS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
OTHER = {"utf-8": "gb18030", "gb18030": "utf-8"}
SPOILED = range(0xDC80, 0xDD00)
"""What stands for bytes that are no text (Python's `surrogateescape`)."""


class _Lines:
    """The lines as text for `csv`, which keeps the bytes of those that were taken since it was last asked."""

    def __init__(self, lines: Iterator[bytes], charset: str) -> None:
        self.lines, self.charset = lines, charset
        self.number, self.taken = 0, [b""]

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        self.taken.append(line)
        return line.decode(self.charset, "surrogateescape")

    def take(self) -> bytes:
        raw, self.taken = b"".join(self.taken), []
        return raw


def read_csv(content: BinaryIO, connect: FileConnect, header: int, first: int | None = None) -> Reading:
    """The rows below the head; `first` is what the line behind it is called, where the file is part of another.

    Raises Unreadable.
    """
    start = content.read(4)
    content.seek(0)
    charset: str = connect.charset
    if start.startswith(codecs.BOM_UTF8):
        charset = "utf-8"
        content.seek(len(codecs.BOM_UTF8))
    elif start.startswith(BOMS):
        raise Unreadable("文件是 UTF-16 编码，请另存为 UTF-8 或 GB18030 的 CSV")
    elif start.startswith(b"PK\x03\x04"):
        raise Unreadable("文件名是 CSV，内容却是 XLSX（压缩包），请改正扩展名")
    lines = _Lines(lines_of(content), charset)
    delimiter = "\t" if connect.delimiter == "tab" else connect.delimiter
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    cells = _head(reader, lines, header)
    opening = lines.take()
    names = column_names(cells, f"第 {header} 行")
    if first is not None:
        lines.number = first - 1
    hint = _hint(opening, charset, delimiter, names)
    return Reading(_rows(reader, lines, names, charset), names, opening, f"text/csv; charset={charset}", hint)


def _head(reader: Iterator[list[str]], lines: _Lines, header: int) -> list[str]:
    """The cells of the line that names the columns; what stands above it is passed over."""
    try:
        for _ in range(header - 1):
            next(lines)
        lines.take()
        return next(reader)
    except StopIteration:
        raise Unreadable(f"第 {header} 行（表头）不存在：文件只有 {lines.number} 行") from None
    except csv.Error as error:
        raise Unreadable(f"第 {header} 行（表头）不是合法的 CSV：{_told(error)}") from None


def _rows(reader: Iterator[list[str]], lines: _Lines, names: list[str], charset: str) -> Iterator[Row]:
    start = lines.number + 1
    while True:
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            span = f"第 {first} 行" if lines.number <= first else f"第 {first} 至 {lines.number} 行"
            raw = lines.take()
            shown = {"": raw.decode(charset, "replace").strip()[:2000]}
            yield Row(first, shown, raw, f"{span}不是合法的 CSV：{_told(error)}", start)
            start = lines.number + 1
            continue
        if any(cell.strip() for cell in cells):
            yield replace(_row(first, cells, names, lines.take(), charset), start=start)
            start = lines.number + 1


def _row(number: int, cells: list[str], names: list[str], raw: bytes, charset: str) -> Row:
    spoiled = [position for position, cell in enumerate(cells) if any(ord(letter) in SPOILED for letter in cell)]
    if spoiled:
        which = "、".join(f"“{names[p]}”" if p < len(names) and names[p] else f"第 {p + 1} 格" for p in spoiled[:5])
        readable = [cell.encode(charset, "surrogateescape").decode(charset, "replace") for cell in cells]
        return Row(
            number, record_of(names, readable, "")[0], raw, f"第 {number} 行：{which} 不是 {charset.upper()} 编码"
        )
    record, fault = record_of(names, cells, f"第 {number} 行")
    if fault is None and len(cells) < len(names):
        fault = f"第 {number} 行只有 {len(cells)} 格，表头有 {len(names)} 列（缺 “{names[len(cells)]}” 及以后）"
    return Row(number, record, raw, fault)


def _told(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "引号没有闭合"
    if "field larger" in text:
        return "一格的内容过长（引号可能没有闭合）"
    if "new-line" in text:
        return "行内有单独的回车符"
    return "引号之后还有别的内容" if "expected after" in text else "引号或分隔符有误"


def _hint(opening: bytes, charset: str, delimiter: str, names: list[str]) -> str:
    """What an unexpected head may come from: the other encoding, another delimiter."""
    text = opening.decode(charset, "replace")
    if len(names) == 1:
        for other, word in ((",", "逗号"), (";", "分号"), ("\t", "制表符"), ("|", "竖线")):
            if other != delimiter and other in text:
                return f"（只认出一列：分隔符可能是{word}）"
    other = OTHER[charset]
    if opening.isascii() or not _reads(opening, other) or (charset == "utf-8" and _reads(opening, charset)):
        return ""
    return f"（文件像是 {other.upper()} 编码，约定的是 {charset.upper()}）"


def _reads(content: bytes, charset: str) -> bool:
    try:
        content.decode(charset)
    except UnicodeDecodeError:
        return False
    return True
