"""The short cache: what is asked again, what is not, how old it may be, and what never gets into it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import SourceContractBroken, SourceError, SourceUnavailable
from adapters.source import Page
from contract_tests.calling import DOWN, PARTIES, SOURCE, Cache, always, calling, market
from contract_tests.waiting import until_at_last
from gateway.context import Viewer
from gateway.engine.calls.cache import SIZE_OF_ENTRY, SIZE_OF_TREE, Held, Memory
from gateway.engine.calls.remembering import Question
from schema.formats import CHINA_TIME

pytestmark = pytest.mark.anyio
SHORT = {"cache": Cache(fresh="60s", negative="60s")}
FUZHOU, MASKED = Viewer("a", "350100", "none"), Viewer("a", "province", "names")
A, B = "91350100MA0B00015H", "91350100MA0B00023C"


def described(page: Page) -> list[tuple[bool, list[str], list[str]]]:
    """Of each part of a page: whether it was remembered, for which keys, and the names in it."""
    parts = page.parts or (page,)
    return [(part.is_cached, list(part.keys), [str(r["AJMC"]) for r in part.records]) for part in parts]


async def test_a_batch_asks_only_for_the_keys_that_nobody_asked_for_lately() -> None:
    async with calling(market(SHORT)) as asked:
        asked.upstream.has("a", "b", "c", "d")
        first = await asked.ask("a", "b", "c")
        assert described(first) == [(False, ["a", "b", "c"], ["甲", "甲", "甲"])]
        asked.upstream.has("a", "b", "c", "d", name="乙")
        mixed = await asked.ask("b", "d")
        assert described(mixed) == [(True, ["b"], ["甲"]), (False, ["d"], ["乙"])]
        assert [record["AJBH"] for record in mixed.records] == ["b", "d"]
        assert mixed.raw != b""
        held = await asked.ask("d", "a")
        assert described(held) == [(True, ["d"], ["乙"]), (True, ["a"], ["甲"])]
        assert (held.is_cached, held.raw, held.received_at) == (True, b"", first.received_at)
        assert asked.upstream.asked == [["a", "b", "c"], ["d"]]
        counted = {word: asked.counted("gateway_source_cache_keys_total", result=word) for word in ("hit", "miss")}
        assert counted == {"hit": 3, "miss": 4}


async def test_that_there_is_no_such_record_is_remembered_for_a_time_of_its_own() -> None:
    async with calling(market({"cache": Cache(fresh="60s", negative="700ms")})) as asked:
        asked.upstream.has("a")
        assert await asked.names("a", "nobody") == [("a", "甲")]
        assert described(await asked.ask("nobody")) == [(True, ["nobody"], [])]
        await asyncio.sleep(0.75)
        await asked.ask("a", "nobody")
        assert asked.upstream.asked == [["a", "nobody"], ["nobody"]]
    async with calling(market({"cache": Cache(fresh="60s")})) as asked:
        await asked.ask("nobody")
        await asked.ask("nobody")
        assert len(asked.upstream.asked) == 2


async def test_what_is_stale_is_served_once_more_and_asked_for_once_behind_the_answer() -> None:
    async with calling(market({"cache": Cache(fresh="100ms", stale="60s")})) as asked:
        asked.upstream.has("a")
        await asked.names("a")
        await asyncio.sleep(0.11)
        asked.upstream.has("a", name="乙")
        go = asyncio.Event()

        async def wait(_number: int) -> None:
            await go.wait()

        asked.upstream.behave = wait
        for _ in range(20):
            assert await asked.names("a") == [("a", "甲")]
        await until_at_last(lambda: asked.upstream.in_flight == 1)
        go.set()
        await until_at_last(lambda: asked.upstream.answered == 2)
        await until_at_last(lambda: not asked.calls._refreshing)
        assert len(asked.upstream.asked) == 2
        assert await asked.names("a") == [("a", "乙")]
        assert asked.counted("gateway_source_cache_keys_total", result="stale") >= 20


async def test_a_refresh_that_fails_leaves_what_is_stale_and_what_is_too_old_is_asked_for() -> None:
    async with calling(market({"cache": Cache(fresh="50ms", stale="1s")})) as asked:
        asked.upstream.has("a")
        await asked.names("a")
        asked.upstream.behave = lambda _number: always(DOWN)
        await asyncio.sleep(0.06)
        assert await asked.names("a") == [("a", "甲")]
        await asyncio.sleep(1.05)
        with pytest.raises(SourceUnavailable):
            await asked.ask("a")
        asked.upstream.behave = None
        assert await asked.names("a") == [("a", "甲")]


async def test_who_sees_another_part_or_other_masks_is_never_served_from_somebody_elses_answer() -> None:
    async with calling(market(SHORT)) as asked:
        asked.upstream.has("a")
        for viewer in (FUZHOU, MASKED, FUZHOU, MASKED, Viewer("other name", "350100", "none")):
            await asked.names("a", viewer=viewer)
        assert len(asked.upstream.asked) == 2


words = st.text(alphabet="ab\0/:", max_size=3)


@settings(deadline=None)
@given(*[st.tuples(words, words, words, words, st.lists(words, min_size=1, max_size=2))] * 2)
def test_answers_have_one_name_only_if_everything_they_depend_on_is_equal(one: Any, other: Any) -> None:
    def names(what: Any) -> tuple[Any, list[str]]:
        source, operation, scope, masking, keys = what
        question = Question(MAPPED, MAPPED.limits, source, operation, scope, masking)  # type: ignore[arg-type]
        return question.of_keys(keys), question.words("keys", keys)

    are_equal = (one[:4], sorted(one[4])) == (other[:4], sorted(other[4]))
    assert [a == b for a, b in zip(names(one), names(other), strict=True)] == [are_equal, are_equal]


class MAPPED:
    """As much of an operation as its questions need."""

    limits = None

    class of:
        class mapping:
            version = "v"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ('{"code": "0", "data": {"list": [{"AJBH": "a"', SourceContractBroken),
        ('{"code": "0", "data": {}}', SourceContractBroken),
        ('{"code": "5001", "msg": "busy"}', SourceUnavailable),
        ("<html>login</html>", SourceContractBroken),
        ("", SourceContractBroken),
    ],
)
async def test_a_faulty_answer_is_not_remembered(content: str, error: type[SourceError]) -> None:
    async with calling(market(SHORT)) as asked:
        asked.upstream.has("a")
        asked.upstream.behave = lambda _number: always((200, content, {}))
        with pytest.raises(error):
            await asked.ask("a")
        asked.upstream.behave = None
        assert await asked.names("a") == [("a", "甲")]
        assert len(asked.upstream.asked) == 2


async def test_an_answer_with_what_nobody_asked_for_is_remembered_whole_or_not_at_all() -> None:
    async with calling(market(SHORT)) as asked:
        asked.upstream.has("a")
        strange = '{"code": "0", "data": {"list": [{"AJBH": "A ", "AJMC": "甲"}, {"AJBH": "z", "AJMC": "乙"}]}}'
        asked.upstream.behave = lambda _number: always((200, strange, {}))
        first = await asked.ask("a", "b")
        again = await asked.ask("b", "a")
        assert (again.is_cached, again.records, list(again.keys)) == (True, first.records, ["b", "a"])
        asked.upstream.behave = None
        assert await asked.names("a") == [("a", "甲")]
        assert await asked.names("z") == []
        assert len(asked.upstream.asked) == 3


async def test_a_record_that_names_several_keys_answers_each_of_them_and_is_there_once() -> None:
    def party(code: str) -> dict[str, str]:
        return {"TYSHXYDM": code}

    async with calling(market(SHORT, PARTIES)) as asked:
        asked.upstream.has("1", DSR=[party(A), party(B)])
        asked.upstream.has("2", DSR=[party(B)])
        await asked.names(A, B, operation=PARTIES)
        assert await asked.names(A, operation=PARTIES) == [("1", "甲")]
        assert await asked.names(B, A, operation=PARTIES) == [("1", "甲"), ("2", "甲")]
        assert len(asked.upstream.asked) == 1


async def test_what_is_remembered_is_given_even_where_the_call_for_the_rest_fails() -> None:
    async with calling(market(SHORT)) as asked:
        asked.upstream.has("a", "b")
        await asked.ask("a")
        asked.upstream.behave = lambda _number: always(DOWN)
        with pytest.raises(SourceUnavailable) as failed:
            await asked.ask("a", "b")
        assert [(list(held.keys), held.is_cached, len(held.records)) for held in failed.value.held] == [
            (["a"], True, 1)
        ]
        assert asked.upstream.asked == [["a"], ["b"]]


async def test_without_room_nothing_is_remembered() -> None:
    async with calling(market(SHORT)) as asked:
        asked.calls._remembering = None
        await asked.ask("a")
        await asked.ask("a")
        assert len(asked.upstream.asked) == 2
        assert asked.calls.health()[SOURCE].state == "up"


# Memory


def told(size: int, minute: int = 0, records: int = 1) -> Held:
    at = datetime(2026, 1, 1, tzinfo=CHINA_TIME) + timedelta(minutes=minute)
    return Held(tuple((place, {}) for place in range(records)), at, size)


def test_the_least_recently_used_goes_first_and_the_newest_answer_stays() -> None:
    memory = Memory(entries=2, largest=1_000_000)
    memory.put("a", told(1, minute=5))
    memory.put("b", told(1))
    assert memory.get("a") is not None
    memory.put("c", told(1))
    memory.put("a", told(1, minute=1))
    assert [memory.get(key) and memory.get(key).received_at.minute for key in "abc"] == [5, None, 0]  # type: ignore[union-attr]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 400)), max_size=60))
def test_memory_is_bounded_by_bytes(puts: Sequence[tuple[str, int]]) -> None:
    memory = Memory(entries=100, largest=8000)
    for key, size in puts:
        memory.put(key, told(size))
        held = [one for one in map(memory.get, "abcde") if one is not None]
        assert memory.bytes == sum(SIZE_OF_ENTRY + SIZE_OF_TREE * one.size for one in held) <= 8000
        assert len(memory) == len(held)


@pytest.mark.parametrize(
    ("passed", "records", "age"),
    [
        (-6, 1, None),
        (-4, 1, "fresh"),
        (4, 1, "fresh"),
        (5, 1, "stale"),
        (64, 1, "stale"),
        (65, 1, None),
        (1, 0, "fresh"),
        (2, 0, None),
    ],
)
def test_how_old_an_answer_may_be(passed: float, records: int, age: str | None) -> None:
    held = told(1, records=records)
    limits = Cache(fresh="5s", negative="2s", stale="1m")
    assert held.age(limits, held.received_at.timestamp() + passed) == age
