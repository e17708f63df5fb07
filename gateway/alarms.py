"""Alarms that hardly ever go off: a request has several, and each would be a timer of the event loop that is cancelled soon."""

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

STEP = 0.01
"""Seconds that an alarm may be late."""


class Alarm:
    """Something to do at a time, unless it is cancelled before."""

    __slots__ = ("given", "then", "together")

    def __init__(self, together: "Together", then: Callable[..., object], given: tuple[Any, ...]) -> None:
        self.together, self.given = together, given
        self.then: Callable[..., object] | None = then
        together[self] = None

    def cancel(self) -> None:
        """Let it be, and go, so that its memory is at hand for the next; may be called twice, and afterwards."""
        if self.then is not None:
            self.then, self.given = None, ()
            self.together.pop(self, None)


Together = dict[Alarm, None]
"""Alarms that go off at about the same time, in the order they were set."""


class Alarms:
    """The alarms of one event loop: setting one and cancelling it costs no more than an entry of a mapping."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: dict[int, Together] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def at(self, when: float, then: Callable[..., object], *given: Any) -> Alarm:
        """Call `then` at this time of the loop's clock, or up to STEP later."""
        place = int(when / STEP) + 1
        together = self._waiting.get(place)
        if together is None:
            together = self._waiting[place] = {}
            heappush(self._order, place)
            if self._order[0] == place:
                self._wait_for(place)
        return Alarm(together, then, given)

    def after(self, seconds: float, then: Callable[..., object], *given: Any) -> Alarm:
        """Call `then` so many seconds from now."""
        return self.at(self.loop.time() + seconds, then, *given)

    def _wait_for(self, place: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_at(place * STEP, self._ring)

    def _ring(self) -> None:
        self._timer = None
        reached = int(self.loop.time() / STEP) + 1
        due: list[Alarm] = []
        while self._order and self._order[0] <= reached:
            together = self._waiting.pop(heappop(self._order))
            due += together
            together.clear()
        while self._order and not self._waiting[self._order[0]]:
            del self._waiting[heappop(self._order)]
        if self._order:
            self._wait_for(self._order[0])
        for alarm in due:
            if alarm.then is not None:
                self.loop.call_soon(_go_off, alarm)


def _go_off(alarm: Alarm) -> None:
    then, given = alarm.then, alarm.given
    if then is not None:
        alarm.then, alarm.given = None, ()
        then(*given)


_latest: Alarms | None = None


def alarms_of(loop: asyncio.AbstractEventLoop) -> Alarms:
    """The alarms of a loop. Those of another are no longer known from then on, and go off all the same."""
    global _latest
    if _latest is None or _latest.loop is not loop:
        _latest = Alarms(loop)
    return _latest
