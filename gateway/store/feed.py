"""What changed in the store, to be told to those who listen: written by the transaction that changes it, read by any process.

A reader is told everything once, in the order of its source, and nothing before it is committed. On PostgreSQL transactions
are committed in another order than they number their rows, so what is new is what the snapshot of now sees and the one of the
last reading did not; on SQLite, with its one writer, numbers are enough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, delete, func, literal_column, select, text

from gateway.store.bulk import insert_columns
from gateway.store.cells import Columns, Constant
from gateway.store.database import chunks
from gateway.store.effects import ChangeKind
from gateway.store.tables import Tables
from gateway.store.tellings import Place

KEPT_FOR = timedelta(days=1)
MOST_KEPT = 20_000
LEAST_KEPT_FOR = timedelta(minutes=30)
"""Rows older than KEPT_FOR go, and all but the last MOST_KEPT; none that is younger than this."""
PRUNED_EVERY = 200
MOST_KEYS = 40
"""Entities of one row: more would make it so long that PostgreSQL packs it."""
ROWS_AT_ONCE = 50
NOT_TOLD_BEFORE = (
    "written_by >= :horizon"
    " AND NOT pg_visible_in_snapshot(CAST(CAST(written_by AS text) AS xid8), CAST(:told AS pg_snapshot))"
    " AND pg_visible_in_snapshot(CAST(CAST(written_by AS text) AS xid8), CAST(:upto AS pg_snapshot))"
)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one entity by the word of one source, and when the store took it in."""

    entity: str
    key: str
    kind: ChangeKind
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader is: on SQLite the number of the last row read. `within`: of which row how many changes are read, if it
    was not read to its end.

    On PostgreSQL everything that `told` sees and, while `upto` is not at its end, of what that one sees the numbers so far.
    """

    told: str = ""
    upto: str = ""
    sequence: int = 0
    within: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """Changes in the order of their numbers, the position behind them, and whether there are more."""

    changes: list[Change]
    position: Position
    has_more: bool


def record_changes(
    connection: Connection, tables: Tables, source: str, changes: Mapping[Place, ChangeKind], moment: datetime
) -> None:
    """Write down what the transaction changes; now and then drop what is old."""
    if not changes:
        return
    table, rows = tables.changed, list(_alike(changes))
    is_postgresql = connection.dialect.name == "postgresql"
    author = (
        connection.execute(text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")) if is_postgresql else None
    )
    columns: Columns = {
        "entity": [entity for entity, _, _ in rows],
        "kind": [kind for _, kind, _ in rows],
        "keys": [keys for _, _, keys in rows],
        "source": Constant(source),
        "at": Constant(moment),
        "written_by": Constant(author.scalar_one() if author else None),
    }
    insert_columns(connection, table, columns, len(rows))
    last = connection.execute(select(func.max(table.c.sequence))).scalar_one()
    if last // PRUNED_EVERY != (last - len(rows)) // PRUNED_EVERY:
        _prune(connection, tables, last, len(rows), moment)


def _alike(changes: Mapping[Place, ChangeKind]) -> Iterator[tuple[str, ChangeKind, Sequence[str]]]:
    """Entity, kind and keys of changes that follow one another and are alike."""
    for (entity, kind), some in groupby(changes.items(), lambda change: (change[0][0], change[1])):
        for keys in chunks([key for (_, key), _ in some], MOST_KEYS):
            yield entity, kind, keys


def _prune(connection: Connection, tables: Tables, last: int, count: int, moment: datetime) -> None:
    """Look at the oldest, at twice as many as have come since this was done last; there is no index on when."""
    if connection.dialect.name == "postgresql":
        is_ours = connection.execute(
            select(func.pg_try_advisory_xact_lock(literal_column("hashtext('prune changes')")))
        )
        if not is_ours.scalar_one():
            return  # another transaction does it; two of them would wait for each other's rows
    changed = tables.changed.c
    first, at = connection.execute(select(changed.sequence, changed.at).order_by(changed.sequence).limit(1)).one()
    if at >= moment - (LEAST_KEPT_FOR if first <= last - MOST_KEPT else KEPT_FOR):
        return  # numbers are in the order of time, nearly
    is_one_too_many = (changed.sequence <= last - MOST_KEPT) & (changed.at < moment - LEAST_KEPT_FOR)
    is_old = changed.sequence < first + 2 * (count + PRUNED_EVERY), (changed.at < moment - KEPT_FOR) | is_one_too_many
    connection.execute(delete(tables.changed).where(*is_old))


def end_of_changes(connection: Connection, tables: Tables) -> Position:
    """The position behind everything that is committed by now."""
    if connection.dialect.name == "postgresql":
        return Position(told=_snapshot(connection))
    return Position(sequence=connection.execute(select(func.max(tables.changed.c.sequence))).scalar() or 0)


def read_changes(connection: Connection, tables: Tables, since: Position, most: int) -> Reading:
    """What was committed since, in pieces of at most `most`."""
    table = tables.changed
    query = select(table).where(table.c.sequence > since.sequence).order_by(table.c.sequence).limit(ROWS_AT_ONCE)
    if connection.dialect.name == "postgresql":
        upto = since.upto or _snapshot(connection)
        given = {"horizon": int(since.told.partition(":")[0]), "told": since.told, "upto": upto}
        rows = connection.execute(query.where(text(NOT_TOLD_BEFORE)), given).mappings().all()
        reading = _taken(rows, since, most)
        told = replace(reading.position, told=since.told, upto=upto) if reading.has_more else Position(told=upto)
        return replace(reading, position=told)
    return _taken(connection.execute(query).mappings().all(), since, most)


def _taken(rows: Sequence[Any], since: Position, most: int) -> Reading:
    """At most so many changes of these rows."""
    changes: list[Change] = []
    sequence = since.sequence
    for row in rows:
        number, keys = row["sequence"], row["keys"]
        begin = since.within[1] if since.within[0] == number else 0
        end = begin + most - len(changes)
        changes += [Change(row["entity"], key, row["kind"], row["source"], row["at"]) for key in keys[begin:end]]
        if end < len(keys):
            return Reading(changes, Position(sequence=sequence, within=(number, end)), has_more=True)
        sequence = number
    return Reading(changes, Position(sequence=sequence), has_more=len(rows) == ROWS_AT_ONCE)


def _snapshot(connection: Connection) -> str:
    return str(connection.execute(text("SELECT CAST(pg_current_snapshot() AS text)")).scalar_one())
