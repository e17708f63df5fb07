"""Who lands goes first. One interpreter serves the landing of a page and the making ready of the next: without this they take
turns whenever both have something to do in it, and the landing, for which the database and its locks wait, took half as long
again. Whoever makes a page ready stands back, every few records, while a landing is not waiting for its database."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from sqlalchemy import Connection

LONGEST = 0.005
"""Seconds for which one stands back at once: with many landings there is always one."""
RECORDS = 50
"""Records that are made ready between two looks: about half a millisecond."""

Pause = Callable[[], None]
"""Called between the records of a page that is made ready."""


def no_pause() -> None:
    """Nobody lands meanwhile."""


class Turns:
    """Of one store; used by any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._landing = 0
        self._is_free = threading.Event()
        self._is_free.set()

    @property
    def is_busy(self) -> bool:
        """Whether a landing has something to do."""
        return not self._is_free.is_set()

    def give_way(self) -> None:
        """Stand back, if a landing has something to do."""
        if self.is_busy:
            self._is_free.wait(LONGEST)

    @contextmanager
    def landing(self) -> Iterator[None]:
        """Something lands."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The landing waits for its database."""
        self._add(-1)
        try:
            yield
        finally:
            self._add(1)

    def _add(self, count: int) -> None:
        with self._lock:
            self._landing += count
            if self._landing > 0:
                self._is_free.clear()
            else:
                self._is_free.set()


def waiting(connection: Connection) -> AbstractContextManager[None]:
    """While the landing that this connection belongs to, if it does, waits for its database."""
    turns: Turns | None = connection.get_execution_options().get("turns")
    return nullcontext() if turns is None else turns.waiting()


def let_go(objects: list[object]) -> None:
    """Take objects out of a list, a part at a time: to let go of a page at once would keep the interpreter from everybody else."""
    while objects:
        del objects[-RECORDS:]
