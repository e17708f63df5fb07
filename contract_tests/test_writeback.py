"""What flows back into the store behind answers: everything, once, and never in their way."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.mapping.compiled import Compiler
from adapters.mapping.load import load_mappings
from adapters.source import Page
from contract_tests.expectations import hash_id, samples_of
from contract_tests.federation import Federation, copy_mappings, federation
from contract_tests.stores import AGENCY, REGISTRY, opened
from contract_tests.waiting import until_at_last
from gateway.engine.taking import Answered
from gateway.engine.writeback import DIGESTED, Pace, StoreWriteBack
from gateway.store.arriving import Landing
from gateway.store.store import Store
from schema.formats import CHINA_TIME

pytestmark = pytest.mark.anyio
MARKET = load_mappings(REGISTRY)["binhai_market"]
CASES = {case["AJBH"]: case for case in samples_of(MARKET)["EnforcementCase"]}
NOON = datetime(2026, 6, 1, 12, tzinfo=CHINA_TIME)
FIRST, SECOND = "BHSJ-2024-0137", "BHSJ-2024-0086"


class Clock:
    """A clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(f"sqlite:///{tmp_path / 'store.db'}") as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@asynccontextmanager
async def running(store: Store, pace: Pace, clock: Clock) -> AsyncIterator[StoreWriteBack]:
    write_back = StoreWriteBack(store, Compiler(hash_id), pace, clock)
    work = asyncio.create_task(write_back.run())
    try:
        yield write_back
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


def answered(number: str, minute: int, operation: str = "cases_by_no", **changed: Any) -> Answered:
    """One case as the market told it in a minute after noon."""
    record = {**CASES[number], **changed}
    raw = json.dumps(record).encode()
    page = Page([record], raw, "application/json", NOON + timedelta(minutes=minute))
    return Answered(MARKET, operation, page, {number: [f"{AGENCY}/{number}"]})


