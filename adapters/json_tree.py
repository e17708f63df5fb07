"""JSON to a record tree in which every scalar is text: exactly what was written, or refused.

msgspec reads most answers: it refuses NaN, Infinity, lone surrogates and bad UTF-8, keeps integers of any size, and hands
over other numbers as they are written. Two things it does in silence: of a key that stands twice it keeps the last value,
and -0 becomes 0. Both are looked for in the bytes (-0 only where a zero was read), in a way that may suspect too much but
never too little; what is suspected, and what msgspec refuses, is read by Python's own decoder, which is slower and misses
nothing. So a fault costs time, and only a fault does.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from adapters.errors import SourceContractBroken
from adapters.json_keys import DoubledKey, distinct, may_have_doubled
from adapters.xml_tree import DEEPEST, MOST_VALUES

NEGATIVE_ZERO = re.compile(rb"-0(?<=[\s:,\[]-0)(?![.0-9eE])")
"""Begins with what it looks for, because such patterns are searched for many times faster."""

DECODER = msgspec.json.Decoder(float_hook=str)


def parse_json(text: str | bytes) -> Any:
    """A JSON document, every scalar as its text. Refused: double keys, NaN, lone surrogates, over 64 levels.

    Bytes are UTF-8. Raises SourceContractBroken, or UnicodeDecodeError when the bytes are no UTF-8.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    # a value and what parts it from the next take two bytes
    if len(data) > 2 * MOST_VALUES and data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_VALUES:
        raise SourceContractBroken("JSON 的值过多")
    try:
        tree = DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _strictly(data.decode())
    if isinstance(tree, (dict, list)):
        keys, has_zero = _settle(tree)
        if may_have_doubled(data, keys) or (has_zero and NEGATIVE_ZERO.search(data)):
            return _strictly(data.decode())
        return tree
    return "-0" if tree == 0 and b"-" in data else _word(tree)


def _settle(tree: dict[str, Any] | list[Any]) -> tuple[int, bool]:
    """Makes every scalar text, in place; counts the keys, and says whether an integer was zero.

    Level by level, because a call for each record would cost as much as the rest. Raises SourceContractBroken for what is
    too deep.
    """
    level: list[Any] = [tree]
    keys, has_zero, depth = 0, False, 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise SourceContractBroken(f"JSON 的嵌套超过 {DEEPEST} 层")
        below: list[Any] = []
        for node in level:
            is_object = node.__class__ is dict
            if is_object:
                keys += len(node)
            places: Iterable[tuple[Any, Any]] = node.items() if is_object else enumerate(node)
            for place, value in [(place, value) for place, value in places if value.__class__ is not str]:
                kind = value.__class__
                if kind is dict or kind is list:
                    below.append(value)
                elif kind is int:
                    has_zero = has_zero or not value
                    node[place] = str(value)
                elif kind is bool:
                    node[place] = "true" if value else "false"
        level = below
    return keys, has_zero


def _strictly(text: str) -> Any:
    """The same by Python's own decoder."""
    try:
        tree = json.loads(
            text.removeprefix("\ufeff"),
            parse_int=str,
            parse_float=str,
            parse_constant=_no_number,
            object_pairs_hook=distinct,
        )
    except RecursionError:
        raise SourceContractBroken(f"JSON 的嵌套超过 {DEEPEST} 层") from None
    except DoubledKey as error:
        raise SourceContractBroken(str(error)) from None
    except ValueError as error:
        place = f"（第 {error.lineno} 行第 {error.colno} 列）" if isinstance(error, json.JSONDecodeError) else ""
        raise SourceContractBroken(f"不是合法的 JSON{place}") from None
    if "\\ud" in text or "\\uD" in text:
        _check_surrogates(tree)
    if isinstance(tree, (dict, list)):
        _settle(tree)
        return tree
    return _word(tree)


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _no_number(_name: str) -> NoReturn:
    raise SourceContractBroken("JSON 含有 NaN 或 Infinity")


def _check_surrogates(tree: Any) -> None:
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise SourceContractBroken("JSON 含有不成对的代理字符") from None
    except RecursionError:
        raise SourceContractBroken(f"JSON 的嵌套超过 {DEEPEST} 层") from None
