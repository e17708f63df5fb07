"""Data return 数据回流: streams run to their end by command, when they are due, or as one of many workers."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import HashId
from adapters.open import open_source
from gateway.definitions import Definitions
from gateway.engine.calls import Calls
from gateway.engine.calls.opening import open_calls
from gateway.engine.calls.patient import PatientSource
from gateway.garbage import leave_few_holes, looking_rarely
from gateway.progress import Progress
from gateway.settings import Settings
from gateway.store.due import resume
from gateway.store.faults import store_fault
from gateway.store.identity import make_hash_id
from gateway.store.leases import RunSuperseded, StreamBusy
from gateway.store.store import Store
from gateway.sync.cursor import CannotAdvance, read_cursor
from gateway.sync.run import Manner, PageReport
from gateway.sync.schedule import LEASE_PER_HEARTBEAT, Direct, Loop, streams
from gateway.sync.stream import FAILURES, Streams, holder
from schema.problems import Problem, Problems, did_you_mean

Report = Callable[[str], None]
BEGINNING = "beginning"
TURN = 0.0005
"""Seconds that the mapping of the next page may keep the interpreter from the landing of this one, whose database waits."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person wants of `gateway sync`."""

    operation: str | None = None
    start: str | None = None
    resume: bool = False
    refresh: bool = False
    reconcile: bool = False
    lets_delete: bool = False


def return_everything(settings: Settings, definitions: Definitions, report: Report) -> None:
    """Run every `changes` operation of every source; a source that fails is told and does not stop the others."""
    asyncio.run(_return(settings, definitions, list(definitions.mappings.values()), Wanted(), report, None))


def return_data(
    settings: Settings,
    definitions: Definitions,
    source: str,
    wanted: Wanted,
    report: Report,
    shows_progress: bool = False,
) -> bool:
    """Run the `changes` operations of one source, or one of them; whether all succeeded. Raises Problems for unknown names."""
    mapping = source_named(definitions, source, "gateway sync")
    known = [name for name, found in mapping.operations.items() if found.changes]
    if wanted.operation is not None and wanted.operation not in known:
        told = did_you_mean(wanted.operation, known)
        raise Problems([Problem("gateway sync", 1, 1, wanted.operation, "没有这个 changes 操作", told)])
    if wanted.start is not None:
        _check_start(mapping, wanted)
    progress = Progress(sys.stderr) if shows_progress else None
    return asyncio.run(_return(settings, definitions, [mapping], wanted, report, progress))


def work(settings: Settings, definitions: Definitions, once: bool, report: Report) -> int:
    """Run what is due, as one of any number of processes, until SIGTERM or SIGINT; `once`: only what is due by now."""
    asyncio.run(_work(settings, definitions, once, report))
    return 0


