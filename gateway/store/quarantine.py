"""Records in quarantine on their way out, and the tasks that codes nobody knows open for who looks after a mapping."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, tuple_, update

from gateway.store.database import chunks
from gateway.store.tables import Tables

KEY = ("source", "operation", "entity", "record_digest", "mapping_version")
ARRIVED = ("at", "operation", "entity", "raw_digest")
Row = Any


@dataclass(frozen=True, slots=True)
class MappingTask:
    """Codes of one table of a source that its mapping does not know, and how often each was seen."""

    source: str
    codes: str
    element: str
    seen: Mapping[str, int]
    opened_at: datetime


def arrived(connection: Connection, tables: Tables, source: str, operation: str | None) -> list[Row]:
    """What records of a source that are open came with: `at`, `operation`, `entity` and `raw_digest`; the oldest first."""
    table = tables.quarantine
    wanted = [table.c.source == source, table.c.resolved_at.is_(None)]
    wanted += [] if operation is None else [table.c.operation == operation]
    order = [table.c[name] for name in ARRIVED]
    return list(connection.execute(select(*order).where(*wanted).distinct().order_by(*order)).all())


def waiting(connection: Connection, tables: Tables, source: str, came_with: Row) -> list[Row]:
    """The open records of a source that came so: no more than one payload has."""
    table = tables.quarantine
    same = [table.c[name] == value for name, value in zip(ARRIVED, came_with, strict=True)]
    query = select(table).where(table.c.source == source, table.c.resolved_at.is_(None), *same)
    return list(connection.execute(query.order_by(table.c.record_digest, table.c.mapping_version)).all())


def matching(connection: Connection, tables: Tables, digest: str) -> list[Row]:
    """Records, open or not, whose digest begins so."""
    table = tables.quarantine
    query = select(table).where(table.c.record_digest.startswith(digest, autoescape=True)).order_by(table.c.at)
    return list(connection.execute(query).all())


def payload_of(connection: Connection, tables: Tables, digest: str | None) -> tuple[bytes, str] | None:
    """The raw payload with this digest, and its media type."""
    landing = tables.landing
    found = connection.execute(select(landing.c.raw, landing.c.media_type).where(landing.c.digest == digest)).first()
    return None if found is None else (bytes(found[0]), str(found[1]))


def resolve(connection: Connection, tables: Tables, rows: Iterable[Row], resolution: str, moment: datetime) -> None:
    """These need nobody's attention any more."""
    table = tables.quarantine
    key = tuple_(*(table.c[name] for name in KEY))
    for some in chunks([tuple(getattr(row, name) for name in KEY) for row in rows]):
        connection.execute(update(table).where(key.in_(some)).values(resolved_at=moment, resolution=resolution))


def note_codes(
    connection: Connection,
    tables: Tables,
    source: str,
    found: Mapping[tuple[str, str], Mapping[str, int]],
    moment: datetime,
) -> None:
    """Codes that a mapping does not know, by (code table, element): one task for each table, however many records there are."""
    task = tables.mapping_task
    for (codes, element), seen in sorted(found.items()):
        mine = (task.c.source == source, task.c.codes == codes)
        known = connection.execute(select(task.c.seen, task.c.closed_at).where(*mine).with_for_update()).one_or_none()
        if known is None:
            row = {"source": source, "codes": codes, "element": element, "seen": dict(seen)}
            connection.execute(insert(task).values(**row, opened_at=moment, last_seen=moment))
            continue
        before: dict[str, int] = dict(known.seen)
        sums = before | {code: before.get(code, 0) + count for code, count in seen.items()}
        connection.execute(update(task).where(*mine).values(seen=sums, last_seen=moment, closed_at=None))


def open_tasks(connection: Connection, tables: Tables, source: str | None = None) -> list[MappingTask]:
    """What is to be done, the oldest first."""
    task = tables.mapping_task
    wanted = [task.c.closed_at.is_(None), *([] if source is None else [task.c.source == source])]
    rows = connection.execute(select(task).where(*wanted).order_by(task.c.opened_at)).all()
    return [MappingTask(row.source, row.codes, row.element, row.seen, row.opened_at) for row in rows]


def close_task(connection: Connection, tables: Tables, task: MappingTask, moment: datetime) -> None:
    """The mapping knows all its codes now."""
    table = tables.mapping_task
    mine = (table.c.source == task.source, table.c.codes == task.codes)
    connection.execute(update(table).where(*mine).values(closed_at=moment))
