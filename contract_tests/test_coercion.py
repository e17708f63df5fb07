"""Variables and arguments of the plain kind are coerced as graphql-core coerces them, and what is not plain is left to it."""

from typing import Any

import pytest
from graphql import FieldNode, OperationDefinitionNode, build_schema, parse
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values

from gateway.engine.coercion import PlainArguments, coerced, plain_variables

SCHEMA = build_schema(
    """
    enum Mode { LIVE STORE }
    input Where { name: String }
    type Query { found(id: ID, text: String!, count: Int, mode: Mode, exact: Boolean, least: Int = 3): String }
    """
)
PLAIN = "query ($id: ID, $text: String!, $count: Int, $mode: Mode, $exact: Boolean)"
TEXT = {"text": "甲"}


def operation_of(text: str) -> OperationDefinitionNode:
    (operation,) = parse(text).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return operation


def told(values: VariableValues) -> dict[str, tuple[str, Any]]:
    return {name: (str(source.signature.type), source.value) for name, source in values.sources.items()}


@pytest.mark.parametrize(
    "given",
    [
        TEXT,
        {"text": "", "id": 7, "count": 2, "mode": "LIVE", "exact": False},
        {"text": "甲", "id": None, "count": 2.0, "mode": None},
        {"text": "甲", "nobody asked for it": 1},
    ],
)
def test_plain_values_are_those_of_graphql_core(given: dict[str, Any]) -> None:
    operation = operation_of(PLAIN + "{ found(text: $text) }")
    plain = plain_variables(SCHEMA, operation)
    assert plain is not None
    ours, theirs = coerced(plain, given), get_variable_values(SCHEMA, operation.variable_definitions or (), given)
    assert ours is not None
    assert isinstance(theirs, VariableValues)
    assert ours.coerced == theirs.coerced
    assert told(ours) == told(theirs)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"text": None},
        {"text": 1},
        {"text": ["甲"]},
        TEXT | {"count": 2**31},
        TEXT | {"count": True},
        TEXT | {"mode": "live"},
        TEXT | {"id": {"a": 1}},
        TEXT | {"exact": "true"},
    ],
)
def test_every_mistake_is_left_to_graphql_core(given: dict[str, Any]) -> None:
    operation = operation_of(PLAIN + "{ found(text: $text) }")
    plain = plain_variables(SCHEMA, operation)
    assert plain is not None
    assert coerced(plain, given) is None
    assert isinstance(get_variable_values(SCHEMA, operation.variable_definitions or (), given), list)


@pytest.mark.parametrize("declared", ["$x: [Int]", "$x: Where", "$x: Int = 1", "$x: [ID!]!", "$x: Where!"])
def test_lists_inputs_and_defaults_are_not_plain(declared: str) -> None:
    assert plain_variables(SCHEMA, operation_of(f"query ({declared}) {{ __typename }}")) is None


@pytest.mark.parametrize(
    ("arguments", "given", "is_plain"),
    [
        ("text: $text, least: $count", TEXT | {"count": 5}, True),
        ("mode: $mode, text: $text, least: $count", TEXT | {"count": 5, "mode": "STORE"}, True),
        ("text: $text", TEXT, False),  # the default of `least`
        ("text: $text, least: $count", TEXT, False),
        ("text: $text, least: $count", TEXT | {"count": None}, False),
        ('text: "乙", least: $count', TEXT | {"count": 5}, False),
    ],
)
def test_arguments_are_those_of_graphql_core(arguments: str, given: dict[str, Any], is_plain: bool) -> None:
    operation = operation_of(f"{PLAIN} {{ found({arguments}) }}")
    (node,) = operation.selection_set.selections
    assert isinstance(node, FieldNode)
    assert SCHEMA.query_type is not None
    field = SCHEMA.query_type.fields["found"]
    values = get_variable_values(SCHEMA, operation.variable_definitions or (), given)
    assert isinstance(values, VariableValues)
    known = PlainArguments()
    for _ in range(2):
        found = known.of(field, node, values)
        assert found == (get_argument_values(field, node, values) if is_plain else None)
