"""How much is let in: as many requests at once as the process can answer in time, and no more before any work is done.

The limit is how many are answered at once. It follows what this process itself is late with, never what sources are late
with: a gateway that waits for slow sources answers many at once, one that has no time left (`busyness`), or whose callbacks and
threads come late, a few after each other. Many at once, each with a little done, cost more: what each of them needs has left
the processor's caches when its turn comes, the collector looks through what is in use, and whoever is to be refused waits.

The room is how many may be in, of whom those above the limit wait for their turn. It follows how long that takes.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from gateway import metrics
from gateway.limits import Overloaded
from gateway.web.busyness import Busyness
from gateway.web.looks import Looks

LOOKS = 4
EVERY = 0.025
"""Seconds between two looks at how late we are."""
THREADS_EVERY = 8
"""Looks between two at the threads, while these come soon: each takes the interpreter away from whoever has it."""
LEAST = 32.0
"""So many may always be in: what a handful of clients does at once is no overload, however long each turn takes."""
NARROWEST = 4.0
"""So many of them are answered at once even when all is late."""
FIRST = 64.0
GROWTH, FAST = 1.05, 1.5
SHRINKING = 0.85
LONGEST_WAIT = 0.1
"""Seconds that whoever is in should wait for a turn while nothing but our own work is what they wait for."""
NO_TIME, SOME_TIME, MUCH_TIME = 0.95, 0.9, 0.5
"""How busy we are when fewer should be answered at once, when more may be, and when many more."""
RETRY_AFTER = 1
RESERVE = 1.25
"""So many times as many may be in when they are marked as critical."""
WAITED = "gateway.waited"
"""In the scope of a request that had to wait: seconds."""
HEAVY_SHARE = 0.25
"""The share of all who may be in that heavy operations may take together."""


REFUSAL = json.dumps(Overloaded().body(), ensure_ascii=False).encode()
REFUSAL_HEAD = (
    b"content-type: application/json; charset=utf-8\r\ncache-control: no-store\r\nretry-after: %d\r\n"
    b"content-length: %d\r\n" % (RETRY_AFTER, len(REFUSAL))
)


class Admission:
    """Who is in, and how many may be. One for the process."""

    def __init__(self, most: int, latest: float, critical: str = "") -> None:
        self.most, self.latest = float(most), latest
        self.critical = critical.encode()
        """The header, as `name: value`, of requests that go before the rest."""
        self.limit = self.room = min(FIRST, self.most)
        """How many are answered at once, and how many may be in."""
        self.in_flight = self.heavy = 0
        self.waiting: dict[object, tuple[float, Callable[[], object]]] = {}
        """Who is in and has not begun, with since when and how to begin; those who came first come first."""
        self.lag = self.thread_lag = self.busy = 0.0
        self.latenesses: deque[float] = deque(maxlen=LOOKS)
        self.is_draining = False
        self.looks = Looks()
        """At those who are turned away."""
        self.threads: Callable[[], Executor | None] = lambda: None
        """Those whose lateness counts as ours."""
        self.busyness = Busyness()
        self._watching: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._looks = 0
        self._sent: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether the next ordinary request is one too many."""
        return self.in_flight >= self.room

    def has_no_room_for(self, more: int) -> bool:
        """Whether the next is one too many when so many others are about to come in."""
        return self.in_flight + more >= self.room

    @property
    def is_crowded(self) -> bool:
        """Whether even what is critical, or came in while its body was on the way, is too much."""
        return self.in_flight >= self.room * RESERVE + 1

    @property
    def tolerated(self) -> float:
        """Seconds of lateness from which we are late. Half as much where nobody is refused for it: while fewer are answered at once
        than may be in, that is only about how long the turns are in which those wait who are to be refused."""
        return self.latest if self.limit > min(LEAST, self.most) else self.latest / 2

    @property
    def is_late(self) -> bool:
        """Whether this process cannot keep up with its own work: it was late every time of the last few, so that there is a
        queue that stays, and not a burst or a pause of the machine that passes by itself."""
        return len(self.latenesses) == LOOKS and min(self.latenesses) > self.tolerated

    def enter(self) -> None:
        """One more is in."""
        self.in_flight += 1

    def leave(self, count: int = 1) -> None:
        """They are over."""
        self.in_flight -= count
        if self.waiting:
            self._let_begin()
        self.looks.between()

    @property
    def running(self) -> int:
        """How many of those who are in have begun."""
        return self.in_flight - len(self.waiting)

    @property
    def is_busy(self) -> bool:
        """Whether whoever came in last has to wait."""
        return bool(self.waiting) or self.in_flight > self.limit

    def wait(self, who: object, begin: Callable[[], object]) -> None:
        """Let somebody who is in wait; `begin` is called when their turn has come, soon and not here."""
        self.waiting[who] = time.monotonic(), begin

    def give_up(self, who: object) -> None:
        """They do not wait any more."""
        self.waiting.pop(who, None)

    def _let_begin(self) -> None:
        while self.waiting and self.running < self.limit:
            asyncio.get_running_loop().call_soon(self.waiting.pop(next(iter(self.waiting)))[1])

    def take_heavy(self) -> bool:
        """Take a place among the heavy ones, to be given back by `give_heavy`; False when there is none."""
        is_free = self.heavy < max(1.0, self.room * HEAVY_SHARE)
        self.heavy += is_free
        return is_free

    def give_heavy(self) -> None:
        """Give back a place that was taken."""
        self.heavy -= 1

    def watch(self) -> None:
        """Begin to look at how late we are; needs the running loop."""
        self._due = time.monotonic() + EVERY
        self._watching = asyncio.get_running_loop().call_later(EVERY, self._look)

    def stop(self) -> None:
        """Look no longer."""
        if self._watching:
            self._watching.cancel()

    def _look(self) -> None:
        now = time.monotonic()
        self._looks += 1
        self.lag = max(now - self._due, 0.0)
        if self._sent is not None:
            self.thread_lag = max(self.thread_lag, now - self._sent)
        elif self.in_flight:
            if self._looks % THREADS_EVERY == 0 or self.thread_lag > self.tolerated / 2:
                self._sent = now
                asyncio.get_running_loop().run_in_executor(self.threads(), self._came)
        else:
            self.thread_lag = 0.0
        waited = now - next(iter(self.waiting.values()))[0] if self.waiting else 0.0
        self.busy = self.busyness.look(now)
        self.adapt(max(self.lag, self.thread_lag), self.busy, waited)
        metrics.LOOP_LAG.observe(self.lag)
        self.watch()

    def _came(self) -> None:
        """In a thread: so long it took until somebody had time for us."""
        if self._sent is not None:
            self.thread_lag = time.monotonic() - self._sent
            self._sent = None

    def adapt(self, lateness: float, busy: float = 0.0, waited: float = 0.0) -> None:
        """Move the limit by how late and how busy we are, and the room by how long was waited for a turn. The limit shrinks only
        while it is what holds, so that its effect is awaited."""
        self.latenesses.append(lateness)
        if self.is_late or busy > NO_TIME:
            if self.running <= self.limit * RESERVE:
                least = NARROWEST * max(1.0, busy)  # as busy as several cores: so many times as many
                self.limit = min(self.limit, self.most, max(least, min(self.limit, float(self.running)) * SHRINKING))
        elif self.running >= self.limit * 0.8 and busy < SOME_TIME and min(self.latenesses) < self.tolerated / 2:
            self.limit = min(self.most, self.limit * (FAST if busy < MUCH_TIME and self.waiting else GROWTH) + 1)
            self._let_begin()
        if self.is_late or waited > LONGEST_WAIT:
            self.room = min(self.room, max(LEAST, self.room * SHRINKING))
        elif self.is_full and waited < LONGEST_WAIT / 2:
            self.room = self.room * GROWTH + 1
        self.room = min(self.most, max(self.room, self.limit))


async def refuse(scope: object, receive: object, send: object) -> None:  # noqa: ARG001 - an ASGI application
    """Answer what was pipelined behind something that is still going on."""
    headers = [(line.partition(b": ")[0], line.partition(b": ")[2]) for line in REFUSAL_HEAD.split(b"\r\n") if line]
    await send({"type": "http.response.start", "status": 503, "headers": headers})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": REFUSAL})  # type: ignore[operator]
