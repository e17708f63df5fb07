"""Equal calls are one flight: whoever asks while it is under way waits for the same answer, each no longer than they may."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

from adapters.errors import SourceError, SourceTimeout, SourceUnavailable
from gateway.alarms import alarms_of
from gateway.context import Deadline

Answer = TypeVar("Answer")


class Flight(Generic[Answer]):
    """One call under way. `until` is the latest deadline of those who wait; `is_late` when the last of them left at theirs."""

    __slots__ = ("is_late", "task", "until", "waiters")

    def __init__(self, until: float) -> None:
        self.until = until
        self.is_late = False
        self.waiters: set[asyncio.Future[Answer]] = set()
        self.task: asyncio.Task[None] | None = None


Start = Callable[[Flight[Answer]], Coroutine[Any, Any, Answer]]


class Flights(Generic[Answer]):
    """Every flight under way, by what it asks."""

    def __init__(self) -> None:
        self._flights: dict[Hashable, Flight[Answer]] = {}
        self._under_way: set[Flight[Answer]] = set()

    async def join(
        self, key: Hashable, deadline: Deadline, start: Start[Answer], joined: Callable[[], None] = lambda: None
    ) -> Answer:
        """The answer of the flight with this key, started if there is none; a failure goes to everybody who waits.

        Raises SourceTimeout at the deadline. When the last one leaves, the flight is cancelled.
        """
        left = deadline.left
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(deadline.at)
            flight.waiters.add(waiter)
            self._under_way.add(flight)
            flight.task = _started(self._fly(key, flight, start), loop)
        else:
            joined()
            flight.until = max(flight.until, deadline.at)
            flight.waiters.add(waiter)
        if waiter.done():
            return waiter.result()
        alarm = alarms_of(loop).at(loop.time() + left, _expire, waiter, left)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # the answer came too late for whoever left; nobody misses it
            raise
        finally:
            alarm.cancel()
            flight.waiters.discard(waiter)
            if not flight.waiters and flight in self._under_way:
                flight.is_late = deadline.left <= 0
                if self._flights.get(key) is flight:
                    del self._flights[key]  # whoever comes now must not wait for what is being cancelled
                flight.task.cancel()  # type: ignore[union-attr]

    async def aclose(self) -> None:
        """Cancel what is under way, and wait for its end; whoever still waits is told that the source is unavailable."""
        flights = [flight for flight in self._under_way if flight.task is not None]
        for flight in flights:
            flight.task.cancel()  # type: ignore[union-attr]
        await asyncio.gather(*(flight.task for flight in flights if flight.task), return_exceptions=True)
        for flight in flights:
            _tell(flight, SourceUnavailable("已关闭"))

    async def _fly(self, key: Hashable, flight: Flight[Answer], start: Start[Answer]) -> None:
        try:
            answer = await start(flight)
        except Exception as error:
            self._landed(key, flight)
            _tell(flight, error)
        except BaseException:
            self._landed(key, flight)
            raise
        else:
            self._landed(key, flight)
            for waiter in flight.waiters:
                if not waiter.done():
                    waiter.set_result(answer)

    def _landed(self, key: Hashable, flight: Flight[Answer]) -> None:
        self._under_way.discard(flight)
        if self._flights.get(key) is flight:
            del self._flights[key]


def _started(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    """The task, already as far as it gets without waiting where Python can do that: the call is on its way at once."""
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)


def _expire(waiter: asyncio.Future[Answer], seconds: float) -> None:
    if not waiter.done():
        waiter.set_exception(SourceTimeout(f"{max(seconds, 0):.1f} 秒内没有答复"))


def _tell(flight: Flight[Answer], error: Exception) -> None:
    """The failure for everybody; each has an error of their own, since whoever catches one may write on it."""
    several = len(flight.waiters) > 1
    for waiter in flight.waiters:
        if not waiter.done():
            waiter.set_exception(error.copy() if several and isinstance(error, SourceError) else error)
