"""Operations never seen before are prepared one at a time, and while others are being answered only in a share of the time."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from gateway import metrics
from gateway.context import Deadline
from gateway.limits import Overloaded

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

    async def prepare(self, work: Callable[[], Prepared], deadline: Deadline) -> Prepared:
        """The result of `work`, which is called when it is its turn. Raises Overloaded when that would be too late."""
        if self.waiting >= self.most_waiting:
            raise overloaded("new")
        self.waiting += 1
        metrics.LEARNING.set(self.waiting)
        try:
            async with asyncio.timeout(deadline.left), self.turn:
                pause = self.free_at - time.monotonic()
                if pause > 0 and self.is_busy(self.waiting):
                    await asyncio.sleep(pause)
                started = time.monotonic()
                try:
                    return work()
                finally:
                    took = time.monotonic() - started
                    self.free_at = started + took / self.share
                    metrics.PREPARING.observe(took)
        except TimeoutError:
            raise overloaded("new") from None
        finally:
            self.waiting -= 1
            metrics.LEARNING.set(self.waiting)


def overloaded(reason: str) -> Overloaded:
    """The refusal of what cannot be answered in time, counted under a reason."""
    metrics.REFUSED.labels(reason).inc()
    return Overloaded()
