"""Everything one request has learnt: one row per entity, whoever told of it, and where each relation leads."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

from adapters.errors import SourceError
from adapters.mapping.record import Issue, Mapped
from adapters.mapping.truth import NOTHING_SAID, Truth, conflicts
from schema.formats import CHINA_TIME
from schema.identity import global_id, values_in_key
from schema.names import camel
from schema.registry import Entity, Registry

Mode = Literal["LIVE", "CACHED", "STORE", "STALE"]
REMEMBERED, NAMED, RELATED, ASKED = -1, 0, 1, 2
"""How well a record knows an entity: it is a stored copy beside live ones, it only holds a copy of it, it was found by a
relation, it was asked for by key."""


Rank = tuple[int, str]
"""How well informed a source is of something, and its name."""
NONE_TOLD: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something in the answer comes from 溯源. `as_of`: the source is known to have said so then;
    `fetched_at`: when these bytes were first received. What the store tells has the version of the mapping by which it was
    taken in, and the digest of the payload it stood in; where that is asked for, the run it came in."""

    source: str
    operation: str
    mode: Mode
    as_of: datetime
    fetched_at: datetime
    spec_version: str
    mapping_version: str | None = None
    raw_digest: str | None = None
    run: int | None = None


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one origin told of one entity; `is_reference` when it only named it, and told nothing more than its key."""

    origin: Origin
    elements: frozenset[str]
    is_reference: bool = False


Contributions = Mapping[tuple[str, Mode], Contribution]
"""What each source told in each mode. One such mapping may serve many rows, and is never changed."""
NO_CONTRIBUTIONS: Contributions = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that could not be asked, and the operation."""

    source: str
    operation: str
    error: SourceError


@dataclass(slots=True, eq=False)
class Row:
    """One entity, put together from everything that was told of it.

    `told` are the names of which `teller` is the best informed source so far; `ranks` has the others, name by name.
    """

    entity: Entity
    key: str
    index: "Index"
    values: dict[str, Any] = field(default_factory=dict)
    teller: Rank | None = None
    told: frozenset[str] = NONE_TOLD
    ranks: dict[str, Rank] = field(default_factory=dict)
    contributions: Contributions = field(default_factory=lambda: NO_CONTRIBUTIONS)
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
        return element not in self.told and element not in self.ranks

    def rank_of(self, name: str) -> Rank | None:
        """How well informed the source is that told this element or relation, and its name; None when nobody told it."""
        return self.ranks.get(name) or (self.teller if name in self.told else None)

    def learn(self, name: str, value: Any, rank: int, source: str) -> None:
        """Take a value unless a source whose word counts more already gave one; of one source the better informed counts."""
        known = self.rank_of(name)
        is_better = known is None or self._counts_more(name, (rank, source), known)
        before = self.values.get(name)
        if value is not None and before is not None and known is not None and known[1] != source and value != before:
            self.index.dispute(self, name, {known[1]: before, source: value})
        is_new = value is not None and (is_better or before is None)
        if is_new or known is None:
            self.values[name] = value if value is not None else before
            self.ranks[name] = (rank, source)

    def is_told_by(self, name: str, source: str) -> bool:
        """Whether this source's word is what is known of the element."""
        known = self.rank_of(name)
        return known is not None and known[1] == source

    def _counts_more(self, name: str, new: Rank, known: Rank) -> bool:
        """Whether the new word counts more than the one that is known: by whose it is, then by how well informed it is."""
        place = self.index.truth.place
        mine, other = place(self.entity.name, name, new[1]), place(self.entity.name, name, known[1])
        return (mine, -new[0]) < (other, -known[0])

    def adopt(self, values: dict[str, Any], names: frozenset[str], rank: int, source: str) -> None:
        """Learn all of `names`, None for those that `values` lacks; `values` holds nothing else, and is given away.

        The same as `learn` of each, and cheap for a row of which no more than its key was known.
        """
        if self.ranks:
            for name in names:
                self.learn(name, values.get(name), rank, source)
            return
        known, told, teller = self.values, self.told, self.teller
        for name, before in known.items():
            if name not in told and values.get(name) is None:
                values[name] = before
        for name in told:
            assert teller is not None
            value, before = values.get(name), known.get(name)
            if value is not None and before is not None and teller[1] != source and value != before:
                self.index.dispute(self, name, {teller[1]: before, source: value})
            is_better = before is None or self._counts_more(name, (rank, source), teller)
            if name not in names or value is None or not is_better:
                self.ranks[name] = teller
                if before is not None:
                    values[name] = before
        self.values, self.teller, self.told = values, (rank, source), names

    def be_named(self, source: str) -> None:
        """Learn from a source that named the entity what is known of it already, which is at least its key."""
        rank, teller = (NAMED, source), self.teller
        if not self.ranks and teller in (None, rank):
            self.teller = rank
            if not self.told.issuperset(self.values):
                self.told = self.told.union(self.values)
            return
        for name in self.values:
            if self.lacks(name):  # whoever told it knows it better than who only names the entity
                self.learn(name, self.values[name], NAMED, source)


