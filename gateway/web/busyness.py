"""How busy this process is with answering: the share of a core that its event loop and the threads that work for it take.

Other threads do not count. While data return has the interpreter for itself half of the time, to answer fewer at once would
make nobody quicker.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

WINDOW = 4
"""Looks from the first to the last of which the share is told."""


class Busyness:
    """To be looked at from the event loop's thread."""

    def __init__(self) -> None:
        self.clocks: Callable[[], Sequence[int]] = tuple
        """Those of the threads that work for it, as `clock_gettime` knows them."""
        self._seen: deque[tuple[float, float]] = deque(maxlen=WINDOW + 1)

    def look(self, now: float) -> float:
        """The share since some looks ago, above 1 where it is more than one core; 0 while that is not known."""
        spent = time.thread_time()
        with suppress(OSError):  # of a thread that has just ended
            spent += sum(time.clock_gettime(clock) for clock in self.clocks())
        self._seen.append((now, spent))
        before, spent_before = self._seen[0]
        if len(self._seen) <= WINDOW or spent < spent_before:
            return 0.0
        return (spent - spent_before) / (now - before)
