"""Equal calls are one flight: whoever asks while it is under way waits for the same answer, each no longer than they may."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from adapters.errors import SourceError, SourceTimeout, SourceUnavailable
from gateway.context import Deadline

Answer = TypeVar("Answer")


class Flight(Generic[Answer]):
    """One call under way. `until` is the latest deadline of those who wait; `is_late` when the last of them left at theirs."""

    __slots__ = ("is_late", "task", "until", "waiters")

    def __init__(self, until: float) -> None:
        self.until = until
        self.is_late = False
        self.waiters: set[asyncio.Future[Answer]] = set()
        self.task: asyncio.Task[Answer]


class Flights(Generic[Answer]):
    """Every flight under way, by what it asks."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[Answer]] = {}
        self._tasks: set[asyncio.Task[Answer]] = set()

    async def join(
        self,
        key: Hashable,
        deadline: Deadline,
        start: Callable[[Flight[Answer]], Coroutine[Any, Any, Answer]],
        joined: Callable[[], None] = lambda: None,
    ) -> Answer:
        """The answer of the flight with this key, started if there is none; a failure goes to everybody who waits.

        Raises SourceTimeout at the deadline. When the last one leaves, the flight is cancelled.
        """
        left = deadline.left
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(deadline.at)
            self._launch(key, flight, start)
        else:
            joined()
            flight.until = max(flight.until, deadline.at)
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        flight.waiters.add(waiter)
        alarm = loop.call_later(left, _expire, waiter, left)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # the answer came too late for whoever left; nobody misses it
            raise
        finally:
            alarm.cancel()
            flight.waiters.discard(waiter)
            if not flight.waiters and not flight.task.done():
                flight.is_late = deadline.left <= 0
                if self._flights.get(key) is flight:
                    del self._flights[key]  # whoever comes now must not wait for what is being cancelled
                flight.task.cancel()

    async def aclose(self) -> None:
        """Cancel what is under way, and wait for its end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _launch(
        self, key: Hashable, flight: Flight[Answer], start: Callable[[Flight[Answer]], Coroutine[Any, Any, Answer]]
    ) -> None:
        def landed(task: asyncio.Task[Answer]) -> None:
            self._tasks.discard(task)
            if self._flights.get(key) is flight:
                del self._flights[key]
            _tell(task, flight.waiters)

        flight.task = asyncio.get_running_loop().create_task(start(flight))
        self._tasks.add(flight.task)
        flight.task.add_done_callback(landed)


def _expire(waiter: asyncio.Future[Answer], seconds: float) -> None:
    if not waiter.done():
        waiter.set_exception(SourceTimeout(f"{max(seconds, 0):.1f} 秒内没有答复"))


def _tell(task: asyncio.Task[Answer], waiters: set[asyncio.Future[Answer]]) -> None:
    """The outcome for everybody; each has an error of their own, since whoever catches one may write on it."""
    error = SourceUnavailable("已关闭") if task.cancelled() else task.exception()
    for waiter in waiters:
        if waiter.done():
            continue
        if error is None:
            waiter.set_result(task.result())
        else:
            waiter.set_exception(error.copy() if isinstance(error, SourceError) and len(waiters) > 1 else error)
