"""XLSX of agencies, row by row: only plain cells are taken; formulas, errors, merged cells and lost digits are told by name."""

import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils import get_column_letter, range_boundaries
from openpyxl.utils.exceptions import InvalidFileException

from adapters.file_rows import MOST_COLUMNS, Reading, Row, Unreadable, column_names, kept_row, record_of
from adapters.mapping.delivered import Layout

MOST_PARTS = 2000
LARGEST_IN_MEMORY = 64 * 1024 * 1024
"""Bytes of the parts that have to be read whole: shared texts, styles, the list of sheets."""
HIGHEST_RATIO = 200
"""How many times larger a part may unpack; from this size on. Sheets of real tables stay below 40."""
SMALL = 8 * 1024 * 1024
CHUNK = 256 * 1024
MERGED = re.compile(rb'<(?:\w+:)?mergeCell\s[^>]*?ref="([A-Z]+[0-9]+:[A-Z]+[0-9]+)"')
MOST_MERGED = 10_000
EXACT_DIGITS = 15
"""Digits that a number in a cell keeps."""


@dataclass(frozen=True, slots=True)
class _Merged:
    """Merged cells: rows that are touched -> columns from and to, both inclusive."""

    ranges: list[tuple[int, int, int, int]] = field(default_factory=list)

    def at(self, row: int) -> list[tuple[int, int]]:
        return [(left, right) for top, bottom, left, right in self.ranges if top <= row <= bottom]


@contextmanager
def read_xlsx(file: Path, layout: Layout, most_bytes: int, formats: Mapping[str, str]) -> Iterator[Reading]:
    """The rows of a sheet below its head; `formats`: column -> how dates are to be written. Raises Unreadable."""
    parts = _check_archive(file, most_bytes)
    with ExitStack() as stack:
        try:
            content = stack.enter_context(file.open("rb"))  # by its name openpyxl would judge it
            book = openpyxl.load_workbook(content, read_only=True, keep_links=False)
            stack.callback(book.close)
            page = _sheet(book, layout.sheet)
            merged = _merged(file, str(page._worksheet_path).lstrip("/"), parts)
            page.reset_dimensions()
            rows = page.iter_rows(max_col=MOST_COLUMNS + 1)
            names = _head(rows, layout.header)
        except _BROKEN as error:
            raise Unreadable(f"不是完好的 XLSX 文件（{type(error).__name__}）") from error
        yield Reading(_told(_rows(rows, names, layout.header, merged, formats)), names)


_BROKEN = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    SyntaxError,
    EOFError,
    zipfile.BadZipFile,
    RuntimeError,
    NotImplementedError,
    AssertionError,
    OverflowError,
    InvalidFileException,
)
"""What openpyxl stumbles over in a workbook that is broken."""


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows; a part that turns out to be broken half-way is Unreadable as well."""
    number = 0
    while True:
        try:
            row = next(rows, None)
        except _BROKEN as error:
            raise Unreadable(f"XLSX 文件在第 {number} 行之后损坏（{type(error).__name__}）") from error
        if row is None:
            return
        number = row.number
        yield row


def _check_archive(file: Path, most_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """The parts of the workbook, none of which is a bomb. `zipfile` never unpacks more of a part than it declares."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = {part.filename.lstrip("/"): part for part in archive.infolist()}
            whole = [part for name, part in parts.items() if "/worksheets/" not in f"/{name}" and "/media/" not in name]
            unpacked = sum(part.file_size for part in parts.values())
            if len(parts) > MOST_PARTS or unpacked > most_bytes:
                raise Unreadable(f"解压后过大：{unpacked} 字节、{len(parts)} 个部件（上限 {most_bytes}、{MOST_PARTS}）")
            if sum(part.file_size for part in whole) > LARGEST_IN_MEMORY:
                raise Unreadable(f"共享文字和样式解压后超过 {LARGEST_IN_MEMORY // 1024**2} MB，请分成几个文件")
            for name, part in parts.items():
                if part.file_size > SMALL and part.file_size > HIGHEST_RATIO * max(1, part.compress_size):
                    raise Unreadable(f"{name} 解压后是压缩时的 {HIGHEST_RATIO} 倍以上，疑为压缩炸弹")
                if name.endswith((".xml", ".rels")):
                    _check_part(archive, part)
            if "xl/workbook.xml" not in parts:
                raise Unreadable("不是 XLSX 文件（压缩包里没有工作簿）")
            return parts
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise Unreadable("不是 XLSX 文件，或者已加密、已损坏") from error


