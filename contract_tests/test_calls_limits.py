"""Places, queue, budget and deadline: what a source is spared, and what whoever asks is told instead."""

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import SourceError, SourceRejected, SourceThrottled, SourceTimeout
from adapters.source import Call
from contract_tests.calling import (
    CASES,
    OK,
    SOURCE,
    Breaker,
    Budget,
    always,
    calling,
    market,
)
from contract_tests.waiting import until_at_last
from gateway.context import Deadline
from gateway.engine.calls.budget import DAY, Window
from gateway.engine.calls.budget import Budget as Counted
from gateway.engine.calls.patient import PatientSource
from gateway.engine.calls.places import Places, Priority

pytestmark = pytest.mark.anyio


# Places and queue


async def test_no_more_calls_than_places_and_who_finds_no_room_to_wait_is_told_at_once() -> None:
    async with calling(market(concurrency=2, queue=3)) as asked:
        go = asyncio.Event()

        async def wait(_number: int) -> None:
            await go.wait()

        asked.upstream.behave = wait
        waiting = [asyncio.create_task(asked.ask(str(number))) for number in range(5)]
        await until_at_last(lambda: asked.upstream.in_flight == 2)
        health = asked.calls.health()[SOURCE]
        assert (health.in_flight, health.queued) == (2, 3)
        with pytest.raises(SourceThrottled) as refused:
            await asked.ask("late")
        assert (refused.value.source, refused.value.operation, refused.value.retryable) == (SOURCE, CASES, True)
        go.set()
        await asyncio.gather(*waiting)
        assert (asked.upstream.most_in_flight, len(asked.upstream.asked)) == (2, 5)
        assert asked.counted("gateway_source_refused_total", reason="queue") == 1


async def test_waiting_for_a_place_counts_against_the_deadline_and_who_left_takes_none() -> None:
    async with calling(market(concurrency=1)) as asked:
        go = asyncio.Event()

        async def wait(_number: int) -> None:
            await go.wait()

        asked.upstream.behave = wait
        first = asyncio.create_task(asked.ask("a"))
        await until_at_last(lambda: asked.upstream.in_flight == 1)
        with pytest.raises(SourceTimeout):
            await asked.ask("b", seconds=0.05)
        await until_at_last(lambda: asked.calls.health()[SOURCE].queued == 0)
        go.set()
        await first
        assert asked.upstream.asked == [["a"]]
        assert (await asked.ask("c")).records == []


async def test_live_queries_go_before_syncs_whoever_came_first() -> None:
    places, order = Places(1, 10), []
    assert places.try_take()

    async def served(name: str, priority: Priority) -> None:
        await places.take(priority)
        order.append(name)
        places.give_back()

    waiting = [asyncio.create_task(served("sync", Priority.LATER)), asyncio.create_task(served("query", Priority.LIVE))]
    await until_at_last(lambda: places.queued == 2)
    places.give_back()
    await asyncio.gather(*waiting)
    assert (order, places.in_flight) == (["query", "sync"], 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["take", "give", "cancel"]), st.integers(0, 5)), max_size=40))
def test_places_are_never_lost_and_never_doubled(steps: list[tuple[str, int]]) -> None:
    async def run() -> None:
        places, tasks, holding = Places(2, 4), [], []

        async def take() -> None:
            await places.take(Priority.LIVE)
            holding.append(1)

        for step, number in steps:
            if step == "take":
                tasks.append(asyncio.create_task(take()))
            elif step == "give" and holding:
                holding.pop()
                places.give_back()
            elif step == "cancel" and tasks:
                tasks[number % len(tasks)].cancel()
            if number % 2:
                await asyncio.sleep(0)
            assert len(holding) <= places.in_flight <= 2
        for _ in range(3):
            await asyncio.sleep(0)
        while holding:
            holding.pop()
            places.give_back()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert places.in_flight == len(holding)

    asyncio.run(run())


# Budgets


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def budget(clock: Clock, *windows: Window) -> Counted:
    return Counted("s", windows, now=clock)


async def granted(counted: Counted, times: int) -> int:
    return sum([await counted.take() == 0 for _ in range(times)])


async def test_a_budget_grants_what_it_says_and_tells_when_to_come_back() -> None:
    clock = Clock()
    counted = budget(clock, Window("second", 5, 1))
    assert await granted(counted, 8) == 5
    clock.now += await counted.take()
    assert await counted.take() == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 0.7), min_size=1, max_size=80))
def test_no_second_has_more_calls_than_twice_its_share_and_no_ten_seconds_more_than_eleven(gaps: list[float]) -> None:
    clock, taken = Clock(), []
    counted = budget(clock, Window("second", 5, 1))
    for gap in gaps:
        clock.now += gap
        if asyncio.run(counted.take()) == 0:
            taken.append(clock.now)
    for start in taken:
        assert sum(start <= at < start + 1 for at in taken) <= 10
        assert sum(start <= at < start + 10 for at in taken) <= 55


