"""A subscription and the query derived from it: what graphql-core reads of the one, our events and the other say together."""

import inspect
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from graphql import parse, print_ast, subscribe, validate
from graphql.execution.values import get_variable_values

from contract_tests.stores import NOON, REGISTRY
from gateway.engine.subscription_document import Asked, read_subscription
from gateway.engine.subscriptions import told_of
from gateway.store.feed import Change
from gateway.store.run_states import RunState
from schema.build import build_schema
from schema.identity import global_id
from schema.subscription import ChangeKind, RunStatus

pytestmark = pytest.mark.anyio
SCHEMA = build_schema(REGISTRY)._schema
CHANGE = Change("Party", "p1-x", "changed", "binhai_market", NOON)
RUN = RunState(3, "binhai_market", "cases", "failed", NOON, NOON, "断开", 2, 10, 4, 3, 2, 1)


def read(text: str, **variables: Any) -> Asked:
    document = parse(text)
    assert validate(SCHEMA, document) == []
    operation: Any = document.definitions[0]
    values: Any = get_variable_values(SCHEMA, operation.variable_definitions or (), variables)
    return read_subscription(SCHEMA, document, operation, values, variables)


def test_the_derived_query_has_what_the_entity_needs_and_nothing_else() -> None:
    asked = read(
        """subscription Told($id: ID!, $with: Boolean!, $unused: String = "x", $first: Boolean = true) {
          entityChanged(ids: [$id], entity: $unused) {
            source @include(if: $first)
            ...Event
            ... @skip(if: $with) { skipped: node { __typename } }
            node { ... on Party { partyName @include(if: $with) } }
          }
        }
        fragment Event on EntityChange { change node { id ...Of } what: node { id } }
        fragment Of on EnforcementCase { caseName ...Deeper }
        fragment Deeper on EnforcementCase { caseCode @skip(if: $with) }
        """,
        id="x", **{"with": True},
    )  # fmt: skip
    assert asked.fields == {"source": "source", "change": "change", "node": "node", "what": "node"}
    assert (asked.field, asked.answered_as) == ("entityChanged", "entityChanged")
    assert asked.arguments == {"ids": ["x"], "entity": "x"}
    assert asked.query is not None
    assert asked.query.variables == {"with": True}
    assert validate(SCHEMA, parse(asked.query.text)) == []
    expected = """query Told($event_id: ID!, $with: Boolean!) {
          node(id: $event_id) { id ...Of }
          node(id: $event_id) { ... on Party { partyName @include(if: $with) } }
          what: node(id: $event_id) { id }
        }
        fragment Of on EnforcementCase { caseName ...Deeper }
        fragment Deeper on EnforcementCase { caseCode @skip(if: $with) }"""
    assert asked.query.text == print_ast(parse(expected))


def test_without_the_entity_nothing_is_asked() -> None:
    assert read("subscription { entityChanged { id } }").query is None
    assert read("subscription { s: syncRunUpdated { id } }").answered_as == "s"


STOCK = [
    ("subscription { a: entityChanged { __typename x: id entity change changedAt source } }", CHANGE),
    ("subscription { entityChanged { ...F source } } fragment F on EntityChange { source id ... { change } }", CHANGE),
    ("subscription ($n: Boolean = false) { entityChanged { id @include(if: $n) source } }", CHANGE),
    ("subscription { syncRunUpdated { __typename id source operation status startedAt finishedAt error pages fetched"
     " applied unchanged duplicate quarantined } }", RUN),
    ("subscription { r: syncRunUpdated { s: status } }", replace(RUN, status="running", finished_at=None, error=None)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "event"), STOCK)
async def test_events_are_answered_as_the_stock_executor_answers_them(text: str, event: Change | RunState) -> None:
    async def stream() -> AsyncIterator[dict[str, Any]]:
        yield _as_root(event)

    asked = read(text)
    result: Any = subscribe(SCHEMA, parse(text), root_value={asked.field: stream()})
    result = await result if inspect.isawaitable(result) else result
    stock = [told.data async for told in result]
    ours = {asked.answered_as: {name: told_of(event)[field] for name, field in asked.fields.items()}}
    assert [ours] == stock
    assert list(ours[asked.answered_as]) == list(stock[0][asked.answered_as])


def _as_root(event: Change | RunState) -> dict[str, Any]:
    names = type(event).__dataclass_fields__
    root = {name: getattr(event, name) for name in names}
    if isinstance(event, Change):
        identifier = global_id(event.entity, event.key)
        return {**root, "id": identifier, "change": ChangeKind(event.kind), "changed_at": event.at}
    return {**root, "id": str(event.run_id), "status": RunStatus(event.status)}
