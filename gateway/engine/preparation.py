"""From the text of an operation to its plan: parsed, validated and planned once, then remembered."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    get_argument_values,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values

from adapters.mapping.model import SourceMapping
from gateway.engine.arguments import kinds_of, references_of
from gateway.engine.plan import Plan
from gateway.engine.planner import Planner
from gateway.engine.selection import Kind, any_entity_nodes, boolean_variables, read_selection
from gateway.errors import QueryError
from schema.registry import Registry

MOST_ERRORS = 100


class Refused(Exception):
    """The operation never runs; `errors` are the reasons, each with a code."""

    def __init__(self, errors: list[GraphQLError], code: str) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors
        for error in errors:
            error.extensions = {"code": code, **(error.extensions or {})}


@dataclass(frozen=True, slots=True)
class Prepared:
    """An operation ready to run: its plan, and the coerced variables."""

    plan: Plan
    values: VariableValues


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that parsed and validated. Its plan depends on the variables `booleans` and on what the roots `any_entity` ask for."""

    document: DocumentNode
    operation: OperationDefinitionNode
    booleans: tuple[str, ...]
    any_entity: tuple[FieldNode, ...]


class Preparation:
    """Remembers texts and their plans, the least recently used go first. One for the process."""

    def __init__(
        self,
        schema: strawberry.Schema,
        registry: Registry,
        mappings: Mapping[str, SourceMapping],
        most_tokens: int,
        plans_kept: int,
    ) -> None:
        self.schema, self.registry = schema._schema, registry
        self.planner = Planner(registry, mappings)
        self.most_tokens, self.plans_kept = most_tokens, plans_kept
        self.texts: OrderedDict[tuple[str, str | None], _Text] = OrderedDict()
        self.plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()

    def prepare(self, text: str, variables: Mapping[str, Any], operation_name: str | None) -> Prepared:
        """The plan of the operation and its coerced variables. Raises Refused."""
        known = self._text(text, operation_name)
        definitions = known.operation.variable_definitions or ()
        values = get_variable_values(self.schema, definitions, dict(variables), max_errors=MOST_ERRORS)
        if isinstance(values, list):
            raise Refused(values, "BAD_USER_INPUT")
        return Prepared(self._plan(text, operation_name, known, values), values)

    def arguments(self, node: FieldNode, values: VariableValues) -> dict[str, Any]:
        """What a root was called with, coerced. Raises GraphQLError."""
        query = self.schema.query_type
        assert query is not None
        return get_argument_values(query.fields[node.name.value], node, values)

    def _text(self, text: str, operation_name: str | None) -> _Text:
        key = (text, operation_name)
        if known := self.texts.get(key):
            self.texts.move_to_end(key)
            return known
        try:
            document = parse(text, max_tokens=self.most_tokens)
            errors = validate(self.schema, document, max_errors=MOST_ERRORS)
        except GraphQLError as error:
            raise Refused([error], "GRAPHQL_PARSE_FAILED") from None
        except RecursionError:
            raise Refused([GraphQLError("查询嵌套过深")], "QUERY_TOO_LARGE") from None
        if errors:
            raise Refused(errors, "GRAPHQL_VALIDATION_FAILED")
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            what = f"没有名为 “{operation_name}” 的操作" if operation_name else "有多个操作，请给出 operationName"
            raise Refused([GraphQLError(what)], "OPERATION_RESOLUTION_FAILURE")
        found = _Text(document, operation, boolean_variables(document), any_entity_nodes(document, operation))
        _remember(self.texts, key, found, self.plans_kept)
        return found

    def _plan(self, text: str, name: str | None, known: _Text, values: VariableValues) -> Plan:
        try:
            kinds = {id(node): self._kinds(node, values) for node in known.any_entity}
        except GraphQLError as error:
            raise Refused([error], "BAD_USER_INPUT") from None
        key = (text, name, *(values.coerced.get(variable) for variable in known.booleans), *kinds.values())
        if plan := self.plans.get(key):
            self.plans.move_to_end(key)
            return plan
        try:
            selection = read_selection(
                known.document, known.operation, values.coerced, self.registry, lambda node: kinds[id(node)]
            )
            plan = self.planner.plan(selection)
        except QueryError as error:
            raise Refused([GraphQLError(str(error))], error.code) from None
        _remember(self.plans, key, plan, self.plans_kept)
        return plan

    def _kinds(self, node: FieldNode, values: VariableValues) -> tuple[Kind, ...]:
        """Which entities a root that may ask for any entity asks for: part of what its plan depends on."""
        try:
            given = self.arguments(node, values)
            return kinds_of(references_of(node.name.value, given, self.registry, hash_id=str))
        except ValueError as error:
            raise GraphQLError(f"{node.name.value}：{error}", node) from None


def _remember(kept: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
