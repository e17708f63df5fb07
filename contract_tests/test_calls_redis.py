"""Replicas that share budgets and answers over a real Redis; killed, stopped, flushed or poisoned, it costs speed only."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis

from adapters.errors import SourceThrottled
from contract_tests.calling import (
    DOWN,
    SOURCE,
    Budget,
    Cache,
    Calling,
    Upstream,
    always,
    calling,
    market,
    serving,
)
from contract_tests.servers import RedisServer, redis_server
from contract_tests.waiting import until_at_last
from gateway.engine.calls import shared
from gateway.engine.calls.budget import Budget as Counted
from gateway.engine.calls.budget import Window
from gateway.engine.calls.shared import Shared, SharedIsDown

pytestmark = pytest.mark.anyio
patient = pytest.mark.usefixtures("patience")
SHORT = {"cache": Cache(fresh="60s", negative="60s")}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture(autouse=True)
async def clean(server: RedisServer) -> None:
    async with Redis.from_url(server.url) as redis:
        await redis.flushall()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no fault: where nothing is broken, Redis has time."""
    monkeypatch.setattr(Shared.__init__, "__defaults__", (10.0,))


@asynccontextmanager
async def replicas(
    server: RedisServer, count: int, words: dict | None = None, **connect: object
) -> AsyncIterator[list[Calling]]:
    """Gateways over one upstream and one Redis."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(serving(Upstream()))
        upstream.has("a", "b", "c")
        mapping = market(words, **connect)
        yield [await stack.enter_async_context(calling(mapping, server.url, upstream)) for _ in range(count)]


async def held_in(server: RedisServer, pattern: str = "gateway:answer:*") -> dict[bytes, bytes]:
    async with Redis.from_url(server.url) as redis:
        return {key: await redis.get(key) async for key in redis.scan_iter(pattern)}


async def written(server: RedisServer, count: int) -> dict[bytes, bytes]:
    """What is in Redis once so many answers have got there, which happens behind the answer."""
    async with asyncio.timeout(20):
        while len(found := await held_in(server)) < count:  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.01)
    return found


# Answers


@patient
async def test_what_one_replica_was_told_the_others_need_not_ask(server: RedisServer) -> None:
    async with replicas(server, 2, SHORT) as (one, other):
        first = await one.ask("a", "b", "nobody")
        await written(server, 3)
        again = await other.ask("b", "nobody", "c")
        parts = [(part.is_cached, sorted(part.keys), [r["AJBH"] for r in part.records]) for part in again.parts]
        assert parts == [(True, ["b", "nobody"], ["b"]), (False, ["c"], ["c"])]
        assert again.parts[0].received_at == first.received_at
        assert one.upstream.asked == [["a", "b", "nobody"], ["c"]]
        assert await other.names("a") == [("a", "甲")]
        assert (await other.ask("b")).is_cached
        assert len(one.upstream.asked) == 2


@patient
async def test_nobody_can_read_in_redis_who_was_asked_for_or_what_was_answered(server: RedisServer) -> None:
    async with replicas(server, 1, SHORT) as (one,):
        one.upstream.has("350102199001011234", name="张三丰")
        await one.ask("350102199001011234")
        ((key, value),) = (await written(server, 1)).items()
        for secret in ("350102199001011234", "张三丰", "AJMC"):
            assert secret.encode() not in key + value
        async with Redis.from_url(server.url) as redis:
            assert 0 < await redis.pttl(key) <= 60_000


@patient
async def test_what_somebody_else_wrote_is_no_answer(server: RedisServer) -> None:
    async with replicas(server, 1, SHORT) as (one,):
        await one.ask("a", "b")
        values = await written(server, 2)
    (first, second), sealed = sorted(values), values[sorted(values)[0]]
    planted = [b"", b"null", b"[1]", b"\x80\x04cos\nsystem\n", b"x" * 2_000_000, sealed[:-1] + b"\0", sealed[:5]]
    for value in planted:
        async with Redis.from_url(server.url) as redis:
            await redis.set(first, value)
            await redis.set(second, value)
        async with replicas(server, 1, SHORT) as (one,):
            assert await one.names("a", "b") == [("a", "甲"), ("b", "甲")]
            assert one.upstream.asked == [["a", "b"]]
            await asyncio.gather(*one.calls._behind)
    async with Redis.from_url(server.url) as redis:
        swapped = await redis.mget(first, second)
        await redis.mset({first: swapped[1], second: swapped[0]})
    async with replicas(server, 1, SHORT) as (one,):
        assert await one.names("a", "b") == [("a", "甲"), ("b", "甲")]
        assert one.upstream.asked == [["a", "b"]]
        async with Redis.from_url(server.url) as redis:
            await redis.flushall()
            await redis.rpush(first, "a list")
    async with replicas(server, 1, SHORT) as (one,):
        assert await one.names("a") == [("a", "甲")]


@patient
async def test_failures_are_not_shared(server: RedisServer) -> None:
    async with replicas(server, 2, SHORT) as (one, other):
        one.upstream.behave = lambda _number: always(DOWN)
        await asyncio.gather(one.ask("a"), return_exceptions=True)
        one.upstream.behave = None
        assert await other.names("a") == [("a", "甲")]
        assert len(one.upstream.asked) == 2


# Budgets


@patient
async def test_replicas_have_one_budget(server: RedisServer) -> None:
    async with replicas(server, 3, budget=Budget(per_minute=10)) as gateways:
        asked = [one.ask(f"{index}-{number}") for number in range(8) for index, one in enumerate(gateways)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert len(gateways[0].upstream.asked) == 10
        assert [type(answer) for answer in answers if isinstance(answer, Exception)] == [SourceThrottled] * 14


@patient
async def test_replicas_keep_the_same_part_for_those_who_wait(server: RedisServer) -> None:
    over = [Shared(server.url), Shared(server.url)]
    try:
        both = [Counted("r", [Window("day", 20, 86_400, 8 * 3600)], shared=one, reserve=0.25) for one in over]
        later = [await both[number % 2].take(may_wait=True) == 0 for number in range(30)]
        live = [await both[number % 2].take() == 0 for number in range(30)]
        assert (later.count(True), live.count(True)) == (15, 5)
    finally:
        for one in over:
            await one.aclose()


@patient
async def test_the_script_counts_as_the_process_does(server: RedisServer) -> None:
    """As many grants over Redis as without, but for the moment between the two clocks."""
    over = Shared(server.url)
    try:
        both = [
            Counted("s", [Window("second", 20, 1), Window("day", 60, 86_400, 8 * 3600)], shared=s) for s in (over, None)
        ]
        counts = [0, 0]
        for _ in range(60):
            for index, one in enumerate(both):
                counts[index] += await one.take() == 0
            await asyncio.sleep(0.01)
        assert 20 <= counts[0] <= 60
        assert abs(counts[0] - counts[1]) <= 5
        async with Redis.from_url(server.url) as redis:
            keys = [key async for key in redis.scan_iter("gateway:budget:*")]
            assert all([0 < await redis.ttl(key) <= 2 * 86_400 for key in keys])
    finally:
        await over.aclose()


@patient
async def test_a_flushed_or_broken_count_grants_no_replica_more_than_the_whole(server: RedisServer) -> None:
    async with replicas(server, 1, budget=Budget(per_day=5)) as (one,):
        for number in range(3):
            await one.ask(str(number))
        async with Redis.from_url(server.url) as redis:
            await redis.flushall()
        await one.ask("4")
        async with Redis.from_url(server.url) as redis:
            (cell,) = [key async for key in redis.scan_iter("gateway:budget:*")]
            await redis.set(cell, "no number")
        answers = await asyncio.gather(one.ask("5"), one.ask("6"), return_exceptions=True)
        assert isinstance(answers[1], SourceThrottled)
        assert len(one.upstream.asked) <= 5


# Redis is gone


async def test_a_stopped_redis_is_waited_for_once_and_used_again_when_it_goes_on(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(Shared.__init__, "__defaults__", (patience := 0.5,))
    words = {"budget": Budget(per_minute=1000)}
    async with replicas(server, 1, SHORT, **words) as (one,):
        redis = one.calls.shared
        assert redis is not None
        await one.ask("a")
        server.signal(signal.SIGSTOP)
        try:
            loop = asyncio.get_running_loop()
            began = loop.time()
            for number in range(50):
                await one.ask(f"x{number}")
            assert (redis.is_up, len(one.upstream.asked)) == (False, 51)
            assert one.calls.metrics.registry.get_sample_value("gateway_redis_up") == 0
            assert loop.time() - began < 50 * patience
        finally:
            server.signal(signal.SIGCONT)
        await until_at_last(lambda: redis.is_up)
        assert await one.names("b") == [("b", "甲")]


async def test_a_killed_redis_costs_no_error_and_no_answer(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "FIRST_PAUSE", 0.05)
    async with replicas(server, 2, SHORT, budget=Budget(per_minute=1000)) as (one, other):
        await one.ask("a")
        asking = [asyncio.create_task(other.names(key)) for key in "abc" for _ in range(20)]
        server.kill()
        try:
            assert await asyncio.gather(*asking) == [[(key, "甲")] for key in "abc" for _ in range(20)]
            assert await one.names("a", "b", "c") == [("a", "甲"), ("b", "甲"), ("c", "甲")]
            assert (await one.ask("a", "b")).is_cached
        finally:
            server.start()
        await until_at_last(lambda: all(gateway.calls.shared.is_up for gateway in (one, other)))  # type: ignore[union-attr]
        assert await other.names("d") == []


async def test_without_redis_an_ordinary_budget_counts_here_and_a_quota_is_closed(server: RedisServer) -> None:
    async with replicas(server, 1, budget=Budget(per_minute=2)) as (one,):
        one.calls.shared.is_up = False  # type: ignore[union-attr]
        answers = await asyncio.gather(*(one.ask(key) for key in "abc"), return_exceptions=True)
        assert [type(answer).__name__ for answer in answers] == ["Page", "Page", "SourceThrottled"]
    async with replicas(server, 1, budget=Budget(per_day=1000, otherwise="closed")) as (one,):
        await one.ask("a")
        one.calls.shared.is_up = False  # type: ignore[union-attr]
        with pytest.raises(SourceThrottled):
            await one.ask("b")
        assert one.upstream.asked == [["a"]]
        assert one.calls.health()[SOURCE].in_flight == 0


async def test_nobody_waits_for_a_redis_that_is_not_there() -> None:
    gone = Shared("redis://127.0.0.1:1/0")
    try:
        for _ in range(2):
            with pytest.raises(SharedIsDown):
                await gone.ask(lambda redis: redis.get("a"))
        assert not gone.is_up
    finally:
        await gone.aclose()
