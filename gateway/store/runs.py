"""Runs of streams: where one starts, what each page did, and who may still write to the stream."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from gateway.store import leases
from gateway.store.due import Interval, halt, set_due
from gateway.store.leases import RunSuperseded, StreamBusy
from gateway.store.points import reach
from gateway.store.tables import Tables

__all__ = [
    "INTERRUPTED",
    "LEASE",
    "Begun",
    "CursorLost",
    "Landed",
    "Progress",
    "RunSuperseded",
    "StreamBusy",
    "StreamHalted",
]

INTERRUPTED = "运行中断：没有正常结束，租约过期后由同一数据流的下一次运行接替"
LEASE = 30.0
"""Seconds for which a stream belongs to a run that says nothing of how long."""


class StreamHalted(Exception):
    """数据流已停下，等人处理"""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{type(self).__doc__}：{reason}")


class CursorLost(Exception):
    """数据流的游标丢失（曾经有过）：不会自行从头开始，请用 gateway sync 来源 --operation 操作 --from 值|beginning 指定从何处继续"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that may write, under the number `fence`; the stream stands at `cursor`, and inside it at `cursor_key`.

    `was_cut_short`: the run before it did not come to its end.
    """

    run_id: int
    cursor: str | None
    fence: int = 0
    cursor_key: str | None = None
    was_cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Which page of which run a landing is, and where the stream stands once it is in."""

    run_id: int
    page: int
    cursor: str | None
    cursor_key: str | None = None


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


@dataclass(frozen=True, slots=True)
class Beginning:
    """Who begins a run of what, and for how long it may be silent before another may take over."""

    source: str
    operation: str
    kind: str = "changes"
    holder: str = "?"
    seconds: float = LEASE


def begin_run(connection: Connection, tables: Tables, beginning: Beginning, clock: Callable[[], datetime]) -> Begun:
    """Start a run. Raises StreamBusy while another one holds the stream, StreamHalted when a person has to look at it, and
    CursorLost when the stream stood somewhere once and nobody knows any more where."""
    source, operation = beginning.source, beginning.operation
    fence = leases.take(connection, tables, source, operation, beginning.holder, beginning.seconds)
    reach(connection, "lease.taken")
    moment = clock()  # only now: whoever had the stream may have written to the end of the wait for it
    run, stream = tables.run, tables.stream
    of_stream = (run.c.source == source, run.c.operation == operation)
    there = select(stream)
    stands = connection.execute(there.where(stream.c.source == source, stream.c.operation == operation)).one_or_none()
    if stands is not None and stands.halted_at is not None:
        raise StreamHalted(str(stands.halt_reason))
    if beginning.kind == "changes" and (stands is None or (stands.cursor is None and not stands.is_from_start)):
        _make_sure_it_never_stood(connection, tables, of_stream)
    interrupted = update(run).where(*of_stream, run.c.status == "running")
    connection.execute(interrupted.values(status="failed", finished_at=moment, error=INTERRUPTED))
    last = connection.execute(select(run.c.status).where(*of_stream).order_by(run.c.id.desc()).limit(1)).scalar()
    row = {"source": source, "operation": operation, "kind": beginning.kind, "status": "running", "started_at": moment}
    begun = insert(run).values(**row, holder=beginning.holder, fence=fence).returning(run.c.id)
    run_id: int = connection.execute(begun).scalar_one()
    cursor, cursor_key = (stands.cursor, stands.cursor_key) if stands else (None, None)
    return Begun(run_id, cursor, fence, cursor_key, last == "failed")


def _make_sure_it_never_stood(connection: Connection, tables: Tables, of_stream: Sequence[Any]) -> None:
    run, ledger = tables.run, tables.ledger
    ended = select(run.c.id).where(*of_stream, run.c.cursor.is_not(None))
    stood = select(run.c.id).join(ledger, run.c.id == ledger.c.run_id).where(*of_stream, ledger.c.cursor.is_not(None))
    if any(connection.execute(query.limit(1)).first() is not None for query in (ended, stood)):
        raise CursorLost


def set_cursor(
    connection: Connection, tables: Tables, source: str, operation: str, cursor: str | None, moment: datetime
) -> None:
    """A person says where the stream goes on, None: from the beginning; whatever halted it is over.

    Raises StreamBusy while a run goes on.
    """
    fence = leases.take(connection, tables, source, operation, "operator", LEASE)
    stream = tables.stream
    there = (stream.c.source == source, stream.c.operation == operation)
    stands = {"cursor": cursor, "cursor_key": None, "is_from_start": cursor is None, "updated_at": moment}
    free = {"halted_at": None, "halt_reason": None, "failures": 0, "due_at": None}
    if connection.execute(update(stream).where(*there).values(**stands, **free)).rowcount == 0:
        connection.execute(insert(stream).values(source=source, operation=operation, **stands))
    leases.release(connection, tables, source, operation, fence)


def hold(connection: Connection, tables: Tables, run_id: int) -> None:
    """Make sure that this run may write to the end of this transaction. Raises RunSuperseded."""
    run = tables.run
    mine = select(run.c.source, run.c.operation, run.c.fence).where(run.c.id == run_id, run.c.status == "running")
    found = connection.execute(mine).one_or_none()
    if found is None:
        raise RunSuperseded
    leases.hold(connection, tables, found.source, found.operation, found.fence)


