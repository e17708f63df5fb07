"""Paths into a record: `body.list`, `ZFRY[].ZFZH`, `DSR[]`, `.` (the record itself), `@id` (an XML attribute), `"No. 1"`.

Cardinality is said by the path, never guessed from the data: `name` is one value, `name[]` is a list even when it holds one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

QUOTED = re.compile(r'"([^"]+)"')
"""A whole name in quotes: one that has blanks, dots or brackets, as columns of files do."""
SEGMENT = re.compile(r"@?[^.\[\]\s]+(\[\])?")
TEXT = ""
"""The key under which a decoded XML element that has attributes keeps its text."""


@dataclass(frozen=True, slots=True)
class RecordPath:
    """A path that was parsed. `steps` are (name, whether it is a list)."""

    text: str
    steps: tuple[tuple[str, bool], ...]

    @property
    def many(self) -> bool:
        """Whether it leads to a list of values."""
        return any(many for _, many in self.steps)

    def find(self, record: Any) -> list[Any]:
        """Every value at this path; absent ones are left out. Raises ValueError when one is expected and several are there."""
        found = [record]
        for name, many in self.steps:
            found = [value for node in found for value in _step(node, name, many)]
        return found

    def whole(self, record: Any) -> list[Any]:
        """As `find`, but what the last step leads to is one value even where it is a list: a structure."""
        if not self.steps:
            return [record]
        *front, (name, _) = self.steps
        found = RecordPath(self.text, tuple(front)).find(record)
        return [node[name] for node in found if isinstance(node, Mapping) and name in node]

    def all(self, record: Any) -> list[Any]:
        """Every value, where the last step is a list whether or not the path says so: how `records:` is read."""
        found = [record]
        for name, _ in self.steps:
            found = [value for node in found for value in _step(node, name, True)]
        return found

    def is_there(self, record: Any) -> bool:
        """Whether the record has this place, be it empty: what tells "none" from "somewhere else now"."""
        node = record
        for name, _ in self.steps:
            if node in (None, "", []):
                return True
            if not isinstance(node, Mapping) or name not in node:
                return False
            node = node[name]
        return True


def parse_path(text: str) -> RecordPath:
    """The path written as `text`. Raises ValueError when it is none."""
    if text in ("", "."):
        return RecordPath(text, ())
    if quoted := QUOTED.fullmatch(text):
        return RecordPath(text, ((quoted[1], False),))
    parts = text.split(".")
    if not all(SEGMENT.fullmatch(part) for part in parts):
        raise ValueError(f"“{text}” 不是路径（例：data.list、ZFRY[].ZFZH、@id、.）")
    return RecordPath(text, tuple((part.removesuffix("[]"), part.endswith("[]")) for part in parts))


def plain(value: Any) -> Any:
    """An XML element with attributes but no children, as its text; anything else as it is."""
    if isinstance(value, Mapping) and TEXT in value and all(k == TEXT or k.startswith("@") for k in value):
        return value[TEXT]
    return value


def _step(node: Any, name: str, many: bool) -> list[Any]:
    if isinstance(node, list):
        raise ValueError(f"路径经过列表，应写作 名称[]（在 “{name}” 之前）")
    if not isinstance(node, Mapping) or name not in node:
        return []
    value = node[name]
    if many:
        return value if isinstance(value, list) else [] if value is None else [value]
    if isinstance(value, list):
        raise ValueError(f"“{name}” 处应只有一个值，实有 {len(value)} 个")
    return [value]