def stored(store: Store, number: str = FIRST) -> tuple[str, int]:
    """The name of the case, and in which minute the source is known to have said so."""
    (found,) = store.by_keys("EnforcementCase", [f"{AGENCY}/{number}"])
    return found.mapped.values["case_name"], int((found.as_of - NOON).total_seconds() // 60)


async def test_the_same_answer_is_told_to_the_store_again_only_after_a_while(store: Store, clock: Clock) -> None:
    name = CASES[FIRST]["AJMC"]
    async with running(store, Pace(told_again=60), clock) as write_back:
        for minute, seconds, expected in ((0, 0.0, (1, 0)), (1, 59.0, (1, 0)), (2, 61.0, (2, 2)), (3, 62.0, (2, 2))):
            clock.seconds = seconds
            write_back.offer(answered(FIRST, minute))
            await write_back.settle()
            assert (write_back.landed, stored(store)[1]) == expected
    assert stored(store) == (name, 2)
    assert (write_back.known, write_back.let_go) == (2, 0)


async def test_nobody_looks_for_garbage_while_a_page_is_landed(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []
    land = store.land

    def land_and_tell(landing: Landing) -> Any:
        looked.append(gc.isenabled())
        return land(landing)

    monkeypatch.setattr(store, "land", land_and_tell)
    async with running(store, Pace(), clock) as write_back:
        write_back.offer(answered(FIRST, 0))
        await write_back.settle()
    assert (looked, gc.isenabled()) == ([False], True)


async def test_what_a_source_says_again_after_saying_something_else_holds_again(store: Store, clock: Clock) -> None:
    async with running(store, Pace(), clock) as write_back:
        for minute, name in enumerate(("甲", "乙", "甲")):
            write_back.offer(answered(FIRST, minute, AJMC=name, GXSJ=None))
        await write_back.settle()
    assert (write_back.landed, stored(store)) == (3, ("甲", 2))


async def test_a_change_told_in_answer_to_another_question_makes_the_first_answer_news_again(
    store: Store, clock: Clock
) -> None:
    async with running(store, Pace(), clock) as write_back:
        write_back.offer(answered(FIRST, 0, AJMC="甲", GXSJ=None))
        write_back.offer(answered(FIRST, 1, "cases_of_party", AJMC="乙", GXSJ=None))
        write_back.offer(answered(FIRST, 2, AJMC="甲", GXSJ=None))
        await write_back.settle()
    assert (write_back.landed, stored(store)) == (3, ("甲", 2))


async def test_the_same_bytes_in_answer_to_another_question_are_another_answer(store: Store, clock: Clock) -> None:
    nothing = Page([], b"{}", "application/json", NOON)
    async with running(store, Pace(), clock) as write_back:
        for number in (FIRST, SECOND, FIRST):
            write_back.offer(Answered(MARKET, "cases_by_no", nothing, {number: [f"{AGENCY}/{number}"]}))
        await write_back.settle()
    assert (write_back.landed, write_back.known) == (2, 1)
    assert store.answers(MARKET.name, "cases_by_no", [FIRST, SECOND, "other"]) == {FIRST: [], SECOND: []}


async def test_large_payloads_are_remembered_by_their_digest_and_the_oldest_are_forgotten(
    store: Store, clock: Clock
) -> None:
    long = "长" * DIGESTED
    async with running(store, Pace(remembered_bytes=100), clock) as write_back:
        for minute in (0, 1):
            write_back.offer(answered(FIRST, minute, unread=long))
            await write_back.settle()
        assert (write_back.landed, write_back.told.bytes) == (1, 16)
        write_back.offer(answered(SECOND, 2))
        await write_back.settle()
        assert (write_back.landed, write_back.told.bytes) == (2, 0)


async def test_what_finds_no_room_is_let_go(store: Store, clock: Clock) -> None:
    size = len(answered(FIRST, 0).page.raw)
    for pace in (Pace(waiting=1), Pace(waiting_bytes=size + 1)):
        write_back = StoreWriteBack(store, Compiler(hash_id), pace, clock)
        write_back.offer(answered(FIRST, 0))
        write_back.offer(answered(FIRST, 1, AJMC="乙"))
        assert (write_back.waiting.qsize(), write_back.waiting_bytes, write_back.let_go) == (1, size, 1)


async def test_landing_waits_while_many_answers_are_under_way_and_goes_on_when_it_is_calm(
    store: Store, clock: Clock
) -> None:
    async with running(store, Pace(busy=2, patience=3600), clock) as write_back:
        with ExitStack() as requests:
            for _ in range(3):
                requests.enter_context(write_back.answering())
            write_back.offer(answered(FIRST, 0))
            await asyncio.sleep(0.2)
            assert (write_back.landed, write_back.waiting.empty()) == (0, True)
        await until_at_last(lambda: write_back.landed == 1)
    assert stored(store)[1] == 0


async def test_landing_does_not_wait_for_calm_for_ever_nor_when_somebody_waits_for_it(
    store: Store, clock: Clock
) -> None:
    async with running(store, Pace(busy=0, patience=0.1, share=1), clock) as write_back:
        with write_back.answering():
            write_back.offer(answered(FIRST, 0))
            await until_at_last(lambda: write_back.landed == 1)
    async with running(store, Pace(busy=0, patience=3600), clock) as write_back:
        with write_back.answering():
            write_back.offer(answered(SECOND, 0))
            await write_back.settle()
    assert write_back.landed == 1


async def test_between_two_landings_answers_that_are_under_way_have_the_time_to_themselves(
    store: Store, clock: Clock
) -> None:
    async with running(store, Pace(share=1e-6), clock) as write_back:
        with write_back.answering():
            write_back.offer(answered(FIRST, 0))
            write_back.offer(answered(SECOND, 0))
            await until_at_last(lambda: write_back.landed == 1)
            await asyncio.sleep(0.2)
            assert (write_back.landed, write_back.waiting.qsize()) == (1, 1)
        await until_at_last(lambda: write_back.landed == 2)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("market")
    mappings = copy_mappings(folder, "binhai_market")
    cases = [{**CASES[FIRST], "AJZT": "unknown", "LASJ": "no date"}]
    (mappings / "binhai_market" / "samples" / "EnforcementCase.json").write_text(json.dumps(cases), "utf-8")
    with federation(folder, mappings) as running:
        yield running


async def test_an_answer_tells_the_issues_of_what_was_asked_for_and_the_store_learns_everything(
    market: Federation,
) -> None:
    query = f'{{ enforcementCase(agencyCode: "{AGENCY}", sourceCaseNo: "{FIRST}") {{ caseName filedDate }} }}'
    async with market.gateway() as gateway:
        answer = await gateway.ask(query)
        await gateway.settle()
        inside = gateway.gateway.store
        (known,) = inside.by_keys("EnforcementCase", [f"{AGENCY}/{FIRST}"])
        recorded = {open_issue.issue.element for open_issue in inside.issues()}
    assert answer["data"] == {"enforcementCase": {"caseName": CASES[FIRST]["AJMC"], "filedDate": None}}
    assert [issue["element"] for issue in answer["extensions"]["dataIssues"]] == ["filed_date"]
    assert recorded == {"filed_date", "case_status"}
    assert known.mapped.values["violation_fact"] == CASES[FIRST]["WFSS"]
    assert known.mapped.refs["parties"]
