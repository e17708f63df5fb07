"""A mapping that was checked: what adapters, planner, simulator and sync read. Nothing here can be wrong any more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, Literal

from adapters.mapping.delivered import FileConnect
from adapters.mapping.paths import RecordPath
from adapters.mapping.written import FieldForm, PlatformConnect, RestConnect, SoapConnect, SqlConnect
from adapters.mapping.written import Operation as WrittenOperation
from schema.problems import Problem
from schema.registry import Element, Entity

Connect = RestConnect | PlatformConnect | SoapConnect | SqlConnect | FileConnect
Drift = Literal["evolve", "freeze", "quarantine"]
PROVENANCE_FIELDS = {
    "source_updated_at": "DT",
    "change_no": "N..18",
    "batch_no": "C..20",
    "source_record_id": "C..100",
}
"""Elements of SourceRecord (E27) that any entity of any mapping may fill beside its own."""


@dataclass(frozen=True, slots=True)
class Field:
    """One element of an entity: where it is in the record and how its text becomes a value.

    `convert` takes the text (or list item) and returns the value, or raises ValueError with the reason.
    `print_key` turns a value back into the source's text, for keys and cursors; None when that cannot be done exactly.
    `doubt` says what is doubtful about a value that was taken; None when nothing of this element can be. `form` is how it
    was written, for whoever does faster what `convert` does.
    """

    name: str
    element: Element
    path: RecordPath | None
    constant: str | None
    convert: Callable[[str], object]
    print_key: Callable[[object], str] | None
    blank: frozenset[str] = frozenset()
    split: tuple[str, ...] = ()
    doubt: Callable[[Any], str | None] | None = None
    form: FieldForm | None = None


@dataclass(frozen=True, slots=True)
class Conditional:
    """What is checked when the whole record is read: `check` takes the field's value and all values, returns the value
    in its normal form, or raises ValueError with the reason."""

    field: Field
    check: Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Dated:
    """A field whose codes come and go: `doubt` says what is wrong with one of them on a day, or None. It can be asked only of
    `codes`, of which the first `length` characters are listed."""

    field: Field
    doubt: Callable[[Any, date], str | None]
    codes: frozenset[str]
    length: int | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A relation the record names by an element of the other entity: `officers` by `Officer.cert_no`."""

    relation: str
    to: Entity
    field: Field


@dataclass(frozen=True, slots=True)
class Embedded:
    """A relation whose entities are inside the record."""

    relation: str
    path: RecordPath
    to: str


@dataclass(frozen=True, slots=True)
class EntityMapping:
    """How records of one source become one entity.

    `conditional` and `dated` hold only what can fail in records of this source; `fact_date` are the fields that date them.
    `holds` are the only values that entities of this source have in some elements; `has_all`: it has every one there is.
    """

    entity: Entity
    key: tuple[str, ...]
    fields: Mapping[str, Field]
    provenance: Mapping[str, Field]
    references: Mapping[str, Reference]
    embedded: Mapping[str, Embedded]
    conditional: tuple[Conditional, ...] = ()
    dated: tuple[Dated, ...] = ()
    fact_date: tuple[str, ...] = ()
    holds: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    has_all: bool = False
    drift: Drift = "evolve"

    @property
    def provides(self) -> frozenset[str]:
        """The elements a record of this source can carry, those of references included."""
        by = {self.entity.relations[name].by for name in self.references}
        return frozenset(self.fields) | {name for name in by if name}


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The record is gone when the text at `path` is one of `values`."""

    path: RecordPath
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class LookupRole:
    """Keys in, records out. `relation` is None when `element` is the entity's own; else it belongs to the related entity."""

    entity: str
    relation: str | None
    element: str
    field: Field
    batch: int
    many: bool
    deleted: Tombstone | None


@dataclass(frozen=True, slots=True)
class ChangesRole:
    """What moved since a cursor; `overlap` in seconds for time cursors. `most_bad` and `most_gone` are parts of one."""

    entity: str
    cursor: Field
    overlap: float
    deleted: Tombstone | None
    ascending: bool = False
    every: float = 600.0
    pauses: tuple[tuple[time, time], ...] = ()
    most_bad: float = 0.3
    most_gone: float = 0.02
    reconcile_every: float = 86400.0
    reconcile_by: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Comparisons of one element that the source takes.

    `write` gives the texts for an operator and a value of ours: several where several of its codes mean the value, none
    where no record of the source can have it, None where it cannot be said. A text with `separator` in it cannot be sent.
    `read` is how the source reads such a text, where that is not how its records are read.
    """

    element: str
    operators: tuple[str, ...]
    field: Field
    write: Callable[[str, Any], tuple[str, ...] | None]
    separator: str | None = None
    read: Callable[[str], object] | None = None


@dataclass(frozen=True, slots=True)
class SearchRole:
    """Filters in, pages out, at most `pages` of them. `order`: (element, backwards) -> how the source is told."""

    entity: str
    filters: Mapping[str, Filter]
    requires: tuple[str, ...]
    order: Mapping[tuple[str, bool], str]
    pages: int
    deleted: Tombstone | None


@dataclass(frozen=True, slots=True)
class DeliverRole:
    """Records that come without being asked for."""

    entity: str
    deleted: Tombstone | None


@dataclass(frozen=True, slots=True)
class OperationMapping:
    """Something the source can do. `written` keeps request and paging words for its adapter and its simulator.

    `needs_container`: an answer without the place where records stand is broken, not empty. JSON says "none" with an
    empty list; XML says it by leaving elements out.
    """

    name: str
    written: WrittenOperation
    records: RecordPath
    latest_of: RecordPath | None
    latest_by: tuple[RecordPath, ...]
    lookup: LookupRole | None
    changes: ChangesRole | None
    needs_container: bool = False
    search: SearchRole | None = None
    deliver: DeliverRole | None = None

    @property
    def role(self) -> LookupRole | ChangesRole | SearchRole | DeliverRole:
        """What it is for."""
        role = self.lookup or self.changes or self.search or self.deliver
        assert role is not None
        return role

    @property
    def entity(self) -> str:
        """The entity its records become."""
        return self.role.entity


@dataclass(frozen=True)
class SourceMapping:
    """One folder of `mappings/`, checked. `version` is the digest of mapping.yaml, so provenance can name it."""

    name: str
    title: str
    agency: str
    owner: str
    folder: Path
    version: str
    connect: Connect
    operations: Mapping[str, OperationMapping]
    entities: Mapping[str, EntityMapping]
    notices: tuple[Problem, ...] = field(default=())
