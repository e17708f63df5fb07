"""What must hold of the code tables of a specification: names, uniqueness, dates and successors."""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from schema.problems import Path
from schema.shape import CAMEL, SNAKE, UPPER, WrittenCode, WrittenCodes
from schema.written import Document

FOREVER = date.max
UNPRINTABLE = re.compile("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufffe\\uffff]|_x[0-9A-Fa-f]{4}_")
Table = tuple[WrittenCodes, Document]


def check_codes(written: WrittenCodes, document: Document) -> None:
    """Tell every mistake within one code table."""
    check_name(document, ("codes",), written.codes, SNAKE, " snake_case 名称")
    if written.type is not None:
        check_name(document, ("type",), written.type, CAMEL, " CamelCase 名称")
    if not written.version:
        document.problem(("version",), "必须填写", "值域的版本")
    if written.judged_length and written.type:
        document.problem(("judged_length",), "枚举（有 type）的代码表没有更长的代码")
    if written.foreign_prefixes and not written.judged_length and not document.is_repaired(("judged_length",)):
        document.problem(("foreign_prefixes",), "只与 judged_length 同用")
    if not written.members:
        document.problem(("members",), "代码表没有代码")
    for member, code in written.members.items():
        check_name(document, ("members", member), member, UPPER, " UPPER_CASE 成员名或区划代码")
        if written.type and member.isdigit():
            document.problem(("members", member), "枚举成员名不能是数字")
        path = ("members", member)
        check_dates(document, path, code.valid_from, code.valid_to, ("valid_from", "valid_to"))
        _check_retired(code, path, document)
    _check_unique_codes(written, document)
    _check_successors(written, document)


def check_name(document: Document, path: Path, name: str, pattern: str, what: str) -> None:
    """Tell a name that is not written as its kind is."""
    if not re.fullmatch(pattern, name):
        document.problem(path, f"“{name}” 不是{what}")


def check_texts(document: Document) -> None:
    """Tell texts that a spreadsheet could not hold as they are: control characters, and blanks at either end."""
    waiting: list[tuple[Path, Any]] = [((), document.tree)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), item) for index, item in enumerate(value)]
        elif isinstance(value, str) and UNPRINTABLE.search(value):
            document.problem(path, "含有控制字符或 _xHHHH_ 形式的转义")
        elif isinstance(value, str) and value != value.strip():
            document.problem(path, "首尾有空白")


def check_dates(
    document: Document, path: Path, first: str | None, last: str | None, words: tuple[str, str] = ("from", "to")
) -> None:
    """Tell dates that are none, and a last day before the first one."""
    for text, word in ((first, words[0]), (last, words[1])):
        if text is not None and read_date(text) is None:
            document.problem((*path, word), f"“{text}” 不是日期", "写作 YYYY-MM-DD")
    start, end = read_date(first), read_date(last)
    if start and end and start > end:
        document.problem((*path, words[1]), "失效日期早于生效日期")


def read_date(text: str | None) -> date | None:
    """The date written as `YYYY-MM-DD`, or None."""
    if text is None or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def value_of(member: str, code: WrittenCode) -> str:
    """The code of a member: its own, or the member's name."""
    return code.code or member


def find_cycles(leads_to: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """The groups of names that lead to each other in a circle, each sorted; a name that leads to itself is one."""
    reached = {name: _reach(name, leads_to) for name in leads_to}
    circles = {
        tuple(sorted(other for other in reached[name] if name in reached.get(other, ())))
        for name in leads_to
        if name in reached[name]
    }
    return sorted(circles)


def _reach(start: str, leads_to: Mapping[str, Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(leads_to[start])
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting.extend(leads_to.get(name, ()))
    return found


def _check_retired(code: WrittenCode, path: Path, document: Document) -> None:
    if code.successors and code.no_successor:
        document.problem((*path, "no_successor"), "写了承接代码，又说没有承接")
    elif code.valid_to is None and (code.successors or code.no_successor):
        word = "successors" if code.successors else "no_successor"
        document.problem((*path, word), "没有失效日期的代码不能有承接", "补写 valid_to")
    elif code.valid_to is not None and not code.successors and not code.no_successor:
        document.problem(
            (*path, "valid_to"), "停用的代码没有承接代码", "写 successors: [代码]，确无承接时写 no_successor: true"
        )


def _check_unique_codes(written: WrittenCodes, document: Document) -> None:
    by_code: dict[str, str] = {}
    by_title: dict[str, str] = {}
    for member, code in written.members.items():
        path, value = ("members", member), value_of(member, code)
        if value in by_code:
            other = written.members[by_code[value]]
            dated = code.valid_from or code.valid_to or other.valid_from or other.valid_to
            how = ("，有效期重叠" if _overlap(code, other) else "，停用的代码不得改派") if dated else ""
            document.problem(path, f"代码 “{value}” 与 {by_code[value]} 重复{how}")
        by_code.setdefault(value, member)
        if code.valid_to is None and code.title:
            if code.title in by_title:
                document.problem((*path, "title"), f"含义 “{code.title}” 与 {by_title[code.title]} 重复")
            by_title.setdefault(code.title, member)


def _overlap(one: WrittenCode, other: WrittenCode) -> bool:
    starts = [read_date(code.valid_from) or date.min for code in (one, other)]
    ends = [read_date(code.valid_to) or FOREVER for code in (one, other)]
    return max(starts) <= min(ends)


def _check_successors(written: WrittenCodes, document: Document) -> None:
    by_code = {value_of(member, code): (member, code) for member, code in written.members.items()}
    for member, code in written.members.items():
        for index, successor in enumerate(code.successors):
            path = ("members", member, "successors", index)
            if successor not in by_code:
                document.unknown(path, successor, "承接代码不在本表中：", by_code)
                continue
            end, start = read_date(code.valid_to), read_date(by_code[successor][1].valid_from)
            if end and start and start <= end:
                document.problem(path, f"承接代码 “{successor}” 自 {start} 生效，与本代码（至 {end}）的有效期重叠")
    succession = {value: code.successors for value, (_, code) in by_code.items()}
    for circle in find_cycles(succession):
        member = by_code[circle[0]][0]
        document.problem(("members", member, "successors"), f"承接成环：{' → '.join((*circle, circle[0]))}")