def _check_part(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> None:
    """No entities, which blow up, and no text so long that it alone would fill the memory."""
    before = b""
    with archive.open(part) as content:
        while chunk := content.read(CHUNK):
            clean = (before + chunk).replace(b"\0", b"").upper()
            if b"<!DOCTYPE" in clean:
                raise Unreadable(f"{part.filename} 含有 DOCTYPE 声明")
            if len(chunk) == CHUNK and b"<" not in chunk:
                raise Unreadable(f"{part.filename} 中一格的内容过长")
            before = chunk[-32:]


def _sheet(book: Any, wanted: str | None) -> Any:
    titles = [page.title for page in book.worksheets]
    if wanted is not None:
        found = [page for page in book.worksheets if page.title.strip() == wanted]
        if not found:
            raise Unreadable(f"没有工作表 “{wanted}”（有：{'、'.join(titles)}）")
        return found[0]
    shown = [page for page in book.worksheets if page.sheet_state == "visible"]
    if len(shown) != 1:
        raise Unreadable(f"有 {len(shown)} 个工作表（{'、'.join(titles)}），映射没有写 sheet，不能确定是哪一个")
    return shown[0]


def _merged(file: Path, name: str, parts: Mapping[str, zipfile.ZipInfo]) -> _Merged:
    """The merged cells of a sheet, which stand behind its rows."""
    merged, before = _Merged(), b""
    with zipfile.ZipFile(file) as archive, archive.open(parts[name]) as content:
        while chunk := content.read(CHUNK):
            text = before + chunk
            found = list(MERGED.finditer(text))
            for match in found:
                left, top, right, bottom = range_boundaries(match[1].decode())
                merged.ranges.append((top, bottom, left, right))  # type: ignore[arg-type]
            if len(merged.ranges) > MOST_MERGED:
                raise Unreadable(f"合并单元格超过 {MOST_MERGED} 处")
            before = text[max(found[-1].end() if found else 0, len(text) - 256) :]
    return merged


def _head(rows: Iterator[Any], header: int) -> list[str]:
    cells: Any = ()
    for number in range(1, header + 1):
        cells = next(rows, None)
        if cells is None:
            raise Unreadable(f"第 {header} 行（表头）不存在：工作表只有 {number - 1} 行")
    return column_names([None if c.value is None else str(c.value) for c in cells], f"第 {header} 行")


def _rows(
    rows: Iterator[Any], names: list[str], header: int, merged: _Merged, formats: Mapping[str, str]
) -> Iterator[Row]:
    for number, cells in enumerate(rows, header + 1):
        if all(cell.value is None for cell in cells):
            continue
        texts: list[str | None] = []
        faults: list[str] = []
        for position, cell in enumerate(cells):
            name = names[position] if position < len(names) else ""
            text, fault = _text(cell, formats.get(name))
            texts.append(text)
            if fault:
                faults.append(f"“{name or get_column_letter(position + 1)}” {fault}")
        for left, right in merged.at(number):
            which = "、".join(f"“{name}”" for name in names[left - 1 : right])
            faults.append(f"{which or get_column_letter(left)} 在合并单元格内，请取消合并、逐行填写")
        record, beyond = record_of(names, texts, f"第 {number} 行")
        fault = beyond if not faults else f"第 {number} 行：" + "；".join(faults)
        yield kept_row(number, record, fault)


def _text(cell: Any, form: str | None) -> tuple[str | None, str | None]:
    """What stands in a cell, as text, and why it cannot be taken."""
    value = cell.value
    if value is None:
        return None, None
    if cell.data_type == "f":
        return str(value), "是公式，请粘贴为值"
    if cell.data_type == "e":
        return str(value), f"是错误值 {value}"
    match value:
        case bool():
            return "TRUE" if value else "FALSE", None
        case int() | float():
            return _number(value)
        case datetime() | date():
            return _moment(value, form), None
        case time() | timedelta():
            return str(value), None
    return str(value), None


def _number(value: float) -> tuple[str, str | None]:
    """The digits that Excel shows: a sum such as 0.1 + 0.2 is kept by it as 0.30000000000000004."""
    text = str(value) if isinstance(value, int) else format(value, f".{EXACT_DIGITS}g")
    if abs(value) >= 10**EXACT_DIGITS and value != float("inf"):
        text = str(int(value))
        return text, f"是 {len(text.lstrip('-'))} 位的数值，Excel 只保留 {EXACT_DIGITS} 位，请把这一列设为文本"
    return text, "是过小的数值，请把这一列设为文本" if "e" in text or "n" in text else None


def _moment(value: datetime | date, form: str | None) -> str:
    """A date as the mapping says dates are written in this column, where nothing is lost by that; else as ISO writes it."""
    if form is not None:
        with suppress(ValueError):
            text = value.strftime(form)
            back = datetime.strptime(text, form)
            if back == value or (not isinstance(value, datetime) and back.date() == value):
                return text
    if isinstance(value, datetime) and value.time() != time():
        return value.isoformat(sep=" ")
    return f"{value:%Y-%m-%d}"
