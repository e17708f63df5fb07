"""Bugs to plant in workers: a harness that does not catch them proves nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select, update

from adapters.source import Page
from gateway.store import leases, runs
from gateway.store.arriving import Landing
from gateway.store.due import Interval, set_due
from gateway.store.landing import Also
from gateway.store.runs import Landed, Progress
from gateway.store.store import Store
from gateway.sync import pages, run
from gateway.sync.walks import Heard


def cursor_before_data(store: Store) -> None:
    """The cursor is committed first, the page it stands for after it."""
    land = store.land

    def wrong(landing: Landing, progress: Progress | None = None, also: Also | None = None) -> Landed:
        if progress is not None:
            stream = update(store.tables.stream).values(cursor=progress.cursor, cursor_key=progress.cursor_key)
            store.database.write(lambda connection: connection.execute(stream))
        return land(landing, progress, also)

    store.land = wrong  # type: ignore[method-assign]


def exclusive_bound(store: Store) -> None:
    """What has the very value of the cursor is not read again."""
    del store
    before = run.before

    def wrong(value: Any, overlap: float) -> Any:
        if value is None:
            return None
        del overlap
        return before(value, 0) + (1 if isinstance(value, int) else timedelta(minutes=1))

    run.before = wrong  # type: ignore[attr-defined]


def missing_fence(store: Store) -> None:
    """A worker that lost its lease writes on."""
    del store

    def wrong(connection: Connection, *rest: Any) -> None:
        del connection, rest

    leases.hold = wrong
    runs.hold = wrong
    move = runs._move

    def revive(connection: Connection, tables: Any, progress: Progress, moment: Any) -> Any:
        mine = tables.run.c.id == progress.run_id
        connection.execute(update(tables.run).where(mine).values(status="running"))
        return move(connection, tables, progress, moment)

    runs._move = revive


def apply_twice(store: Store) -> None:
    """What the store says already is written again as if it were new."""
    within = store.land_within

    def wrong(connection: Connection, landing: Landing, *rest: Any) -> Landed:
        for table in store.tables.entities.values():
            if table.name in ("enforcement_case", "penalty_decision", "license"):
                connection.execute(update(table).values(record_digest="?"))
        return within(connection, landing, *rest)

    store.land_within = wrong  # type: ignore[method-assign]


def swallowed_reject(store: Store) -> None:
    """Records that cannot be taken are left out."""
    del store
    judge = pages.Pages.judge

    def wrong(self: pages.Pages, page: Page, landing: Landing) -> tuple[Landing, Heard]:
        landing, heard = judge(self, page, landing)
        kept = [i for i, one in enumerate(landing.mapped) if one.is_identified and not one.quarantined]
        kept = [i for i in range(len(landing.mapped)) if i in kept or i in landing.gone]
        gone = frozenset(place for place, i in enumerate(kept) if i in landing.gone)
        mapped: Sequence[Any] = [landing.mapped[i] for i in kept]
        records = [landing.records[i] for i in kept]
        return replace(landing, mapped=mapped, records=records, gone=gone, ready=None), heard

    pages.Pages.judge = wrong  # type: ignore[method-assign]


def due_apart(store: Store) -> None:
    """When a stream is due again is written by a transaction of its own, once the run is over."""
    finish = store.finish_run

    def wrong(run_id: int, *rest: Any, interval: Interval | None = None, **words: Any) -> None:
        finish(run_id, *rest, **words)
        store.database.points("finish.due")
        if interval is not None:
            again, kind = interval, select(store.tables.run.c.kind).where(store.tables.run.c.id == run_id)
            is_shadow = store.database.read(lambda c: c.execute(kind).scalar()) != "changes"
            store.database.write(lambda c: set_due(c, store.tables, again, has_failed=False, reconciled=is_shadow))

    store.finish_run = wrong  # type: ignore[method-assign]


BUGS: Mapping[str, Callable[[Store], None]] = {
    "cursor before data": cursor_before_data,
    "exclusive bound": exclusive_bound,
    "missing fence": missing_fence,
    "non-idempotent apply": apply_twice,
    "swallowed reject": swallowed_reject,
    "due apart": due_apart,
}
