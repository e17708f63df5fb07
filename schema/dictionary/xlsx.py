"""Writes tables of text to a workbook that reads well, and reads the cells of a workbook that may be anything."""

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.cell.cell import Cell, MergedCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.header_footer import HeaderFooterItem
from openpyxl.worksheet.properties import PageSetupProperties
from openpyxl.worksheet.worksheet import Worksheet

from schema.dictionary.sheets import Column, Sheet

LARGEST_FILE, LARGEST_CONTENT, MOST_PARTS = 16 * 2**20, 128 * 2**20, 300
LONGEST_CELL = 32767
TEXT_FORMAT = "@"
MADE = datetime(2000, 1, 1)
MADE_AT = rb"\g<1>2000-01-01T00:00:00Z"
"""Two exports of the same specification are the same file: nothing in it says when it was made."""

HEAD_FILL, DERIVED_FILL, BAND_FILL = (PatternFill("solid", fgColor=c) for c in ("1F4E79", "EFEFEF", "EEF4FB"))
LINE = Side(style="thin", color="BFBFBF")
BORDER = Border(LINE, LINE, LINE, LINE)
FONT = "微软雅黑"
PAGE_WIDTH = 210
"""How many letters of a table fit on one printed page."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A cell: prints as `数据元!F12`. Row 0 is the sheet itself."""

    sheet: str
    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.sheet}!{get_column_letter(self.column)}{self.row}" if self.row else self.sheet


@dataclass(frozen=True, slots=True)
class Given:
    """What stands in a cell: `kind` is text, number, date, bool, formula or error."""

    place: Place
    kind: str
    value: Any


class Unreadable(Exception):
    """The file is no workbook that may be read; says why."""


def write_workbook(sheets: Sequence[Sheet]) -> bytes:
    """An XLSX file of the sheets: every cell text, head frozen and filtered, columns wide enough, choices as lists."""
    book = openpyxl.Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    book.properties.creator, book.properties.title = "gateway spec export", "数据字典"
    book.properties.created = book.properties.modified = MADE
    for sheet in sheets:
        _write(book.create_sheet(sheet.title), sheet)
    made = io.BytesIO()
    book.save(made)
    return _undated(made.getvalue())


def _write(page: Worksheet, sheet: Sheet) -> None:
    for number, column in enumerate(sheet.columns, start=1):
        page.column_dimensions[get_column_letter(number)].width = column.width
        page.column_dimensions[get_column_letter(number)].number_format = TEXT_FORMAT
        _fill(page.cell(1, number), column.title, Font(FONT, bold=True, color="FFFFFF", size=10), HEAD_FILL)
    band, group = False, None
    for row, values in enumerate(sheet.rows, start=2):
        if (named := _group(sheet.columns, values)) != group:
            band, group = not band, named
        for number, (column, value) in enumerate(zip(sheet.columns, values, strict=True), start=1):
            font = Font(FONT, size=10, color="000000" if column.word else "7F7F7F")
            fill = BAND_FILL if band and group is not None else None
            _fill(page.cell(row, number), value, font, fill if column.word else DERIVED_FILL)
        page.row_dimensions[row].height = _height(sheet.columns, values)
    page.row_dimensions[1].height = 20
    page.freeze_panes = page.cell(2, _frozen(sheet.columns) + 1).coordinate
    page.auto_filter.ref = page.dimensions
    _add_choices(page, sheet)
    _set_up_print(page, sheet)


def _group(columns: Sequence[Column], values: Sequence[str]) -> str | None:
    """What a row belongs to, in the sheets whose rows belong to something else: entity or code table."""
    if all(column.word for column in columns):
        return None
    return next(value for column, value in zip(columns, values, strict=True) if column.word in ("entity", "table"))


def _set_up_print(page: Worksheet, sheet: Sheet) -> None:
    """A3 across, three pages wide for the widest table, with its head and what names a row on each page."""
    page.page_setup.orientation, page.page_setup.paperSize = "landscape", page.PAPERSIZE_A3
    page.page_setup.fitToWidth = 1 + sum(column.width for column in sheet.columns) // PAGE_WIDTH
    page.page_setup.fitToHeight = 0
    page.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
    page.print_title_rows = "1:1"
    page.print_title_cols = f"A:{get_column_letter(_frozen(sheet.columns))}"
    page.page_margins.left = page.page_margins.right = 0.4
    footer = HeaderFooterItem()
    footer.center.text = "&A　第 &P 页，共 &N 页"
    page.oddFooter = footer


