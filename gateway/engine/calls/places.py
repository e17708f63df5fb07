"""How many calls a source has at once, and who waits for a place: a bounded queue, live queries before syncs."""

import asyncio
from collections import deque
from enum import IntEnum


class Priority(IntEnum):
    """Who is served first: somebody who waits for an answer, or a sync that can come later."""

    LIVE = 0
    LATER = 1


class QueueFull(Exception):
    """没有排队的位置"""


class Places:
    """`most` places, and `queue` places to wait in for each priority."""

    def __init__(self, most: int, queue: int) -> None:
        self.most, self.queue = most, queue
        self.in_flight = 0
        self._waiting: tuple[deque[asyncio.Future[None]], ...] = (deque(), deque())

    @property
    def queued(self) -> int:
        """How many are waiting."""
        return sum(map(len, self._waiting))

    def try_take(self) -> bool:
        """A place, if there is one and nobody waits for it."""
        if self.in_flight >= self.most:  # who waits is served when a place becomes free, so then nobody waits
            return False
        self.in_flight += 1
        return True

    async def take(self, priority: Priority) -> None:
        """A place, waited for as long as nobody cancels. Raises QueueFull at once."""
        if self.try_take():
            return
        queue = self._waiting[priority]
        if len(queue) >= self.queue:
            raise QueueFull
        turn = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            elif turn in queue:
                queue.remove(turn)
            raise

    def give_back(self) -> None:
        """The place goes to whoever has waited longest of those who go first."""
        for queue in self._waiting:
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self.in_flight -= 1