async def test_a_sync_leaves_alone_what_is_reserved_for_those_who_wait() -> None:
    """FAULTS.md P2: the use that can wait never spends what oversight needs."""
    clock = Clock()
    counted = Counted("s", [Window("minute", 100, 60), Window("day", 10, DAY, 8 * 3600)], now=clock, reserve=0.3)
    assert sum([await counted.take(may_wait=True) == 0 for _ in range(20)]) == 7
    assert await granted(counted, 20) == 3
    assert await counted.take(may_wait=True) > 0
    one = Counted("s", [Window("minute", 1, 60)], now=clock, reserve=0.9)
    assert await one.take(may_wait=True) == 0  # of a single call nothing can be kept back


async def test_who_waits_decides_which_part_of_the_budget_a_call_may_have() -> None:
    async with calling(market(budget=Budget(per_minute=10, reserve=50))) as asked:

        async def ask(number: int, priority: Priority) -> bool:
            try:
                await asked.calls.make(SOURCE, CASES, Deadline.after(0.5), priority=priority, keys=(f"C-{number}",))
            except SourceError:
                return False
            return True

        later = [await ask(number, Priority.LATER) for number in range(7)]
        live = [await ask(100 + number, Priority.LIVE) for number in range(7)]
    assert (later.count(True), live.count(True), len(asked.upstream.asked)) == (5, 5, 10)


async def test_the_day_of_a_quota_is_the_calendar_day_of_china() -> None:
    clock = Clock()
    clock.now = datetime(2026, 5, 1, 15, 59, 50, tzinfo=UTC).timestamp()
    counted = budget(clock, Window("day", 2, DAY, 8 * 3600))
    assert (await granted(counted, 3), await counted.take()) == (2, pytest.approx(10))
    clock.now += 10
    assert await granted(counted, 3) == 2


async def test_a_window_that_refuses_takes_nothing_from_the_others() -> None:
    clock = Clock()
    counted = budget(clock, Window("second", 2, 1), Window("day", 100, DAY, 8 * 3600))
    await granted(counted, 50)
    assert [window.used for window in counted.windows] == [2, 2]


async def test_a_live_query_waits_for_a_moment_and_never_for_a_minute() -> None:
    async with calling(market(budget=Budget(per_second=4), concurrency=16)) as asked:
        await asyncio.gather(*(asked.ask(str(number)) for number in range(6)))
        assert len(asked.upstream.asked) == 6
    async with calling(market(budget=Budget(per_minute=2))) as asked:
        await asked.ask("a")
        await asked.ask("b")
        with pytest.raises(SourceThrottled) as refused:
            await asked.ask("c")
        assert 0 < (refused.value.retry_after or 0) <= 120
        assert len(asked.upstream.asked) == 2
        assert asked.counted("gateway_source_refused_total", reason="budget") == 1


async def test_syncs_are_counted_in_the_same_budget_as_queries() -> None:
    async with calling(market(budget=Budget(per_minute=1))) as asked:
        sync = PatientSource(asked.calls, SOURCE, patience=0.05)
        asked.upstream.behave = lambda _number: always(OK)
        await asked.ask("a")
        with pytest.raises(SourceThrottled):
            await sync.call(Call("cases_changed", 0.05, since="2024-01-01 00:00:00", page=1, size=5))
        assert len(asked.upstream.asked) == 1


# Deadlines


async def test_nothing_outlives_its_deadline_and_the_upstream_call_is_cancelled_with_it() -> None:
    async with calling(market()) as asked:
        asked.upstream.behave = lambda _number: asyncio.sleep(60)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(SourceTimeout) as late:
            await asked.ask("a", seconds=0.1)
        assert loop.time() - began < 1.0
        assert (late.value.source, late.value.operation) == (SOURCE, CASES)
        await until_at_last(lambda: asked.upstream.left == 1)
        assert asked.calls.health()[SOURCE].in_flight == 0
        assert asked.counted("gateway_source_calls_total", outcome="SOURCE_TIMEOUT") == 1


async def test_a_call_that_cannot_end_in_time_is_not_started() -> None:
    async with calling(market({"at_least": 0.5})) as asked:
        with pytest.raises(SourceTimeout):
            await asked.ask("a", seconds=0.4)
        with pytest.raises(SourceTimeout):
            await asked.ask("a", seconds=-1)
        assert (asked.upstream.asked, asked.counted("gateway_source_refused_total", reason="deadline")) == ([], 2)
        assert (await asked.ask("a", seconds=10)).records == []


async def test_what_no_call_was_ever_quicker_than_is_learnt() -> None:
    async with calling(market(concurrency=16)) as asked:
        asked.upstream.behave = lambda _number: asyncio.sleep(0.05)
        await asyncio.gather(*(asked.ask(str(number)) for number in range(16)))
        with pytest.raises(SourceTimeout):
            await asked.ask("a", seconds=0.04)
        assert len(asked.upstream.asked) == 16


async def test_unknown_operations_are_refused_by_name() -> None:
    async with calling(market(breaker=Breaker())) as asked:
        with pytest.raises(SourceRejected, match="没有操作 nothing"):
            await asked.calls.make(SOURCE, "nothing", Deadline.after(1), keys=("a",))
