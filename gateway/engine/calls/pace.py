"""How long an operation takes: its shortest call and its p95, of the latest answers."""

import time
from collections import deque
from collections.abc import Callable

REMEMBERED = 64
ENOUGH = 16
"""Answers before anything is said of an operation's pace, and between two looks at it."""
FORGOTTEN = 30.0
"""Seconds after which the latest look says nothing any more: what was refused by it has to be tried again."""


class Pace:
    """Durations of successful calls, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._latest: deque[float] = deque(maxlen=REMEMBERED)
        self._since = 0
        self._known_until = 0.0
        self._shortest = self._p95 = 0.0

    def add(self, seconds: float) -> None:
        """One more answer."""
        self._latest.append(seconds)
        self._since += 1
        if self._since >= ENOUGH:
            ordered = sorted(self._latest)
            self._shortest, self._p95 = ordered[0], ordered[int(len(ordered) * 0.95)]
            self._since, self._known_until = 0, self._now() + FORGOTTEN

    @property
    def shortest(self) -> float:
        """What no call was quicker than; 0 when that is not known."""
        return self._shortest if self._shortest and self._now() < self._known_until else 0.0

    @property
    def p95(self) -> float:
        """What one call in twenty takes longer than; 0 when that is not known."""
        return self._p95 if self._p95 and self._now() < self._known_until else 0.0
