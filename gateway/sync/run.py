"""One run of one `changes` operation: page after page into the store, each page one transaction, until there is no more."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.compiled import Compiled, Compiler
from adapters.mapping.model import ChangesRole, OperationMapping, SourceMapping
from adapters.mapping.record import gone_among, records_digest
from adapters.source import Call, Page, Source
from gateway.store.store import Landed, Landing, Progress, Store
from gateway.sync.cursor import CannotAdvance, Reached, before, read_cursor, write_cursor
from schema.formats import CHINA_TIME
from schema.identity import HashId

One = TypeVar("One")
Other = TypeVar("Other")
REPEATED = "来源又给出了已读过的一页，到此为止"


@dataclass(frozen=True, slots=True)
class PageReport:
    """A page that is in the store, or, with a `note`, what is worth saying about one that is not."""

    source: str
    operation: str
    page: int
    landed: Landed
    cursor: str | None
    note: str = ""


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


async def run_changes(
    source: Source,
    mapping: SourceMapping,
    operation: str,
    store: Store,
    hash_id: HashId,
    report: Callable[[PageReport], None],
) -> RunResult:
    """Read a stream from where it stands to its end. What fails is recorded and raised; the next run goes on from there.

    Raises SourceError, CannotAdvance, RunSuperseded when a later run of the stream has begun, and what the store raises.
    """
    what = mapping.operations[operation]
    if what.changes is None or what.written.page is None:
        raise ValueError(f"{mapping.name}.{operation} 不是 changes 操作")
    begun = await asyncio.to_thread(store.begin_run, mapping.name, operation)
    try:
        reached = Reached(read_cursor(what.changes.cursor, begun.cursor))
        compiled = Compiler(hash_id).compiled(mapping, what.changes.entity, None)
        run = _Run(source, mapping, what, what.changes, store, compiled, report, begun.run_id, reached)
        return await run.read()
    except Exception as error:
        with suppress(SQLAlchemyError):  # the error that matters is the first
            await asyncio.to_thread(store.fail_run, begun.run_id, _told(error))
        raise


@dataclass(slots=True)
class _Run:
    source: Source
    mapping: SourceMapping
    operation: OperationMapping
    role: ChangesRole
    store: Store
    compiled: Compiled
    report: Callable[[PageReport], None]
    run_id: int
    reached: Reached
    landed: list[Landed] = field(default_factory=list)

    async def read(self) -> RunResult:
        """Page after page, then the run is finished."""
        read_whole = await (self._by_number() if _counts_pages(self.mapping, self.operation) else self._by_cursor())
        cursor = write_cursor(self.reached.at_end(read_whole))
        await asyncio.to_thread(self.store.finish_run, self.run_id, cursor)
        return RunResult(
            fetched=sum(landed.fetched for landed in self.landed),
            applied=sum(landed.applied for landed in self.landed),
            unchanged=sum(landed.unchanged for landed in self.landed),
            duplicate=sum(landed.duplicate for landed in self.landed),
            quarantined=sum(landed.quarantined for landed in self.landed),
            pages=len(self.landed),
            cursor=cursor,
        )

    async def _by_number(self) -> bool:
        """Pages one, two, three from the same place, by the total or to a short page. Whether everything was read."""
        paging = self.operation.written.page
        assert paging is not None
        since = self._print(before(self.reached.start, self.role.overlap))
        from_nought = self.mapping.connect.kind == "sql" and "first" not in paging.model_fields_set
        first = 0 if from_nought else paging.first
        seen: set[str] = set()
        number = first
        page = await self._call(since, number)
        while True:
            digest = records_digest(page.records)
            if digest in seen:
                self._say(Landed(), REPEATED)
                return False
            seen.add(digest)
            number += 1
            asked = (number - first) * paging.size
            if len(page.records) < paging.size if page.total is None else asked >= page.total:
                await self._land(page)
                break
            _, page = await _together(self._land(page), self._call(since, number))
        fetched = sum(landed.fetched for landed in self.landed)
        if page.total is not None and fetched != page.total:
            self._say(Landed(), f"来源说共 {page.total} 条，实得 {fetched} 条")
        return page.total is None or fetched >= page.total

    async def _by_cursor(self) -> bool:
        """Each page from the last value of the one before, inclusive, to a short page. Everything was read."""
        size = self._size
        since = before(self.reached.start, self.role.overlap)
        while True:
            page = await self._call(self._print(since), None)
            values = await self._land(page)
            if len(page.records) < size:
                return True
            since = self._following(since, values)

    def _following(self, since: Any, values: Sequence[Any]) -> Any:
        """The last value of a full page, which has to lie behind where the page started."""
        name, size = self.role.cursor.name, self._size
        if not values:
            raise CannotAdvance(f"整页 {size} 条记录都没有 {name}，无法继续")
        if since is None or (values[-1] > since and self._print(values[-1]) != self._print(since)):
            return values[-1]
        if max(values) > since:
            raise CannotAdvance(f"记录没有按 {name} 升序给出，无法从一页的末尾继续")
        raise CannotAdvance(
            f"整页 {size} 条记录的 {name} 都是 {self._print(since)}，无法越过；请加大 page.size（现为 {size}）"
        )

    @property
    def _size(self) -> int:
        assert self.operation.written.page is not None
        return self.operation.written.page.size

    async def _call(self, since: str | None, number: int | None) -> Page:
        timeout = self.mapping.connect.timeout
        return await self.source.call(Call(self.operation.name, timeout, since=since, page=number, size=self._size))

    async def _land(self, page: Page) -> list[Any]:
        """Put one page into the store, with cursor and ledger; returns its cursor values in their order."""
        landing, values = await asyncio.to_thread(self._map, page)
        self.reached.add(values, page.received_at)
        progress = Progress(self.run_id, len(self.landed) + 1, write_cursor(self.reached.so_far()))
        landed = await asyncio.to_thread(self.store.land, landing, progress)
        self.landed.append(landed)
        self._say(landed, "")
        return values

    def _map(self, page: Page) -> tuple[Landing, list[Any]]:
        told_on = page.received_at.astimezone(CHINA_TIME).date()
        mapped = self.compiled.page(page.records, told_on)
        landing = Landing(
            source=self.mapping.name,
            operation=self.operation.name,
            raw=page.raw,
            media_type=page.media_type,
            received_at=page.received_at,
            mapped=mapped,
            mapping_version=self.mapping.version,
            gone=gone_among(page.records, self.role.deleted),
            records=page.records,
        )
        name = self.role.cursor.name
        values = (one.provenance.get(name, one.values.get(name)) for one in mapped)
        return landing, [value for value in values if value is not None]

    def _print(self, value: Any) -> str | None:
        """A cursor value as the source writes it."""
        assert self.role.cursor.print_key is not None
        return None if value is None else self.role.cursor.print_key(value)

    def _say(self, landed: Landed, note: str) -> None:
        cursor = write_cursor(self.reached.so_far())
        self.report(PageReport(self.mapping.name, self.operation.name, len(self.landed), landed, cursor, note))


async def _together(landing: Awaitable[One], following: Coroutine[Any, Any, Other]) -> tuple[One, Other]:
    """Both results. What `following` asks for is on its way while `landing` goes on, and given up when that fails."""
    asking = asyncio.create_task(following)
    try:
        return await landing, await asking
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def _counts_pages(mapping: SourceMapping, operation: OperationMapping) -> bool:
    """Whether pages are asked for by number: databases always are, others when the request has a place for it."""
    request = operation.written.request
    trees = (request.query, request.json_body, request.form, request.message)
    return mapping.connect.kind == "sql" or any(_mentions(tree, "$page") for tree in trees)


def _mentions(tree: object, word: str) -> bool:
    if isinstance(tree, Mapping):
        return any(_mentions(value, word) for value in tree.values())
    if isinstance(tree, list):
        return any(_mentions(value, word) for value in tree)
    return tree == word


def _told(error: Exception) -> str:
    """The error for the record: never a source's own words, which may carry hosts, SQL or names."""
    if isinstance(error, SourceError):
        return f"{error.code}：{error.public_message}"
    if isinstance(error, CannotAdvance):
        return str(error)
    return f"内部错误：{type(error).__name__}"
