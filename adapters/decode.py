"""The words of `answer:`, applied one after the other: text of the source -> a tree in which every scalar is text.

Numbers keep their digits, true and false are words, null is None. What cannot be read exactly is SourceContractBroken.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from adapters.charset import to_text
from adapters.errors import SourceContractBroken
from adapters.inflate import gunzip
from adapters.json_tree import parse_json as parse_json
from adapters.xml_tree import print_xml, xml_tree

REFERENCE = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


def decode(words: Sequence[str], text: str) -> Any:
    """What `words` make of the text: a tree when the last is xml or json. Raises SourceContractBroken."""
    value: Any = text
    for word in words:
        value = DECODERS[word](value)
    return value


def percent_decode(text: str) -> str:
    """`%E9%97%BD` or `%C3%F6` as text, `+` as a blank: UTF-8 if all of it is, else GB18030."""
    spaced = text.replace("+", " ")
    for charset in ("utf-8", "gb18030"):
        try:
            return unquote_to_bytes(spaced.encode(charset)).decode(charset)
        except UnicodeError:
            continue
    raise SourceContractBroken("百分号编码的内容无法解码")


def unbase64(text: str) -> bytes:
    """The bytes in base64 text; line breaks are allowed in it, anything else is not."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SourceContractBroken("不是 base64") from None


def xml_unescape(text: str) -> str:
    """The text with one layer of XML escaping taken off."""
    return REFERENCE.sub(_referenced, text)


DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "percent_decode": percent_decode,
    "base64": unbase64,
    "gunzip": gunzip,
    "utf8": lambda data: _only(data, "utf-8-sig"),
    "gb18030": lambda data: to_text(data, "gb18030"),
    "xml_unescape": xml_unescape,
    "xml": xml_tree,
    "json": parse_json,
}


def encode_text(words: Sequence[str], value: Any) -> str:
    """A tree as the text a source wants: `[xml, percent_encode]`. Raises ValueError for what cannot be carried so."""
    for word in words:
        match word:
            case "xml":
                value = print_xml(value)
            case "json":
                value = print_json(value)
            case "percent_encode":
                value = quote(value, safe="")
            case "base64":
                value = base64.b64encode(value.encode()).decode()
    return str(value)


def print_json(value: Any) -> str:
    """A request's JSON, not escaped beyond need."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _only(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        raise SourceContractBroken("内容不是 UTF-8") from None


def _referenced(found: re.Match[str]) -> str:
    if found[1]:
        return NAMED[found[1]]
    number = int(found[2]) if found[2] else int(found[3], 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise SourceContractBroken("XML 转义的字符不存在")
    return chr(number)
