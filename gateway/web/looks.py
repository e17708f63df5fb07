"""Looks at those who are turned away that are due a moment later: in a turn of the event loop, or between two answers.

Where several answers are written in one turn of the event loop, that turn takes longer than anybody should wait to be refused.
"""

import asyncio
from collections.abc import Callable
from contextvars import Context

Look = Callable[[], None]


class Looks:
    """Those of one process. One that is asked for again takes the place of itself."""

    def __init__(self) -> None:
        self._due: dict[Look, tuple[float, asyncio.TimerHandle]] = {}

    def later(self, seconds: float, look: Look) -> None:
        """Look so many seconds from now, or a little after; needs the running loop."""
        self.no_more(look)
        loop = asyncio.get_running_loop()
        self._due[look] = (loop.time() + seconds, loop.call_later(seconds, self._now, look))

    def no_more(self, look: Look) -> None:
        """There is nobody left to look at."""
        if look in self._due:
            self._due.pop(look)[1].cancel()

    def between(self) -> None:
        """An answer is over: look where it is time."""
        if not self._due:
            return
        now = asyncio.get_running_loop().time()
        for look, (due, timer) in list(self._due.items()):
            if now >= due:
                timer.cancel()
                Context().run(self._now, look)  # whoever gets in here has nothing to do with whose answer is over

    def _now(self, look: Look) -> None:
        self._due.pop(look, None)
        look()
