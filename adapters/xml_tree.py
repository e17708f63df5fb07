"""XML to and from record trees. No DTD, no entities, no network, bounded in depth and in number of elements.

Element -> mapping of its children (a list where siblings repeat), namespaces dropped; `xsi:nil` -> None; empty -> "";
absent -> no key; attributes -> "@name"; text beside attributes or children -> key "".
"""

import re
import threading
from collections.abc import Mapping
from typing import Any

from lxml import etree

from adapters.errors import SourceContractBroken
from adapters.mapping.paths import TEXT

XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL = f"{{{XSI}}}nil"
TRUE = ("true", "1")
SOAP_NAMESPACES = (
    XSI,
    "http://schemas.xmlsoap.org/soap/envelope/",
    "http://schemas.xmlsoap.org/soap/encoding/",
    "http://www.w3.org/2003/05/soap-envelope",
    "http://www.w3.org/2003/05/soap-encoding",
)
"""Attributes of these say how a value is carried, not what it is."""

BLANKS = re.compile(r"[\ufeff \t\r\n]*")
PARSERS = threading.local()
DEEPEST = 64
MOST_VALUES = 1_000_000


def parse_xml(text: str) -> etree._Element:
    """The root of a document. Its own `encoding` is not believed: the text is decoded. Raises SourceContractBroken."""
    document = _without_prolog(text)
    if document.count("<") > 2 * MOST_VALUES:
        raise SourceContractBroken("XML 的元素过多")
    try:
        return etree.fromstring(document.encode(), _parser())
    except UnicodeEncodeError:
        raise SourceContractBroken("XML 含有非法字符") from None
    except etree.XMLSyntaxError as error:
        raise SourceContractBroken(f"不是合法的 XML（第 {error.lineno} 行）") from None


def _parser() -> etree.XMLParser:
    """A thread's own parser: making one costs as much as reading a short answer."""
    if (parser := getattr(PARSERS, "parser", None)) is None:
        parser = PARSERS.parser = etree.XMLParser(
            encoding="utf-8",
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
            remove_comments=True,
            remove_pis=True,
        )
    return parser


def xml_tree(text: str) -> dict[str, Any]:
    """A document as `{root: …}`. Raises SourceContractBroken."""
    root = parse_xml(text)
    return {local_name(root): TreeReader({}).read(root)}


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    tag = str(element.tag)
    return tag.rpartition("}")[2] if tag[0] == "{" else tag


class TreeReader:
    """Reads elements of one document. `targets` are the elements that `href="#id"` may mean (SOAP 1.1 multiRef)."""

    def __init__(self, targets: Mapping[str, etree._Element]) -> None:
        self._targets = targets
        self._read: dict[tuple[str, int], tuple[Any, int, int]] = {}
        self._being_read: set[str] = set()
        self._values = self._deepest = 0

    def read(self, element: etree._Element, depth: int = 1, wanted: Mapping[str, Any] | None = None) -> Any:
        """The tree of an element. Raises SourceContractBroken: too deep, too big, or referring to itself.

        With `wanted` only the children and attributes it names are read, each with what it holds for them; None: all.
        """
        self._count(1, depth)
        tree: dict[str, Any] = {}
        if element.keys():
            if element.get(NIL) in TRUE:
                return None
            href = element.get("href", "") if self._targets else ""
            if href.startswith("#") and not len(element):
                return self._referred(href[1:], depth, wanted)
            tree = attributes_of(element)
            if self._targets.get(tree.get("@id", "")) is element:
                del tree["@id"]
            if wanted is not None:
                tree = {name: value for name, value in tree.items() if name in wanted}
        text = element.text or ""
        if not len(element):
            return {**tree, TEXT: text} if tree else text
        if wanted is not None:
            for child in element:
                if (name := local_name(child)) in wanted:
                    add_value(tree, name, self.read(child, depth + 1, wanted[name]))
            return tree
        texts = [text]
        for child in element:
            add_value(tree, local_name(child), self.read(child, depth + 1))
            if tail := child.tail:
                texts.append(tail)
        text = "".join(texts)
        return {**tree, TEXT: text} if text.strip() else tree

    def _referred(self, name: str, depth: int, wanted: Mapping[str, Any] | None) -> Any:
        """The tree of the element called `name`; made once, counted each time it is used."""
        known = (name, id(wanted))
        if known in self._read:
            tree, size, height = self._read[known]
            self._count(size, depth + height)
            return tree
        if name not in self._targets:
            raise SourceContractBroken("multiRef 引用的元素不存在")
        if name in self._being_read:
            raise SourceContractBroken("multiRef 循环引用")
        self._being_read.add(name)
        values, deepest = self._values, self._deepest
        self._deepest = depth
        tree = self.read(self._targets[name], depth, wanted)
        self._being_read.discard(name)
        self._read[known] = (tree, self._values - values, self._deepest - depth)
        self._deepest = max(deepest, self._deepest)
        return tree

    def _count(self, values: int, depth: int) -> None:
        self._values += values
        if depth > self._deepest:
            self._deepest = depth
        if depth > DEEPEST:
            raise SourceContractBroken(f"XML 的嵌套超过 {DEEPEST} 层")
        if self._values > MOST_VALUES:
            raise SourceContractBroken("XML 的元素过多")


def print_xml(tree: Mapping[str, Any]) -> str:
    """A tree as XML text without declaration: the reverse of reading. Raises ValueError for what XML cannot carry."""
    return "".join(
        etree.tostring(element, encoding="unicode")
        for name, value in tree.items()
        for element in _elements(name, value)
    )


def _elements(name: str, value: Any) -> list[etree._Element]:
    if isinstance(value, list | tuple):
        return [element for item in value for element in _elements(name, item)]
    element = etree.Element(name)
    if not isinstance(value, Mapping):
        element.text = "" if value is None else plain_text(value)
        return [element]
    for word, inner in value.items():
        if word == TEXT:
            element.text = plain_text(inner)
        elif word.startswith("@"):
            element.set(word[1:], plain_text(inner))
        else:
            element.extend(_elements(word, inner))
    return [element]


def plain_text(value: object) -> str:
    """A value of a request as text: `true`, `1`, or the text itself."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def attributes_of(element: etree._Element) -> dict[str, Any]:
    """The attributes that are data, as `@name`."""
    return {f"@{name}": value for name, value in map(_attribute, element.attrib.items()) if name}


def _attribute(item: tuple[Any, Any]) -> tuple[str, str]:
    """Name without namespace, and value; an empty name for what is not data."""
    namespace, _, name = str(item[0]).rpartition("}")
    return ("" if namespace[1:] in SOAP_NAMESPACES else name), str(item[1])


def add_value(tree: dict[str, Any], name: str, value: Any) -> None:
    """One more child called `name`: siblings of one name become a list."""
    if name not in tree:
        tree[name] = value
    elif isinstance(tree[name], list):
        tree[name].append(value)
    else:
        tree[name] = [tree[name], value]


def _without_prolog(text: str) -> str:
    """The document from its root element on. Raises SourceContractBroken when a DTD is in the way."""
    at = _after_blanks(text, 0)
    while text.startswith(("<?", "<!"), at):
        if not text.startswith(("<?", "<!--"), at):
            raise SourceContractBroken("XML 带有 DTD，不予读取")
        closing = "?>" if text.startswith("<?", at) else "-->"
        end = text.find(closing, at + len(closing))
        if end < 0:
            raise SourceContractBroken("不是合法的 XML")
        at = _after_blanks(text, end + len(closing))
    return text[at:]


def _after_blanks(text: str, at: int) -> int:
    found = BLANKS.match(text, at)
    return found.end() if found else at
