"""What the store remembers: entities by key, by what they refer to, in order, and as the answers of a source that is down."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, RowMapping, Select, Table, bindparam, func, select

from adapters.mapping.model import PROVENANCE_FIELDS
from adapters.mapping.record import Mapped
from gateway.store.database import key_chunks
from gateway.store.tables import Tables, element_column
from schema.registry import OWNER, Registry

MOST_QUERIES = 200


@dataclass(frozen=True, slots=True)
class Stored:
    """An entity as the store remembers one source telling it: last told so at `as_of`, first told so at `fetched_at`.

    `mapped.embedded` is filled only where it was asked for; an embedded entity that has no time or number of change of
    its own has those of the record it stood in.
    """

    mapped: Mapped
    source: str
    as_of: datetime
    fetched_at: datetime
    mapping_version: str | None = None
    raw_digest: str | None = None


def by_keys(
    connection: Connection, tables: Tables, registry: Registry, entity: str, keys: Iterable[str]
) -> list[Stored]:
    """Every source's copy of these entities that is not deleted, in the order of key and source."""
    rows = _rows(connection, tables, entity, keys, None)
    return [stored_row(registry, entity, row) for row in rows if row["deleted_at"] is None]


def answers(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    source: str,
    operation: str,
    key_texts: Iterable[str],
    embedded: Mapping[str, str],
) -> dict[str, list[Stored]]:
    """What the source last answered to each key, as the store knows it today. An empty list: it is known to have nothing.

    A key is absent when it was never asked, or when an entity of the answer was never taken into the store.
    """
    table = tables.answer
    asked: list[Row[str, str | None, list[str]]] = []
    for some in key_chunks(key_texts):
        query = select(table.c.key_text, table.c.entity, table.c.entity_keys).where(
            table.c.source == source, table.c.operation == operation, table.c.key_text.in_(some)
        )
        asked += connection.execute(query).all()
    wanted: dict[str, set[str]] = {}
    for _, entity, keys in asked:
        wanted.setdefault(entity or "", set()).update(keys)
    known = {
        name: told_by(connection, tables, registry, source, name, keys, embedded) if keys else {}
        for name, keys in wanted.items()
    }
    return {
        text: [stored for key in keys if (stored := known[entity or ""][key]) is not None]
        for text, entity, keys in asked
        if all(key in known[entity or ""] for key in keys)
    }


def related(
    connection: Connection,
    tables: Tables,
    entity: str,
    relation: str,
    targets: Iterable[str],
    limit: int,
    source: str | None = None,
) -> dict[str, list[str]]:
    """For every target the keys of at most `limit` entities that refer to it, in order: as all tell, or as one source does."""
    found: dict[str, list[str]] = {target: [] for target in targets}
    table = tables.link
    by_whom = table.c.holds if source is None else table.c.source == source
    for some in key_chunks(found):
        pairs = (
            select(table.c.target, table.c.key)
            .where(table.c.entity == entity, table.c.relation == relation, table.c.target.in_(some), by_whom)
            .distinct()
            .subquery()
        )
        place = func.row_number().over(partition_by=pairs.c.target, order_by=pairs.c.key).label("place")
        ranked = select(pairs.c.target, pairs.c.key, place).subquery()
        query = select(ranked.c.target, ranked.c.key).where(ranked.c.place <= limit)
        for target, key in connection.execute(query.order_by(ranked.c.target, ranked.c.key)):
            found[target].append(key)
    return found


def told_by(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    source: str,
    entity: str,
    keys: Iterable[str],
    embedded: Mapping[str, str],
) -> dict[str, Stored | None]:
    """What one source told of each key; None where it said that the entity is gone; absent where it told nothing."""
    rows = _rows(connection, tables, entity, keys, source)
    told = {row["key"]: stored_row(registry, entity, row) if row["deleted_at"] is None else None for row in rows}
    relations = registry.entities[entity].relations
    for relation, target in embedded.items():
        if relation not in relations or relations[relation].to != target:
            continue
        inside = {row["key"]: row["embedded"][relation] for row in rows if relation in row["embedded"]}
        others = {name: to for name, to in embedded.items() if name != relation}
        wanted = {key for keys_inside in inside.values() for key in keys_inside}
        children = told_by(connection, tables, registry, source, target, wanted, others) if wanted else {}
        for key, keys_inside in inside.items():
            if (parent := told[key]) is not None:
                found = (children.get(child) for child in keys_inside)
                parent.mapped.embedded[relation] = tuple(stored.mapped for stored in found if stored is not None)
    return told


def sources_of(connection: Connection, tables: Tables, entity: str, keys: Iterable[str]) -> dict[str, frozenset[str]]:
    """Which sources tell of each key now; absent: nobody."""
    query = _who_tells(tables.entities[entity])
    found: dict[str, set[str]] = {}
    for some in key_chunks(keys):
        for key, source in connection.execute(query, {"keys": some}):
            found.setdefault(key, set()).add(source)
    return {key: frozenset(sources) for key, sources in found.items()}


def _rows(
    connection: Connection, tables: Tables, entity: str, keys: Iterable[str], source: str | None
) -> list[RowMapping]:
    query = _of_keys(tables.entities[entity], is_of_one=source is not None)
    rows: list[RowMapping] = []
    for some in key_chunks(keys):
        rows += connection.execute(
            query, {"keys": some} if source is None else {"keys": some, "source": source}
        ).mappings()
    return rows


@lru_cache(maxsize=MOST_QUERIES)
def _of_keys(table: Table, is_of_one: bool) -> Select[Any]:
    """The rows of keys, of all sources or of one. Made once: what SQLAlchemy makes of values refers to itself in circles, which
    are looked for, with all that is young, after every five hundred pages of a list."""
    query = select(table).where(table.c.key.in_(bindparam("keys", expanding=True)))
    query = query.order_by(table.c.key, table.c.source)
    return query.where(table.c.source == bindparam("source")) if is_of_one else query


@lru_cache(maxsize=MOST_QUERIES)
def _who_tells(table: Table) -> Select[Any]:
    """Which sources tell of keys."""
    keys = table.c.key.in_(bindparam("keys", expanding=True))
    return select(table.c.key, table.c.source).where(keys, table.c.deleted_at.is_(None))


def stored_row(registry: Registry, entity: str, row: Mapping[str, Any] | RowMapping) -> Stored:
    """What a row of the entity's table tells."""
    columns = {name: element_column(name) for name in registry.entities[entity].elements}
    mapped = Mapped(
        entity,
        row["key"],
        row[OWNER],
        values={name: row[column] for name, column in columns.items() if row[column] is not None},
        provenance={name: row[name] for name in PROVENANCE_FIELDS if row[name] is not None},
        refs={relation: tuple(keys) for relation, keys in row["refs"].items()},
    )
    return Stored(mapped, row["source"], row["as_of"], row["fetched_at"], row["mapping_version"], row["raw_digest"])
