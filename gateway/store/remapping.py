"""What a source told, forgotten and told again from the payloads that were kept: within one transaction, seen by nobody half done."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, text

from adapters.mapping.truth import CONFLICT, Truth
from gateway.store.bulk import rows_of, run
from gateway.store.current import refresh
from gateway.store.database import lock
from gateway.store.feed import record_changes
from gateway.store.tables import Tables
from schema.registry import Registry

AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Arrived:
    """A payload as it arrived once. `asked`: the texts that a lookup asked for."""

    id: int
    digest: str
    operation: str
    media_type: str
    received_at: datetime
    run_id: int | None
    asked: list[str]


def arrivals(connection: Connection, tables: Tables, source: str) -> list[Arrived]:
    """Everything that arrived from a source, in the order in which it did."""
    arrival, landing = tables.arrival, tables.landing
    columns = (arrival.c.id, arrival.c.digest, arrival.c.operation, landing.c.media_type, arrival.c.received_at)
    query = select(*columns, arrival.c.run_id, arrival.c.asked).join(landing, landing.c.digest == arrival.c.digest)
    query = query.where(arrival.c.source == source).order_by(arrival.c.received_at, arrival.c.id)
    return [Arrived(*row[:-1], list(row[-1] or ())) for row in connection.execute(query)]


def payload(connection: Connection, tables: Tables, digest: str) -> bytes:
    """The bytes of a payload."""
    landing = tables.landing
    found: bytes = connection.execute(select(landing.c.raw).where(landing.c.digest == digest)).scalar_one()
    return found


def forget(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    truth: Truth,
    source: str,
    entities: Collection[str],
    moment: datetime,
) -> None:
    """Take back what the source told of these entities; what it told is remembered until `settle`. Codes that were allotted
    stay, and so do payloads."""
    lock(connection, "source", source)
    connection.execute(text("DROP TABLE IF EXISTS told_before"))
    connection.execute(text("CREATE TEMPORARY TABLE told_before (entity text, key text, digest text)"))
    link, issue, past = tables.link, tables.issue, tables.history
    for entity in sorted(entities):
        told = tables.entities[entity]
        copy = f'INSERT INTO told_before SELECT %s, key, record_digest FROM "{told.name}" WHERE source = %s'
        run(connection, copy, (entity, source))
        connection.execute(delete(told).where(told.c.source == source))
        connection.execute(delete(link).where(link.c.source == source, link.c.entity == entity))
        connection.execute(delete(past).where(past.c.source == source, past.c.entity == entity))
        mine = (issue.c.source == source, issue.c.record_entity == entity, issue.c.check_type != CONFLICT)
        connection.execute(delete(issue).where(*mine))
        for table in (tables.quarantine, tables.answer):
            connection.execute(delete(table).where(table.c.source == source, table.c.entity == entity))
        for keys in _in_pieces(connection, "SELECT key FROM told_before WHERE entity = %s ORDER BY key", (entity,)):
            refresh(connection, tables, registry, truth, entity, keys, moment)


def settle(connection: Connection, tables: Tables, source: str, since: int, moment: datetime) -> int:
    """Tell those who listen only of what is different now; returns how many entities are. `since`: the last row of changes
    before."""
    changed = tables.changed
    own = changed.c.sequence > since
    if connection.dialect.name == "postgresql":
        own &= text("written_by = CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    connection.execute(delete(changed).where(own, changed.c.source == source))
    entities = [row[0] for row in rows_of(connection, "SELECT DISTINCT entity FROM told_before", ())]
    count = 0
    for entity in sorted({*entities, *tables.entities}):
        table = tables.entities[entity].name
        query = (
            "SELECT COALESCE(before.key, told.key), CASE"
            " WHEN COALESCE(told.record_digest, '') = COALESCE(before.digest, '') THEN NULL"
            " WHEN COALESCE(told.record_digest, '') = '' THEN 'deleted'"
            " WHEN COALESCE(before.digest, '') = '' THEN 'created' ELSE 'changed' END AS kind"
            f' FROM (SELECT key, record_digest FROM "{table}" WHERE source = %s) AS told'
            " FULL OUTER JOIN (SELECT key, digest FROM told_before WHERE entity = %s) AS before ON before.key = told.key"
        )
        found = {(entity, key): kind for key, kind in rows_of(connection, query, (source, entity)) if kind}
        record_changes(connection, tables, source, found, moment)
        count += len(found)
    connection.execute(text("DROP TABLE told_before"))
    return count


def last_change(connection: Connection) -> int:
    """The number of the last row of changes so far."""
    return int(connection.execute(text("SELECT COALESCE(MAX(sequence), 0) FROM changed")).scalar_one())


def _in_pieces(connection: Connection, query: str, values: tuple[Any, ...]) -> Iterator[list[str]]:
    keys = [row[0] for row in rows_of(connection, query, values)]
    for start in range(0, len(keys), AT_ONCE):
        yield keys[start : start + AT_ONCE]
