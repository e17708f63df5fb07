"""A second call where the first is slow: whoever answers first wins, the other is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

Answer = TypeVar("Answer")


async def hedged(
    first: Coroutine[Any, Any, Answer],
    after: float,
    second: Callable[[], Awaitable[Coroutine[Any, Any, Answer] | None]],
    won: Callable[[], None],
) -> Answer:
    """The first success; if both fail, the first failure. `second` is asked after `after` seconds, and may say no (None).

    Leaves nothing running behind, however it ends; `won` is called when the second call was the quicker one.
    """
    calls = [asyncio.create_task(first)]
    try:
        await asyncio.wait(calls, timeout=after)
        if not calls[0].done() and (other := await second()) is not None:
            calls.append(asyncio.create_task(other))
        running = set(calls)
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for call in calls:
                if call in done and not call.cancelled() and call.exception() is None:
                    if call is not calls[0]:
                        won()
                    return call.result()
        return calls[0].result()
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
