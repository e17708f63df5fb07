"""Operations that are asked again in the same few words are made ready once, and everybody gets the answer to their own."""

from dataclasses import replace

import pytest

from contract_tests.test_lane import BY_NAME, bodies_of, gateway
from gateway.context import EVERYBODY, Deadline, RequestContext
from gateway.engine import engine as engines
from gateway.engine.engine import LONGEST_WORD

__all__ = ["gateway"]


@pytest.mark.anyio
async def test_what_is_asked_again_in_the_same_few_words_is_made_ready_once(gateway):
    running, upstream = gateway
    engine, query = running.engine, BY_NAME["one"]
    upstream.answers = bodies_of("one")
    known = engine.ask(query.text, query.variables[0], None, context_of_everybody())
    assert engine.ask(query.text, dict(query.variables[0]), None, context_of_everybody()).prepared is known.prepared
    other = engine.ask(query.text, query.variables[1], None, context_of_everybody())
    assert other.arguments != known.arguments
    assert len(engine.readied) == 2
    inspector = replace(EVERYBODY, role="inspector")
    assert (
        engine.ask(query.text, query.variables[0], None, context_of_everybody(inspector)).prepared is not known.prepared
    )


@pytest.mark.anyio
@pytest.mark.parametrize("number", [1, True, None, ["BJ-1"], "9" * (LONGEST_WORD + 1)])
async def test_only_short_texts_are_what_an_operation_is_known_by(gateway, number):
    running, _ = gateway
    engine, query = running.engine, BY_NAME["one"]
    engine.ask(query.text, {**query.variables[0], "number": number}, None, context_of_everybody())
    assert engine.readied == {}


@pytest.mark.anyio
async def test_operations_made_ready_are_bounded_and_go_with_their_text(gateway, monkeypatch):
    running, _ = gateway
    engine, query = running.engine, BY_NAME["one"]
    monkeypatch.setattr(engines, "MOST_READIED", 3)
    for given in query.variables[:8]:
        engine.ask(query.text, given, None, context_of_everybody())
        assert len(engine.readied) <= 3
    known = engine.ask(query.text, query.variables[0], None, context_of_everybody())
    engine.preparation.texts.clear()
    assert engine.ask(query.text, query.variables[0], None, context_of_everybody()).prepared is not known.prepared
    assert engine.preparation.texts, "it is remembered again"


def context_of_everybody(viewer=EVERYBODY) -> RequestContext:
    return RequestContext(Deadline.after(9), viewer=viewer)
