"""What is new is prepared in stages and compiled in portions, so that the event loop is free in between."""

import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest

from contract_tests.federation import Federation, definitions_of
from contract_tests.hostile import sources
from contract_tests.serving import PATIENCE, listening_with
from gateway.app import create_app
from gateway.context import Deadline
from gateway.web.learning import Learning

__all__ = ["sources"]

FIELDS = "caseCode caseName causeOfAction filedDate caseStatus violationPlace involvedAmount isMajor"
LARGE = (
    "{"
    + " ".join(f"a{number}: enforcementCases(first: {number + 1}) {{ nodes {{ {FIELDS} }} }}" for number in range(12))
    + "}"
)


@pytest.mark.anyio
async def test_others_are_answered_between_two_stages() -> None:
    learning, seen = Learning(1.0, 3, lambda _waiting: False), []
    turns = asyncio.create_task(_turns(seen))
    await asyncio.sleep(0)
    found = await learning.prepare(
        lambda: seen.append("read"), lambda: seen.append("planned"), deadline=Deadline.after(5)
    )
    turns.cancel()
    assert found is None
    assert "turn" in seen[seen.index("read") : seen.index("planned")]


async def _turns(seen: list[str]) -> None:
    while True:
        seen.append("turn")
        await asyncio.sleep(0)


async def _done(learning: Learning) -> None:
    until = time.monotonic() + PATIENCE
    while learning.offered:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_the_first_stage_with_a_result_is_the_last() -> None:
    learning = Learning(1.0, 3, lambda _waiting: False)
    assert (
        await learning.prepare(lambda: "refused", lambda: pytest.fail("planned"), deadline=Deadline.after(5))
        == "refused"
    )


@pytest.mark.anyio
async def test_portions_keep_to_their_share_and_those_that_fail_stop_nobody() -> None:
    learning, spans = Learning(0.25, 3, lambda _waiting: False), []

    def work(portions: int, fails: bool = False) -> Iterator[None]:
        for _ in range(portions):
            began = time.monotonic()
            while time.monotonic() < began + 0.01:
                pass
            spans.append((began, time.monotonic()))
            yield
        if fails:
            raise RuntimeError

    learning.offer(lambda: work(2, fails=True))
    learning.offer(lambda: None)
    learning.offer(lambda: work(2))
    await _done(learning)
    assert len(spans) == 4
    pauses = [after[0] - before[1] for before, after in itertools.pairwise(spans)]
    assert all(pause >= 3 * 0.01 * 0.9 for pause in pauses)


@pytest.mark.anyio
async def test_nothing_is_asked_for_its_code_while_too_much_is_waiting() -> None:
    learning = Learning(1.0, 1, lambda _waiting: False)
    learning.offer(lambda: iter([None]))
    learning.offer(lambda: pytest.fail("asked"))
    await _done(learning)


def test_code_is_compiled_behind_the_second_answer_and_all_answers_are_the_same(sources: Federation) -> None:
    app = create_app(sources.settings, definitions_of(sources.settings))
    with listening_with(app) as gateway:
        answers = [gateway.ask(LARGE)]
        (planned,) = app.running[0].engine.preparation.plans.values()
        projection = planned.projection
        assert projection is not None
        assert projection._project is None
        answers.append(gateway.ask(LARGE))
        until = time.monotonic() + PATIENCE
        while projection._project is None and time.monotonic() < until:
            time.sleep(0.01)
        answers.append(gateway.ask(LARGE))
        assert projection._project is not None
    assert {answer.status for answer in answers} == {200}
    assert answers[0].body == answers[1].body == answers[2].body
