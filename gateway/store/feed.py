"""What changed in the store, to be told to those who listen: written by the transaction that changes it, read by any process.

A reader is told everything once, in the order of its source, and nothing before it is committed. On PostgreSQL transactions
are committed in another order than they number their rows, so what is new is what the snapshot of now sees and the one of the
last reading did not; on SQLite, with its one writer, numbers are enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, literal_column, select, text

from gateway.store.bulk import insert_columns
from gateway.store.cells import Constant
from gateway.store.effects import ChangeKind
from gateway.store.tables import Tables
from gateway.store.tellings import Place

KEPT_FOR = timedelta(days=1)
MOST_KEPT = 100_000
LEAST_KEPT_FOR = timedelta(minutes=30)
"""Changes older than KEPT_FOR go, and all but the last MOST_KEPT; none that is younger than this."""
PRUNED_EVERY = 1000
NOT_TOLD_BEFORE = (
    "written_by >= :horizon"
    " AND NOT pg_visible_in_snapshot(CAST(CAST(written_by AS text) AS xid8), CAST(:told AS pg_snapshot))"
    " AND pg_visible_in_snapshot(CAST(CAST(written_by AS text) AS xid8), CAST(:upto AS pg_snapshot))"
)


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one entity by the word of one source, and when the store took it in."""

    sequence: int
    entity: str
    key: str
    kind: ChangeKind
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Position:
    """How far a reader is: on SQLite the last number read.

    On PostgreSQL everything that `told` sees and, while `upto` is not at its end, of what that one sees the numbers so far.
    """

    told: str = ""
    upto: str = ""
    sequence: int = 0


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
    table = tables.change
    is_postgresql = connection.dialect.name == "postgresql"
    author = (
        connection.execute(text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")) if is_postgresql else None
    )
    columns: dict[str, Sequence[Any] | Constant] = {
        "entity": [entity for entity, _ in changes],
        "key": [key for _, key in changes],
        "kind": list(changes.values()),
        "source": Constant(source),
        "at": Constant(moment),
        "written_by": Constant(author.scalar_one() if author else None),
    }
    insert_columns(connection, table, columns, len(changes))
    last = connection.execute(select(func.max(table.c.sequence))).scalar_one()
    if last // PRUNED_EVERY != (last - len(changes)) // PRUNED_EVERY:
        _prune(connection, tables, last, len(changes), moment)


def _prune(connection: Connection, tables: Tables, last: int, count: int, moment: datetime) -> None:
    """Look at the oldest, at twice as many as have come since this was done last; there is no index on when."""
    if connection.dialect.name == "postgresql":
        is_ours = connection.execute(
            select(func.pg_try_advisory_xact_lock(literal_column("hashtext('prune changes')")))
        )
        if not is_ours.scalar_one():
            return  # another transaction does it; two of them would wait for each other's rows
    change = tables.change.c
    first, at = connection.execute(select(change.sequence, change.at).order_by(change.sequence).limit(1)).one()
    if at >= moment - (LEAST_KEPT_FOR if first <= last - MOST_KEPT else KEPT_FOR):
        return  # numbers are in the order of time, nearly
    is_one_too_many = (change.sequence <= last - MOST_KEPT) & (change.at < moment - LEAST_KEPT_FOR)
    is_old = change.sequence < first + 2 * (count + PRUNED_EVERY), (change.at < moment - KEPT_FOR) | is_one_too_many
    connection.execute(delete(tables.change).where(*is_old))


def end_of_changes(connection: Connection, tables: Tables) -> Position:
    """The position behind everything that is committed by now."""
    if connection.dialect.name == "postgresql":
        return Position(told=_snapshot(connection))
    return Position(sequence=connection.execute(select(func.max(tables.change.c.sequence))).scalar() or 0)


def read_changes(connection: Connection, tables: Tables, since: Position, most: int) -> Reading:
    """What was committed since, in pieces of at most `most`."""
    table = tables.change
    query = select(table).where(table.c.sequence > since.sequence).order_by(table.c.sequence).limit(most)
    if connection.dialect.name == "postgresql":
        upto = since.upto or _snapshot(connection)
        given = {"horizon": int(since.told.partition(":")[0]), "told": since.told, "upto": upto}
        changes = [_change(row) for row in connection.execute(query.where(text(NOT_TOLD_BEFORE)), given).mappings()]
        if len(changes) == most:
            return Reading(changes, Position(since.told, upto, changes[-1].sequence), has_more=True)
        return Reading(changes, Position(told=upto), has_more=False)
    changes = [_change(row) for row in connection.execute(query).mappings()]
    position = Position(sequence=changes[-1].sequence) if changes else since
    return Reading(changes, position, has_more=len(changes) == most)


def _snapshot(connection: Connection) -> str:
    return str(connection.execute(text("SELECT CAST(pg_current_snapshot() AS text)")).scalar_one())


def _change(row: Any) -> Change:
    return Change(row["sequence"], row["entity"], row["key"], row["kind"], row["source"], row["at"])