def _fill(cell: Cell | MergedCell, value: str, font: Font, fill: PatternFill | None) -> None:
    if len(value) > LONGEST_CELL:
        raise ValueError(f"{cell.coordinate}: 超过一格能容纳的 {LONGEST_CELL} 字符")
    assert isinstance(cell, Cell)
    cell.value = value or None
    if value:
        cell.data_type = "s"  # a text that begins with = is no formula
    cell.number_format, cell.font, cell.border = TEXT_FORMAT, font, BORDER
    cell.quotePrefix = value[:1] in ("=", "+", "-", "@") if value else False
    cell.alignment = Alignment(wrap_text=True, vertical="center")
    if fill:
        cell.fill = fill


def _height(columns: Sequence[Column], values: Sequence[str]) -> float:
    """Room for the tallest cell. A Chinese character is as wide as two letters."""
    lines = [
        sum(1 + max(_letters(line) - 1, 0) // column.width for line in value.split("\n"))
        for column, value in zip(columns, values, strict=True)
        if value
    ]
    return 15.0 * max(lines, default=1) + 3


def _letters(line: str) -> int:
    return sum(2 if ord(letter) > 255 else 1 for letter in line)


def _frozen(columns: Sequence[Column]) -> int:
    """How many columns stay in sight: up to the one that names the row, unless the table is narrow."""
    if len(columns) < 10:
        return 1
    return next(number for number, column in enumerate(columns, start=1) if column.word == "title")


def _add_choices(page: Worksheet, sheet: Sheet) -> None:
    for number, column in enumerate(sheet.columns, start=1):
        if column.choices:
            rule = DataValidation("list", formula1=f'"{",".join(column.choices)}"', allow_blank=True)
            rule.error, rule.errorTitle, rule.showErrorMessage = "请从列表中选择", column.title, True
            letter = get_column_letter(number)
            rule.add(f"{letter}2:{letter}{len(sheet.rows) + 500}")
            page.add_data_validation(rule)


def _undated(content: bytes) -> bytes:
    """The same archive with the same date on every part."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            info = zipfile.ZipInfo(part.filename, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", MADE_AT, old.read(part)))
    return made.getvalue()


def read_workbook(file: Path) -> Mapping[str, Sequence[Sequence[Given]]]:
    """The cells of each sheet that hold something, row by row. Raises Unreadable for what is no honest workbook."""
    _check_archive(file)
    try:
        book = openpyxl.load_workbook(file, read_only=True)
        return {page.title: list(_rows(page)) for page in book.worksheets}
    except Exception as error:  # openpyxl raises whatever a broken part makes it stumble over
        raise Unreadable(f"不是完好的 XLSX 文件：{type(error).__name__} {error}") from error


def _check_archive(file: Path) -> None:
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise Unreadable(f"文件超过 {LARGEST_FILE // 2**20} MB")
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > LARGEST_CONTENT:
                raise Unreadable(f"解压后过大（上限 {LARGEST_CONTENT // 2**20} MB、{MOST_PARTS} 个部件）")
            for part in parts:
                if _declares_entities(archive.read(part)):
                    raise Unreadable(f"{part.filename} 含有 DOCTYPE 声明")
    except OSError as error:
        raise Unreadable(f"无法读取：{error.strerror}") from error
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise Unreadable("不是 XLSX 文件，或者已加密、已损坏") from error


def _declares_entities(content: bytes) -> bool:
    """Whether an XML part could define entities, which blow up; in no encoding an honest workbook does."""
    return b"<!DOCTYPE" in content.replace(b"\0", b"").upper()


def _rows(page: Any) -> Iterator[list[Given]]:
    page.reset_dimensions()
    for row in page.iter_rows():
        given = [_given(page.title, cell) for cell in row if cell.value is not None]
        if given:
            yield given


def _given(sheet: str, cell: Any) -> Given:
    kinds = {"s": "text", "inlineStr": "text", "str": "text", "n": "number", "d": "date", "b": "bool", "f": "formula"}
    kind = kinds.get(cell.data_type, "error")
    return Given(Place(sheet, cell.row, cell.column), kind, cell.value)
