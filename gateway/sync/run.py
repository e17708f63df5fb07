"""One run of one `changes` operation: page after page into the store, each page one transaction, until there is no more."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.model import ChangesRole, OperationMapping, SourceMapping
from adapters.source import Call, Page, Source
from gateway.store.arriving import Landing, lightened
from gateway.store.due import Halting, Interval
from gateway.store.faults import store_fault
from gateway.store.landing import Also, Fate
from gateway.store.quarantine import note_codes
from gateway.store.runs import LEASE, Begun, RunSuperseded
from gateway.store.store import Landed, Progress, Store
from gateway.store.turns import let_go
from gateway.sync.codes import unknown_codes
from gateway.sync.cursor import CannotAdvance, Reached, before, read_cursor, write_cursor
from gateway.sync.drift import read_shape
from gateway.sync.pages import Pages
from gateway.sync.schedule import interval
from gateway.sync.walks import ByNumber, ByPlace, BySince, Disordered, Heard, Question, Walk
from gateway.sync.ways import following, is_by_token, is_numbered, same_text
from schema.identity import HashId

One = TypeVar("One")
Other = TypeVar("Other")
Sink = Callable[[Landing, Progress], Landed]


@dataclass(frozen=True, slots=True)
class PageReport:
    """A page that is in the store, or, with a `note`, what is worth saying about one that is not. `expected`: how many records
    the source says there are."""

    source: str
    operation: str
    page: int
    landed: Landed
    cursor: str | None
    note: str = ""
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run did, in records, and where its stream stands."""

    fetched: int = 0
    applied: int = 0
    unchanged: int = 0
    duplicate: int = 0
    quarantined: int = 0
    pages: int = 0
    cursor: str | None = None

    def __str__(self) -> str:
        counts = f"写入 {self.applied}，未变 {self.unchanged}，重复 {self.duplicate}，隔离 {self.quarantined}"
        return f"{self.pages} 页 {self.fetched} 条：{counts}；游标 {self.cursor or '无'}"


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is made: by whom, how long it may be silent before another takes over, and whether bad pages are let in."""

    holder: str = "?"
    lease: float = LEASE
    lets_bad_in: bool = False


async def run_changes(
    source: Source,
    mapping: SourceMapping,
    operation: str,
    store: Store,
    hash_id: HashId,
    report: Callable[[PageReport], None],
    manner: Manner = Manner(),
) -> RunResult:
    """Read a stream from where it stands to its end, and note when it is due again. What fails is recorded and raised; the
    next run goes on from there.

    Raises SourceError, CannotAdvance, StreamBusy, StreamHalted, RunSuperseded when the lease is lost, and what the store raises.
    """
    what = mapping.operations[operation]
    if what.changes is None or what.written.page is None:
        raise ValueError(f"{mapping.name}.{operation} 不是 changes 操作")
    begun = await asyncio.to_thread(
        store.begin_run, mapping.name, operation, holder=manner.holder, seconds=manner.lease
    )
    run: Run | None = None
    try:
        async with alive(store, begun.run_id, manner.lease):
            shape = await asyncio.to_thread(
                store.database.read, lambda connection: read_shape(connection, store.tables, mapping, what)
            )
            known = None if manner.lets_bad_in else shape
            give_way = store.database.turns.give_way
            pages = Pages(mapping, what, what.changes, hash_id, manner.lets_bad_in, known, give_way)
            run = Run(source, mapping, what, what.changes, store, pages, report, begun)
            return await run.read()
    except Exception as error:
        await give_up(store, begun, error, interval(mapping.name, operation, what.changes), run.notes if run else ())
        raise


async def give_up(store: Store, begun: Begun, error: Exception, when: Interval, notes: Sequence[str] = ()) -> None:
    """Record with what a run ended, and when its stream is tried again: a lost lease is for others to make good at once."""
    again = None if isinstance(error, RunSuperseded) else when
    halts = isinstance(error, Halting)
    with suppress(SQLAlchemyError):  # the error that matters is the first
        await asyncio.to_thread(store.fail_run, begun.run_id, told(error), notes, again, halts)


@asynccontextmanager
async def alive(store: Store, run_id: int, lease: float) -> AsyncIterator[None]:
    """Heartbeats while a run goes on, three in the time of its lease. A run whose lease is lost is ended: RunSuperseded."""
    here = asyncio.current_task()
    lost = False

    async def beat() -> None:
        nonlocal lost
        while True:
            await asyncio.sleep(lease / 3)
            try:
                await asyncio.to_thread(store.renew_run, run_id, lease)
            except RunSuperseded:
                lost = True
                assert here is not None
                here.cancel()
                return
            except SQLAlchemyError:
                continue  # the next page is refused if that lasts too long

    beating = asyncio.create_task(beat())
    try:
        yield
    except asyncio.CancelledError:
        if not lost or (here is not None and here.uncancel() > 0):
            raise
        raise RunSuperseded from None
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


@dataclass(slots=True)
class Run:
    """One way through a source. With a `sink` pages go there, and the stream stays where it stands."""

    source: Source
    mapping: SourceMapping
    operation: OperationMapping
    role: ChangesRole
    store: Store
    pages: Pages
    report: Callable[[PageReport], None]
    begun: Begun
    sink: Sink | None = None
    landed: list[Landed] = field(default_factory=list)
    fetched: int = 0
    told: int = 0
    notes: list[str] = field(default_factory=list)
    expected: int | None = None
    asking: float = 0.0
    start: Any = None
    reached: Reached = field(default_factory=lambda: Reached(None))
    walk: Walk = field(init=False)

    def __post_init__(self) -> None:
        cursor = self.begun.cursor
        self.start = cursor if is_by_token(self.operation) else read_cursor(self.role.cursor, cursor)
        self.reached = Reached(self.start, self.role.overlap)
        self.walk = self._first_walk()

    async def read(self) -> RunResult:
        """Read everything, then the run is finished."""
        await self.read_all()
        cursor, key = self._stands(at_end=True)
        self._reach("finish.before")
        again = interval(self.mapping.name, self.operation.name, self.role)
        what = (self.begun.run_id, cursor, self.fetched, self.notes)
        await asyncio.to_thread(self.store.finish_run, *what, cursor_key=key, interval=again)
        self._reach("finish.after")
        return RunResult(
            fetched=self.fetched,
            applied=sum(landed.applied for landed in self.landed),
            unchanged=sum(landed.unchanged for landed in self.landed),
            duplicate=sum(landed.duplicate for landed in self.landed),
            quarantined=sum(landed.quarantined for landed in self.landed),
            pages=len(self.landed),
            cursor=cursor,
        )

    async def read_all(self) -> None:
        """Page after page, pass after pass, into the store or into `sink`."""
        question = self.walk.question
        while question is not None:
            await self._pass(question)
            self.walk.end_pass(sum(landed.applied for landed in self.landed[self.told :]))
            self.told = len(self.landed)
            self._note()
            question = self.walk.question

    async def _pass(self, question: Question) -> None:
        """From a question to where the way ends, or leads back; the next page is asked for and mapped while one is landing."""
        left: list[object] = []
        read = await self._read(question, left)
        while (landing := await self._hear(question, *read)) is not None:
            left += read[0].page.records
            del read
            following, landed = self.walk.question, self._land(*landing)
            del landing
            if following is None:
                await landed
                return
            question, (left, read) = following, await _together(landed, self._read(following, left))

    async def _hear(self, question: Question, heard: Heard, mapped: Landing) -> tuple[Landing, Progress] | None:
        """What is to land of an answer, and where the stream stands then; None when the answer is the end."""
        page, landing = heard.page, await asyncio.to_thread(self.pages.judge, heard, mapped)
        if question.goes_back:
            self.reached.go_back()
        self.expected = page.total
        try:
            is_new = self.walk.hear(heard)
        except Disordered:
            self.walk = ByNumber(self._since(), self._size, self._first())
            self.walk.notes.append(str(Disordered.__doc__) + "：改为从头逐页读")
            is_new = True
        self._note()
        if not is_new:
            return None
        self.fetched += len(page.records)
        self._take(heard, page)
        cursor, key = self._stands()
        return lightened(landing), Progress(self.begun.run_id, len(self.landed) + 1, cursor, key)

    async def _read(self, question: Question, left: list[object]) -> tuple[Heard, Landing]:
        """The page that answers, as it is heard and mapped. What is `left` of those before it is let go first, lest there be three
        pages in memory."""
        await asyncio.to_thread(let_go, left)
        return await asyncio.to_thread(self._map, await self._call(question))

    def _map(self, page: Page) -> tuple[Heard, Landing]:
        landing = self.pages.landing(page.records, page.raw, page.media_type, page.received_at)
        heard = self.pages.heard(page, landing)
        if isinstance(self.walk, ByNumber):
            _ = heard.digest  # here rather than when the page is heard, with the database waiting
        if self.sink is not None:
            return heard, landing
        last = self.landed[-1] if self.landed else Landed(applied=int(self.begun.cursor is None))
        is_mostly_new = last.applied > last.unchanged + last.duplicate
        return heard, self.store.make_ready(landing, writes_rows=is_mostly_new)

    def _take(self, heard: Heard, page: Page) -> None:
        """Note how far the page leads. Pages by number are only as fresh as the first of them: what came late to one already
        read has pushed others out of sight."""
        asked_at = page.received_at - timedelta(seconds=self.asking)
        if isinstance(self.walk, ByNumber) and self.reached.limit is None:
            self.reached.limit = asked_at
        self.reached.add(heard.told, asked_at)

    def _first_walk(self) -> Walk:
        since = self._since()
        if is_by_token(self.operation):
            return ByPlace(None, self._size, by_token=True, place=self.start)
        if self.mapping.connect.kind == "sql":
            return ByPlace(since, self._size, place=self._resumed())
        if is_numbered(self.operation) and not self.role.ascending:
            return ByNumber(since, self._size, self._first())
        first = self._first() if is_numbered(self.operation) else None
        cursor = self.role.cursor
        return BySince(since, self._size, cursor.name, same_text(cursor), following, first)

    def _since(self) -> Any:
        return None if is_by_token(self.operation) else before(self.start, self.role.overlap)

    def _resumed(self) -> str | None:
        """Where the run before this one was cut short, if the mapping is still the same."""
        version, _, place = (self.begun.cursor_key or "").partition(" ")
        return place if self.begun.was_cut_short and version == self.mapping.version else None

    def _stands(self, at_end: bool = False) -> tuple[str | None, str | None]:
        """The cursor up to which everything is in, and the place of the last row. A run that went on in the middle leaves what
        came late before that place to the next one, which reads from the start of this one again."""
        walk = self.walk
        if is_by_token(self.operation):
            return walk.place, None
        is_safe = walk.is_whole if at_end else walk.is_settled and self.reached.is_ordered
        if at_end and self._resumed() is not None:
            is_safe = False
        key = f"{self.mapping.version} {walk.place}" if walk.place and not at_end else None
        return write_cursor(self.reached.furthest if is_safe else self.start), key

    def _first(self) -> int:
        paging = self.operation.written.page
        assert paging is not None
        return paging.first

    @property
    def _size(self) -> int:
        paging = self.operation.written.page
        assert paging is not None
        return paging.size

    async def _call(self, question: Question) -> Page:
        self._reach("fetch.before")
        print_key = self.role.cursor.print_key
        assert print_key is not None
        since = None if question.since is None else print_key(question.since)
        call = Call(
            self.operation.name,
            self.mapping.connect.timeout,
            since=since,
            page=question.page,
            size=question.size,
            cursor=question.place,
        )
        begun = time.monotonic()
        page = await self.source.call(call)
        self.asking = time.monotonic() - begun
        self._reach("fetch.after")
        return page

    async def _land(self, landing: Landing, progress: Progress) -> list[object]:
        """Put one page into the store, with cursor and ledger; returns what is left of it."""
        self._reach("page.before")
        if self.sink is not None:
            landed = await asyncio.to_thread(self.sink, landing, progress)
        else:
            landed = await asyncio.to_thread(self.store.land, landing, progress, self._also(landing))
        if self.pages.shape is not None:
            self.pages.shape.settle()
        self._reach("page.done")
        self.landed.append(landed)
        self._say(landed, "")
        return [*landing.mapped, *(landing.ready.told.values() if landing.ready else ())]

    def _also(self, landing: Landing) -> Also | None:
        """What goes in with a page: codes that the mapping does not know open a task, new fields are remembered."""
        found, shape = unknown_codes(self.mapping, landing.mapped), self.pages.shape
        has_new = shape is not None and bool(shape.new or shape.lapsed)
        if not found and not has_new:
            return None
        name, tables, clock = self.mapping.name, self.store.tables, self.store.clock

        def also(connection: Connection, _landed: Landed, _fates: Sequence[Fate]) -> None:
            note_codes(connection, tables, name, found, clock())
            if shape is not None:
                shape.keep(connection, tables, clock())

        return also

    def _note(self) -> None:
        for note in [*self.walk.notes, *self.pages.notes]:
            if note not in self.notes:
                self.notes.append(note)
                self._say(Landed(), note)

    def _reach(self, name: str) -> None:
        self.store.database.points(name)

    def _say(self, landed: Landed, note: str) -> None:
        cursor, _ = self._stands()
        name = self.operation.name
        self.report(PageReport(self.mapping.name, name, len(self.landed), landed, cursor, note, self.expected))


async def _together(landing: Awaitable[One], following: Coroutine[Any, Any, Other]) -> tuple[One, Other]:
    """Both results. What `following` asks for is on its way while `landing` goes on, and given up when that fails."""
    asking = asyncio.create_task(following)
    try:
        return await landing, await asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def told(error: Exception) -> str:
    """The error for the record: never a source's own words, which may carry hosts, SQL or names."""
    if isinstance(error, SourceError):
        return f"{error.code}：{error.public_message}"
    if isinstance(error, (CannotAdvance, RunSuperseded, Halting)):
        return str(error)
    if isinstance(error, SQLAlchemyError):
        return store_fault(error)
    return f"内部错误：{type(error).__name__}"
