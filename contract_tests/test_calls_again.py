"""Second calls, be they retries or hedges: only where they may help, and never more than the budget has."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import SourceDenied, SourceError, SourceRejected, SourceThrottled, SourceTimeout, SourceUnavailable
from adapters.http import retry_after
from contract_tests.calling import DOWN, OK, SOURCE, Hedge, Reply, Retry, always, calling, market
from contract_tests.waiting import until_at_last
from gateway.engine.calls.retry import RetryBudget, full_jitter

pytestmark = pytest.mark.anyio


# Retries


@settings(deadline=None)
@given(st.integers(0, 100), st.lists(st.booleans(), max_size=400))
def test_second_calls_are_never_more_than_their_share_of_all_requests(share: int, wants: list[bool]) -> None:
    saved, seconds = RetryBudget(share), 0
    for requests, is_retry_wanted in enumerate(wants, 1):
        saved.earn()
        while is_retry_wanted and saved.spend():
            seconds += 1
        assert seconds * 100 <= requests * share


@settings(deadline=None)
@given(st.integers(1, 8), st.floats(0.001, 2), st.floats(2, 10))
def test_pauses_are_anywhere_below_a_bound_that_doubles(attempt: int, pause: float, longest: float) -> None:
    assert 0 <= full_jitter(attempt, pause, longest) <= min(longest, pause * 2 ** (attempt - 1))


async def test_under_total_failure_a_source_gets_at_most_a_tenth_more_calls() -> None:
    mapping = market(retry=Retry(times=3, pause="1ms"), concurrency=16)
    async with calling(mapping) as asked:
        asked.upstream.behave = lambda _number: always(DOWN)
        failed = await asyncio.gather(*(asked.ask(str(number)) for number in range(100)), return_exceptions=True)
        assert {type(error) for error in failed} == {SourceUnavailable}
        assert 100 < len(asked.upstream.asked) <= 110
        assert asked.counted("gateway_source_retries_total") == len(asked.upstream.asked) - 100


def answering(*replies: Reply) -> Any:
    """The nth request gets the nth reply; later ones are answered well."""
    return lambda number: always(replies[number - 1] if number <= len(replies) else OK)


async def test_what_may_succeed_later_is_tried_again() -> None:
    async with calling(market(retry=Retry(times=2, pause="1ms", share=100))) as asked:
        asked.upstream.behave = answering(OK, DOWN)
        await asked.ask("earns the second call")
        assert (await asked.ask("a")).records == []
        assert asked.upstream.asked == [["earns the second call"], ["a"], ["a"]]


@pytest.mark.parametrize(
    ("reply", "error"),
    [((400, "", {}), SourceRejected), ((401, "", {}), SourceDenied), ((200, "<html>", {}), SourceError)],
)
async def test_what_would_fail_again_is_not(reply: Reply, error: type[SourceError]) -> None:
    async with calling(market(retry=Retry(times=2, pause="1ms", share=100))) as asked:
        asked.upstream.behave = answering(OK, reply)
        await asked.ask("earns the second call")
        with pytest.raises(error):
            await asked.ask("a")
        assert len(asked.upstream.asked) == 2


async def test_retry_after_is_waited_for_inside_the_deadline() -> None:
    async with calling(market(retry=Retry(times=1, pause="1ms", share=100))) as asked:
        asked.upstream.behave = answering(OK, (429, "", {"Retry-After": "1"}))
        await asked.ask("earns the second call")
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert (await asked.ask("a")).records == []
        assert loop.time() - began >= 1.0


async def test_retry_after_beyond_the_deadline_fails_fast_for_its_whole_window() -> None:
    async with calling(market(retry=Retry(times=1, pause="1ms", share=100))) as asked:
        asked.upstream.behave = answering(OK, (503, "", {"Retry-After": "86400"}))
        await asked.ask("earns the second call")
        with pytest.raises(SourceUnavailable):
            await asked.ask("a")
        for key in ("a", "b"):
            with pytest.raises(SourceThrottled) as refused:
                await asked.ask(key)
            assert 3000 < (refused.value.retry_after or 0) <= 3600
        assert len(asked.upstream.asked) == 2
        assert asked.counted("gateway_source_refused_total", reason="throttled") == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1", 1),
        (" 86400 ", 86400),
        ("0", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(text: str | None, seconds: float | None) -> None:
    assert retry_after({} if text is None else {"retry-after": text}) == seconds


def test_retry_after_may_be_a_date_to_come() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert retry_after({"retry-after": later}) == pytest.approx(100, abs=3)


# Hedges


async def test_a_slow_lookup_is_asked_again_the_first_answer_counts_and_the_other_call_is_cancelled() -> None:
    mapping = market({"hedge": Hedge(after="50ms")}, retry=Retry(share=100))
    async with calling(mapping) as asked:
        asked.upstream.has("a")

        async def first_is_slow(number: int) -> None:
            await asyncio.sleep(60 if number == 2 else 0)

        asked.upstream.behave = first_is_slow
        await asked.ask("earns the second call")
        assert await asked.names("a") == [("a", "甲")]
        await until_at_last(lambda: asked.upstream.left == 1)
        assert asked.upstream.asked[1:] == [["a"], ["a"]]
        assert [asked.counted("gateway_source_hedges_total", result=word) for word in ("sent", "won")] == [1, 1]
        assert asked.calls.health()[SOURCE].in_flight == 0


async def test_no_second_call_without_a_place_or_without_budget() -> None:
    for words in ({"concurrency": 1, "retry": Retry(share=100)}, {"retry": Retry(share=0)}):
        async with calling(market({"hedge": Hedge(after="20ms")}, **words)) as asked:
            await asked.ask("earns the second call")
            asked.upstream.behave = lambda _number: asyncio.sleep(0.1)
            await asked.ask("a")
            assert len(asked.upstream.asked) == 2


async def test_a_hedged_call_that_is_given_up_leaves_nothing_behind() -> None:
    mapping = market({"hedge": Hedge(after="10ms")}, retry=Retry(share=100))
    async with calling(mapping) as asked:
        await asked.ask("earns the second call")
        asked.upstream.behave = lambda _number: asyncio.sleep(60)
        with pytest.raises(SourceTimeout):
            await asked.ask("a", seconds=0.2)
        await until_at_last(lambda: asked.upstream.left == 2)
        assert asked.calls.health()[SOURCE].in_flight == 0


async def test_hedges_after_the_95th_percentile_wait_until_it_is_known() -> None:
    mapping = market({"hedge": Hedge(after="p95")}, retry=Retry(share=100), concurrency=32)
    async with calling(mapping) as asked:
        seen = asked.upstream.asked

        async def first_is_slow(number: int) -> None:
            key = seen[number - 1]
            await asyncio.sleep({"slow": 0.2, "stuck": 60}.get(key[0], 0.001) if seen.count(key) == 1 else 0.001)

        asked.upstream.behave = first_is_slow
        await asked.ask("slow")
        assert seen == [["slow"]]
        for number in range(32):
            await asked.ask(str(number))
        await asked.ask("stuck")
        assert seen.count(["stuck"]) == 2


async def test_two_failures_are_the_failure_of_the_first() -> None:
    mapping = market({"hedge": Hedge(after="20ms")}, retry=Retry(share=100))
    async with calling(mapping) as asked:
        await asked.ask("earns the second call")

        async def both_fail(number: int) -> Reply:
            await asyncio.sleep(0.1)
            return (500, "", {}) if number == 2 else (400, json.dumps({}), {})

        asked.upstream.behave = both_fail
        with pytest.raises(SourceUnavailable):
            await asked.ask("a")
        assert len(asked.upstream.asked) == 3
