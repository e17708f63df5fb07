"""Equal calls are one call, and who leaves takes nothing from those who stay."""

import asyncio

import pytest

from adapters.errors import SourceTimeout, SourceUnavailable
from contract_tests.calling import DOWN, PARTIES, SOURCE, Breaker, Cache, Reply, Retry, calling, market
from contract_tests.waiting import until_at_last
from gateway.context import Deadline, Viewer
from gateway.engine.calls.flight import Flight, Flights

pytestmark = pytest.mark.anyio
FUZHOU = Viewer("a", "350100", "none")


class Held:
    """A call that a test lets answer."""

    def __init__(self) -> None:
        self.go, self.count = asyncio.Event(), 0

    async def __call__(self, _number: int) -> None:
        self.count += 1
        await self.go.wait()


async def test_two_hundred_misses_on_one_key_are_one_upstream_call() -> None:
    for words in ({}, {"cache": Cache(fresh="5s")}):
        async with calling(market(words)) as asked:
            asked.upstream.has("a")
            asked.upstream.behave = held = Held()
            waiting = [asyncio.create_task(asked.names("a")) for _ in range(200)]
            await until_at_last(lambda: held.count == 1)  # noqa: B023
            held.go.set()
            assert await asyncio.gather(*waiting) == [[("a", "甲")]] * 200
            assert asked.upstream.asked == [["a"]]
            assert asked.counted("gateway_source_shared_total") == 199


async def test_the_same_keys_in_another_order_are_the_same_call() -> None:
    async with calling(market()) as asked:
        asked.upstream.behave = held = Held()
        waiting = [asyncio.create_task(asked.ask(*keys)) for keys in (("a", "b"), ("b", "a"))]
        await until_at_last(lambda: held.count == 1)
        held.go.set()
        await asyncio.gather(*waiting)
        assert asked.upstream.asked == [["a", "b"]]


async def test_what_differs_in_operation_key_scope_or_masking_is_another_call() -> None:
    async with calling(market(concurrency=10)) as asked:
        masked = Viewer("b", "province", "names")
        await asyncio.gather(
            asked.ask("a"),
            asked.ask("b"),
            asked.ask("a", operation=PARTIES),
            asked.ask("a", viewer=FUZHOU),
            asked.ask("a", viewer=masked),
            asked.ask("a", viewer=Viewer("somebody else", "province", "none")),
        )
        assert sorted(asked.upstream.asked) == [["a"]] * 4 + [["b"]]


async def test_who_leaves_does_not_cancel_the_call_for_the_others_and_the_last_one_does() -> None:
    async with calling(market()) as asked:
        asked.upstream.behave = held = Held()
        first, second, third = (asyncio.create_task(asked.ask("a")) for _ in range(3))
        await until_at_last(lambda: held.count == 1)
        first.cancel()
        second.cancel()
        await asyncio.wait([first, second])
        assert (asked.upstream.in_flight, asked.upstream.left) == (1, 0)
        held.go.set()
        assert (await third).records == []
        held.go.clear()
        alone = asyncio.create_task(asked.ask("a"))
        await until_at_last(lambda: held.count == 2)
        alone.cancel()
        await until_at_last(lambda: asked.upstream.left == 1)
        assert asked.counted("gateway_source_calls_total", outcome="CANCELLED") == 1
        assert asked.calls.health()[SOURCE].in_flight == 0


async def test_the_upstream_call_ends_soon_after_its_client_left() -> None:
    async with calling(market()) as asked:
        asked.upstream.behave = lambda _number: asyncio.sleep(60)
        client = asyncio.create_task(asked.ask("a"))
        await until_at_last(lambda: asked.upstream.in_flight == 1)
        loop = asyncio.get_running_loop()
        client.cancel()
        began = loop.time()
        await until_at_last(lambda: asked.upstream.left == 1)
        assert loop.time() - began < 1.0


async def test_who_asks_after_the_last_one_left_gets_a_call_of_their_own() -> None:
    async with calling(market()) as asked:
        asked.upstream.behave = held = Held()
        left = asyncio.create_task(asked.ask("a"))
        await until_at_last(lambda: held.count == 1)
        left.cancel()
        await asyncio.sleep(0)
        asked.upstream.behave = None
        assert (await asked.ask("a")).records == []


async def test_each_waits_no_longer_than_they_may_and_the_most_patient_gets_the_answer() -> None:
    async with calling(market()) as asked:
        asked.upstream.behave = held = Held()
        hurried = asyncio.create_task(asked.ask("a", seconds=0.05))
        patient = asyncio.create_task(asked.ask("a"))
        with pytest.raises(SourceTimeout):
            await hurried
        held.go.set()
        assert (await patient).records == []
        assert held.count == 1


async def test_a_failure_goes_to_everybody_who_waited_as_an_error_of_their_own_and_is_not_remembered() -> None:
    async with calling(market({"cache": Cache(fresh="5s", negative="5s")})) as asked:
        go = asyncio.Event()

        async def fail(_number: int) -> Reply:
            await go.wait()
            return DOWN

        asked.upstream.behave = fail
        waiting = [asyncio.create_task(asked.ask("a")) for _ in range(3)]
        await until_at_last(lambda: asked.upstream.in_flight == 1)
        go.set()
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in errors] == [SourceUnavailable] * 3
        assert len({id(error) for error in errors}) == 3
        assert {(error.source, error.operation) for error in errors} == {(SOURCE, "cases_by_no")}
        asked.upstream.behave = None
        asked.upstream.has("a")
        assert await asked.names("a") == [("a", "甲")]
        assert len(asked.upstream.asked) == 2


async def test_closing_cancels_what_is_under_way_and_tells_who_waits() -> None:
    async with calling(market(retry=Retry(), breaker=Breaker())) as asked:
        asked.upstream.behave = lambda _number: asyncio.sleep(60)
        waiting = asyncio.create_task(asked.ask("a"))
        await until_at_last(lambda: asked.upstream.in_flight == 1)
        await asked.calls.aclose()
        with pytest.raises(SourceUnavailable):
            await waiting


async def test_an_answer_without_waiting_is_a_flight_too() -> None:
    flights: Flights[int] = Flights()

    async def at_once(_flight: Flight[int]) -> int:
        return 1

    async def fails(_flight: Flight[int]) -> int:
        raise SourceUnavailable

    assert await flights.join("a", Deadline.after(1), at_once) == 1
    with pytest.raises(SourceUnavailable):
        await flights.join("a", Deadline.after(1), fails)
    assert (flights._flights, flights._under_way) == ({}, set())
