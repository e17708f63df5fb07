"""Every call to a source: remembered, shared with whoever asks the same, kept within its limits, and written down."""

import asyncio
import time
from collections.abc import Coroutine, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters.errors import SourceError, SourceRejected
from adapters.mapping.model import SourceMapping
from adapters.source import Page, Reader, Source
from gateway.context import EVERYBODY, Deadline, Viewer
from gateway.engine.calls.cache import Memory
from gateway.engine.calls.cache_shared import SharedCache
from gateway.engine.calls.flight import Flight, Flights
from gateway.engine.calls.health import SourceHealth
from gateway.engine.calls.lines import make_line
from gateway.engine.calls.metrics import CallMetrics
from gateway.engine.calls.places import Priority
from gateway.engine.calls.remembering import Question, Remembering, held_parts, parts_of
from gateway.engine.calls.sending import send
from gateway.engine.calls.shared import Shared
from gateway.engine.calls.sharing import joined, page_of

CACHE_ENTRIES = 10_000
CACHE_BYTES = 64 * 1024 * 1024
AGAIN_AFTER = 1.0
"""Seconds before what could not be refreshed behind an answer is tried again."""
MOST_BEHIND = 64
"""Values that are on their way to Redis; more are let go, since nobody waits for them."""


class Calls:
    """The sources and their limits; one for the whole process, since the limit is for all users together.

    `shared` is the Redis of all replicas, whose cached values `secret` seals; without it everything is in this process.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        mappings: Mapping[str, SourceMapping],
        shared: Shared | None = None,
        secret: bytes = b"",
        cache_entries: int = CACHE_ENTRIES,
        cache_bytes: int = CACHE_BYTES,
        metrics: CallMetrics | None = None,
    ) -> None:
        self.sources, self.mappings = sources, mappings
        self.metrics = metrics or CallMetrics()
        self.shared = shared
        self._lines = {
            name: make_line(sources[name], mapping, self.metrics, shared) for name, mapping in mappings.items()
        }
        self._flights: Flights[Page] = Flights()
        remembers = cache_entries > 0
        sealed = SharedCache(shared, secret) if shared is not None and secret and remembers else None
        self._remembering = Remembering(Memory(cache_entries, cache_bytes), sealed) if remembers else None
        self._refreshing: set[Hashable] = set()
        self._behind: set[asyncio.Task[None]] = set()
        self.metrics.show(self.health, lambda: None if shared is None else shared.is_up)

    async def make(
        self,
        source: str,
        operation: str,
        deadline: Deadline,
        viewer: Viewer = EVERYBODY,
        priority: Priority = Priority.LIVE,
        reader: Reader | None = None,
        **arguments: Any,
    ) -> Page:
        """The answer to one call, or to several people's equal calls, or what was remembered of one (`Page.is_cached`).

        Raises a SourceError that names source and operation, never later than the deadline; its `held` is what is
        remembered for some of the keys all the same. Cancelling it cancels the call, unless others wait for it.
        A call that is made for nobody's cache lets `reader` read its answer.
        """
        try:
            line = self._lines[source].operations[operation]
        except KeyError:
            raise SourceRejected(f"没有操作 {operation}", source=source, operation=operation) from None
        try:
            limits = line.operation.written.cache
            if limits is None or self._remembering is None or not arguments.get("keys"):
                keys = arguments.get("keys", ())
                if len(keys) > 1:
                    keys = sorted(keys)
                others = _words(arguments) if len(arguments) > 1 or not keys else ()
                asked = (source, operation, viewer.scope, viewer.masking, tuple(keys), others)
                if reader is not None:  # how it is read is no part of what is asked
                    arguments["reader"] = reader
                flown = self._flights.join(
                    asked, deadline, lambda flight: send(line, flight, arguments, priority), line.joined
                )
                return await flown
            keys = tuple(dict.fromkeys(arguments.pop("keys")))
            more = tuple(sorted((name, value) for name, value in arguments.items() if value is not None))
            question = Question(line, limits, source, operation, viewer.scope, viewer.masking, more)
            return await self._remembered(question, keys, deadline, priority)
        except SourceError as error:
            error.source, error.operation = source, operation
            raise

    def health(self) -> dict[str, SourceHealth]:
        """How each source is."""
        return {name: line.health() for name, line in self._lines.items()}

    async def aclose(self) -> None:
        """Cancel what is under way, and close every source."""
        for task in self._behind:
            task.cancel()
        await asyncio.gather(*self._behind, return_exceptions=True)
        await self._flights.aclose()
        if self.shared is not None:
            await self.shared.aclose()
        for source in self.sources.values():
            await source.aclose()

    async def _remembered(
        self, question: Question, keys: Sequence[str], deadline: Deadline, priority: Priority
    ) -> Page:
        """What is held, and one flight for the rest; stale keys are asked again behind the answer."""
        assert self._remembering is not None
        metrics = question.line.metrics
        recalled = self._remembering.recall(question, keys, time.time())
        if recalled.whole is not None:
            metrics.cached("hit", len(keys))
            return recalled.whole
        metrics.cached("hit", len(recalled.held) - len(recalled.stale))
        metrics.cached("stale", len(recalled.stale))
        if recalled.stale:
            self._refresh(question, recalled.stale)
        if not recalled.missing:
            return page_of(recalled.held)
        metrics.cached("miss", len(recalled.missing))
        try:
            page = await self._fly(question, recalled.missing, deadline, priority)
        except SourceError as error:
            error.held = (*held_parts(recalled.held), *error.held)
            raise
        return joined([*held_parts(recalled.held), *parts_of(page)]) if recalled.held else page

    async def _fly(self, question: Question, keys: Sequence[str], deadline: Deadline, priority: Priority) -> Page:
        return await self._flights.join(
            question.of_keys(keys),
            deadline,
            lambda flight: self._fetch(question, keys, flight, priority),
            question.line.joined,
        )

    async def _fetch(self, question: Question, keys: Sequence[str], flight: Flight[Page], priority: Priority) -> Page:
        """What other replicas hold, and one call for the rest, whose answer is held from then on."""
        assert self._remembering is not None
        recalled = await self._remembering.recall_shared(question, keys, time.time())
        if recalled.whole is not None:
            return recalled.whole
        if not recalled.missing:
            return page_of(recalled.held)
        missing = tuple(recalled.missing)
        arguments = {**dict(question.more), "keys": missing}
        try:
            page = await send(question.line, flight, arguments, priority)
        except SourceError as error:
            error.held = tuple(held_parts(recalled.held))
            raise
        told = self._remembering.remember(question, missing, page)
        if self._remembering.shared is not None:
            self._do_behind(self._remembering.share(question, told), MOST_BEHIND)
        page = replace(page, keys=missing)
        return joined([*held_parts(recalled.held), page]) if recalled.held else page

    def _refresh(self, question: Question, stale: Sequence[str]) -> None:
        """Ask again for what is stale, once, behind the answer it was served in."""
        keys = [key for key in stale if question.of_key(key) not in self._refreshing]
        if not keys:
            return
        marks = [question.of_key(key) for key in keys]
        self._refreshing.update(marks)
        loop = asyncio.get_running_loop()

        async def refresh() -> None:
            try:
                deadline = Deadline.after(question.line.of.mapping.connect.timeout)
                await self._fly(question, keys, deadline, Priority.LIVE)  # somebody may soon wait for it
            except SourceError:
                loop.call_later(AGAIN_AFTER, self._refreshing.difference_update, marks)
            except BaseException:
                self._refreshing.difference_update(marks)
                raise
            else:
                self._refreshing.difference_update(marks)

        self._do_behind(refresh())

    def _do_behind(self, work: Coroutine[Any, Any, None], most: int | None = None) -> None:
        """Work that nobody waits for, until `aclose`."""
        if most is not None and len(self._behind) >= most:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)


def _words(arguments: Mapping[str, Any]) -> tuple[tuple[str, Hashable], ...]:
    """What is asked, so that equal questions are equal: the filters of a search are a mapping of lists."""
    return tuple((name, _word(value)) for name, value in arguments.items())


def _word(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple(sorted((name, tuple(texts)) for name, texts in value.items()))
    return tuple(value) if isinstance(value, list) else value