@contextmanager
def settled() -> Iterator[None]:
    """While pages come and go garbage is looked for rarely and threads take short turns; afterwards as before, since a demo goes
    on to serve. How memory is given back stays so: nobody is the slower for it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN)
    leave_few_holes()
    try:
        with looking_rarely():
            yield
    finally:
        sys.setswitchinterval(before)


def source_named(definitions: Definitions, source: str, command: str) -> SourceMapping:
    """The mapping of a source. Raises Problems when there is none."""
    mapping = definitions.mappings.get(source)
    if mapping is None:
        raise Problems([Problem(command, 1, 1, source, "没有这个来源", did_you_mean(source, definitions.mappings))])
    return mapping


def _check_start(mapping: SourceMapping, wanted: Wanted) -> None:
    if wanted.operation is None:
        raise Problems([Problem("gateway sync", 1, 1, "--from", "须与 --operation 同写：每个数据流有自己的游标")])
    role = mapping.operations[wanted.operation].changes
    assert role is not None
    if wanted.start != BEGINNING:
        try:
            read_cursor(role.cursor, wanted.start)
        except CannotAdvance as error:
            raise Problems([Problem("gateway sync", 1, 1, "--from", str(error))]) from None


@dataclass(slots=True)
class _Open:
    """What runs need, for as long as they go on."""

    settings: Settings
    store: Store
    hash_id: HashId
    calls: dict[str, Calls] = field(default_factory=dict)

    def streams(self, mappings: Mapping[str, SourceMapping], report: Report, progress: Progress | None) -> Streams:
        """Streams over calls of their own for each source, within the budgets that all share."""
        for mapping in mappings.values():
            if any(operation.changes for operation in mapping.operations.values()):
                source = {mapping.name: open_source(mapping, self.settings.secrets)}
                self.calls[mapping.name] = open_calls(source, {mapping.name: mapping}, self.settings)
        manner = Manner(holder(), LEASE_PER_HEARTBEAT * self.settings.sync_heartbeat)

        def tell(page: PageReport) -> None:
            if page.note:
                report(f"{page.source}.{page.operation} 第 {page.page} 页：{page.note}")
            if progress is not None:
                progress(page)

        def ask(name: str) -> PatientSource:
            return PatientSource(self.calls[name], name)

        return Streams(self.store, mappings, ask, self.hash_id, manner, tell)

    async def aclose(self) -> None:
        """Close everything."""
        for calls in self.calls.values():
            await calls.aclose()
        self.store.close()


def _open(settings: Settings, definitions: Definitions) -> _Open:
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    return _Open(settings, store, make_hash_id(str(settings.party_key_secret)))


async def _return(
    settings: Settings,
    definitions: Definitions,
    mappings: list[SourceMapping],
    wanted: Wanted,
    report: Report,
    progress: Progress | None,
) -> bool:
    opened = _open(settings, definitions)
    succeeded = True
    try:
        opened.store.create()
        by_name = {mapping.name: mapping for mapping in mappings}
        running = opened.streams(by_name, report, progress)
        with settled():
            for source, operation, _ in streams(by_name):
                if wanted.operation in (None, operation):
                    succeeded &= await _one(running, opened.store, source, operation, wanted, report)
    finally:
        await opened.aclose()
    return succeeded


async def _one(running: Streams, store: Store, source: str, operation: str, wanted: Wanted, report: Report) -> bool:
    name = f"{source}.{operation}"
    try:
        if wanted.start is not None:
            start = None if wanted.start == BEGINNING else wanted.start
            await asyncio.to_thread(store.set_cursor, source, operation, start)
        if wanted.resume:
            tables = store.tables
            await asyncio.to_thread(store.database.write, lambda c: resume(c, tables, source, operation))
        if wanted.refresh or wanted.reconcile:
            kind: Literal["refresh", "reconcile"] = "refresh" if wanted.refresh else "reconcile"
            report(f"{name}：{await running.shadow(source, operation, kind, wanted.lets_delete)}")
        else:
            report(f"{name}：{await running.changes(source, operation, wanted.resume)}")
    except (*FAILURES, RunSuperseded, StreamBusy) as error:
        told = error.public_message if isinstance(error, SourceError) else str(error)
        report(f"{name}：失败，{told}；下次从已提交处继续")
        return False
    except SQLAlchemyError as error:
        report(f"{name}：失败，{store_fault(error)}；下次从已提交处继续")
        return False
    return True


async def _work(settings: Settings, definitions: Definitions, once: bool, report: Report) -> None:
    from gateway.sync.queue import PgQueue  # 10 MB that nothing else needs

    opened = _open(settings, definitions)
    queue = None if settings.database_url.startswith("sqlite") else PgQueue(settings.database_url)
    try:
        await asyncio.to_thread(opened.store.create)
        running = opened.streams(definitions.mappings, report, None)
        loop = Loop(
            opened.store,
            definitions.mappings,
            running.run_due,
            settings.sync_heartbeat,
            settings.most_syncs,
            queue or Direct(),
        )
        with settled():
            if once:
                await loop.until_nothing_is_due()
                return
            task = asyncio.create_task(loop.forever())
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, task.cancel)
            report(f"工作进程 {holder()} 开始：{len(list(streams(definitions.mappings)))} 个数据流")
            await asyncio.gather(task, return_exceptions=True)
    finally:
        if queue is not None:
            await queue.aclose()
        await opened.aclose()
