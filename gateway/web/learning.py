"""Operations never seen before are prepared one at a time, and while others are being answered only in a share of the time."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeVar

from gateway import metrics
from gateway.context import Deadline
from gateway.limits import Overloaded
from gateway.log import logger

Prepared = TypeVar("Prepared")


class Learning:
    """The budget of what is new. One for the process.

    A stream of new texts waits for itself: known operations find the event loop free for the rest of the time.
    """

    def __init__(self, share: float, most_waiting: int, is_busy: Callable[[int], bool]) -> None:
        self.share, self.most_waiting, self.is_busy = share, most_waiting, is_busy
        self.turn = asyncio.Lock()
        self.waiting = 0
        self.free_at = 0.0
        self.offered: deque[Iterator[None]] = deque()

    async def prepare(self, *stages: Callable[[], Prepared | None], deadline: Deadline) -> Prepared | None:
        """The first result of the stages of some work that is one, each called when it is its turn; others may be answered in
        between. Raises Overloaded when that would be too late."""
        if self.waiting >= self.most_waiting:
            raise overloaded("new")
        self.waiting += 1
        metrics.LEARNING.set(self.waiting)
        try:
            async with asyncio.timeout(deadline.left), self.turn:
                pause = self.free_at - time.monotonic()
                if pause > 0 and self.is_busy(self.waiting):
                    await asyncio.sleep(pause)
                for stage in stages:
                    if (found := self._timed(stage)) is not None:
                        return found
                    await asyncio.sleep(0)
                return None
        except TimeoutError:
            raise overloaded("new") from None
        finally:
            self.waiting -= 1
            metrics.LEARNING.set(self.waiting)

    def offer(self, due: Callable[[], Iterator[None] | None]) -> None:
        """Code to compile for an operation that is asked for again, in portions, when there is time for it. `due` is not even
        asked what there is while too much is waiting: it will be when the operation is asked for the next time."""
        if len(self.offered) < self.most_waiting and (portions := due()) is not None:
            self.offered.append(portions)
            if len(self.offered) == 1:
                asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        """The next portion, and a pause as long as its share asks."""
        started = time.monotonic()
        try:
            self._timed(lambda: next(self.offered[0]))
        except StopIteration:
            self.offered.popleft()
        except Exception as error:  # a bug of ours: the operation is answered without it
            logger().error("learning.bug", error=type(error).__name__, exc_info=error)
            self.offered.popleft()
        if self.offered:
            took = time.monotonic() - started
            asyncio.get_running_loop().call_later(took / self.share - took, self._go_on)

    def _timed(self, work: Callable[[], Prepared]) -> Prepared:
        started = time.monotonic()
        try:
            return work()
        finally:
            took = time.monotonic() - started
            self.free_at = max(self.free_at, started) + took / self.share
            metrics.PREPARING.observe(took)


def overloaded(reason: str) -> Overloaded:
    """The refusal of what cannot be answered in time, counted under a reason."""
    metrics.REFUSED.labels(reason).inc()
    return Overloaded()
