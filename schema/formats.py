"""Data element formats (表示格式): `C18`, `C..200`, `N..3`, `N4`, `D10`, `DT`, `B`, `Money`, `J` (a
JSON object or list), `URI`; with `[]` a list of them.

Lengths count characters, not bytes (domain/data_elements.md): 𠮷 is one, and a combining accent or a variation selector
belongs to the character before it. `C6|C9` allows either length.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Literal

from schema.identifiers import check_id_no, check_uscc, doubt_uscc

Kind = Literal["text", "number", "date", "datetime", "boolean", "money", "structure"]
UNSTORABLE = re.compile("[\0\ufffd\ud800-\udfff]")
"""NUL, the mark of a failed decoding, and halves of surrogate pairs: no database keeps them as they are."""
MARKS = re.compile(
    "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f\u3099\u309a"
    "\ufe00-\ufe0f\ufe20-\ufe2f\U000e0100-\U000e01ef]"
)
"""Combining marks and variation selectors: part of the character they follow."""
LONGEST_URI = 2000
CHINA_TIME = timezone(timedelta(hours=8), "Asia/Shanghai")
CHECKS: dict[str, Callable[[str], str]] = {"uscc": check_uscc, "id_no": check_id_no}
"""Named checks an element may ask for; each returns the value in its normal form or raises ValueError."""
DOUBTS: dict[str, Callable[[str], str | None]] = {"uscc": doubt_uscc}
"""What a named check cannot refuse and still has to point out: the value stands, the reason becomes a warning."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a value of an element looks like. `lengths` are the allowed numbers of characters or digits."""

    text: str
    kind: Kind
    lengths: range | tuple[int, ...] = ()
    many: bool = False

    @property
    def longest(self) -> int | None:
        """The largest of `lengths`, None when there are none."""
        if isinstance(self.lengths, range) and self.lengths.step == 1:
            return self.lengths.stop - 1
        return max(self.lengths, default=None)


def parse_format(text: str) -> Format:
    """The format written as `text`. Raises ValueError when it is none."""
    many = text.endswith("[]")
    body = text.removesuffix("[]")
    simple: dict[str, Kind] = {"D10": "date", "DT": "datetime", "B": "boolean", "Money": "money", "J": "structure"}
    if body in simple:
        return Format(text, simple[body], many=many)
    if body == "URI":
        return Format(text, "text", range(1, LONGEST_URI + 1), many)
    if match := re.fullmatch(r"([CN])\.\.([1-9]\d*)", body):
        return Format(text, _kind(match[1]), range(1, int(match[2]) + 1), many)
    if re.fullmatch(r"([CN])([1-9]\d*)(\|\1[1-9]\d*)*", body):
        return Format(text, _kind(body[0]), tuple(int(part[1:]) for part in body.split("|")), many)
    raise ValueError(f"不认识的格式 “{text}”（例：C18、C..200、N..3、D10、DT、B、Money、J、URI，列表加 []）")


def _kind(letter: str) -> Kind:
    return "text" if letter == "C" else "number"


def check_value(form: Format, value: object) -> None:
    """Accept one value of the element (not the list), or raise ValueError saying what is wrong with it."""
    match form.kind:
        case "text":
            _expect(isinstance(value, str), "应为文本")
            assert isinstance(value, str)
            _expect(not UNSTORABLE.search(value), "含有无法保存的字符")
            if not (isinstance(form.lengths, range) and len(value) in form.lengths):  # marks only make it shorter
                _check_length(form, characters_in(value), "字符")
        case "number":
            _expect(isinstance(value, int) and not isinstance(value, bool), "应为整数")
            _check_length(form, len(str(abs(value))), "位数字")  # type: ignore[arg-type]
        case "money":
            _expect(isinstance(value, int) and not isinstance(value, bool), "应为整数分")
            _expect(abs(value) < 2**63, "金额超出可保存的范围")  # type: ignore[arg-type]
        case "date":
            _expect(isinstance(value, date) and not isinstance(value, datetime), "应为日期")
        case "datetime":
            _expect(isinstance(value, datetime) and value.tzinfo is not None, "应为带时区的时间")
        case "boolean":
            _expect(isinstance(value, bool), "应为是或否")
        case "structure":
            _expect(isinstance(value, (dict, list)), "应为 JSON 对象或列表")
            _expect(not any(UNSTORABLE.search(text) for text in _texts_in(value)), "含有无法保存的字符")


def characters_in(text: str) -> int:
    """How many characters a reader sees: `characters_in("𠮷") == characters_in("e\u0301") == 1`."""
    return len(text) - len(MARKS.findall(text)) if not text.isascii() else len(text)


def _texts_in(value: object) -> Iterator[str]:
    """Every text in a JSON value, names of members included."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as members:
                waiting += [*members, *members.values()]
            case list() as items:
                waiting += items


def _check_length(form: Format, length: int, unit: str) -> None:
    if length not in form.lengths:
        raise ValueError(f"长度 {length} {unit}，格式要求 {form.text.removesuffix('[]')}")


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def print_money(fen: int) -> str:
    """Whole 分 as 元 with exactly two decimals: `print_money(20001) == "200.01"`."""
    if fen >= 0:
        return f"{fen // 100}.{fen % 100:02d}"
    return f"-{-fen // 100}.{-fen % 100:02d}"


def print_datetime(moment: datetime) -> str:
    """An aware instant as `YYYY-MM-DDThh:mm:ss+08:00` (GB/T 7408), with milliseconds only when there are some."""
    local = moment if moment.tzinfo is CHINA_TIME else moment.astimezone(CHINA_TIME)
    there = local.replace(tzinfo=None)  # asking the zone for what is known costs as much as the rest
    if not there.microsecond:
        return there.isoformat() + "+08:00"
    return there.isoformat(timespec="milliseconds" if there.microsecond >= 1000 else "seconds") + "+08:00"
