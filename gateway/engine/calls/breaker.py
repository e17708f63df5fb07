"""A circuit breaker for one operation of one source: after enough failures nobody is sent, and later exactly one probe."""

import time
from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half-open"]
STREAK = 3
STREAK_SECONDS = 1.0
"""So many failures in a row, over at least so long, are enough even where calls are few."""
WINDOW = 10.0
WINDOW_OF_FAILURES = 4
"""A window with this many times `failures` calls, half of which failed, opens too: a source that fails every other call
is no help."""
LONGEST_PAUSE = 4
"""How many times the first pause the pause between probes may become; each failed probe doubles it."""


class Breaker:
    """`failures` in a row open it for `pause` seconds; so do calls that have all been waiting longer than `slow`.

    What the caller saw is told with `end`: True for an answer (a refusal is one), False for a failure, None when nobody
    knows, because the caller left. Calls begun before the latest opening no longer count.
    """

    def __init__(
        self,
        failures: int,
        pause: float,
        slow: float | None = None,
        most_at_once: int = 256,
        now: Callable[[], float] = time.monotonic,
        told: Callable[[State], None] = lambda _state: None,
    ) -> None:
        self._failures, self._first_pause, self._slow = failures, pause, slow
        self._enough_of_window = failures * WINDOW_OF_FAILURES
        self._stalled_are_enough = min(failures, most_at_once)
        self._now, self._told = now, told
        self._pause = pause
        self._open_until: float | None = None
        self._probe: int | None = None
        self._begun: dict[int, float] = {}
        self._number = self._oldest_that_counts = 0
        self._in_a_row, self._first_of_row, self._last_answer = 0, 0.0, 0.0
        self._window = [0.0, 0, 0]

    @property
    def state(self) -> State:
        """Half-open from the end of the pause until a probe has told."""
        if self._open_until is None:
            return "closed"
        return "open" if self._now() < self._open_until else "half-open"

    def refuses(self) -> float | None:
        """Seconds until it is worth asking again, when no call may begin now; None when one may."""
        if self._open_until is None:
            if self._slow is None or not self._begun or not self._is_stalled():
                return None
            self._open()
        left = self._open_until - self._now()  # type: ignore[operator]
        if left > 0:
            return left
        return self._pause if self._probe is not None else None

    def begin(self) -> int:
        """A call is sent; only after `refuses` said None, with no waiting in between."""
        self._number += 1
        self._begun[self._number] = self._now()
        if self._open_until is not None:
            self._probe = self._number
            self._told("half-open")
        return self._number

    def is_begun(self, number: int) -> bool:
        """Whether nobody has yet told what became of a call."""
        return number in self._begun

    def end(self, number: int, succeeded: bool | None) -> None:
        """What became of a call."""
        del self._begun[number]
        if number == self._probe:
            self._probe = None
            if succeeded:
                self._close()
            elif succeeded is False:
                self._pause = min(self._pause * 2, self._first_pause * LONGEST_PAUSE)
                self._open()
        elif succeeded is not None and number > self._oldest_that_counts and self._open_until is None:
            self._count(succeeded)

    def _count(self, succeeded: bool) -> None:
        now = self._now()
        window = self._window
        if now - window[0] > WINDOW:
            window[:] = [now, 0, 0]
        window[1] += 1
        if succeeded:
            self._in_a_row, self._last_answer = 0, now
            return
        window[2] += 1
        if self._in_a_row == 0:
            self._first_of_row = now
        self._in_a_row += 1
        is_streak = self._in_a_row >= STREAK and now - self._first_of_row >= STREAK_SECONDS
        is_half = window[1] >= self._enough_of_window and window[2] * 2 >= window[1]
        if self._in_a_row >= self._failures or is_streak or is_half:
            self._open()

    def _is_stalled(self) -> bool:
        """Whether enough calls have been under way for too long, and none was answered since they began."""
        assert self._slow is not None
        late = self._now() - self._slow
        count = 0
        for number, begun in self._begun.items():
            if begun > late:
                break
            if number > self._oldest_that_counts and begun > self._last_answer:
                count += 1
                if count >= self._stalled_are_enough:
                    return True
        return False

    def _open(self) -> None:
        self._open_until = self._now() + self._pause
        self._oldest_that_counts = self._number
        self._told("open")

    def _close(self) -> None:
        self._open_until, self._pause = None, self._first_pause
        self._in_a_row, self._window = 0, [self._now(), 0, 0]
        self._told("closed")
