"""What the store says of data return: streams, runs, ledgers, what is in quarantine, and where a telling came from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, or_, select, tuple_

from gateway.store.database import chunks
from gateway.store.run_states import RunState, ledgers
from gateway.store.tables import Tables, element_column
from schema.registry import Registry


@dataclass(frozen=True, slots=True)
class StreamState:
    """How one stream stands. `finished_at`: when a run of it last came to its end; `is_open`: records in quarantine."""

    source: str
    operation: str
    cursor: str | None = None
    updated_at: datetime | None = None
    finished_at: datetime | None = None
    due_at: datetime | None = None
    failures: int = 0
    halt_reason: str | None = None
    last_run: int | None = None
    in_quarantine: int = 0


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """What became of the records of one page of a run."""

    page: int
    fetched: int
    applied: int
    unchanged: int
    duplicate: int
    quarantined: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that was not taken. `payload` may hold anything the source sent."""

    source: str
    operation: str
    entity: str
    record_digest: str
    mapping_version: str
    run_id: int | None
    payload: Mapping[str, Any]
    reason: str
    step: str
    rule: str | None
    spec_version: str | None
    raw_digest: str | None
    at: datetime
    resolved_at: datetime | None
    resolution: str | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a list: what is on it, whether there is more behind it, how many there are in all."""

    items: Sequence[Any]
    has_next: bool
    total: int


@dataclass(frozen=True, slots=True)
class Provenance:
    """What one source tells of one element, and the payload it told it in."""

    source: str
    value: Any
    raw_digest: str
    record_digest: str
    as_of: datetime
    fetched_at: datetime
    spec_version: str
    mapping_version: str
    source_record_id: str | None
    deleted_at: datetime | None
    operation: str | None
    media_type: str | None
    raw: bytes | None
    received_at: datetime | None
    run_id: int | None


def stream_states(connection: Connection, tables: Tables) -> dict[tuple[str, str], StreamState]:
    """Every stream that the store has heard of."""
    stream, run, quarantine = tables.stream, tables.run, tables.quarantine
    ended = {
        (source, operation): (last, finished_at)
        for source, operation, last, finished_at in connection.execute(
            select(
                run.c.source,
                run.c.operation,
                func.max(run.c.id),
                func.max(run.c.finished_at).filter(run.c.status == "succeeded"),
            ).group_by(run.c.source, run.c.operation)
        )
    }
    waiting = {
        (source, operation): count
        for source, operation, count in connection.execute(
            select(quarantine.c.source, quarantine.c.operation, func.count())
            .where(quarantine.c.resolved_at.is_(None))
            .group_by(quarantine.c.source, quarantine.c.operation)
        )
    }
    stands = {(row.source, row.operation): row for row in connection.execute(select(stream))}
    found = {}
    for place in {*ended, *waiting, *stands}:
        row, (last, finished_at) = stands.get(place), ended.get(place, (None, None))
        found[place] = StreamState(
            *place,
            cursor=row.cursor if row else None,
            updated_at=row.updated_at if row else None,
            finished_at=finished_at,
            due_at=row.due_at if row else None,
            failures=row.failures if row else 0,
            halt_reason=row.halt_reason if row and row.halted_at is not None else None,
            last_run=last,
            in_quarantine=waiting.get(place, 0),
        )
    return found


def list_runs(
    connection: Connection, tables: Tables, where: Mapping[str, str], first: int, before: int | None
) -> Listed:
    """Runs, the latest first; those that began earlier than run `before`."""
    run = tables.run
    wanted = [run.c[name] == value for name, value in where.items()]
    behind = [] if before is None else [run.c.id < before]
    rows = connection.execute(select(run).where(*wanted, *behind).order_by(run.c.id.desc()).limit(first + 1)).all()
    sums = ledgers(connection, tables, [row.id for row in rows[:first]])
    total = connection.execute(select(func.count()).select_from(run).where(*wanted)).scalar_one()
    states = [
        RunState(
            row.id,
            row.source,
            row.operation,
            row.status,
            row.started_at,
            row.finished_at,
            row.error,
            *sums.get(row.id, (0,) * 6),
        )
        for row in rows[:first]
    ]
    return Listed(states, len(rows) > first, total)


def list_ledger(connection: Connection, tables: Tables, run_id: int, first: int, after: int) -> Listed:
    """The ledger of a run, page by page, behind page `after`."""
    ledger = tables.ledger.c
    columns = [ledger[name] for name in LedgerPage.__dataclass_fields__]
    query = select(*columns).where(ledger.run_id == run_id, ledger.page > after).order_by(ledger.page)
    rows = connection.execute(query.limit(first + 1)).all()
    total = connection.execute(select(func.count()).where(ledger.run_id == run_id)).scalar_one()
    return Listed([LedgerPage(*row) for row in rows[:first]], len(rows) > first, total)


def list_quarantine(
    connection: Connection,
    tables: Tables,
    where: Mapping[str, str],
    is_open: bool | None,
    first: int,
    after: tuple[datetime, tuple[str, ...]] | None,
) -> Listed:
    """Records in quarantine, the latest first, behind the one with this time and key."""
    table = tables.quarantine
    wanted: list[ColumnElement[bool]] = [table.c[name] == value for name, value in where.items()]
    if is_open is not None:
        wanted.append(table.c.resolved_at.is_(None) if is_open else table.c.resolved_at.is_not(None))
    key = [table.c[name] for name in QUARANTINE_KEY]
    behind = []
    if after is not None:
        at, there = after
        following = tuple_(*key) > tuple_(*map(literal, there))
        behind.append(or_(table.c.at < at, (table.c.at == at) & following))
    columns = [table.c[name] for name in Quarantined.__dataclass_fields__]
    query = select(*columns).where(*wanted, *behind).order_by(table.c.at.desc(), *key)
    rows = connection.execute(query.limit(first + 1)).all()
    total = connection.execute(select(func.count()).select_from(table).where(*wanted)).scalar_one()
    return Listed([Quarantined(*row) for row in rows[:first]], len(rows) > first, total)


QUARANTINE_KEY = ("record_digest", "source", "operation", "entity", "mapping_version")


def provenance_rows(
    connection: Connection, tables: Tables, registry: Registry, entity: str, key: str, element: str
) -> list[Provenance]:
    """What every source tells of one element of one entity, with the payload it was told in."""
    table, landing = tables.entities[entity], tables.landing
    assert element in registry.entities[entity].elements
    told = ("raw_digest", "record_digest", "as_of", "fetched_at", "spec_version", "mapping_version", "source_record_id")
    query = (
        select(
            table.c.source,
            table.c[element_column(element)],
            *(table.c[name] for name in told),
            table.c.deleted_at,
            landing.c.operation,
            landing.c.media_type,
            landing.c.raw,
            landing.c.received_at,
            landing.c.run_id,
        )
        .select_from(table.outerjoin(landing, landing.c.digest == table.c.raw_digest))
        .where(table.c.key == key)
        .order_by(table.c.source)
    )
    rows: Any = connection.execute(query).all()
    return [Provenance(*row) for row in rows]


def runs_of(connection: Connection, tables: Tables, digests: Collection[str]) -> dict[str, int]:
    """Digest of a payload -> the run it came in; absent where it came otherwise."""
    landing, found = tables.landing, dict[str, int]()
    for some in chunks(sorted(digests)):
        query = select(landing.c.digest, landing.c.run_id).where(landing.c.digest.in_(some))
        found |= {digest: run_id for digest, run_id in connection.execute(query) if run_id is not None}
    return found
