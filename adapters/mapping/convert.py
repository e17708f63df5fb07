"""Text of a source into a value of the specification, exactly or not at all: never guessed, never rounded.

A converter takes text and returns the value, or raises ValueError with the reason (in Chinese: it goes into the issue
that the data owner reads). `printer` goes the other way, for keys and cursors.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from adapters.errors import SourceContractBroken
from adapters.json_tree import parse_json
from adapters.mapping.written import FieldForm
from schema.formats import CHINA_TIME
from schema.identifiers import check_id_no, check_uscc

FEN = {"元": 2, "万元": 6, "分": 0}
EPOCH = {"epoch_ms": 1000, "epoch_s": 1}
LARGEST_MONEY = 10**15
Converter = Callable[[str], object]


def converter(form: FieldForm) -> Converter:
    """What turns the field's text into a value, from its `as`, `format`, `zone`, `unit`, `yes` and `no`."""
    match form.as_:
        case "date":
            return lambda text: to_date(text, form.format)
        case "datetime":
            return lambda text: to_datetime(text, form.format, form.zone)
        case "money":
            return lambda text: to_fen(text, form.unit or "元")
        case "integer":
            return to_integer
        case "boolean":
            return lambda text: to_boolean(text, form.yes or ["true"], form.no or ["false"])
        case "json":
            return to_structure
        case "uscc":
            return check_uscc
        case "id_no":
            return check_id_no
        case _:
            return lambda text: text.strip()


def printer(form: FieldForm) -> Callable[[object], str] | None:
    """What writes a value as this source does; None where several texts may mean one value."""
    match form.as_:
        case None | "text" | "uscc" | "id_no" | "integer":
            return str
        case "datetime":
            return lambda value: print_moment(value, form.format, form.zone)  # type: ignore[arg-type]
        case "date" if form.format is None or "%H" not in form.format:
            return lambda value: value.strftime(form.format or "%Y-%m-%d")  # type: ignore[attr-defined]
        case _:
            return None


def to_fen(text: str, unit: str) -> int:
    """Money as written, in whole 分: `to_fen("0.2", "万元") == 200000`. Raises ValueError if it is no number or finer than a 分."""
    cleaned = text.strip().replace(",", "")
    try:
        amount = Decimal(cleaned)
    except InvalidOperation:
        raise ValueError("不是金额") from None
    if not amount.is_finite():
        raise ValueError("不是金额")
    if abs(amount) >= LARGEST_MONEY:
        raise ValueError("金额超出范围")
    fen = amount.scaleb(FEN[unit])
    if fen != fen.to_integral_value():
        raise ValueError(f"金额（{unit}）精确到了分以下，不作四舍五入")
    return int(fen)


def to_integer(text: str) -> int:
    """A whole number in ASCII digits. Raises ValueError."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text.strip()):
        raise ValueError("不是整数")
    return int(text)


def to_boolean(text: str, yes: list[str], no: list[str]) -> bool:
    """Whether the text is one of `yes`; raises ValueError when it is in neither list."""
    cleaned = text.strip()
    if cleaned in yes:
        return True
    if cleaned in no:
        return False
    raise ValueError(f"既不是 {'、'.join(yes)} 也不是 {'、'.join(no)}")


def to_structure(text: str) -> object:
    """The JSON object or list written as text, every scalar in it as its text, as in any record. Raises ValueError."""
    try:
        return parse_json(text)
    except SourceContractBroken:
        raise ValueError("不是合法的 JSON") from None


def to_date(text: str, form: str | None) -> date:
    """A calendar date in strptime's `form` (ISO when there is none; a time of day is dropped). Raises ValueError."""
    return _parse(text, form or "%Y-%m-%d").date() if form not in EPOCH else _epoch(text, str(form)).date()


def to_datetime(text: str, form: str | None, zone: str | None) -> datetime:
    """An aware instant, in China time. Without an offset in the text the field must say its `zone`. Raises ValueError."""
    if form in EPOCH:
        return _epoch(text, str(form))
    moment = datetime.fromisoformat(text.strip()) if form is None else _parse(text, form)
    if moment.tzinfo is None:
        if zone is None:
            raise ValueError("时间没有时区")
        moment = moment.replace(tzinfo=ZoneInfo(zone))
    return moment.astimezone(CHINA_TIME)


def print_moment(moment: datetime, form: str | None, zone: str | None) -> str:
    """The instant as the source writes it; parts finer than its format are dropped."""
    if form in EPOCH:
        return str(int(moment.timestamp() * EPOCH[str(form)]))
    local = moment.astimezone(ZoneInfo(zone) if zone else CHINA_TIME)
    return local.isoformat() if form is None else local.strftime(form)


def _epoch(text: str, form: str) -> datetime:
    if not re.fullmatch(r"-?[0-9]{1,14}", text.strip()):
        raise ValueError("不是时间戳")
    return datetime.fromtimestamp(int(text) / EPOCH[form], UTC).astimezone(CHINA_TIME)


def _parse(text: str, form: str) -> datetime:
    """strptime, but digits must be ASCII and fields as wide as the format says (`2024-1-5` is not `%Y-%m-%d`)."""
    cleaned = text.strip()
    try:
        moment = datetime.strptime(cleaned, form)
    except ValueError as error:
        raise ValueError(
            "没有这一天" if "out of range" in str(error) or "must be in" in str(error) else f"不合格式 {form}"
        ) from None
    if moment.strftime(form) != cleaned:
        raise ValueError(f"不合格式 {form}")
    return moment
