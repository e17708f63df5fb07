"""Drift: records whose fields are not those that a stream had before, and what the mapping says is to happen then."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import NoneType
from typing import Any

from sqlalchemy import Connection, insert, select, update

from adapters.mapping.model import EntityMapping, OperationMapping, SourceMapping
from adapters.source import Record
from gateway.store.due import Halting
from gateway.store.tables import Tables

Form = tuple[tuple[str, ...], tuple[type[Any], ...]]
"""The names of a record's fields, and the types of what stands in them."""
LEAST = 5
"""Records that have to agree before a missing field, or one written differently, is more than a bad record."""


class Drifted(Halting):
    """来源记录的字段变了，数据流停下，等人处理"""


@dataclass(slots=True)
class Shape:
    """What fields the records of a stream have, by path, and of what kind: text, list or tree."""

    source: str
    operation: str
    mapped: frozenset[str]
    drift: str
    known: dict[str, str] = field(default_factory=dict)
    always: set[str] = field(default_factory=set)
    new: dict[str, str] = field(default_factory=dict)
    lapsed: set[str] = field(default_factory=set)

    def see(self, forms: Collection[Form], count: int) -> list[str]:
        """Take a page of so many records of these forms into account; what is to be told. Raises Drifted for what only a person can decide.

        A new field is kept raw in any case, and told of once. A mapped one that every record had and no record of a page has
        any more, or that is a list or a tree where it was a text, would silently empty what is in the store: then only this
        stream stops.
        """
        seen: dict[str, set[str]] = {}
        for form in forms:
            for path, kind in _fields_of(form):
                seen.setdefault(path, set()).add(kind)
        is_first = not self.known and not self.new
        told: list[str] = []
        for path, kinds in sorted(seen.items()):
            before = self.known.get(path)
            if before is None:
                self.new[path] = min(kinds)
                told += [] if is_first else [f"来源记录有了新字段 {path}（{min(kinds)}），原样保存"]
            elif path in self.mapped and count >= LEAST and before not in kinds:
                raise Drifted(f"{Drifted.__doc__}：{path} 由 {before} 变为 {'、'.join(sorted(kinds))}")
        if told and self.drift == "freeze":
            raise Drifted(f"{Drifted.__doc__}：{'；'.join(told)}")
        if count >= LEAST:
            self._look_for_gone(count, [frozenset(names) for names, _ in forms], is_first)
        return told

    def _look_for_gone(self, count: int, found: Sequence[frozenset[str]], is_first: bool) -> None:
        everywhere = frozenset.intersection(*found)
        if is_first:
            self.always = set(everywhere & self.mapped)
            return
        missing = self.always - everywhere
        if gone := sorted(missing.difference(*found)):
            raise Drifted(f"{Drifted.__doc__}：{count} 条记录都没有了字段 {'、'.join(gone)}")
        self.always -= missing
        self.lapsed |= missing

    def faults(self, records: Sequence[Record]) -> dict[int, str]:
        """The records that have a field no record had before, where such are to be set aside."""
        if self.drift != "quarantine" or not self.known:
            return {}
        found = {}
        for position, record in enumerate(records):
            strange = sorted(path for path, _ in _fields_of(_form(record)) if path not in self.known)
            if strange:
                found[position] = f"记录有从未有过的字段 {'、'.join(strange)}（drift: quarantine）"
        return found

    def keep(self, connection: Connection, tables: Tables, moment: datetime) -> None:
        """Remember what is new, with the page it came on."""
        table = tables.shape
        mine = (table.c.source == self.source, table.c.operation == self.operation)
        for path in sorted(self.lapsed):
            connection.execute(update(table).where(*mine, table.c.path == path).values(is_always=False))
        there = set(connection.execute(select(table.c.path).where(*mine)).scalars())
        rows = [
            {
                "source": self.source,
                "operation": self.operation,
                "path": path,
                "kind": kind,
                "is_mapped": path in self.mapped,
                "is_always": path in self.always,
                "first_seen": moment,
                "announced_at": moment if self.known else None,
            }
            for path, kind in self.new.items()
            if path not in there
        ]
        if rows:
            connection.execute(insert(table), rows)

    def settle(self) -> None:
        """What was new is known from now on."""
        self.known |= self.new
        self.new, self.lapsed = {}, set()


def read_shape(connection: Connection, tables: Tables, mapping: SourceMapping, operation: OperationMapping) -> Shape:
    """What the stream had so far."""
    table, entity = tables.shape, mapping.entities[operation.entity]
    mine = (table.c.source == mapping.name, table.c.operation == operation.name)
    rows = connection.execute(select(table).where(*mine)).all()
    known, always = {row.path: row.kind for row in rows}, {row.path for row in rows if row.is_always}
    return Shape(mapping.name, operation.name, frozenset(_mapped(entity)), entity.drift, known, always)


def _mapped(entity: EntityMapping) -> Iterator[str]:
    """The first steps of every path that is mapped."""
    fields = [*entity.fields.values(), *entity.provenance.values(), *(r.field for r in entity.references.values())]
    paths = [one.path for one in fields] + [embedded.path for embedded in entity.embedded.values()]
    yield from (path.steps[0][0] for path in paths if path is not None and path.steps)


def forms_of(records: Iterable[Record]) -> frozenset[Form]:
    """The forms of these records: few, since nearly all records of a source look alike."""
    return frozenset(map(_form, records))


def _form(record: Record) -> Form:
    return tuple(record), tuple(map(type, record.values()))


def _fields_of(form: Form) -> Iterator[tuple[str, str]]:
    """The fields that are there, and of what kind each is."""
    for path, kind in zip(*form, strict=True):
        if kind is not NoneType:
            yield path, "树" if issubclass(kind, Mapping) else "列表" if issubclass(kind, list) else "文本"
