"""XML as trees and trees as XML, and the texts that carry documents: what the adapters decode, the other way round."""

import base64
import copy
import gzip
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote_plus
from xml.sax.saxutils import escape

from lxml import etree

from adapters import xml_tree
from adapters.charset import charset_in_xml, to_text
from adapters.decode import decode
from adapters.errors import SourceContractBroken
from adapters.mapping.paths import TEXT, RecordPath
from adapters.mapping.written import Encodings, Words
from adapters.simulator.json_text import print_json

UNDONE = {"percent_encode": ["percent_decode"], "base64": ["base64", "utf8"], "xml": ["xml"], "json": ["json"]}


def parse_xml(content: bytes, charset: str | None = None) -> etree._Element:
    """The root of a document without DTD or entities (XXE). Raises ValueError for anything else."""
    try:
        return xml_tree.parse_xml(to_text(content, charset, charset_in_xml(content)))
    except SourceContractBroken as error:
        raise ValueError(str(error)) from None


def tree_of(element: etree._Element) -> Any:
    """An element as the tree that paths are read from. Raises ValueError when it is too deep or too big."""
    try:
        return xml_tree.TreeReader({}).read(element)
    except SourceContractBroken as error:
        raise ValueError(str(error)) from None


def assemble(places: Sequence[tuple[RecordPath, Any]]) -> Any:
    """A tree with each value at its path; a path without steps is the whole answer."""
    tree: dict[str, Any] = {}
    for path, value in places:
        if not path.steps:
            return value
        node = tree
        for name, _ in path.steps[:-1]:
            node = node.setdefault(name, {})
        node[path.steps[-1][0]] = value
    return tree


def elements_of(name: str, value: Any) -> list[etree._Element]:
    """`value` as elements called `name`: one for each item of a list; a given element is copied and renamed."""
    if isinstance(value, list | tuple):
        return [element for item in value for element in elements_of(name, item)]
    if isinstance(value, etree._Element):
        element = copy.deepcopy(value)
        element.tag, element.tail = name, None
        return [element]
    element = etree.Element(name)
    if not isinstance(value, Mapping):
        element.text = "" if value is None else value if isinstance(value, str) else str(value)
        return [element]
    for key, child in value.items():
        if key == TEXT:
            element.text = child
        elif key.startswith("@"):
            element.set(key[1:], child)
        else:
            element.extend(elements_of(key, child))
    return [element]


def encode_answer(words: Sequence[Words], tree: Any, charset: str = "utf-8", declared: str = "GBK") -> bytes:
    """The answer that `words` can read: for `[percent_decode, xml]` a tree becomes XML, which is percent-encoded.

    `declared` is the encoding an XML document claims; ministries claim GBK whatever their bytes are (domain.md §4.4).
    """
    value: Any = tree
    for word in reversed(words):
        match word:
            case "json":
                value = print_json(value)
            case "xml":
                value = _document(value, "GB18030" if "gb18030" in words else declared)
            case "percent_decode":
                value = quote_plus(value, safe="*")  # as Java's URLEncoder: a blank is “+”
            case "xml_unescape":
                value = escape(value)
            case "utf8" | "gb18030":
                value = value.encode(word)
            case "gunzip":
                value = gzip.compress(value, mtime=0)
            case "base64":
                value = base64.b64encode(value).decode()
    return value if isinstance(value, bytes) else str(value).encode(charset)


def decode_text(words: Sequence[Encodings], text: str) -> Any:
    """The tree in a text that was made by `words`, first to last. Raises ValueError.

    Percent-decoding reads `+` as a blank, as Java's URLDecoder does on the other side of these services.
    """
    try:
        return decode([undone for word in reversed(words) for undone in UNDONE[word]], text)
    except SourceContractBroken as error:
        raise ValueError(str(error)) from None


def _document(tree: Any, declared: str) -> str:
    ((name, value),) = tree.items()
    (root,) = elements_of(name, value)
    return f'<?xml version="1.0" encoding="{declared}"?>' + etree.tostring(root, encoding="unicode")
