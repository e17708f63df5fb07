"""Waiting for what happens by itself, in code that knows of no test; the time limit only ends a test that failed."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

SECONDS = 60.0


def until(condition: Callable[[], object], *but: type[Exception]) -> None:
    """Wait until it holds; a condition that cannot be asked yet, for one of these errors, does not."""
    end = time.monotonic() + SECONDS
    while True:
        with suppress(*but):
            if condition():
                return
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


async def until_at_last(condition: Callable[[], object], *but: type[Exception], in_thread: bool = False) -> None:
    """The same while the event loop goes on; `in_thread`: the condition takes its time."""
    async with asyncio.timeout(SECONDS):
        while True:
            with suppress(*but):
                if await asyncio.to_thread(condition) if in_thread else condition():
                    return
            await asyncio.sleep(0.005)
