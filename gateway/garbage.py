"""Python's garbage collector in portions: what a long look has found in use is not looked through again before there is time.

To look through everything (specification, schema, remembered plans) stops the process for some hundred milliseconds. What is
set aside after a long look is let go as ever when nobody refers to it any more; only circles among it stay until everything
is looked through again: when nothing is going on, or when so much was set aside that it has to be.

What Python lets go, the C library keeps, in holes between what is still in use: bodies of all sizes that come and go would let
the process grow by a tenth in 100,000 requests. Now and then the holes are given back to the system, in a millisecond or two.
"""

import asyncio
import ctypes
import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LONG = 0.004
"""Seconds of CPU for a look after which what is still in use is set aside."""
YOUNG_AFTER = 10_000
"""Objects made and not let go until the youngest are looked at. With Python's own 2,000 a few requests at once were looked through
again and again, all of them still in use: five times as often for each of them as for one after the other."""
OLD_AFTER = 5
"""Looks at the middle generation until the oldest is looked at; Python's own 10 let a look grow to twice as long."""
SEVERAL, MANY = 100, 300
"""Portions set aside until everything is looked through: when nothing is going on, and whatever is going on."""
EVERY = 10.0
RARELY = 300_000
"""Objects between two looks while pages come and go: they hold no circles, and a page is many objects."""
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
"""What glibc's malloc.h calls these settings."""
LARGE, MOST_HEAPS = 2**20, 2
_LIBC = ctypes.CDLL(None)
_malloc_trim = getattr(_LIBC, "malloc_trim", None)  # of glibc; others give back by themselves
_mallopt = getattr(_LIBC, "mallopt", None)


class Garbage:
    """The collector of this process, from `start` to `stop`. `is_idle`: nobody would notice a pause now."""

    def __init__(self, is_idle: Callable[[], bool]) -> None:
        self.is_idle = is_idle
        self.portions = 0
        self._began = 0.0
        self._before = gc.get_threshold()
        self._next: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Set aside what there is, which stays; needs the running loop."""
        gc.set_threshold(YOUNG_AFTER, self._before[1], OLD_AFTER)
        gc.callbacks.append(self._looked)
        self.look_through_everything()
        self._watch()

    def stop(self) -> None:
        """Leave the collector as it was before."""
        if self._looked in gc.callbacks:
            gc.callbacks.remove(self._looked)
            gc.set_threshold(*self._before)
            gc.unfreeze()
        if self._next:
            self._next.cancel()

    def look_through_everything(self) -> None:
        """Collect what only circles keep, then set the rest aside."""
        gc.unfreeze()
        _set_aside()
        self.portions = 0

    def tidy(self) -> None:
        """Look through everything if it is time."""
        if self.portions >= MANY or (self.portions >= SEVERAL and self.is_idle()):
            self.look_through_everything()

    def _watch(self) -> None:
        self._next = asyncio.get_running_loop().call_later(EVERY, self._tidy)

    def _tidy(self) -> None:
        self.tidy()
        give_holes_back()
        self._watch()

    def _looked(self, phase: str, info: dict[str, Any]) -> None:
        if info["generation"] != 2:
            return
        if phase == "start":
            self._began = time.thread_time()
        elif time.thread_time() - self._began > LONG:
            gc.freeze()
            self.portions += 1


class NotLooking:
    """While anybody is inside, nobody looks for circles. For what makes very much and lets all of it go by its end: to look through
    that while it is in use holds up everybody for some milliseconds, again and again, and finds nothing. In any thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.looked_before = False

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.looked_before = gc.isenabled()
                gc.disable()
            self.inside += 1

    def __exit__(self, *_error: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside and self.looked_before:
                gc.enable()


not_looking = NotLooking()
"""Of this process, as the collector is."""


@contextmanager
def looking_rarely() -> Iterator[None]:
    """What this process has loaded stays, and is not looked through again and again; it looks for circles rarely, until the end."""
    before = gc.get_threshold()
    _set_aside()
    gc.set_threshold(RARELY, 10, 10)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _set_aside() -> None:
    gc.collect()
    gc.freeze()


def give_holes_back() -> None:
    """Give the system what the C library holds and nobody uses."""
    if _malloc_trim is not None:
        _malloc_trim(0)


def leave_few_holes() -> None:
    """From now on large blocks, such as the bytes of pages, go back to the system with whoever had them, and there are few heaps
    to have holes in."""
    if _mallopt is not None:
        _mallopt(M_MMAP_THRESHOLD, LARGE)
        _mallopt(M_ARENA_MAX, MOST_HEAPS)
