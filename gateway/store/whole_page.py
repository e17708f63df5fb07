"""A page of a list with all that the answer shows of it, in as few statements as there are places in the answer.

Of an entity that one source alone tells, no more is read than what is shown. What several tell has to be weighed, and what
they do not agree on is told with the answer: of that, each source's copy is read as it is everywhere else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Dialect, Table

from adapters.mapping.truth import Truth
from gateway.store.bulk import rows_of, rows_under
from gateway.store.current import first_refs
from gateway.store.entities import Stored, by_keys, related
from gateway.store.search import Found, Search, find_with
from gateway.store.tables import Tables, element_column
from schema.registry import Registry

Read = Callable[[Any], Any]
KEY, SOURCE, GIVEN, FRONT = range(4)
"""What stands in front of a copy: the entity's key, who tells it, and what the gateway allotted, where that is shown."""


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
    records tell and that are followed; the entities of which it shows what the gateway allots; and how many entities of one
    relation the other way it may show."""

    places: tuple[Followed, ...]
    elements: Mapping[str, tuple[str, ...]]
    relations: Mapping[str, tuple[str, ...]]
    allotted: frozenset[str]
    most_related: int


Copy = tuple[Any, ...]
"""What the one source that tells of an entity says: its front, then where the relations of `Shown.relations` lead, then the
elements of `Shown.elements`, None for what it does not tell."""


@dataclass(slots=True)
class WholePage:
    """A page, and what is told of the entities it shows.

    `copies` has, by entity and key, all that were read, None for those that nobody tells of and those that several do; the
    latter's are in `several`, in the order of key and source. `related` is entity, key and relation -> the keys of what refers
    to it, at most one more than may be shown.
    """

    page: Found
    copies: dict[str, dict[str, Copy | None]] = field(default_factory=dict)
    several: list[Stored] = field(default_factory=list)
    related: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)


def read_whole_page(
    connection: Connection, tables: Tables, registry: Registry, truth: Truth, search: Search, shown: Shown
) -> WholePage:
    """The page with what is shown of it."""
    allotted = registry.entities[search.entity].allotted if search.entity in shown.allotted else None
    page, given = find_with(connection, tables, registry, search, allotted)
    reading = _Reading(connection, tables, registry, truth, shown, WholePage(page))
    entities, members = [search.entity], [page.keys]
    reading.read(search.entity, members[0], dict(zip(members[0], given, strict=True)) if allotted else None)
    for place in shown.places:
        above = entities[place.above]
        relation = registry.entities[above].relations[place.relation]
        entities.append(relation.to)
        members.append(list(dict.fromkeys(reading.led_to(above, members[place.above], place.relation))))
        if place.is_read:
            reading.read(relation.to, members[-1])
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

    def read(self, entity: str, keys: Sequence[str], given: Mapping[str, str] | None = None) -> None:
        """What is told of these, unless it was read for another place; `given` is what is known to be allotted to them."""
        copies = self.whole.copies.setdefault(entity, {})
        unread = [key for key in keys if key not in copies] if copies else keys
        if not unread:
            return
        table, shown = self.tables.entities[entity], self.shown
        ways, names = shown.relations.get(entity, ()), shown.elements.get(entity, ())
        allotted_to = entity if entity in shown.allotted and given is None else ""
        statement, reads = _statement(table, ways, names, allotted_to, self.connection.dialect)
        rows, listed = rows_under(self.connection, table.name, "deleted_at IS NULL", unread)
        copies.update(dict.fromkeys(unread))
        told_by_several: dict[str, None] = {}
        for copy in rows_of(self.connection, statement + rows, (listed,)):
            key = copy[KEY]
            if copies[key] is not None or key in told_by_several:
                told_by_several[key] = None
                copies[key] = None
                continue
            if reads or given is not None:
                cells = list(copy)
                for place, read in reads:
                    if cells[place] is not None:
                        cells[place] = read(cells[place])
                if given is not None:
                    cells[GIVEN] = given[key]
                copies[key] = tuple(cells)
            else:
                copies[key] = copy
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

    def _as_several_tell(self, entity: str, key: str, relation: str) -> Sequence[str]:
        told_by = {source: stored.mapped.refs for source, stored in self.tellings.get((entity, key), {}).items()}
        return first_refs(self.truth, entity, relation, told_by)


@lru_cache(maxsize=512)
def _statement(
    table: Table, ways: tuple[str, ...], names: tuple[str, ...], allotted_to: str, dialect: Dialect
) -> tuple[str, list[tuple[int, Read]]]:
    """The front of the statement that reads copies under some keys, and what turns cells into values, by their place, where
    they are no values yet. `allotted_to`: of which entity the allotted value is read as well."""
    is_postgresql = dialect.name == "postgresql"
    columns = [table.c[element_column(name)] for name in names]
    processors = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    reads: list[tuple[int, Read]] = [(FRONT + place, msgspec.json.decode) for place in range(len(ways))]
    reads += [(FRONT + len(ways) + place, read) for place, read in enumerate(processors) if read is not None]
    quote = dialect.identifier_preparer.quote
    given = f"(SELECT value FROM identity WHERE entity = '{allotted_to}' AND natural_key = told.key)"
    leads = [f"told.refs ->> '{way}'" if is_postgresql else f"json_extract(told.refs, '$.{way}')" for way in ways]
    shown = [f"told.{quote(column.name)}" for column in columns]
    cells = ["told.key", "told.source", given if allotted_to else "NULL", *leads, *shown]
    return f"SELECT {', '.join(cells)} FROM ", reads
