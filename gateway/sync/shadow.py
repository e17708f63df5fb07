"""Refresh and reconciliation: everything a source tells is read beside the store, then compared, or swapped in at once."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapters.mapping.model import ChangesRole, SourceMapping
from adapters.source import Source
from gateway.store import runs, shadow
from gateway.store.arriving import Landing
from gateway.store.due import Halting, Interval
from gateway.store.points import reach
from gateway.store.runs import Begun, Landed, Progress
from gateway.store.shadow import Differences
from gateway.store.store import Store
from gateway.sync.absent import absence
from gateway.sync.cursor import CannotAdvance
from gateway.sync.pages import Pages
from gateway.sync.run import Manner, PageReport, Run, alive, give_up
from gateway.sync.schedule import interval
from schema.formats import CHINA_TIME
from schema.identity import HashId


class TooManyGone(Halting):
    """来源没有而库里有的记录过多，没有删除，等人处理"""


@dataclass(frozen=True, slots=True)
class Mended:
    """What a reconciliation or a refresh found: records that were missing, different, or there no more; slices that differed."""

    read: int = 0
    missing: int = 0
    different: int = 0
    deleted: int = 0
    slices: int = 0
    differing: tuple[str, ...] = ()

    def __str__(self) -> str:
        found = f"缺 {self.missing}，不同 {self.different}，来源已无 {self.deleted}"
        where = f"；不同的分片：{'、'.join(name or '（无）' for name in self.differing)}" if self.differing else ""
        return f"来源 {self.read} 条，{self.slices} 个分片：{found}，均已修复{where}"


@dataclass(frozen=True, slots=True)
class Shadowing:
    """What is read beside the store, and what becomes of it. `lets_delete`: however many records are gone, a person agreed."""

    source: Source
    mapping: SourceMapping
    operation: str
    store: Store
    hash_id: HashId
    kind: Literal["refresh", "reconcile"]
    lets_delete: bool = False

    @property
    def role(self) -> ChangesRole:
        """What the mapping says of the stream."""
        role = self.mapping.operations[self.operation].changes
        if role is None:
            raise ValueError(f"{self.mapping.name}.{self.operation} 不是 changes 操作")
        return role

    @property
    def interval(self) -> Interval:
        """How often its stream wants to be reconciled."""
        return interval(self.mapping.name, self.operation, self.role)

    @property
    def name(self) -> str:
        """The name under which it has a lease and runs of its own; the stream itself goes on meanwhile."""
        return f"{self.operation}#{self.kind}"


async def shadow_stream(what: Shadowing, report: Callable[[PageReport], None], manner: Manner) -> Mended:
    """Read all of a source and mend the store by it, in one transaction: nobody ever sees a mixture.

    Raises SourceError, CannotAdvance when not all could be read, StreamBusy, RunSuperseded, and TooManyGone with nothing done.
    """
    store, mapping = what.store, what.mapping
    begun = await asyncio.to_thread(store.begin_run, mapping.name, what.name, what.kind, manner.holder, manner.lease)
    try:
        async with alive(store, begun.run_id, manner.lease):
            await asyncio.to_thread(
                store.database.write, lambda c: shadow.forget_abandoned(c, store.tables, mapping.name)
            )
            read = await _read(what, begun, report)
            mended = await asyncio.to_thread(store.database.write, lambda c: _mend(what, c, begun.run_id, read))
            fetched = read + mended.deleted if what.kind == "refresh" else None
            await asyncio.to_thread(
                store.finish_run, begun.run_id, None, fetched, [str(mended)], interval=what.interval
            )
            return mended
    except Exception as error:
        with suppress(SQLAlchemyError):
            await asyncio.to_thread(store.database.write, lambda c: shadow.forget(c, store.tables, begun.run_id))
        await give_up(store, begun, error, what.interval)
        raise


async def _read(what: Shadowing, begun: Begun, report: Callable[[PageReport], None]) -> int:
    operation, store, role = what.mapping.operations[what.operation], what.store, what.role
    pages = Pages(what.mapping, operation, role, what.hash_id, lets_bad_in=True)

    def keep(landing: Landing, progress: Progress) -> Landed:
        def work(connection: Connection) -> None:
            runs.hold(connection, store.tables, begun.run_id)
            shadow.keep_page(
                connection, store.tables, begun.run_id, progress.page, landing, role.entity, role.reconcile_by
            )
            reach(connection, "shadow.page")

        store.database.write(work)
        return Landed(unchanged=len(landing.mapped))

    run = Run(
        what.source,
        what.mapping,
        operation,
        role,
        store,
        pages,
        report,
        replace(begun, cursor=None, cursor_key=None),
        keep,
    )
    await run.read_all()
    if not run.walk.is_whole:
        raise CannotAdvance("；".join(["来源没有读全，不据此修复", *run.notes]))
    return run.fetched


def _mend(what: Shadowing, connection: Connection, run_id: int, read: int) -> Mended:
    """Compare, and bring in what differs or, in a refresh, everything; delete what is gone. In one transaction."""
    store, mapping, role = what.store, what.mapping, what.role
    runs.hold(connection, store.tables, run_id)
    reach(connection, "compare.before")
    found = shadow.compare(connection, store.tables, run_id, mapping.name, role.entity, role.reconcile_by)
    if len(found.surplus) > max(1, role.most_gone * found.live) and not what.lets_delete:
        raise TooManyGone(
            f"{TooManyGone.__doc__}：{found.live} 条中 {len(found.surplus)} 条，上限 {role.most_gone:.0%}"
        )
    reach(connection, "swap.before")
    shadow.void_versions(connection, store.tables, mapping.name, role.entity, found.void)
    page = _bring_in(what, connection, run_id, found)
    _delete(what, connection, run_id, page + 1, found)
    shadow.record_comparison(connection, store.tables, run_id, found)
    shadow.forget(connection, store.tables, run_id)
    reach(connection, "swap.after")
    parts = found.slices.values()
    return Mended(
        read,
        sum(part.missing for part in parts),
        sum(part.different for part in parts),
        len(found.surplus),
        len(found.slices),
        tuple(name for name, part in sorted(found.slices.items()) if part.missing or part.different or part.surplus),
    )


def _bring_in(what: Shadowing, connection: Connection, run_id: int, found: Differences) -> int:
    """Land the pages of the shadow, or of them what differs; the number of the last page in the ledger."""
    store, operation = what.store, what.mapping.operations[what.operation]
    pages = Pages(what.mapping, operation, what.role, what.hash_id, lets_bad_in=True)
    only = None if what.kind == "refresh" else set(found.by_page)
    page = 0
    for row in shadow.pages(connection, store.tables, run_id, only):
        landing = pages.landing(row.records, bytes(row.raw), row.media_type, row.received_at)
        if only is not None:
            landing = _narrowed(landing, found.by_page[row.page])
        page += 1
        store.land_within(connection, landing, Progress(run_id, page, None))
        reach(connection, "swap.page")
    return page


def _narrowed(landing: Landing, keys: set[str]) -> Landing:
    kept = [i for i, one in enumerate(landing.mapped) if one.key in keys]
    gone = frozenset(place for place, i in enumerate(kept) if i in landing.gone)
    mapped, records = [landing.mapped[i] for i in kept], [landing.records[i] for i in kept]
    return replace(landing, mapped=mapped, records=records, gone=gone)


def _delete(what: Shadowing, connection: Connection, run_id: int, page: int, found: Differences) -> None:
    """What the source has no more is deleted, with the list of it as evidence."""
    if not found.surplus:
        return
    now = what.store.clock().astimezone(CHINA_TIME)
    landing = absence(what.mapping, what.operation, run_id, what.role.entity, found.surplus, now)
    what.store.land_within(connection, landing, Progress(run_id, page, None))
