"""The rows of a data dictionary's sheets by the titles of their columns, and why cells were refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from schema.dictionary.sheets import (
    GUIDE,
    HEAD_WORDS,
    SHEETS,
    STAR,
    YES,
    Column,
)
from schema.dictionary.xlsx import Given, Place
from schema.problems import did_you_mean
from schema.words import NEEDS, SENSITIVITIES, STATUSES

HEADER_ROW = 1
CHOICES: Mapping[str, Mapping[str, str]] = {
    "need": {name: word for word, name in NEEDS.items()},
    "sensitivity": {name: word for word, name in SENSITIVITIES.items()},
    "status": {name: word for word, name in STATUSES.items()},
    "core": {STAR: "true"},
    "unindexed": {YES: "true"},
    "many": {YES: "true"},
    "carried": {YES: "true"},
    "no_successor": {YES: "true"},
}
DATES = ("effective_from", "effective_to", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A cell that could not be taken: prints as `数据元!F12：“值”：原因`."""

    place: Place
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}：" + (f"“{self.value}”：" if self.value else "") + self.reason


@dataclass(slots=True)
class Row:
    """One row by the titles of its columns: what is meant, what stands there, where, and what was refused."""

    place: Place
    texts: dict[str, str] = field(default_factory=dict)
    given: dict[str, str] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)

    def at(self, word: str) -> Place:
        """Where the value of a column stands, or would."""
        return self.places.get(word, self.place)


@dataclass(slots=True)
class Reading:
    """The rows of all sheets and what was refused so far."""

    sheets: dict[str, list[Row]] = field(default_factory=dict)
    refusals: set[Refusal] = field(default_factory=set)

    def refuse(self, place: Place, value: object, reason: str) -> None:
        """Record a cell that cannot be taken."""
        self.refusals.add(Refusal(place, str(value), reason))


def give_reason(what: str, suggestion: str) -> str:
    """A reason with its suggestion, if there is one."""
    return f"{what} — {suggestion}" if suggestion else what


def read_rows(workbook: Mapping[str, Sequence[Sequence[Given]]]) -> Reading:
    """The rows of every sheet of the dictionary, columns in any order, with every cell refused that is not plain text."""
    reading = Reading()
    for title in workbook.keys() - SHEETS.keys():
        reading.refuse(Place(title, 0, 0), "", give_reason("不认识的工作表，不会被采用", did_you_mean(title, SHEETS)))
    for title, columns in SHEETS.items():
        reading.sheets[title] = []
        if title not in workbook:
            reading.refuse(Place(title, 0, 0), "", "缺少这个工作表")
        elif not workbook[title]:
            reading.refuse(Place(title, 0, 0), "", "工作表是空的，应有表头")
        else:
            _read_rows(title, columns, workbook[title], reading)
    _check_derived(reading)
    return reading


def _read_rows(title: str, columns: Sequence[Column], given: Sequence[Sequence[Given]], reading: Reading) -> None:
    by_number = _read_header(title, columns, given[0], reading)
    for cells in given[1:]:
        number = cells[0].place.row
        row = Row(Place(title, number, 1), {}, {}, {c.title: Place(title, number, n) for n, c in by_number.items()})
        for cell in cells:
            column = by_number.get(cell.place.column)
            if column is None:
                reading.refuse(cell.place, cell.value, "这一列没有认识的表头，不会被采用")
                continue
            row.given[column.title] = str(cell.value)
            text = _text_of(cell, column, reading)
            if text is None:
                row.refused.add(column.title)
            else:
                row.texts[column.title] = text
        reading.sheets[title].append(row)


def _read_header(title: str, columns: Sequence[Column], cells: Sequence[Given], reading: Reading) -> dict[int, Column]:
    known = {column.title: column for column in columns}
    found: dict[int, Column] = {}
    for cell in cells:
        if cell.place.row != HEADER_ROW:
            reading.refuse(cell.place, cell.value, f"表头应在第 {HEADER_ROW} 行")
        elif cell.value not in known:
            reading.refuse(cell.place, cell.value, give_reason("不认识的列", did_you_mean(str(cell.value), known)))
        elif known[cell.value] in found.values():
            reading.refuse(cell.place, cell.value, "这一列出现了两次")
        else:
            found[cell.place.column] = known[cell.value]
    for column in columns:
        if column not in found.values():
            reading.refuse(Place(title, HEADER_ROW, len(cells) + 1), "", f"缺少“{column.title}”列")
    return found


def _text_of(cell: Given, column: Column, reading: Reading) -> str | None:
    value = cell.value
    match cell.kind:
        case "text" if value != value.strip():
            reading.refuse(cell.place, value, "首尾有空白")
        case "text" if column.word in CHOICES:
            choices = CHOICES[column.word]
            if value in choices:
                return choices[value]
            reading.refuse(
                cell.place, value, f"应为 {'、'.join(choices)}" + ("，或者空着" if len(choices) == 1 else "")
            )
        case "text":
            return str(value)
        case "date" if column.word in DATES and _is_day(value):
            return date(value.year, value.month, value.day).isoformat()
        case "date":
            reading.refuse(cell.place, value, "日期单元格；请设为文本")
        case "number":
            reading.refuse(cell.place, value, "数字单元格，可能已丢失前导零；请设为文本")
        case "formula":
            reading.refuse(cell.place, value, "公式；请改为它的值")
        case "bool":
            reading.refuse(cell.place, value, "逻辑值单元格；请设为文本")
        case _:
            reading.refuse(cell.place, value, "错误值")
    return None


def _is_day(value: object) -> bool:
    return value.time() == time() if isinstance(value, datetime) else isinstance(value, date)


def _check_derived(reading: Reading) -> None:
    """Columns that only repeat another sheet must say what it says, and the guide what it always says."""
    titles = {row.texts.get("实体"): row.texts.get("中文名", "") for row in reading.sheets["实体"]}
    tables = {row.texts.get("代码表"): row.texts.get("中文名", "") for row in reading.sheets["代码表"]}
    for title, of, named, repeated in (
        ("数据元", titles, "实体", "实体中文名"),
        ("关系", titles, "实体", "实体中文名"),
        ("代码", tables, "代码表", "代码表中文名"),
    ):
        for row in reading.sheets[title]:
            said, right = row.texts.get(repeated), of.get(row.texts.get(named))
            if said is not None and right is not None and said != right:
                reading.refuse(row.at(repeated), said, f"此列只供阅读，“{named}”表中是“{right}”")
    for row in reading.sheets["说明"]:
        item, value = row.texts.get("项目", ""), row.texts.get("内容", "")
        if item in GUIDE and value != GUIDE[item]:
            reading.refuse(row.at("内容"), value, "这一行只供阅读，改动不会被采用")
        elif item not in GUIDE and item not in HEAD_WORDS:
            reading.refuse(row.at("项目"), item, "不认识的项目，不会被采用")
