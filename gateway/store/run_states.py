"""How the runs of data return stand, for those who watch them go on."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, func, select

from gateway.store.database import chunks
from gateway.store.tables import Tables

RECENT = 100
"""So many of the newest runs are always looked at: two that begin together may be committed in the other order."""


@dataclass(frozen=True, slots=True)
class RunState:
    """One run, and the sums of its ledger."""

    run_id: int
    source: str
    operation: str
    status: Literal["running", "succeeded", "failed"]
    started_at: datetime
    finished_at: datetime | None
    error: str | None
    pages: int = 0
    fetched: int = 0
    applied: int = 0
    unchanged: int = 0
    duplicate: int = 0
    quarantined: int = 0


def run_states(connection: Connection, tables: Tables, known: Collection[RunState] | None) -> list[RunState]:
    """The newest runs and those that were `known` to be running; of None, all that are running. In the order they began.

    The ledger of a run that is over changes no more, and is not added up again.
    """
    run = tables.run
    newest = select(func.max(run.c.id)).scalar_subquery()
    settled = {state.run_id: state for state in known or () if state.status != "running"}
    going_on = run.c.status == "running"
    if known is not None:
        going_on = run.c.id.in_([state.run_id for state in known if state.status == "running"])
    rows = connection.execute(select(run).where((run.c.id > newest - RECENT) | going_on).order_by(run.c.id)).all()
    sums = ledgers(connection, tables, [row.id for row in rows if row.id not in settled])
    return [
        settled.get(row.id)
        or RunState(
            row.id,
            row.source,
            row.operation,
            row.status,
            row.started_at,
            row.finished_at,
            row.error,
            *sums.get(row.id, (0,) * 6),
        )
        for row in rows
    ]


def ledgers(connection: Connection, tables: Tables, run_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Pages and sums of the ledgers of these runs; a run without pages is absent."""
    ledger = tables.ledger.c
    counts = (ledger.fetched, ledger.applied, ledger.unchanged, ledger.duplicate, ledger.quarantined)
    found: dict[int, tuple[int, ...]] = {}
    for some in chunks(list(run_ids)):
        query = select(ledger.run_id, func.count(), *map(func.sum, counts)).where(ledger.run_id.in_(some))
        for run_id, *sums in connection.execute(query.group_by(ledger.run_id)):
            found[run_id] = tuple(map(int, sums))
    return found
