"""Alarms go off in time, each once, and never after they were cancelled."""

import asyncio

import pytest

from gateway.alarms import STEP, Alarms, alarms_of

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


async def test_cancelled_alarms_are_gone_at_once_and_nobody_is_woken_for_them():
    loop = asyncio.get_running_loop()
    alarms, done = Alarms(loop), loop.create_future()
    cancelled = [alarms.after(0.02 * number, print) for number in range(100)]
    alarms.after(0.01, done.set_result, None)
    kept = alarms.after(60, print)
    for alarm in cancelled:
        alarm.cancel()
    assert [list(together) for together in alarms._waiting.values() if together][-1] == [kept]
    assert sum(map(len, alarms._waiting.values())) == 2
    async with asyncio.timeout(5):
        await done
    assert list(map(list, alarms._waiting.values())) == [[kept]]
    kept.cancel()


async def test_alarms_of_the_same_moment_go_off_as_they_were_set():
    loop = asyncio.get_running_loop()
    alarms, heard, done = Alarms(loop), [], loop.create_future()
    when = loop.time() + 0.02
    for number in range(20):
        alarms.at(when, heard.append, number)
    alarms.at(when, done.set_result, None)
    async with asyncio.timeout(5):
        await done
    assert heard == list(range(20))


async def test_an_alarm_may_set_another_and_a_failing_one_stops_nobody():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    alarms, done = alarms_of(loop), loop.create_future()
    alarms.after(0, lambda: 1 / 0)
    alarms.after(0, lambda: alarms.after(0, done.set_result, "second"))
    async with asyncio.timeout(5):
        assert await done == "second"
    assert alarms_of(loop) is alarms
