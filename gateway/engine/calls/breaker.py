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
SILENCE = 0.7
"""Seconds after which a call that is not answered tells something, unless the source is known to take longer."""
SECOND_LOOK, LAST_LOOK = 0.05, 1.0
"""Seconds after which it is looked at once more before that is believed: where it was we who stood still, the answers lie
there already, and are read in between. A first look that is older than the second of these is none."""
PATIENCE = 1.5
"""So many times the slowest of its latest answers a source may take before its silence tells anything."""
REMEMBERED = 30.0
"""Seconds that the slowest answer is remembered for at least, and twice as long at most."""
SILENT_ARE_ENOUGH = 2
"""Silent calls that open it. One alone may have asked for the one record that the source cannot find an end with: then
whoever comes next is a probe."""


class Breaker:
    """`failures` in a row open it for `pause` seconds; so do `failures` calls that have all been waiting longer than `slow`.

    Without `slow` the bound follows the source's own pace (`bound`), two calls are enough, and one of them that is
    answered after all shuts it again: the source is slow and alive, and `bound` has learnt how slow.

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
        self._silent_are_enough = min(failures, most_at_once, SILENT_ARE_ENOUGH if slow is None else failures)
        self._now, self._told = now, told
        self._pause = pause
        self._open_until: float | None = None
        self._probe: int | None = None
        self._begun: dict[int, float] = {}
        self._number = self._oldest_that_counts = 0
        self._in_a_row, self._first_of_row, self._last_answer = 0, 0.0, 0.0
        self._window = [0.0, 0, 0]
        self._slowest = [0.0, 0.0, 0.0]
        self._first_look = -LAST_LOOK
        self._is_soft = False
        """Whether it is open for nothing but silence, so that any answer shuts it."""

    @property
    def state(self) -> State:
        """Half-open from the end of the pause until a probe has told, and while one call is silent."""
        if self._open_until is None:
            silent = self._silent() if self._begun else 0
            if not silent or (self._slow is None and self._is_first_look()):
                return "closed"
            if silent < self._silent_are_enough:
                return "half-open" if self._slow is None else "closed"
            self._open(is_soft=self._slow is None)
        return "open" if self._now() < self._open_until else "half-open"  # type: ignore[operator]

    @property
    def bound(self) -> float:
        """Seconds after which a call that is not answered is silent."""
        if self._slow is not None:
            return self._slow
        began, before, since = self._slowest
        age = self._now() - began
        slowest = max(before, since) if age < REMEMBERED else since if age < 2 * REMEMBERED else 0.0
        return max(SILENCE, PATIENCE * slowest)

    def refuses(self) -> float | None:
        """Seconds until it is worth asking again, when no call may begin now; None when one may."""
        state = self.state
        if state == "closed" or (state == "half-open" and self._probe is None):
            return None
        return self._pause if state == "half-open" else self._open_until - self._now()  # type: ignore[operator]

    def refuses_to_join(self) -> float | None:
        """The same for somebody who would wait for the answer to a call that is under way already.

        Where that call is silent, and all there is, one more who wants its answer is as good as another silent call.
        """
        state = self.state
        if state == "half-open" and self._open_until is None and len(self._begun) == 1:
            self._open(is_soft=True)
            state = "open"
        return self.refuses() if state == "open" else None

    def begin(self) -> int:
        """A call is sent; only after `refuses` said None, with no waiting in between."""
        is_probe = self.state == "half-open"
        self._number += 1
        self._begun[self._number] = self._now()
        if is_probe:
            self._probe = self._number
            self._told("half-open")
        return self._number

    def is_begun(self, number: int) -> bool:
        """Whether nobody has yet told what became of a call."""
        return number in self._begun

    def end(self, number: int, succeeded: bool | None) -> None:
        """What became of a call."""
        begun = self._begun.pop(number)
        if succeeded:
            self._took(begun)
            self._first_look = -LAST_LOOK
        if number == self._probe:
            self._probe = None
            if succeeded:
                self._close()
            elif succeeded is False:
                if self._open_until is not None:
                    self._pause = min(self._pause * 2, self._first_pause * LONGEST_PAUSE)
                self._open()
        elif succeeded and self._is_soft:
            self._close()
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

    def _took(self, begun: float) -> None:
        """Remember how long the slowest answers take: of this span of time, and of the one before."""
        now, slowest = self._now(), self._slowest
        if now - slowest[0] >= REMEMBERED:
            slowest[:] = [now, slowest[2] if now - slowest[0] < 2 * REMEMBERED else 0.0, 0.0]
        slowest[2] = max(slowest[2], now - begun)

    def _silent(self) -> int:
        """How many calls are silent, of those since which none was answered."""
        now = self._now()
        if now - next(iter(self._begun.values())) < (self._slow or SILENCE):
            return 0
        late = now - self.bound
        count = 0
        for number, begun in self._begun.items():
            if begun > late:
                break
            count += number > self._oldest_that_counts and begun > self._last_answer
        return count

    def _is_first_look(self) -> bool:
        age = self._now() - self._first_look
        if age > LAST_LOOK:
            self._first_look = self._now()
        return not SECOND_LOOK <= age <= LAST_LOOK

    def _open(self, is_soft: bool = False) -> None:
        self._open_until, self._is_soft = self._now() + self._pause, is_soft
        self._oldest_that_counts, self._probe = self._number, None
        self._told("open")

    def _close(self) -> None:
        self._open_until, self._pause, self._is_soft, self._probe = None, self._first_pause, False, None
        self._in_a_row, self._window, self._last_answer = 0, [self._now(), 0, 0], self._now()
        self._told("closed")
