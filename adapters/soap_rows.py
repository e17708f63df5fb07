"""Rows of an answer read from its text by one pattern, where every row is written exactly as its types say.

The document was parsed before: it is well-formed, without a DTD, and it is known how many rows it has. A pattern made
from the types then takes all values of a row at once, much faster than elements can be walked. Whatever is written in
another way (other attributes, another order, comments, CDATA, namespaces declared inside, anything unknown) does not
match, and the rows are read from the elements as ever. So the pattern decides about speed, never about values.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lxml import etree
from zeep.xsd.types import AnySimpleType, ComplexType

from adapters.mapping.paths import TEXT
from adapters.soap_reader import ANYTHING, NoReader, children_of
from adapters.soap_wanted import Wanted
from adapters.xml_tree import XSI

FEWEST = 2
"""Rows for which a pattern is worth it."""

MOST_SPELLINGS = 16
"""Choices of prefixes that a pattern is kept for; a source has one or two."""

ATTRIBUTE = r"""\s+(?!xmlns)[^\s=<>"':]+="[^"<\t\n]*\""""
WRITTEN_ATTRIBUTE = re.compile(r"""\s+([^\s="]+)="([^"]*)\"""")
REFERENCE = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]+)|#x([0-9A-Fa-f]+));")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}


class NotAsWritten(Exception):
    """The rows are not written as the pattern expects"""


@dataclass(frozen=True, slots=True)
class Rows:
    """How the rows at `path` are read; `tags` lead from the response element to them."""

    path: tuple[str, ...]
    tags: tuple[str, ...]
    type: ComplexType
    wanted: Wanted
    patterns: dict[Any, "Pattern | None"] = field(default_factory=dict)

    def read(self, response: etree._Element, text: str) -> list[Any]:
        """The records. Raises NotAsWritten."""
        container = response
        for tag in self.tags[:-1]:
            found = list(container.iterchildren(tag))
            if len(found) != 1:
                raise NotAsWritten
            container = found[0]
        elements = list(container.iterchildren(self.tags[-1]))
        named_so = sum(1 for _ in response.getroottree().iter(f"{{*}}{self.path[-1]}"))
        if not FEWEST <= len(elements) == named_so or "\r" in text or _has_more_than_elements(text):
            raise NotAsWritten
        first = elements[0]
        spelled = self.path[-1] if first.prefix is None else f"{first.prefix}:{self.path[-1]}"
        pattern = self._pattern(first.nsmap, first.prefix, spelled)
        return pattern.records(text, len(elements))

    def _pattern(self, nsmap: Mapping[str | None, str], own: str | None, spelled: str) -> "Pattern":
        spelling = (own, frozenset(nsmap.items()))
        if spelling not in self.patterns:
            if len(self.patterns) >= MOST_SPELLINGS:
                raise NotAsWritten
            try:
                made = Pattern(self.type, self.wanted, spelled, _Names(nsmap, own))
            except (NotAsWritten, NoReader):
                made = None
            self.patterns[spelling] = made
        if (pattern := self.patterns[spelling]) is None:
            raise NotAsWritten
        return pattern


