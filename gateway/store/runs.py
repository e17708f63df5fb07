"""Runs of streams: where one starts, what each page did, and who may still write to the stream."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from gateway.store.database import lock
from gateway.store.tables import Tables

INTERRUPTED = "运行中断：没有正常结束，或被同一数据流的下一次运行取代"


class RunSuperseded(Exception):
    """这次运行已被同一数据流的下一次运行取代，不再写入"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that may write; `cursor` is where the stream stands."""

    run_id: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Which page of which run a landing is, and where the stream stands once it is in."""

    run_id: int
    page: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Landed:
    """What became of the records of one page. `duplicate`: the page or the store has a later telling of the same record."""

    applied: int = 0
    unchanged: int = 0
    duplicate: int = 0
    quarantined: int = 0

    @property
    def fetched(self) -> int:
        """All of them."""
        return self.applied + self.unchanged + self.duplicate + self.quarantined


def begin_run(connection: Connection, tables: Tables, source: str, operation: str, moment: datetime) -> Begun:
    """Start a run. An earlier one of the stream that has not finished may write no more."""
    lock(connection, "source", source)
    run, stream = tables.run, tables.stream
    connection.execute(
        update(run)
        .where(run.c.source == source, run.c.operation == operation, run.c.status == "running")
        .values(status="failed", finished_at=moment, error=INTERRUPTED)
    )
    row = insert(run).values(source=source, operation=operation, started_at=moment, status="running")
    run_id = connection.execute(row.returning(run.c.id)).scalar_one()
    cursor = select(stream.c.cursor).where(stream.c.source == source, stream.c.operation == operation)
    return Begun(run_id, connection.execute(cursor).scalar())


def record_progress(
    connection: Connection, tables: Tables, progress: Progress, fetched: int, landed: Landed, moment: datetime
) -> None:
    """The ledger's row of a page and the stream's cursor. Raises RunSuperseded when the run may not write any more."""
    _move(connection, tables, progress.run_id, progress.cursor, moment)
    row = insert(tables.ledger).values(
        run_id=progress.run_id,
        page=progress.page,
        fetched=fetched,
        applied=landed.applied,
        unchanged=landed.unchanged,
        duplicate=landed.duplicate,
        quarantined=landed.quarantined,
        at=moment,
    )
    connection.execute(row)


def finish_run(connection: Connection, tables: Tables, run_id: int, cursor: str | None, moment: datetime) -> None:
    """The run came to its end, and the stream stands at `cursor`. Raises RunSuperseded."""
    _move(connection, tables, run_id, cursor, moment)
    run = tables.run
    connection.execute(update(run).where(run.c.id == run_id).values(status="succeeded", finished_at=moment))


def has_run(connection: Connection, tables: Tables, source: str, operations: Collection[str]) -> bool:
    """Whether one of these streams was ever run to its end."""
    run = tables.run
    ended = (run.c.source == source, run.c.operation.in_(operations), run.c.status == "succeeded")
    return connection.execute(select(run.c.id).where(*ended).limit(1)).first() is not None


def fail_run(connection: Connection, tables: Tables, run_id: int, error: str, moment: datetime) -> None:
    """The run ended with an error; the stream stands where its last page left it."""
    run = tables.run
    failed = update(run).where(run.c.id == run_id, run.c.status == "running")
    connection.execute(failed.values(status="failed", finished_at=moment, error=error))


def _move(connection: Connection, tables: Tables, run_id: int, cursor: str | None, moment: datetime) -> None:
    run, stream = tables.run, tables.stream
    mine = connection.execute(
        select(run.c.source, run.c.operation).where(run.c.id == run_id, run.c.status == "running").with_for_update()
    ).one_or_none()
    if mine is None:
        raise RunSuperseded
    there = (stream.c.source == mine.source, stream.c.operation == mine.operation)
    moved = connection.execute(update(stream).where(*there).values(cursor=cursor, updated_at=moment))
    if moved.rowcount == 0:
        row = insert(stream).values(source=mine.source, operation=mine.operation, cursor=cursor, updated_at=moment)
        connection.execute(row)