class Index:
    """The rows of one request by (entity, key), and the relations found by look-ups the other way."""

    def __init__(self, registry: Registry, truth: Truth = NOTHING_SAID) -> None:
        self.registry, self.truth = registry, truth
        self.asked_at = datetime.now(CHINA_TIME)
        self.rows: dict[tuple[str, str], Row] = {}
        self.related: dict[tuple[str, str, str], dict[int, dict[str, None]]] = {}
        self.related_failures: dict[tuple[str, str, str], Failure] = {}
        self.issues: dict[Issue, None] = {}
        self.disputes: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.named: dict[tuple[tuple[str, Mode], tuple[str, ...]], Contributions] = {}

    def row(self, entity: str, key: str) -> Row:
        """The row of this entity, made with what its key tells when it is new."""
        found = self.rows.get((entity, key))
        if found is None:
            spec = self.registry.entities[entity]
            found = self.rows[(entity, key)] = Row(spec, key, self, values_in_key(spec, key))
        return found

    def forget(self) -> None:
        """Let go of all rows, which know their index and are known by it: left to themselves they would wait in circles for
        the garbage collector, and have it look through the whole process again and again."""
        self.rows.clear()
        self.related.clear()

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
            row.contributions = {**row.contributions, place: Contribution(origin, told)}
        else:
            row.contributions = {**row.contributions, place: Contribution(before.origin, told | before.elements)}
        self.issues.update(dict.fromkeys(mapped.issues))
        return row

    def adopt(self, mapped: Mapped, contributed: Contributions, rank: int, names: frozenset[str]) -> Row:
        """As `add`, of what holds nothing but `names`; takes its values over. `contributed` may be shared by many rows."""
        name, key, values = mapped.entity, mapped.key, mapped.values
        row = self.rows.get((name, key))
        if mapped.refs:
            values.update(mapped.refs)
        ((place, contribution),) = contributed.items()
        if row is None:
            spec = self.registry.entities[name]
            if _tells_all(spec.usual_key, values) and "=" not in key:  # the key has nothing to add
                teller = (rank, place[0])
                row = self.rows[name, key] = Row(spec, key, self, values, teller, names, {}, contributed)
                if mapped.issues:
                    self.issues.update(dict.fromkeys(mapped.issues))
                return row
            row = self.row(name, key)
        row.adopt(values, names, rank, place[0])
        if not row.contributions:
            row.contributions = contributed
        elif (before := row.contributions.get(place)) is None or before.is_reference:
            row.contributions = {**row.contributions, place: contribution}
        if mapped.issues:
            self.issues.update(dict.fromkeys(mapped.issues))
        return row

    def dispute(self, row: Row, name: str, words: Mapping[str, Any]) -> None:
        """Remember that sources tell different values of an element."""
        if name in row.entity.elements:
            self.disputes.setdefault((row.entity.name, row.key, name), {}).update(words)

    def find_conflicts(self) -> None:
        """Add an issue for every value that another source's word was taken over."""
        for (entity, key, name), words in self.disputes.items():
            row = self.rows[entity, key]
            known = row.rank_of(name)
            told = {**words, known[1]: row.values.get(name)} if known else words
            tellings = {source: {name: value} for source, value in told.items()}
            self.issues.update(dict.fromkeys(conflicts(self.truth, row.entity, key, tellings)))

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
        if found is None:
            return None
        if len(found) == 1:
            return list(*found.values())
        return list(dict.fromkeys(key for step in sorted(found) for key in found[step]))

    def led_to(self, rows: Iterable[Row], relation: str) -> list[Row]:
        """The rows that a relation of these leads to, as far as anybody could tell; each of them once."""
        found: dict[str, Row] = {}
        known = self.rows.get
        for row in rows:
            to = row.entity.relations[relation].to
            for key in self.targets(row, relation) or ():
                if key not in found:
                    found[key] = known((to, key)) or self.row(to, key)
        return list(found.values())

    def name_references(self, row: Row, relation: str, origin: Origin, named_before: set[tuple[str, str]]) -> None:
        """Entities that are only referred to owe their key to whoever referred to them.

        What the same source named before in the same mode it need not name again: passed over, and the others added.
        """
        to = row.entity.relations[relation].to
        for key in row.values.get(relation) or ():
            if (to, key) in named_before:
                continue
            named_before.add((to, key))
            place, teller = (origin.source, origin.mode), (NAMED, origin.source)
            target = self.rows.get((to, key))
            if target is None:
                target = self.row(to, key)
                target.contributions = named = self._named(origin, tuple(target.values))
                target.teller, target.told = teller, named[place].elements
                continue
            target.be_named(origin.source)
            if place not in target.contributions:
                named = self._named(origin, tuple(target.values))
                target.contributions = {**target.contributions, **named} if target.contributions else named

    def _named(self, origin: Origin, elements: tuple[str, ...]) -> Contributions:
        """What an origin told that named an entity by these elements; made once for all of them."""
        place: tuple[str, Mode] = (origin.source, origin.mode)
        known = self.named.get((place, elements))
        if known is None or known[place].origin is not origin:
            known = {place: Contribution(origin, frozenset(elements), is_reference=True)}
            self.named[place, elements] = known
        return known


def _tells_all(names: frozenset[str], values: Mapping[str, Any]) -> bool:
    for name in names:  # noqa: SIM110 - a generator for each row would cost more than the look-ups
        if name not in values:
            return False
    return True


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
            "mapping_version": None if c.is_reference else c.origin.mapping_version,
            "raw_digest": None if c.is_reference else c.origin.raw_digest,
            "run": None if c.is_reference or c.origin.run is None else str(c.origin.run),
            "lag": None if c.origin.mode == "LIVE" else _seconds(c.origin.as_of, row.index.asked_at),
            "elements": sorted(camel(name) for name in c.elements),
        }
        for c in sorted(told or row.contributions.values(), key=lambda c: (-len(c.elements), c.origin.source))
    ]


def _seconds(earlier: datetime, later: datetime) -> int:
    return max(0, int((later - earlier).total_seconds()))
