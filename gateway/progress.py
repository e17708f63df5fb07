"""The progress of a run on a terminal: one line that is written over, with how many records of how many are in."""

import time
from dataclasses import dataclass, field
from typing import TextIO

from gateway.sync.run import PageReport

WIDTH = 24
OFTEN = 0.1
"""Seconds between two writings."""


@dataclass(slots=True)
class Progress:
    """A bar where the source says how many records there are, else a count."""

    terminal: TextIO
    done: dict[str, int] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)
    written: float = 0.0

    def __call__(self, page: PageReport) -> None:
        """Note a page, and show it unless the last was shown only just now."""
        name = f"{page.source}.{page.operation}"
        self.done[name] = self.done.get(name, 0) + page.landed.fetched
        now = time.monotonic()
        if now - self.written >= OFTEN:
            self.written = now
            self.terminal.write(f"\r\x1b[K{line(name, self.done[name], page.expected, now - self.began)}")
            self.terminal.flush()

    def clear(self) -> None:
        """Leave the line empty."""
        self.terminal.write("\r\x1b[K")
        self.terminal.flush()


def line(name: str, done: int, expected: int | None, seconds: float) -> str:
    """`market.cases ████████········ 50/100 25/s`."""
    rate = f"{done / seconds:.0f}/s" if seconds > 0 else ""
    if not expected:
        return f"{name} {done} {rate}"
    full = min(WIDTH, WIDTH * done // expected)
    return f"{name} {'█' * full}{'·' * (WIDTH - full)} {done}/{expected} {rate}"
