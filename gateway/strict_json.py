"""JSON as RFC 8259 has it and I-JSON recommends: unique keys, real numbers, whole characters, within reason.

msgspec reads most of it. What it refuses, and what it may have read in silence (of a key that stands twice it keeps the
last), is read again by Python's own decoder, which is slower and says why. Both only after the values were counted: it is
many small values that make JSON expensive, not many bytes.
"""

import json
import re
from typing import Any

import msgspec

from adapters.json_keys import distinct, may_have_doubled

DEEPEST = 64
LONGEST_NUMBER = 40
LARGEST_PLAIN = 16 * 1024
"""Bytes of a body that is first taken for what nearly all bodies are."""
MOST_VALUES = 5000
"""Values of all kinds: a list of so many keys is more than any operation may ask for."""
LARGEST_NUMBER = 10**LONGEST_NUMBER

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotTaken(ValueError):
    """JSON that we do not take, and why."""


def read_json(text: str) -> Any:
    """The tree. Raises NotTaken, DoubledKey, another ValueError, or RecursionError."""
    if _count(text) > MOST_VALUES and _count(_STRING.sub('""', text)) > MOST_VALUES:
        raise NotTaken(f"值超过 {MOST_VALUES} 个")
    try:
        tree = _FAST.decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError, ValueError):
        tree = _STRICT.decode(text)
        _look_through(tree, "\\u" in text)
        return tree
    if may_have_doubled(text.encode(), _look_through(tree, "\\u" in text)):
        _STRICT.decode(text)
    return tree


def plain_object(body: bytes) -> dict[str, Any] | None:
    """The object in a small body that is beyond doubt: its members are texts, or objects of texts and whole numbers.

    None for everything else, which `read_json` reads or refuses. That no member stands twice is seen by the quotation marks:
    there are exactly two for each name and text that was read, and more where something was passed over.
    """
    if len(body) > LARGEST_PLAIN:
        return None
    try:
        tree = _PLAIN.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    strings = len(tree)
    for value in tree.values():
        if value.__class__ is str:
            strings += 1
        elif value.__class__ is dict:
            strings += len(value)
            for inner in value.values():
                kind = inner.__class__
                if kind is str:
                    strings += 1
                elif (kind is int and not -LARGEST_NUMBER < inner < LARGEST_NUMBER) or (
                    kind is not int and kind is not bool and inner is not None
                ):
                    return None
        elif value is not None:
            return None
    return tree if body.count(b'"') == 2 * strings and b"\\u" not in body else None


def _count(text: str) -> int:
    """At least the number of values: each but the first of its list or object has a comma before it."""
    return text.count(",") + text.count("[") + text.count("{")


def _look_through(tree: Any, has_escapes: bool) -> int:
    """The number of its keys. Raises NotTaken for what is too deep, too long a number, or half a character."""
    level, keys, depth = [tree], 0, -1
    while level:
        depth += 1
        below: list[Any] = []
        for value in level:
            kind = value.__class__
            if depth == DEEPEST and (kind is dict or kind is list):
                raise NotTaken(f"嵌套超过 {DEEPEST} 层")
            if kind is dict:
                keys += len(value)
                below += value.values()
                if has_escapes:
                    below += value
            elif kind is list:
                below += value
            elif kind is str:
                if has_escapes:
                    _check_text(value)
            elif kind is int and not -LARGEST_NUMBER < value < LARGEST_NUMBER:
                raise NotTaken(f"数字超过 {LONGEST_NUMBER} 位")
        level = below
    return keys


def _check_text(text: str) -> None:
    if "\0" in text:
        raise NotTaken("文本中有 NUL 字符")
    if _SURROGATE.search(text):
        raise NotTaken("文本中有不成对的代理项（lone surrogate）")


def _no_constant(name: str) -> None:
    raise NotTaken(f"{name} 不是 JSON")


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise NotTaken(f"数字超过 {LONGEST_NUMBER} 位")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotTaken("数字超出范围")
    return number


_PLAIN = msgspec.json.Decoder(dict[str, Any])
_FAST = msgspec.json.Decoder(float_hook=_finite)
_STRICT = json.JSONDecoder(
    object_pairs_hook=distinct, parse_constant=_no_constant, parse_int=_whole, parse_float=_finite
)
