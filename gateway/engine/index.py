"""Everything one request has learnt: one row per entity, whoever told of it, and where each relation leads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from adapters.errors import SourceError
from adapters.mapping.record import Issue, Mapped
from adapters.mapping.truth import NOTHING_SAID, Place, Truth, conflicts
from schema.identity import global_id, values_in_key
from schema.names import camel
from schema.registry import Entity, Registry

Mode = Literal["LIVE", "CACHED", "STORE", "STALE"]
REMEMBERED, NAMED, RELATED, ASKED = -1, 0, 1, 2
"""How well a record knows an entity: it is a stored copy beside live ones, it only holds a copy of it, it was found by a
relation, it was asked for by key."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something in the answer comes from 溯源. `as_of`: the source is known to have said so then;
    `fetched_at`: when these bytes were first received."""

    source: str
    operation: str
    mode: Mode
    as_of: datetime
    fetched_at: datetime
    spec_version: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one origin told of one entity; `is_reference` when it only named it, and told nothing more than its key."""

    origin: Origin
    elements: frozenset[str]
    is_reference: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that could not be asked, and the operation."""

    source: str
    operation: str
    error: SourceError


@dataclass(slots=True, eq=False)
class Row:
    """One entity, put together from everything that was told of it."""

    entity: Entity
    key: str
    index: "Index"
    values: dict[str, Any] = field(default_factory=dict)
    ranks: dict[str, tuple[Place, int]] = field(default_factory=dict)
    tellings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    contributions: dict[tuple[str, Mode], Contribution] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    was_asked: bool = False

    @property
    def id(self) -> str:
        """The opaque global identifier."""
        return global_id(self.entity.name, self.key)

    @property
    def is_told(self) -> bool:
        """Whether somebody has a record of it, beyond naming it."""
        return any(not told.is_reference for told in self.contributions.values())

    def lacks(self, element: str) -> bool:
        """Whether nobody was able to tell this element or relation yet (a known null is not lacking)."""
        return element not in self.ranks

    def learn(self, name: str, value: Any, rank: int, source: str) -> None:
        """Take a value unless a source whose word counts more already gave one; of one source the better informed counts."""
        known = self.ranks.get(name)
        told = (self.index.truth.place(self.entity.name, name, source), -rank)
        is_better = known is None or told < known
        is_new = value is not None and (is_better or self.values.get(name) is None)
        if is_new or known is None:
            self.values[name] = value if value is not None else self.values.get(name)
            self.ranks[name] = told

    def is_told_by(self, name: str, source: str) -> bool:
        """Whether this source's word is what is known of the element."""
        return name in self.ranks and self.ranks[name][0][-1] == source


class Index:
    """The rows of one request by (entity, key), and the relations found by look-ups the other way."""

    def __init__(self, registry: Registry, truth: Truth = NOTHING_SAID) -> None:
        self.registry, self.truth = registry, truth
        self.rows: dict[tuple[str, str], Row] = {}
        self.related: dict[tuple[str, str, str], dict[int, dict[str, None]]] = {}
        self.related_failures: dict[tuple[str, str, str], Failure] = {}
        self.issues: dict[Issue, None] = {}

    def row(self, entity: str, key: str) -> Row:
        """The row of this entity, made with what its key tells when it is new."""
        found = self.rows.get((entity, key))
        if found is None:
            spec = self.registry.entities[entity]
            found = self.rows[(entity, key)] = Row(spec, key, self, values_in_key(spec, key))
        return found

    def add(self, mapped: Mapped, origin: Origin, rank: int, provides: frozenset[str]) -> Row:
        """Take in one entity from one origin, with everything inside it. `provides` are the elements it could tell."""
        row = self.row(mapped.entity, mapped.key)
        for name in provides:
            row.learn(name, mapped.values.get(name), rank, origin.source)
        for name, keys in mapped.refs.items():
            row.learn(name, keys, rank, origin.source)
        place = (origin.source, origin.mode)
        told = frozenset(name for name in mapped.values if name in row.entity.elements)
        before = row.contributions.get(place)
        if before is None or before.is_reference:
            row.contributions[place] = Contribution(origin, told)
        else:
            row.contributions[place] = Contribution(before.origin, told | before.elements)
        self.issues.update(dict.fromkeys(mapped.issues))
        if rank > REMEMBERED or origin.source not in row.tellings:
            row.tellings[origin.source] = mapped.values
        return row

    def find_conflicts(self) -> None:
        """Add an issue for every value that another source's word was taken over."""
        for row in self.rows.values():
            if len(row.tellings) > 1:
                self.issues.update(dict.fromkeys(conflicts(self.truth, row.entity, row.key, row.tellings)))

    def relate(self, entity: str, key: str, relation: str, targets: Iterable[str], step: int) -> None:
        """Remember that `relation` of this entity leads to these, as a step found; steps are ordered by their number."""
        found = self.related.setdefault((entity, key, relation), {})
        found.setdefault(step, {}).update(dict.fromkeys(targets))

    def targets(self, row: Row, relation: str) -> Sequence[str] | None:
        """The keys a relation leads to; None when nobody could tell."""
        spec = row.entity.relations[relation]
        if spec.is_told:
            keys = row.values.get(relation)
            return keys if keys is not None or not row.lacks(relation) else None
        found = self.related.get((row.entity.name, row.key, relation))
        return None if found is None else list(dict.fromkeys(key for step in sorted(found) for key in found[step]))

    def name_references(self, row: Row, relation: str, origin: Origin) -> None:
        """Entities that are only referred to owe their key to whoever referred to them."""
        spec = row.entity.relations[relation]
        for key in row.values.get(relation) or ():
            target = self.row(spec.to, key)
            for name in target.values:
                target.learn(name, target.values[name], NAMED, origin.source)
            named = Contribution(origin, frozenset(target.values), is_reference=True)
            target.contributions.setdefault((origin.source, origin.mode), named)


def provenance_of(row: Row) -> list[Mapping[str, Any]]:
    """The origins of a row, best informed first: what GraphQL answers for `provenance`.

    Who only named the entity is an origin as long as nobody tells more of it.
    """
    told = [c for c in row.contributions.values() if not c.is_reference]
    return [
        {
            "source": c.origin.source,
            "operation": c.origin.operation,
            "mode": c.origin.mode,
            "as_of": c.origin.as_of,
            "fetched_at": c.origin.fetched_at,
            "spec_version": c.origin.spec_version,
            "elements": sorted(camel(name) for name in c.elements),
        }
        for c in sorted(told or row.contributions.values(), key=lambda c: (-len(c.elements), c.origin.source))
    ]
