"""A page of a list with all that the answer shows of it, in as few statements as there are places in the answer.

Of an entity that one source alone tells, no more is read than what is shown. What several tell has to be weighed, and what
they do not agree on is told with the answer: of that, each source's copy is read as it is everywhere else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, Table

from adapters.mapping.truth import Truth
from gateway.store.bulk import rows_of, rows_under
from gateway.store.current import first_refs
from gateway.store.entities import Stored, by_keys, related
from gateway.store.identity import find_values
from gateway.store.prepared import Read, with_values
from gateway.store.search import Beside, Found, Search, find_with
from gateway.store.tables import Tables, element_column
from schema.registry import Registry

KEY, GIVEN, SOURCE, FRONT = range(4)
"""What stands in front of a copy: the entity's key, what the gateway allotted, where that is shown, and who tells it."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A place of the answer below the list: from the place with number `above` (0 is the list itself) along a relation.

    `is_read`: something is shown there that the entity's key does not tell.
    """

    above: int
    relation: str
    is_read: bool = True


@dataclass(frozen=True, slots=True)
class Shown:
    """What an answer shows: the places below the list, those above first; the elements of each entity, and the relations that
    records tell and that are followed; the entities of which it shows what the gateway allots; how many entities of one
    relation the other way it may show; and relation and element of what is allotted to another entity, which a relation
    leads to."""

    places: tuple[Followed, ...]
    elements: Mapping[str, tuple[str, ...]]
    relations: Mapping[str, tuple[str, ...]]
    allotted: frozenset[str]
    most_related: int
    references: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)


Copy = tuple[Any, ...]
"""What the one source that tells of an entity says: its front, then where the relations of `Shown.relations` lead, then the
elements of `Shown.elements`, None for what it does not tell."""


@dataclass(slots=True)
class WholePage:
    """A page, and what is told of the entities it shows.

    `copies` has, by entity and key, all that were read, None for those that nobody tells of and those that several do; the
    latter's are in `several`, in the order of key and source. `related` is entity, key and relation -> the keys of what refers
    to it, at most one more than may be shown. `given` is entity -> key -> what the gateway allotted, of those that the
    references of a copy lead to and that have it.
    """

    page: Found
    copies: dict[str, dict[str, Copy | None]] = field(default_factory=dict)
    several: list[Stored] = field(default_factory=list)
    related: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)
    given: dict[str, dict[str, str]] = field(default_factory=dict)


def read_whole_page(
    connection: Connection, tables: Tables, registry: Registry, truth: Truth, search: Search, shown: Shown
) -> WholePage:
    """The page with what is shown of it."""
    allotted = registry.entities[search.entity].allotted if search.entity in shown.allotted else None
    beside = Beside(allotted, shown.relations[search.entity], shown.elements[search.entity])
    page, copies = find_with(connection, tables, registry, search, beside)
    reading = _Reading(connection, tables, registry, truth, shown, WholePage(page))
    entities, members = [search.entity], [page.keys]
    reading.take(search.entity, [copy for of_one in copies for copy in of_one if copy[SOURCE] is not None], members[0])
    for place in shown.places:
        above = entities[place.above]
        relation = registry.entities[above].relations[place.relation]
        entities.append(relation.to)
        members.append(list(dict.fromkeys(reading.led_to(above, members[place.above], place.relation))))
        if place.is_read:
            reading.read(relation.to, members[-1])
    reading.read_given()
    return reading.whole


@dataclass(frozen=True, slots=True)
class _Reading:
    connection: Connection
    tables: Tables
    registry: Registry
    truth: Truth
    shown: Shown
    whole: WholePage
    tellings: dict[tuple[str, str], dict[str, Stored]] = field(default_factory=dict)
    """Entity and key -> source -> what it tells, of what several tell."""

    def read(self, entity: str, keys: Sequence[str]) -> None:
        """What is told of these, unless it was read for another place."""
        known = self.whole.copies.setdefault(entity, {})
        if not (unread := [key for key in keys if key not in known] if known else keys):
            return
        table, shown = self.tables.entities[entity], self.shown
        ways, names = shown.relations.get(entity, ()), shown.elements.get(entity, ())
        statement, reads = _statement(table, ways, names, entity in shown.allotted, entity, self.connection.dialect)
        rows, listed = rows_under(self.connection, table.name, "deleted_at IS NULL", unread)
        self.take(entity, with_values(rows_of(self.connection, statement + rows, (listed,)), reads), unread)

    def take(self, entity: str, copies: Sequence[Copy], keys: Sequence[str]) -> None:
        """Take in what is told of these; each source's copy of what several tell is read as it is everywhere else."""
        of = self.whole.copies.setdefault(entity, {})
        of.update(dict.fromkeys(keys))
        told_by_several: dict[str, None] = {}
        for copy in copies:
            key = copy[KEY]
            if of[key] is None and key not in told_by_several:
                of[key] = copy
            else:
                of[key] = told_by_several[key] = None
        if told_by_several:
            found = by_keys(self.connection, self.tables, self.registry, entity, told_by_several)
            self.whole.several += found
            for stored in found:
                self.tellings.setdefault((entity, stored.mapped.key), {})[stored.source] = stored

    def led_to(self, entity: str, keys: Sequence[str], relation: str) -> Iterable[str]:
        """Where a relation of these leads, as all tell together."""
        spec = self.registry.entities[entity].relations[relation]
        if not spec.is_told:
            most = self.shown.most_related
            found = related(self.connection, self.tables, spec.to, str(spec.inverse), keys, most + 1)
            self.whole.related.update(((entity, key, relation), found[key]) for key in keys)
            return [target for key in keys if len(found[key]) <= most for target in found[key]]
        copies, place = self.whole.copies[entity], FRONT + self.shown.relations[entity].index(relation)
        targets: list[str] = []
        for key in keys:
            copy = copies[key]
            targets += self._as_several_tell(entity, key, relation) if copy is None else copy[place] or ()
        return targets

    def read_given(self) -> None:
        """What was allotted to the entities that the references of copies lead to."""
        named: dict[str, dict[str, None]] = {}
        for entity, references in self.shown.references.items():
            for relation, _ in references:
                place = FRONT + self.shown.relations[entity].index(relation)
                keys = named.setdefault(self.registry.entities[entity].relations[relation].to, {})
                for copy in filter(None, self.whole.copies[entity].values()):
                    keys.update(dict.fromkeys(copy[place] or ()))
        for to, asked in named.items():
            self.whole.given[to] = find_values(self.connection, self.tables, to, asked)

    def _as_several_tell(self, entity: str, key: str, relation: str) -> Sequence[str]:
        told_by = {source: stored.mapped.refs for source, stored in self.tellings.get((entity, key), {}).items()}
        return first_refs(self.truth, entity, relation, told_by)


@lru_cache(maxsize=512)
def _statement(
    table: Table, ways: tuple[str, ...], names: tuple[str, ...], is_allotted: bool, entity: str, dialect: Dialect
) -> tuple[str, list[tuple[int, Read]]]:
    """The front of the statement that reads copies under some keys, and what turns cells into values, by their place, where
    they are no values yet."""
    columns = [table.c[element_column(name)] for name in names]
    processors = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    reads: list[tuple[int, Read]] = [(FRONT + place, msgspec.json.decode) for place in range(len(ways))]
    reads += [(FRONT + len(ways) + place, read) for place, read in enumerate(processors) if read is not None]
    quote, is_postgresql = dialect.identifier_preparer.quote, dialect.name == "postgresql"
    given = f"(SELECT value FROM identity WHERE entity = '{entity}' AND natural_key = told.key)"
    leads = [f"told.refs ->> '{way}'" if is_postgresql else f"json_extract(told.refs, '$.{way}')" for way in ways]
    shown = [f"told.{quote(column.name)}" for column in columns]
    cells = ["told.key", given if is_allotted else "NULL", "told.source", *leads, *shown]
    return f"SELECT {', '.join(cells)} FROM ", reads