class Pattern:
    """One way to spell the names of a row. Raises NotAsWritten when its names cannot be spelled in this document.

    The pattern has groups in pairs for texts: the text, and what stands there when there is none (empty, or nil). Python
    is written for it too, as `dataclass` does: to put a row's groups into a record takes less time than to find them.
    """

    def __init__(self, declared: ComplexType, wanted: Wanted, spelled: str, names: "_Names") -> None:
        self._names, self._groups, self._raw = names, 2, {0, 1}
        self._lines: list[str] = []
        self._lists: dict[str, Callable[[str], list[str]]] = {}
        inside = self._content(declared, wanted, (spelled,), "r", "  ")
        tag = re.escape(spelled)
        self._pattern = re.compile(rf"(<{tag}((?:{ATTRIBUTE})*+)\s*+>\s*+(?=<[^/]){inside}</{tag}>\s*+)")
        self._attributes = [(name, name[1:]) for name in wanted if name.startswith("@")]
        self._build = self._made()

    def records(self, text: str, number: int) -> list[Any]:
        """Exactly `number` records, one behind the other. Raises NotAsWritten."""
        first = self._pattern.search(text)
        rows = self._pattern.findall(text, first.start()) if first else []
        written_so = "".join([row[0] for row in rows])
        if first is None or len(rows) != number or not text.startswith(written_so, first.start()):
            raise NotAsWritten
        has_references = "&" in written_so
        if has_references:
            rows = [self._cleaned(row) if "&" in row[0] else row for row in rows]
        records: list[Any] = self._build(rows, has_references)
        if self._attributes:
            for record, row in zip(records, rows, strict=True):
                written = WRITTEN_ATTRIBUTE.findall(row[1])
                for name, key in self._attributes:
                    for other, value in written:
                        if other == key:
                            record[name] = unreferenced(value)
        return records

    def _cleaned(self, row: Sequence[str]) -> list[str]:
        """Groups without references, except those that are taken apart first."""
        return [
            value if "&" not in value or place in self._raw else unreferenced(value) for place, value in enumerate(row)
        ]

    def _made(self) -> Callable[[list[Any], bool], list[Any]]:
        groups = ", ".join(f"g{number}" for number in range(self._groups))
        body = "\n".join(self._lines)
        text = f"def build(rows, has_references):\n out = []\n for {groups}, in rows:\n{body}\n  out.append(r)\n return out"
        space: dict[str, Any] = {**self._lists, "cleaned": unreferenced}
        exec(compile(text, "<rows>", "exec"), space)
        build: Callable[[list[Any], bool], list[Any]] = space["build"]
        return build

    def _group(self) -> str:
        self._groups += 1
        return f"g{self._groups - 1}"

    def _content(self, declared: ComplexType, wanted: Wanted, outer: tuple[str, ...], into: str, indent: str) -> str:
        """The pattern of a type's children; lines that put its groups into the record `into`. Raises NotAsWritten."""
        parts: list[str] = []
        texts: dict[str, str] = {}
        later: list[str] = []
        children = list(children_of(declared))
        if len({child.name for child in children}) != len(children):
            raise NotAsWritten
        for child in children:
            if child.tag == ANYTHING or child.position is None or (name := self._names.spelled(child.tag)) in outer:
                raise NotAsWritten
            tag, often, at = re.escape(name), "" if child.is_required else "?+", f"{into}[{child.name!r}]"
            if child.name not in wanted:
                parts.append(_passed_over(tag))
            elif wanted[child.name] is None and isinstance(child.type, AnySimpleType) and child.many:
                self._raw.add(self._groups)
                group = self._group()
                parts.append(rf"((?:<{tag}(?:>[^<]*+</{tag}>|\s*+/>)\s*+)*+)")
                self._lists[f"all_{group}"] = re.compile(rf"<{tag}(?:>([^<]*)</{tag}>|\s*/>)").findall
                later += [f"if {group}:", f" v = all_{group}({group})", " if has_references:",
                          "  v = [cleaned(one) for one in v]", f" {at} = v[0] if len(v) == 1 else v"]  # fmt: skip
            elif wanted[child.name] is None and isinstance(child.type, AnySimpleType):
                texts[child.name] = group = self._group()
                beside = self._group()
                parts.append(rf"(?:<{tag}(?:>([^<]++)</{tag}>|({self._empty(tag)}))\s*+){often}")
                later += [f"if not {group}:", f" if not {beside}:", f"  del {at}",
                          f" elif ':nil=' in {beside}:", f"  {at} = None"]  # fmt: skip
            elif isinstance(child.type, ComplexType) and not child.many and _is_plain(wanted[child.name]):
                group = self._group()
                kept, self._lines = self._lines, []
                part = self._content(child.type, wanted[child.name], (*outer, name), f"{into}_", " ")
                later += [f"if {group}:", *self._lines, f" {at} = {into}_"]
                self._lines = kept
                parts.append(rf"(?:(<{tag}>)\s*+(?=<[^/]){part}</{tag}>\s*+){often}")
            else:
                raise NotAsWritten
        display = ", ".join(f"{name!r}: {group}" for name, group in texts.items())
        self._lines += [indent + line for line in (f"{into} = {{{display}}}", *later)]
        return "".join(parts)

    def _empty(self, tag: str) -> str:
        """An element without a text, or that says it is nil."""
        nil = rf"|\s++{re.escape(self._names.xsi)}:nil=\"(?:true|1)\"\s*+(?:/>|></{tag}>)" if self._names.xsi else ""
        return rf"></{tag}>|\s*+/>{nil}"


