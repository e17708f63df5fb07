"""Mapping of whole pages by compiled code, record by record as `map_record` does it, which stays the judge of odd records."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from adapters.mapping.compiled_code import NotCompilable, compile_code
from adapters.mapping.compiled_values import MOST_REMEMBERED, Irregular
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import Mapped, map_record
from adapters.mapping.wants import Want, Wants
from adapters.source import Record
from schema.identity import HashId

MOST_KEPT = 500
"""Compiled functions kept; the one that was not used for longest goes first."""
ODD = (ValueError, TypeError, AttributeError, KeyError, OverflowError)
"""What compiled code may meet in a record that is not as usual."""

WantKey = frozenset[tuple[str, Want]] | None
"""`Wants` as a value; None: everything."""


@dataclass(slots=True)
class Compiled:
    """How records of one source become one entity, for one want. `careful` counts the records left to `map_record`."""

    source: SourceMapping
    entity: str
    wants: Wants | None
    hash_id: HashId
    quick: Any
    text: str
    careful: int = 0

    def page(self, records: Iterable[Record], told_on: date | None) -> list[Mapped]:
        """Every record, in order. Equal to `map_record` of each."""
        quick = self.quick
        mapped: list[Mapped] = []
        for record in records:
            try:
                if (one := quick(record, told_on)) is None:
                    raise Irregular
            except ODD:
                self.careful += 1
                one = map_record(self.source, self.entity, record, self.hash_id, told_on, self.wants)
            mapped.append(one)
        return mapped


class Compiler:
    """Compiles mappings, once for each want; one for the process, for any of its threads. `most_referred`: what is remembered of
    where each relation leads."""

    def __init__(self, hash_id: HashId, most_referred: int = MOST_REMEMBERED) -> None:
        self.hash_id = hash_id
        self.most_referred = most_referred
        self.kept: dict[tuple[str, str, str, WantKey], Compiled] = {}
        self.memos: dict[tuple[str, str], dict[Any, Any]] = {}

    def compiled(self, source: SourceMapping, entity: str, wants: WantKey) -> Compiled:
        """What maps records of `source` that become `entity`."""
        name = (source.name, source.version, entity, wants)
        found = self.kept.pop(name, None)
        if found is None:
            found = self._compile(source, entity, None if wants is None else dict(wants))
            while len(self.kept) >= MOST_KEPT:
                self.kept.pop(next(iter(self.kept)), None)
        self.kept[name] = found
        return found

    def memos_of(self, source: SourceMapping) -> dict[Any, Any]:
        """What all code of a mapping remembers."""
        return self.memos.setdefault((source.name, source.version), {})

    def _compile(self, source: SourceMapping, entity: str, wants: Wants | None) -> Compiled:
        memos = self.memos_of(source)
        try:
            quick, text = compile_code(source, entity, wants, self.hash_id, memos, self.most_referred)
        except NotCompilable as reason:
            quick, text = _never, f"# {reason}"
        return Compiled(source, entity, wants, self.hash_id, quick, text)


def _never(_record: Record, _told_on: date | None) -> Mapped:
    raise ValueError
