"""How a value of ours is written into a filter of a source: code maps backwards, dates and money in its own form.

A filter may let through more than was meant, since every record is looked at again; it may never leave one out. So what
cannot be said exactly is said wider (a day as its first and last moment) or not at all.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from adapters.mapping.convert import EPOCH, FEN, print_moment
from adapters.mapping.written import FieldForm
from schema.formats import CHINA_TIME
from schema.registry import Element

OTHERWISE = ("issue", "quarantine")
TIMES = re.compile(r"%[HIMSfpcX]")
ORDERED = re.compile(r"%Y\D*%m\D*%d(\D*%H(\D*%M(\D*%S(\D*%f)?)?)?)?\D*")
"""Formats whose texts are in the order of the days they stand for."""
Write = Callable[[str, Any], tuple[str, ...] | None]


def operators_for(element: Element, is_coded: bool) -> tuple[str, ...]:
    """The comparisons that make sense for an element; `is_coded` when its values are members of a code table."""
    if element.format.kind == "boolean":
        return ("eq",)
    if is_coded:
        return ("eq", "in")
    return ("eq", "in", "prefix", "contains") if element.format.kind == "text" else ("eq", "in", "gte", "lte")


def writer(form: FieldForm, codes: Mapping[str, str] | None, stamp: str | None) -> Write:
    """What writes values of a field into filters; `codes` is its code map, `stamp` the form of its dates in filters."""
    written = stamp or form.format
    if codes is not None:
        return _codes(codes)
    match form.as_:
        case "date":
            return lambda operator, value: _day(operator, value, written)
        case "datetime":
            return lambda _, value: (print_moment(value, written, form.zone),)
        case "money":
            return lambda _, value: (to_money(value, form.unit or "元"),)
        case "boolean":
            return lambda _, value: tuple((form.yes or ["true"]) if value else (form.no or ["false"]))
        case _:
            return lambda _, value: (str(value),)


def to_money(fen: int, unit: str) -> str:
    """Whole 分 in the unit, digit for digit: `to_money(1050, "万元") == "0.001050"`."""
    return f"{Decimal(fen).scaleb(-FEN[unit]):f}"


def _codes(codes: Mapping[str, str]) -> Write:
    otherwise = codes.get("otherwise", "issue")

    def write(_operator: str, member: Any) -> tuple[str, ...] | None:
        if member == otherwise and otherwise not in OTHERWISE:
            return None  # whatever code is not listed means it: there is no end to them
        return tuple(code for code, means in codes.items() if means == member and code != "otherwise")

    return write


def _day(operator: str, day: date, form: str | None) -> tuple[str, ...] | None:
    """A day; where the source keeps a time of day with it, its first moment for `gte` and its last for `lte`."""
    if form is None or (form not in EPOCH and not TIMES.search(form)):
        return (day.strftime(form or "%Y-%m-%d"),)
    if operator not in ("gte", "lte"):
        return None
    moment = datetime.combine(day, time.min if operator == "gte" else time.max, CHINA_TIME)
    return (str(int(moment.timestamp() * EPOCH[form])) if form in EPOCH else moment.strftime(form),)
