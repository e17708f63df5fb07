"""What a source told, forgotten and told again from the payloads that were kept: within one transaction, seen by nobody half done."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, text

from adapters.mapping.truth import CONFLICT, Truth
from gateway.store.bulk import in_pieces, run
from gateway.store.current import refresh
from gateway.store.database import lock
from gateway.store.feed import record_changes
from gateway.store.tables import Tables
from schema.registry import Registry

AT_ONCE = 10_000
DIFFERENT = (
    "SELECT before.key, CASE WHEN COALESCE(told.record_digest, '') = before.digest THEN NULL"
    " WHEN COALESCE(told.record_digest, '') = '' THEN 'deleted' WHEN before.digest = '' THEN 'created' ELSE 'changed' END"
    ' FROM told_before AS before LEFT JOIN "{told}" AS told ON told.source = %s AND told.key = before.key'
    " WHERE before.entity = %s AND before.key > %s ORDER BY before.key LIMIT %s"
)
"""What became of what was told before: a key and, where something did, what."""
CREATED = (
    "SELECT told.key, 'created' FROM \"{told}\" AS told WHERE told.source = %s AND told.record_digest <> '' AND NOT EXISTS"
    " (SELECT 1 FROM told_before AS before WHERE before.entity = %s AND before.key = told.key)"
    " AND told.key > %s ORDER BY told.key LIMIT %s"
)
"""What was not told before."""


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
    bytewise = 'COLLATE "C"' if connection.dialect.name == "postgresql" else ""
    connection.execute(text("DROP TABLE IF EXISTS told_before"))
    connection.execute(text(f"CREATE TEMPORARY TABLE told_before (entity text, key text {bytewise}, digest text)"))
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
    connection.execute(text("CREATE INDEX told_before_of ON told_before (entity, key)"))
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE told_before"))
    for entity in sorted(entities):
        query = "SELECT key FROM told_before WHERE entity = %s AND key > %s ORDER BY key LIMIT %s"
        for rows in in_pieces(connection, query, (entity,), AT_ONCE):
            refresh(connection, tables, registry, truth, entity, [key for (key,) in rows], moment)


def settle(connection: Connection, tables: Tables, source: str, since: int, moment: datetime) -> int:
    """Tell those who listen only of what is different now; returns how many entities are. `since`: the last row of changes
    before."""
    changed = tables.changed
    own = changed.c.sequence > since
    if connection.dialect.name == "postgresql":
        own &= text("written_by = CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    connection.execute(delete(changed).where(own, changed.c.source == source))
    count = 0
    for entity in sorted(tables.entities):
        for query in (DIFFERENT, CREATED):
            query = query.format(told=tables.entities[entity].name)
            for rows in in_pieces(connection, query, (source, entity), AT_ONCE):
                found = {(entity, key): kind for key, kind in rows if kind}
                record_changes(connection, tables, source, found, moment)
                count += len(found)
    connection.execute(text("DROP TABLE told_before"))
    return count


def last_change(connection: Connection) -> int:
    """The number of the last row of changes so far."""
    return int(connection.execute(text("SELECT COALESCE(MAX(sequence), 0) FROM changed")).scalar_one())
