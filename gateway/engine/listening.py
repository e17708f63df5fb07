"""Who listens to the store: one reader for the process, at work only while somebody does, and a bounded queue for each listener.

A listener that does not keep up is told so and ends; it never holds up the others for longer than PATIENCE allows, nor loses anything
in silence.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from gateway.errors import QueryError
from gateway.log import logger
from gateway.store.feed import Change, Position
from gateway.store.run_states import RunState
from gateway.store.store import Store

Event = TypeVar("Event")
State = TypeVar("State")

AT_ONCE = 500
"""Changes read in one piece."""
PATIENCE = 4
"""Rounds of reading that a listener whose queue is full may hold up the others, to take what it has."""
MOST_NUDGED = 0.05
"""Seconds between two readings at least, however often the store is written to."""
SLOWEST_RETRY = 5.0
FORGOTTEN = 15 * 60.0
"""Seconds without a reading after which changes may have been dropped unread; less than `feed.LEAST_KEPT_FOR`."""


class TooSlow(QueryError):
    """订阅来不及接收，其间的变化已丢弃：请重新查询，再重新订阅"""

    def __init__(self) -> None:
        super().__init__("", "SUBSCRIBER_TOO_SLOW")


class FeedBroken(QueryError):
    """本地存储暂时无法访问，变化无从得知：请稍后重新查询，再重新订阅"""

    def __init__(self) -> None:
        super().__init__("", "STORE_UNAVAILABLE")


class Listener(Generic[Event]):
    """What one listener is still to be told. Iterate over it; raises TooSlow or FeedBroken where the telling breaks off."""

    def __init__(self, wants: Callable[[Event], bool], most: int) -> None:
        self.wants, self.most = wants, most
        self.waiting: deque[Event] = deque()
        self.is_ended = False
        self.reason: QueryError | None = None
        self._stirred, self._taken = asyncio.Event(), asyncio.Event()

    def has_room(self, events: Sequence[Event]) -> bool:
        """Whether all of these could be taken."""
        return self.is_ended or len(self.waiting) + len(events) <= self.most

    async def make_room(self, events: Sequence[Event]) -> None:
        """Wait until these could be taken."""
        while not self.has_room(events):
            self._taken.clear()
            await self._taken.wait()

    def tell(self, events: Sequence[Event]) -> None:
        """Leave these for the listener; without room for them it ends."""
        if not self.has_room(events):
            self.end(TooSlow())
        elif not self.is_ended:
            self.waiting.extend(events)
            self._stirred.set()

    def end(self, reason: QueryError | None = None) -> None:
        """Nothing more comes. With a reason, what still waits is dropped; else it is told first."""
        if not self.is_ended:
            self.is_ended, self.reason = True, reason
            if reason is not None:
                self.waiting.clear()
            self._stirred.set()
            self._taken.set()

    def __aiter__(self) -> AsyncIterator[Event]:
        """The events."""
        return self

    async def __anext__(self) -> Event:
        """The next one."""
        while not self.waiting:
            if self.reason is not None:
                raise self.reason
            if self.is_ended:
                raise StopAsyncIteration
            self._stirred.clear()
            await self._stirred.wait()
        self._taken.set()
        return self.waiting.popleft()


class Channel(Generic[Event, State]):
    """The listeners to one kind of event. `begin` tells where reading starts, `read` what is new since, where that ends, and
    whether there is more; both wait for the store. `patience`: seconds that somebody without room is waited for."""

    def __init__(
        self,
        begin: Callable[[], State],
        read: Callable[[State], tuple[Sequence[Event], State, bool]],
        patience: float,
    ) -> None:
        self.begin, self.read, self.patience = begin, read, patience
        self.listeners: list[Listener[Event]] = []
        self.state: State | None = None

    async def deliver(self) -> None:
        """Tell the listeners what is new. Raises SQLAlchemyError."""
        if self.state is None:
            self.state = await asyncio.to_thread(self.begin)
            return
        has_more = True
        while has_more and self.state is not None:
            events, self.state, has_more = await asyncio.to_thread(self.read, self.state)
            wanted = [(one, [event for event in events if one.wants(event)]) for one in self.listeners]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.patience):
                    for one, some in wanted:
                        await one.make_room(some)
            for one, some in wanted:
                one.tell(some)


class Feed:
    """Tells listeners what happens in the store, whichever process does it. One for the process."""

    def __init__(self, store: Store, interval: float, most_waiting: int) -> None:
        self.store, self.interval, self.most_waiting = store, interval, most_waiting
        self.changes: Channel[Change, Position] = Channel(store.end_of_changes, self._read_changes, PATIENCE * interval)
        self.run_updates: Channel[RunState, Sequence[RunState]] = Channel(
            store.run_states, self._read_runs, PATIENCE * interval
        )
        self.is_closed = False
        self._reader: asyncio.Task[None] | None = None
        self._nudged = asyncio.Event()
        self._round: asyncio.Future[None] | None = None
        """Done once everybody who listened when it was made is told what happens from then on."""

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self.changes.listeners) + len(self.run_updates.listeners)

    @asynccontextmanager
    async def listen(
        self, channel: Channel[Event, State], wants: Callable[[Event], bool]
    ) -> AsyncIterator[Listener[Event]]:
        """A listener that is told all that is committed from when this has been entered. Raises FeedBroken."""
        listener = Listener(wants, self.most_waiting)
        channel.listeners.append(listener)
        try:
            if self.is_closed:
                listener.end()
            elif channel.state is None:
                await self._begun()
            yield listener
        finally:
            listener.end()
            channel.listeners.remove(listener)
            if not channel.listeners:
                channel.state = None
            if not self.listening and self._reader:
                self._reader.cancel()
                self._reader = None

    def close(self) -> None:
        """End every listener, once it has been told what waits for it; nobody can listen any more."""
        self.is_closed = True
        for listener in self._listeners():
            listener.end()

    async def _begun(self) -> None:
        if self._round is None:
            self._round = asyncio.get_running_loop().create_future()
            self._round.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())
        self._nudged.set()
        await asyncio.shield(self._round)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()

        def nudge() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is over, and so are we
                loop.call_soon_threadsafe(self._nudged.set)

        self.store.on_change.append(nudge)
        try:
            await self._read_on()
        finally:
            self.store.on_change.remove(nudge)

    async def _read_on(self) -> None:
        read_last, pause = time.monotonic(), self.interval
        while True:
            waiting, self._round = self._round, None
            self._nudged.clear()
            try:
                if self.changes.listeners:
                    await self.changes.deliver()
                if self.run_updates.listeners:
                    await self.run_updates.deliver()
                read_last, pause = time.monotonic(), self.interval
                if waiting and not waiting.done():
                    waiting.set_result(None)
            except SQLAlchemyError as error:
                logger().error("feed.failed", error=type(error).__name__, listening=self.listening)
                pause = min(pause * 2, SLOWEST_RETRY)
                if waiting and not waiting.done():
                    waiting.set_exception(FeedBroken())
                if time.monotonic() - read_last > FORGOTTEN:
                    self._break_off()
                await asyncio.sleep(pause)
                continue
            await asyncio.sleep(min(MOST_NUDGED, pause))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._nudged.wait()

    def _break_off(self) -> None:
        self.changes.state = self.run_updates.state = None
        for listener in self._listeners():
            listener.end(FeedBroken())

    def _listeners(self) -> list[Listener[Any]]:
        return [*self.changes.listeners, *self.run_updates.listeners]

    def _read_changes(self, since: Position) -> tuple[Sequence[Change], Position, bool]:
        reading = self.store.changes(since, min(AT_ONCE, self.most_waiting))
        return reading.changes, reading.position, reading.has_more

    def _read_runs(self, known: Sequence[RunState]) -> tuple[Sequence[RunState], Sequence[RunState], bool]:
        states, before = self.store.run_states(known), set(known)
        return [state for state in states if state not in before], states, False