def _is_plain(wanted: Wanted | None) -> bool:
    """Whether nothing but children is wanted."""
    return wanted is not None and not any(name.startswith("@") for name in wanted)


class _Names:
    """How names are spelled with the prefixes of a document."""

    def __init__(self, nsmap: Mapping[str | None, str], own: str | None) -> None:
        self._prefixes: dict[str, str | None] = {}
        for prefix, namespace in nsmap.items():
            if namespace not in self._prefixes or prefix == own:
                self._prefixes[namespace] = prefix
        self._has_default = nsmap.get(None, "") != ""
        self.xsi = next((prefix for prefix, namespace in nsmap.items() if namespace == XSI and prefix), None) or ""

    def spelled(self, tag: str) -> str:
        """The name as it stands in the text. Raises NotAsWritten when it cannot stand there."""
        namespace, _, name = tag.rpartition("}")
        if not namespace:
            if self._has_default:
                raise NotAsWritten
            return name
        if namespace[1:] not in self._prefixes:
            raise NotAsWritten
        prefix = self._prefixes[namespace[1:]]
        return name if prefix is None else f"{prefix}:{name}"


def make_rows(declared: Any, wanted: Wanted | None, path: tuple[str, ...]) -> Rows | None:
    """How the rows at `path` below a response element are read; None where they only can be walked."""
    tags: list[str] = []
    node, inside = declared, wanted
    for name in path:
        if not isinstance(node, ComplexType) or inside is None:
            return None
        try:
            found = [child for child in children_of(node) if child.name == name]
        except NoReader:
            return None
        if len(found) != 1:
            return None
        tags.append(found[0].tag)
        node, inside = found[0].type, inside[name]
    if not path or not isinstance(node, ComplexType) or inside is None or TEXT in inside:
        return None
    return Rows(path, tuple(tags), node, inside)


def is_repeated(declared: Any, path: tuple[str, ...]) -> bool:
    """Whether the element at `path` below a response element may stand there several times, and each before it but once."""
    node, many = declared, False
    for name in path:
        if many or not isinstance(node, ComplexType):
            return False
        try:
            found = [child for child in children_of(node) if child.name == name]
        except NoReader:
            return False
        if len(found) != 1:
            return False
        node, many = found[0].type, found[0].many
    return many


def _passed_over(tag: str) -> str:
    """An element nobody reads, with whatever is in it but its own like."""
    inside = rf"[^<]*+(?:<(?!/?{tag}[\s/>])[^<]*+)*+"
    return rf"(?:<{tag}(?:\s[^<>]*)?(?:/>|>{inside}</{tag}>)\s*+)*+"


def unreferenced(text: str) -> str:
    """A text without references to characters; the parser has seen that all of them are good."""
    return REFERENCE.sub(_referred, text) if "&" in text else text


def _referred(found: re.Match[str]) -> str:
    return NAMED[found[1]] if found[1] else chr(int(found[2]) if found[2] else int(found[3], 16))


def _has_more_than_elements(text: str) -> bool:
    """Whether there are comments, CDATA or processing instructions; the declaration in front is none."""
    for mark in "!?":
        at = text.find(mark)
        while at >= 0:
            if text[at - 1] == "<" and not text.startswith("<?xml ", at - 1):
                return True
            at = text.find(mark, at + 1)
    return False