def renew(connection: Connection, tables: Tables, run_id: int, seconds: float) -> None:
    """A heartbeat: the run goes on. Raises RunSuperseded."""
    run = tables.run
    found = connection.execute(select(run.c.source, run.c.operation, run.c.fence).where(run.c.id == run_id)).one()
    leases.renew(connection, tables, found.source, found.operation, found.fence, seconds)


def record_progress(
    connection: Connection, tables: Tables, progress: Progress, fetched: int, landed: Landed, moment: datetime
) -> None:
    """The ledger's row of a page and the stream's cursor. Raises RunSuperseded when the run may not write any more."""
    reach(connection, "cursor.before")
    _move(connection, tables, progress, moment)
    reach(connection, "cursor.after")
    row = insert(tables.ledger).values(
        run_id=progress.run_id,
        page=progress.page,
        fetched=fetched,
        applied=landed.applied,
        unchanged=landed.unchanged,
        duplicate=landed.duplicate,
        quarantined=landed.quarantined,
        cursor=progress.cursor,
        at=moment,
    )
    connection.execute(row)
    reach(connection, "ledger.after")


def finish_run(
    connection: Connection,
    tables: Tables,
    progress: Progress,
    moment: datetime,
    fetched: int | None = None,
    notes: Sequence[str] = (),
    interval: Interval | None = None,
) -> None:
    """The run came to its end, the stream stands where `progress` says, and is due again as `interval` says. Raises RunSuperseded.

    `fetched` is what the worker got from the source; the database refuses the end of a run whose ledger does not account for
    all of it.
    """
    mine = _move(connection, tables, progress, moment)
    reach(connection, "finish.moved")
    sums = ledger_sums(connection, tables, progress.run_id)
    ended: dict[str, Any] = {
        **sums,
        "fetched": sums["fetched"] if fetched is None else fetched,
        "notes": list(notes) or None,
    }
    ended["cursor"] = progress.cursor
    run = tables.run
    done = update(run).where(run.c.id == progress.run_id)
    connection.execute(done.values(status="succeeded", finished_at=moment, **ended))
    leases.release(connection, tables, mine.source, mine.operation, mine.fence)
    reach(connection, "finish.recorded")
    if interval is not None:
        set_due(connection, tables, interval, has_failed=False, reconciled=mine.kind != "changes")
        reach(connection, "finish.due")


def ledger_sums(connection: Connection, tables: Tables, run_id: int) -> dict[str, int]:
    """What became of everything a run fetched so far."""
    ledger = tables.ledger.c
    names = ("fetched", "applied", "unchanged", "duplicate", "quarantined")
    sums = select(*(func.coalesce(func.sum(ledger[name]), 0).label(name) for name in names))
    return {
        name: int(value)
        for name, value in connection.execute(sums.where(ledger.run_id == run_id)).mappings().one().items()
    }


def has_run(connection: Connection, tables: Tables, source: str, operations: Collection[str]) -> bool:
    """Whether one of these streams was ever run to its end."""
    run = tables.run
    ended = (run.c.source == source, run.c.operation.in_(operations), run.c.status == "succeeded")
    return connection.execute(select(run.c.id).where(*ended).limit(1)).first() is not None


def fail_run(
    connection: Connection,
    tables: Tables,
    run_id: int,
    error: str,
    moment: datetime,
    notes: Sequence[str] = (),
    interval: Interval | None = None,
    halts: bool = False,
) -> None:
    """The run ended with an error; the stream stands where its last page left it, and is tried again after a pause that
    `interval` bounds, or, if the error `halts` it, when a person has looked at it. One that is taken over changes nothing."""
    run = tables.run
    mine = (run.c.id == run_id, run.c.status == "running")
    told = {"status": "failed", "finished_at": moment, "error": error, "notes": list(notes) or None}
    sums = ledger_sums(connection, tables, run_id)
    failed = update(run).where(*mine).values(**told, **sums)
    ended = failed.returning(run.c.source, run.c.operation, run.c.fence, run.c.kind)
    found = connection.execute(ended).one_or_none()
    if found is None:
        return
    leases.release(connection, tables, found.source, found.operation, found.fence)
    reach(connection, "fail.recorded")
    if interval is None:
        return
    if halts:
        halt(connection, tables, interval.source, interval.operation, error)
    else:
        set_due(connection, tables, interval, has_failed=True, reconciled=found.kind != "changes")
    reach(connection, "fail.due")


def _move(connection: Connection, tables: Tables, progress: Progress, moment: datetime) -> Any:
    """The stream stands where `progress` says, and whoever moved it is alive. Raises RunSuperseded."""
    run, stream = tables.run, tables.stream
    mine = connection.execute(
        select(run.c.source, run.c.operation, run.c.fence, run.c.kind)
        .where(run.c.id == progress.run_id, run.c.status == "running")
        .with_for_update()
    ).one_or_none()
    if mine is None:
        raise RunSuperseded
    leases.hold(connection, tables, mine.source, mine.operation, mine.fence)
    reach(connection, "fence.checked")
    if mine.kind != "changes":
        return mine  # a replay, a refresh or a reconciliation stands nowhere
    there = (stream.c.source == mine.source, stream.c.operation == mine.operation)
    stands: dict[str, Any] = {"cursor": progress.cursor, "cursor_key": progress.cursor_key, "updated_at": moment}
    stands["is_from_start"] = progress.cursor is None
    moved = connection.execute(update(stream).where(*there).values(**stands))
    if moved.rowcount == 0:
        connection.execute(insert(stream).values(source=mine.source, operation=mine.operation, **stands))
    return mine
