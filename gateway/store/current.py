"""What holds now: for every entity one row put together from what all sources tell, and where its relations lead.

An element's value is that of the source whose word counts most of those that tell one (`adapters.mapping.truth`): the rule by
which answers are put together too. So lists are filtered, ordered and counted by exactly the values they show. Values that
another source's word was taken over are issues.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    RowMapping,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from adapters.mapping.record import Issue
from adapters.mapping.truth import NOTHING_SAID, Truth, conflicts
from gateway.store.bulk import SQLITE_INSERT, Form, Row, among, in_pieces, insert_rows, rows_of, rows_under, run
from gateway.store.database import chunks, lock
from gateway.store.issues import record_conflicts
from gateway.store.keys import Keys, storable
from gateway.store.links import hold_alone, hold_chosen
from gateway.store.tables import Tables, element_column
from gateway.store.tellers import others_tell
from schema.registry import Registry

MOST_AT_ONCE = 10_000
"""Keys of one step, so that making everything anew takes no more memory than a page does."""


ALONE = (1, 1)
"""That one source tells of something."""


@dataclass(frozen=True, slots=True)
class First:
    """What a source told for the first time, in this very transaction: where nobody else did, no row is there yet. `rows`: what
    lists are to show of all of it, where that is written already, and its form."""

    source: str
    keys: frozenset[str]
    rows: tuple[Form, Sequence[Row]] | None = None


NOBODY = First("", frozenset())


def refresh(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    truth: Truth,
    entity: str,
    keys: Iterable[str],
    moment: datetime,
    first: First = NOBODY,
) -> None:
    """Make these rows and their links say what all sources together tell now; within the transaction that changed it."""
    lock(connection, "current", entity)
    wanted = storable(keys)
    for some in [wanted] if len(wanted) <= MOST_AT_ONCE else map(Keys, chunks(wanted, MOST_AT_ONCE)):
        _refresh(connection, tables, registry, truth, entity, some, first, moment)


def _refresh(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    truth: Truth,
    entity: str,
    keys: Keys,
    first: First,
    moment: datetime,
) -> None:
    table, link = tables.current[entity], tables.link
    if first.keys.issuperset(keys) and not others_tell(connection, tables, entity, first.source):
        if first.rows is not None and len(first.rows[1]) == len(keys):
            insert_rows(connection, table, *first.rows)
        else:
            _copy(connection, tables, registry, entity, keys)
        return
    found = _told_by(connection, tables, entity, keys, first)
    untouched = {key for key in first.keys if found.get(key) == ALONE}
    if before := [key for key in keys if key not in untouched]:
        connection.execute(delete(table).where(among(connection, table.c.key, before)))
    alone = [key for key, (_, holding) in found.items() if holding == 1]
    _copy(connection, tables, registry, entity, alone)
    hold_alone(connection, link, registry, entity, [key for key in alone if key not in untouched])
    several = [key for key, (_, holding) in found.items() if holding > 1]
    disputed = _merge(connection, tables, registry, truth, entity, several)
    record_conflicts(
        connection, tables, entity, [key for key, (told_by, _) in found.items() if told_by > 1], disputed, moment
    )
    _fill_allotted(connection, tables, registry, entity, several)


def _told_by(
    connection: Connection, tables: Tables, entity: str, keys: Sequence[str], first: First
) -> dict[str, tuple[int, int]]:
    """Key -> how many sources told of it, and how many of these do not say that it is gone. Of what is told for the first
    time only the others have to be asked for."""
    found = {key: ALONE for key in keys if key in first.keys}
    count = "SELECT told.key, COUNT(*), SUM(CASE WHEN told.deleted_at IS NULL THEN 1 ELSE 0 END) FROM"
    for some, source, mine in ((list(found), first.source, 1), ([key for key in keys if key not in found], "", 0)):
        if some:
            rows, listed = rows_under(connection, tables.entities[entity].name, "source <> %s", some)
            counted = rows_of(connection, f"{count} {rows} GROUP BY told.key", (listed, source))
            found.update((key, (told_by + mine, holding + mine)) for key, told_by, holding in counted)
    return found


def renew(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    truth: Truth | None,
    entities: Iterable[str],
    moment: datetime,
) -> None:
    """Make all rows of these entities anew, from what the sources told; and of those whose word counts differently than when
    they were made, the rows that several tell of."""
    made, entities = tables.made_by, set(entities)
    before = {row[0]: row[1] for row in connection.execute(select(made.c.entity, made.c.truth))}
    for entity in sorted(registry.entities):
        old, told = before.get(entity, ""), tables.entities[entity]
        digest = old if truth is None else truth.digest(entity)
        if entity not in entities and old == digest:
            continue
        by_several = "" if entity in entities else "HAVING COUNT(*) > 1"
        query = f'SELECT key FROM "{told.name}" WHERE key > %s GROUP BY key {by_several} ORDER BY key LIMIT %s'
        for rows in in_pieces(connection, query, (), MOST_AT_ONCE):
            refresh(connection, tables, registry, truth or NOTHING_SAID, entity, [key for (key,) in rows], moment)
        connection.execute(delete(made).where(made.c.entity == entity))
        connection.execute(insert(made).values(entity=entity, truth=digest))


def _copy(connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Sequence[str]) -> None:
    """What one source alone tells holds as it is; what the gateway itself gave out stands in no record."""
    if not keys:
        return
    table, quote = tables.current[entity], connection.dialect.identifier_preparer.quote
    names = [quote(column.name) for column in table.columns]
    values = {name: f"told.{name}" for name in names}
    if allotted := registry.entities[entity].allotted:
        name = quote(element_column(allotted))
        given = f"SELECT value FROM identity WHERE entity = '{entity}' AND natural_key = told.key"
        values[name] = f"COALESCE(({given}), told.{name})"
    rows, listed = rows_under(connection, tables.entities[entity].name, "deleted_at IS NULL", keys)
    columns, chosen = ", ".join(names), ", ".join(values.values())
    insert_into = "INSERT INTO" if connection.dialect.name == "postgresql" else SQLITE_INSERT
    run(connection, f'{insert_into} "{table.name}" ({columns}) SELECT {chosen} FROM {rows}', (listed,))


def _merge(
    connection: Connection, tables: Tables, registry: Registry, truth: Truth, entity: str, keys: Sequence[str]
) -> list[Issue]:
    """Put together what several sources tell; returns what they do not agree on."""
    if not keys:
        return []
    table, told = tables.current[entity], tables.entities[entity]
    query = (
        select(told)
        .where(among(connection, told.c.key, keys), told.c.deleted_at.is_(None))
        .order_by(told.c.key, told.c.source)
    )
    by_key: dict[str, dict[str, RowMapping]] = {}
    for telling in connection.execute(query).mappings():
        by_key.setdefault(telling["key"], {})[telling["source"]] = telling
    spec = registry.entities[entity]
    names = {element_column(name): name for name in spec.elements}
    rows: list[dict[str, Any]] = []
    chosen: dict[str, dict[str, str]] = {}
    disputed: list[Issue] = []
    for key, told_by in by_key.items():
        rows.append({c.name: _first(truth, entity, names.get(c.name, c.name), c.name, told_by) for c in table.columns})
        ways = dict.fromkeys(relation for telling in told_by.values() for relation in telling["refs"])
        refs = {source: row["refs"] for source, row in told_by.items()}
        chosen[key] = {relation: _first_to_refer(truth, entity, relation, refs) for relation in ways}
        values = {source: {name: row[column] for column, name in names.items()} for source, row in told_by.items()}
        disputed += conflicts(truth, spec, key, values)
    connection.execute(insert(table), rows)
    hold_chosen(connection, tables.link, registry, entity, chosen)
    return disputed


def _first(truth: Truth, entity: str, name: str, column: str, told_by: Mapping[str, RowMapping]) -> Any:
    """The value of the source whose word counts most of those that have one."""
    able = [source for source, row in told_by.items() if row[column] is not None]
    return told_by[min(able, key=lambda source: truth.place(entity, name, source))][column] if able else None


def first_refs(
    truth: Truth, entity: str, relation: str, told_by: Mapping[str, Mapping[str, Sequence[str]]]
) -> Sequence[str]:
    """Where a relation leads by the source whose word counts most of those that tell it; nowhere when none does."""
    source = _first_to_refer(truth, entity, relation, told_by)
    return told_by[source][relation] if source else ()


def _first_to_refer(
    truth: Truth, entity: str, relation: str, told_by: Mapping[str, Mapping[str, Sequence[str]]]
) -> str:
    able = [source for source, refs in told_by.items() if relation in refs]
    return min(able, key=lambda source: truth.place(entity, relation, source)) if able else ""


def _fill_allotted(
    connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Sequence[str]
) -> None:
    """What the gateway itself gave out stands in no record."""
    allotted, identity = registry.entities[entity].allotted, tables.identity
    if allotted is None or not keys:
        return
    query = select(identity.c.natural_key, identity.c.value).where(
        identity.c.entity == entity, among(connection, identity.c.natural_key, keys)
    )
    rows = [{"of_key": key, "given": value} for key, value in connection.execute(query).all()]
    if rows:
        table = tables.current[entity]
        column = table.c[element_column(allotted)]
        connection.execute(
            update(table).where(table.c.key == bindparam("of_key")).values({column: bindparam("given")}), rows
        )
