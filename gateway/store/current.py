"""What holds now: for every entity one row put together from what all sources tell, and where its relations lead.

An element's value is that of the first source, by name, that tells one: the rule by which answers are put together too. So
lists are filtered, ordered and counted by exactly the values they show.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from gateway.store.database import key_chunks, lock
from gateway.store.tables import Tables, element_column
from schema.registry import Registry


def refresh(connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Iterable[str]) -> None:
    """Make these rows and their links say what all sources together tell now; within the transaction that changed it."""
    lock(connection, "current", entity)
    table, link = tables.current[entity], tables.current_link
    for some in key_chunks(keys):
        connection.execute(delete(table).where(table.c.key.in_(some)))
        connection.execute(delete(link).where(link.c.entity == entity, link.c.key.in_(some)))
        told = tables.entities[entity]
        count = select(told.c.key, func.count()).where(told.c.key.in_(some), told.c.deleted_at.is_(None))
        sources: dict[str, int] = {row[0]: row[1] for row in connection.execute(count.group_by(told.c.key))}
        _copy(connection, tables, registry, entity, [key for key, number in sources.items() if number == 1])
        _merge(connection, tables, registry, entity, [key for key, number in sources.items() if number > 1])
        _fill_allotted(connection, tables, registry, entity, some)


def renew(connection: Connection, tables: Tables, registry: Registry, entities: Iterable[str]) -> None:
    """Make all rows of these entities anew, from what the sources told."""
    for entity in sorted(entities):
        keys = connection.execute(select(tables.entities[entity].c.key).distinct()).scalars().all()
        if keys:
            refresh(connection, tables, registry, entity, keys)


def _copy(connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Sequence[str]) -> None:
    """What one source alone tells holds as it is."""
    if not keys:
        return
    table, told = tables.current[entity], tables.entities[entity]
    names = [column.name for column in table.columns]
    rows = select(*(told.c[name] for name in names)).where(told.c.key.in_(keys), told.c.deleted_at.is_(None))
    connection.execute(insert(table).from_select(names, rows))
    link = tables.link
    relations = _told(registry, entity)
    ways = select(link.c.entity, link.c.key, link.c.relation, link.c.target).where(
        link.c.entity == entity, link.c.key.in_(keys), link.c.relation.in_(relations)
    )
    connection.execute(
        insert(tables.current_link).from_select(["entity", "key", "relation", "target"], ways.distinct())
    )


def _merge(connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Sequence[str]) -> None:
    if not keys:
        return
    table, told = tables.current[entity], tables.entities[entity]
    query = select(told).where(told.c.key.in_(keys), told.c.deleted_at.is_(None)).order_by(told.c.key, told.c.source)
    rows: dict[str, dict[str, Any]] = {}
    refs: dict[str, dict[str, Sequence[str]]] = {}
    for telling in connection.execute(query).mappings():
        row = rows.setdefault(telling["key"], dict.fromkeys(column.name for column in table.columns))
        row.update((name, telling[name]) for name, value in row.items() if value is None)
        refs[telling["key"]] = {**telling["refs"], **refs.get(telling["key"], {})}
    connection.execute(insert(table), list(rows.values()))
    relations = _told(registry, entity)
    links = [
        {"entity": entity, "key": key, "relation": relation, "target": target}
        for key, of_key in refs.items()
        for relation, targets in of_key.items()
        if relation in relations
        for target in dict.fromkeys(targets)
    ]
    if links:
        connection.execute(insert(tables.current_link), links)


def _fill_allotted(
    connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Sequence[str]
) -> None:
    """What the gateway itself gave out stands in no record."""
    allotted, identity = registry.entities[entity].allotted, tables.identity
    if allotted is None:
        return
    query = select(identity.c.natural_key, identity.c.value).where(
        identity.c.entity == entity, identity.c.natural_key.in_(keys)
    )
    rows = [{"of_key": key, "given": value} for key, value in connection.execute(query).all()]
    if rows:
        table = tables.current[entity]
        column = table.c[element_column(allotted)]
        connection.execute(
            update(table).where(table.c.key == bindparam("of_key")).values({column: bindparam("given")}), rows
        )


def _told(registry: Registry, entity: str) -> list[str]:
    return [r.name for r in registry.entities[entity].relations.values() if r.is_told]
