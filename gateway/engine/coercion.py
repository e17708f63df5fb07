"""Variables and arguments of the plain kind, coerced by what was found out once: most requests have nothing but such.

Everything else, every mistake among it, is left to graphql-core, whose results these are; None says that it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    VariableNode,
    is_leaf_type,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource
from graphql.type import is_required_argument

MOST_NODES = 4096
"""Root fields whose arguments are remembered at once."""


class _Variable(NamedTuple):
    """A variable of a scalar or an enum, with or without `!`, and no default."""

    name: str
    signature: GraphQLVariableSignature
    coerce: Callable[[Any], Any]
    is_required: bool


PlainVariables = Sequence[_Variable]


def plain_variables(schema: GraphQLSchema, operation: OperationDefinitionNode) -> PlainVariables | None:
    """The variables of an operation, None unless all of them are plain."""
    found: list[_Variable] = []
    for definition in operation.variable_definitions or ():
        signature = get_variable_signature(schema, definition)
        if isinstance(signature, GraphQLError) or definition.default_value is not None:
            return None
        is_required = is_non_null_type(signature.type)
        kind = signature.type.of_type if is_non_null_type(signature.type) else signature.type
        if not is_leaf_type(kind):
            return None
        found.append(_Variable(signature.name, signature, kind.coerce_input_value, is_required))
    return found


def coerced(variables: PlainVariables, given: Mapping[str, Any]) -> VariableValues | None:
    """The values as graphql-core's `get_variable_values` has them; None for it to say what is wrong."""
    sources: dict[str, VariableValueSource] = {}
    values: dict[str, Any] = {}
    for name, signature, coerce, is_required in variables:
        value = given.get(name, Undefined)
        if value is None or value is Undefined:
            if is_required:
                return None
            sources[name] = VariableValueSource(signature, value)
            if value is None:
                values[name] = None
            continue
        try:
            found = coerce(value)
        except Exception:  # whatever a scalar raises means that it does not take the value
            return None
        if found is Undefined:
            return None
        sources[name] = VariableValueSource(signature, value)
        values[name] = found
    return VariableValues(sources, values)


@dataclass(frozen=True, slots=True)
class _Plain:
    """Arguments that are each a variable: what Python calls it, and the name of the variable. The node is kept, so that its
    identity is nobody else's."""

    node: FieldNode
    arguments: Sequence[tuple[str, str]] | None


class PlainArguments:
    """The arguments of root fields as graphql-core's `get_argument_values` has them, where each is a variable with a value."""

    def __init__(self) -> None:
        self._known: dict[int, _Plain] = {}

    def of(self, field: GraphQLField, node: FieldNode, values: VariableValues) -> dict[str, Any] | None:
        """The values by what Python calls them; None where graphql-core has to look."""
        known = self._known.get(id(node))
        if known is None:
            if len(self._known) >= MOST_NODES:
                self._known.clear()
            known = self._known[id(node)] = _Plain(node, _plain_arguments(field, node))
        if known.arguments is None:
            return None
        given, found = values.coerced, {}
        for name, variable in known.arguments:
            value = given.get(variable)
            if value is None:
                return None
            found[name] = value
        return found


def _plain_arguments(field: GraphQLField, node: FieldNode) -> Sequence[tuple[str, str]] | None:
    written = {argument.name.value: argument.value for argument in node.arguments or ()}
    found: list[tuple[str, str]] = []
    for name, argument in field.args.items():
        value = written.get(name)
        if isinstance(value, VariableNode):
            found.append((argument.out_name or name, value.name.value))
        elif value is not None or is_required_argument(argument) or _has_default(argument):
            return None
    return found


def _has_default(argument: GraphQLArgument) -> bool:
    return argument.default is not None or argument.default_value is not Undefined
