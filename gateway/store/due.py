"""When streams are due: kept with the streams themselves, by the database's clock, so that no queue has to be believed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from gateway.store.leases import database_now
from gateway.store.tables import Tables

FIRST_PAUSE = 15.0
"""Seconds before a stream that failed is tried again; they double with every failure, up to its own interval."""


class Halting(Exception):
    """需要有人查看，数据流才能继续"""


@dataclass(frozen=True, slots=True)
class Due:
    """What a stream is due for now."""

    source: str
    operation: str
    is_reconciliation: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """How often a stream wants to be read and reconciled, in seconds."""

    source: str
    operation: str
    every: float
    reconcile_every: float


def find_due(connection: Connection, tables: Tables, known: Iterable[Interval]) -> tuple[list[Due], datetime]:
    """The streams that nobody works on and that want to be read or reconciled now, the longest overdue first; and the time."""
    now = database_now(connection)
    stream, lease = tables.stream, tables.lease
    held = select(lease.c.source, lease.c.operation).where(lease.c.expires_at > now)
    busy = {(row.source, row.operation) for row in connection.execute(held)}
    stands = {(row.source, row.operation): row for row in connection.execute(select(stream))}
    found: list[tuple[datetime, Due]] = []
    for one in known:
        place = (one.source, one.operation)
        row = stands.get(place)
        if row is not None and row.halted_at is not None:
            continue
        due_at = now if row is None or row.due_at is None else row.due_at
        if place not in busy and due_at <= now:
            found.append((due_at, Due(*place)))
        again_at = row.reconcile_due_at if row is not None else None
        if again_at is not None and again_at <= now and (one.source, f"{one.operation}#reconcile") not in busy:
            found.append((again_at, Due(*place, True)))
    return [due for _, due in sorted(found, key=lambda each: (each[0], each[1].source, each[1].operation))], now


def set_due(
    connection: Connection, tables: Tables, interval: Interval, has_failed: bool, reconciled: bool = False
) -> None:
    """When the stream is due again, now that a run of it is over."""
    stream, now = tables.stream, database_now(connection)
    there = (stream.c.source == interval.source, stream.c.operation == interval.operation)
    row = connection.execute(select(stream.c.failures, stream.c.reconcile_due_at).where(*there)).one_or_none()
    failures = (row.failures if row else 0) + 1 if has_failed else 0
    pause = min(interval.every, FIRST_PAUSE * 2 ** min(failures - 1, 20)) if has_failed else interval.every
    again = now + timedelta(seconds=pause if reconciled and has_failed else interval.reconcile_every)
    values: dict[str, object] = {}
    if reconciled:
        values["reconcile_due_at"] = again
    else:
        values |= {"due_at": now + timedelta(seconds=pause), "failures": failures}
        if row is None or row.reconcile_due_at is None:
            values["reconcile_due_at"] = again
    if row is None:
        place = {"source": interval.source, "operation": interval.operation, "updated_at": now, "is_from_start": True}
        connection.execute(insert(stream).values(**place, **values))
    else:
        connection.execute(update(stream).where(*there).values(**values))


def halt(connection: Connection, tables: Tables, source: str, operation: str, reason: str) -> None:
    """Stop the stream until a person has looked at it; its cursor stays."""
    stream, now = tables.stream, database_now(connection)
    there = (stream.c.source == source, stream.c.operation == operation)
    halted = {"halted_at": now, "halt_reason": reason}
    if connection.execute(update(stream).where(*there).values(**halted)).rowcount == 0:
        row = {"source": source, "operation": operation, "updated_at": now, "is_from_start": True}
        connection.execute(insert(stream).values(**row, **halted))


def resume(connection: Connection, tables: Tables, source: str, operation: str) -> None:
    """A person has looked at it: it goes on from where it stands."""
    stream = tables.stream
    there = (stream.c.source == source, stream.c.operation == operation)
    free = {"halted_at": None, "halt_reason": None, "failures": 0, "due_at": None}
    connection.execute(update(stream).where(*there).values(**free))
