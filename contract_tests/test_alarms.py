"""Alarms go off in time, each once, and never after they were cancelled."""

import asyncio

import pytest

from gateway.alarms import MOST_CANCELLED, STEP, Alarms, alarms_of

pytestmark = pytest.mark.anyio


async def test_alarms_go_off_in_their_order_and_not_before_their_time():
    loop = asyncio.get_running_loop()
    alarms, heard, done = Alarms(loop), [], loop.create_future()
    began = loop.time()
    alarms.after(0.05, lambda: (heard.append(("late", loop.time() - began)), done.set_result(None)))
    alarms.after(0.01, lambda: heard.append(("early", loop.time() - began)))
    async with asyncio.timeout(5):
        await done
    assert [name for name, _ in heard] == ["early", "late"]
    assert all(at >= due - STEP for (_, at), due in zip(heard, (0.01, 0.05), strict=True))


async def test_a_cancelled_alarm_is_silent_even_when_its_time_has_come():
    loop = asyncio.get_running_loop()
    alarms, heard, done = Alarms(loop), [], loop.create_future()
    other = None

    def first() -> None:
        heard.append("first")
        assert other is not None
        other.cancel()
        other.cancel()

    alarms.after(0.01, first)
    other = alarms.after(0.01, heard.append, "cancelled by the first")
    alarms.after(0.03, done.set_result, None)
    async with asyncio.timeout(5):
        await done
    assert heard == ["first"]


async def test_cancelled_alarms_do_not_pile_up_until_their_time():
    alarms = Alarms(asyncio.get_running_loop())
    for _ in range(3 * MOST_CANCELLED):
        alarms.after(60, print).cancel()
    kept = sum(map(len, alarms._waiting.values()))
    assert kept <= MOST_CANCELLED + 2


async def test_an_alarm_may_set_another_and_a_failing_one_stops_nobody():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    alarms, done = alarms_of(loop), loop.create_future()
    alarms.after(0, lambda: 1 / 0)
    alarms.after(0, lambda: alarms.after(0, done.set_result, "second"))
    async with asyncio.timeout(5):
        assert await done == "second"
    assert alarms_of(loop) is alarms
