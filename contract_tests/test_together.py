"""Work that is done at once: a single piece in the task of whoever waits, several each in their own."""

import asyncio

import pytest

from gateway.engine.executor import together

pytestmark = pytest.mark.anyio


async def test_a_single_piece_of_work_needs_no_task_and_several_do_not_wait_for_each_other() -> None:
    seen: list[asyncio.Task[None] | None] = []
    met = asyncio.Barrier(2)

    async def alone() -> None:
        seen.append(asyncio.current_task())

    async def meet() -> None:
        await met.wait()
        seen.append(asyncio.current_task())

    await together([alone()])
    assert seen == [asyncio.current_task()]
    async with asyncio.timeout(10):
        await together([meet(), meet()])
    assert len({*seen}) == 3
    await together([])


@pytest.mark.parametrize("pieces", [1, 2])
async def test_cancelling_who_waits_cancels_the_work(pieces: int) -> None:
    ended: list[str] = []
    begun = asyncio.Event()

    async def wait() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    work = together([wait() for _ in range(pieces)])
    waiting = asyncio.ensure_future(work)
    await begun.wait()
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["ended"] * pieces


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_bug_in_the_work_is_raised(pieces: int) -> None:
    async def fail() -> None:
        raise RuntimeError

    with pytest.raises((RuntimeError, ExceptionGroup)):
        await together([fail() for _ in range(pieces)])
