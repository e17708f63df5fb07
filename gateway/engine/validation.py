"""What makes graphql-core's own checks affordable: only the rules that a text can break, only values of a bounded size."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from graphql import (
    ASTValidationRule,
    GraphQLInputObjectType,
    GraphQLSchema,
    ListTypeNode,
    NonNullTypeNode,
    VariableDefinitionNode,
    specified_rules,
)

from gateway.engine.tokens import too_large

MOST_CONDITIONS = 2000
"""Objects, names and items in the values of variables that are input objects; a filter may have a hundred tests anyway."""

NEEDS: Mapping[str, str] = {
    "NoUndefinedVariablesRule": "$",
    "NoUnusedVariablesRule": "$",
    "UniqueVariableNamesRule": "$",
    "VariablesAreInputTypesRule": "$",
    "VariablesInAllowedPositionRule": "$",
    "KnownDirectivesRule": "@",
    "UniqueDirectivesPerLocationRule": "@",
    "DeferStreamDirectiveOnRootField": "@",
    "DeferStreamDirectiveOnValidOperationsRule": "@",
    "DeferStreamDirectiveLabel": "@",
    "StreamDirectiveOnListField": "@",
    "KnownFragmentNamesRule": "...",
    "PossibleFragmentSpreadsRule": "...",
}
"""What must stand in a text that breaks the rule; each of them costs some part of a visit to every node."""


def rules_for(text: str) -> Sequence[type[ASTValidationRule]]:
    """The rules of the specification that this text could break at all."""
    return _rules("$" in text, "@" in text, "..." in text)


@cache
def _rules(has_variables: bool, has_directives: bool, has_spreads: bool) -> Sequence[type[ASTValidationRule]]:
    absent = {
        mark for mark, is_there in (("$", has_variables), ("@", has_directives), ("...", has_spreads)) if not is_there
    }
    return [rule for rule in specified_rules if NEEDS.get(rule.__name__) not in absent]


def check_conditions(
    schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode], variables: Mapping[str, Any]
) -> None:
    """That what is given for input objects is no larger than any filter may be. Raises GraphQLError."""
    for definition in definitions:
        kind = definition.type
        while isinstance(kind, ListTypeNode | NonNullTypeNode):
            kind = kind.type
        if not isinstance(schema.get_type(kind.name.value), GraphQLInputObjectType):  # type: ignore[attr-defined]
            continue
        name = definition.variable.name.value
        if _size(variables.get(name)) > MOST_CONDITIONS:
            raise too_large("conditions", MOST_CONDITIONS, f"变量 ${name} 的值超过 {MOST_CONDITIONS} 个")


def _size(value: Any) -> int:
    size, level = 0, [value]
    while level and size <= MOST_CONDITIONS:
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                size += 1 + len(one)
                below += one.values()
            elif isinstance(one, list):
                size += len(one)
                below += one
        level = below
    return size
