"""The scalars of the unified schema; what goes out is text in the specification's own form, what comes in is checked."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from schema.formats import print_datetime, print_money
from schema.identifiers import check_uscc

Date = NewType("Date", date)
DateTime = NewType("DateTime", datetime)
Money = NewType("Money", int)
Uscc = NewType("Uscc", str)
IdNo = NewType("IdNo", str)
DivisionCode = NewType("DivisionCode", str)
Long = NewType("Long", int)
Cursor = NewType("Cursor", str)


def _read(parse: Callable[[str], object], what: str) -> Callable[[Any], object]:
    def read(value: Any) -> object:
        if not isinstance(value, str):
            raise GraphQLError(f"{what}应为字符串")
        try:
            return parse(value)
        except ValueError as error:
            raise GraphQLError(f"{what} “{value}” 不合法：{error}") from None

    return read


def _fen(text: str) -> int:
    whole, _, cents = text.removeprefix("-").partition(".")
    if not whole.isdigit() or len(cents) != 2 or not cents.isdigit():
        raise ValueError("应为恰有两位小数的元，例如 200.00")
    return int(whole + cents) * (-1 if text.startswith("-") else 1)


def _division(text: str) -> str:
    if len(text) not in (6, 9, 12) or not text.isascii() or not text.isdigit():
        raise ValueError("应为 6 位（乡镇街道 9 位）数字")
    return text


def _long(value: Any) -> int:
    """A whole number, also as a string, since JavaScript keeps no more than 53 bits of a number."""
    is_text = isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value) is not None
    if not is_text and (not isinstance(value, int) or isinstance(value, bool)):
        raise GraphQLError("Long 应为整数，或写成字符串的整数")
    if abs(number := int(value)) >= 2**63:
        raise GraphQLError("Long 超出 64 位整数的范围")
    return number


def _text(value: Any) -> str:
    return str(value)


SCALARS: dict[object, ScalarDefinition] = {
    Date: strawberry.scalar(
        name="Date",
        description="日期，`YYYY-MM-DD`（GB/T 7408）",
        serialize=lambda value: value.isoformat(),
        parse_value=_read(date.fromisoformat, "日期"),
    ),
    DateTime: strawberry.scalar(
        name="DateTime",
        description="时间，`YYYY-MM-DDThh:mm:ss+08:00`（GB/T 7408）",
        serialize=print_datetime,
        parse_value=_read(datetime.fromisoformat, "时间"),
    ),
    Money: strawberry.scalar(
        name="Money",
        description="金额：以元为单位、恰有两位小数的字符串，例如 `200.00`；内部为整数分，从不取整",
        serialize=print_money,
        parse_value=_read(_fen, "金额"),
    ),
    Uscc: strawberry.scalar(
        name="Uscc",
        description="统一社会信用代码，18 位（GB 32100），校验位不符的被拒绝",
        serialize=_text,
        parse_value=_read(check_uscc, "统一社会信用代码"),
    ),
    IdNo: strawberry.scalar(name="IdNo", description="公民身份号码（GB 11643）", serialize=_text, parse_value=_text),
    DivisionCode: strawberry.scalar(
        name="DivisionCode",
        description="行政区划代码（GB/T 2260），6 位；乡镇街道 9 位",
        serialize=_text,
        parse_value=_read(_division, "行政区划代码"),
    ),
    Long: strawberry.scalar(
        name="Long", description="64 位整数；作为参数也可写成字符串", serialize=int, parse_value=_long
    ),
    Cursor: strawberry.scalar(name="Cursor", description="翻页位置，不透明", serialize=_text, parse_value=_text),
}
