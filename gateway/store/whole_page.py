"""A page of a list with all that the answer shows of it, in as few statements as there are places in the answer.

Of an entity that one source alone tells, no more is read than what is shown. What several tell has to be weighed, and what
they do not agree on is told with the answer: of that, each source's copy is read as it is everywhere else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, Table

from adapters.mapping.truth import Truth
from gateway.store.bulk import rows_of, rows_under
from gateway.store.current import first_refs
from gateway.store.entities import Stored, by_keys, related
from gateway.store.search import Found, Search, find
from gateway.store.tables import Tables, element_column
from schema.registry import Registry

Read = Callable[[Any], Any]


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
    """What an answer shows: the places below the list, those above first; the elements of each entity; the entities of which
    it shows what the gateway allots; and how many entities of one relation the other way it may show."""

    places: tuple[Followed, ...]
    elements: Mapping[str, tuple[str, ...]]
    allotted: frozenset[str]
    most_related: int


@dataclass(frozen=True, slots=True)
class Copy:
    """What the one source that tells of an entity says: the elements that are shown and have a value, and what it refers to.

    `given` is what the gateway allotted to it, where that is shown.
    """

    source: str
    values: dict[str, Any]
    refs: Mapping[str, Sequence[str]]
    given: str | None


@dataclass(slots=True)
class WholePage:
    """A page, and what is told of the entities it shows.

    `copies` has all that were read, None for those that nobody tells of and those that several do; the latter's are in
    `several`, in the order of key and source. `related` is entity, key and relation -> the keys of what refers to it, at most
    one more than may be shown.
    """

    page: Found
    copies: dict[tuple[str, str], Copy | None] = field(default_factory=dict)
    several: list[Stored] = field(default_factory=list)
    related: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)


def read_whole_page(
    connection: Connection, tables: Tables, registry: Registry, truth: Truth, search: Search, shown: Shown
) -> WholePage:
    """The page with what is shown of it."""
    reading = _Reading(
        connection, tables, registry, truth, shown, WholePage(find(connection, tables, registry, search))
    )
    whole = reading.whole
    entities, members = [search.entity], [whole.page.keys]
    reading.read(search.entity, whole.page.keys)
    for place in shown.places:
        above = entities[place.above]
        relation = registry.entities[above].relations[place.relation]
        entities.append(relation.to)
        members.append(list(dict.fromkeys(reading.led_to(above, members[place.above], place.relation))))
        if place.is_read:
            reading.read(relation.to, members[-1])
    return whole


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

    def read(self, entity: str, keys: Iterable[str]) -> None:
        """What is told of these, unless it was read for another place."""
        copies, names = self.whole.copies, self.shown.elements.get(entity, ())
        unread = [key for key in keys if (entity, key) not in copies]
        if not unread:
            return
        table, allotted_to = self.tables.entities[entity], entity if entity in self.shown.allotted else ""
        statement, reads = _statement(table, names, allotted_to, self.connection.dialect)
        rows, listed = rows_under(self.connection, table.name, "deleted_at IS NULL", unread)
        copies.update(dict.fromkeys([(entity, key) for key in unread]))
        told_by_several: dict[str, None] = {}
        for key, source, refs, given, *values in rows_of(self.connection, statement + rows, (listed,)):
            if copies[entity, key] is not None or key in told_by_several:
                told_by_several[key] = None
                copies[entity, key] = None
                continue
            shown = {
                name: value if read is None else read(value)
                for name, read, value in zip(names, reads[1:], values, strict=True)
                if value is not None
            }
            copies[entity, key] = Copy(source, shown, refs if reads[0] is None else reads[0](refs), given)
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
        return [target for key in keys for target in self._targets(entity, key, relation)]

    def _targets(self, entity: str, key: str, relation: str) -> Sequence[str]:
        if (copy := self.whole.copies[entity, key]) is not None:
            return copy.refs.get(relation, ())
        told_by = {source: stored.mapped.refs for source, stored in self.tellings.get((entity, key), {}).items()}
        return first_refs(self.truth, entity, relation, told_by)


@lru_cache(maxsize=512)
def _statement(
    table: Table, names: tuple[str, ...], allotted_to: str, dialect: Dialect
) -> tuple[str, list[Read | None]]:
    """The front of the statement that reads the rows under some keys, and what turns cells into values: of `refs`, and of
    each element, None where they are values already. `allotted_to`: of which entity the allotted value is read as well."""
    columns = [table.c.refs, *(table.c[element_column(name)] for name in names)]
    reads: list[Read | None] = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    quote = dialect.identifier_preparer.quote
    given = f"(SELECT value FROM identity WHERE entity = '{allotted_to}' AND natural_key = told.key)"
    shown = [f"told.{quote(column.name)}" for column in columns[1:]]
    cells = ["told.key", "told.source", "told.refs", given if allotted_to else "NULL", *shown]
    return f"SELECT {', '.join(cells)} FROM ", reads
