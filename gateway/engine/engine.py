"""From the text of an operation to its answer: parse, validate, plan (all remembered), run waves, read the index."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    get_argument_values,
    get_operation_ast,
    parse,
    validate,
)
from graphql.execution.values import VariableValues, get_variable_values

from gateway.context import RequestContext
from gateway.engine.answer import Answers, describe, root_arguments
from gateway.engine.executor import Execution, Services
from gateway.engine.explain import explain
from gateway.engine.index import Index
from gateway.engine.plan import Plan
from gateway.engine.planner import Planner
from gateway.engine.selection import Root, boolean_variables, read_selection
from gateway.errors import QueryError
from gateway.log import logger

MOST_ERRORS = 100
MOST_ISSUES = 100


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one operation. `data` is absent (None with `executed` false) when it never ran."""

    data: Mapping[str, Any] | None
    errors: list[GraphQLError]
    extensions: dict[str, Any]
    executed: bool

    def body(self) -> dict[str, Any]:
        """The response as GraphQL over HTTP wants it."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = [error.formatted for error in self.errors]
        if self.executed:
            body["data"] = self.data
        if self.extensions:
            body["extensions"] = self.extensions
        return body


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A text that parsed and validated, with what is needed to find its plan."""

    document: DocumentNode
    operation: OperationDefinitionNode
    booleans: tuple[str, ...]


class Engine:
    """Answers operations. One for the process; remembers texts with their plans, the least recently used go first."""

    def __init__(self, schema: strawberry.Schema, services: Services, most_tokens: int, plans_kept: int) -> None:
        self.schema, self.services = schema, services
        self.planner = Planner(services.registry, services.mappings)
        self.most_tokens, self.plans_kept = most_tokens, plans_kept
        self.prepared: OrderedDict[tuple[str, str | None], _Prepared] = OrderedDict()
        self.plans: OrderedDict[tuple[object, ...], Plan] = OrderedDict()

    async def execute(
        self, text: str, variables: Mapping[str, Any] | None, operation_name: str | None, context: RequestContext
    ) -> Result:
        """The answer; never raises for what a client or a source did wrong."""
        try:
            prepared = self._prepare(text, operation_name)
            values = self._variables(prepared, variables or {})
            plan = self._plan(text, operation_name, prepared, values)
            arguments = [self._arguments(root, values) for root in plan.roots]
        except _Refused as refused:
            return Result(None, _tidy(refused.errors), {}, executed=False)
        execution = Execution(self.services, plan, arguments, context, Index(self.services.registry))
        await execution.run()
        answers = Answers(execution)
        result: Any = await self.schema.execute(
            text, variable_values=dict(variables or {}), context_value=answers, operation_name=operation_name
        )
        errors = _tidy([*(result.errors or []), *answers.beside])
        return Result(result.data, errors, self._extensions(execution, context), executed=True)

    def explain(self, text: str, variables: Mapping[str, Any] | None = None, operation_name: str | None = None) -> str:
        """The plan of an operation as text. Raises QueryError with everything that is wrong with it."""
        try:
            prepared = self._prepare(text, operation_name)
            values = self._variables(prepared, variables or {})
            plan = self._plan(text, operation_name, prepared, values)
        except _Refused as refused:
            raise QueryError("\n".join(str(error) for error in refused.errors)) from None
        return explain(plan, self.services.registry, self.services.mappings)

    def _prepare(self, text: str, operation_name: str | None) -> _Prepared:
        key = (text, operation_name)
        if known := self.prepared.get(key):
            self.prepared.move_to_end(key)
            return known
        try:
            document = parse(text, max_tokens=self.most_tokens)
        except GraphQLError as error:
            raise _Refused([error], "GRAPHQL_PARSE_FAILED") from None
        except RecursionError:
            raise _Refused([GraphQLError("查询嵌套过深")], "QUERY_TOO_LARGE") from None
        if errors := validate(self.schema._schema, document, max_errors=MOST_ERRORS):
            raise _Refused(errors, "GRAPHQL_VALIDATION_FAILED")
        operation = get_operation_ast(document, operation_name)
        if operation is None:
            what = f"没有名为 “{operation_name}” 的操作" if operation_name else "有多个操作，请给出 operationName"
            raise _Refused([GraphQLError(what)], "OPERATION_RESOLUTION_FAILURE")
        prepared = _Prepared(document, operation, boolean_variables(document))
        _remember(self.prepared, key, prepared, self.plans_kept)
        return prepared

    def _variables(self, prepared: _Prepared, given: Mapping[str, Any]) -> VariableValues:
        definitions = prepared.operation.variable_definitions or ()
        found = get_variable_values(self.schema._schema, definitions, dict(given), max_errors=MOST_ERRORS)
        if isinstance(found, list):
            raise _Refused(found, "BAD_USER_INPUT")
        return found

    def _plan(self, text: str, name: str | None, prepared: _Prepared, values: VariableValues) -> Plan:
        key = (text, name, *(values.coerced.get(variable) for variable in prepared.booleans))
        if known := self.plans.get(key):
            self.plans.move_to_end(key)
            return known
        try:
            registry = self.services.registry
            selection = read_selection(prepared.document, prepared.operation, values.coerced, registry)
            plan = self.planner.plan(selection)
        except QueryError as error:
            raise _Refused([GraphQLError(str(error))], error.code) from None
        _remember(self.plans, key, plan, self.plans_kept)
        return plan

    def _arguments(self, root: Root, values: VariableValues) -> Any:
        query_type = self.schema._schema.query_type
        assert query_type is not None
        try:
            given = get_argument_values(query_type.fields[root.node.name.value], root.node, values)
            arguments = root_arguments(root, given, self.services.hash_id)
        except GraphQLError as error:
            raise _Refused([error], "BAD_USER_INPUT") from None
        if root.kind == "one" and arguments.key is None and arguments.allotted is None:
            raise _Refused([GraphQLError(f"{root.node.name.value} 的参数不能为 null", root.node)], "BAD_USER_INPUT")
        return arguments

    def _extensions(self, execution: Execution, context: RequestContext) -> dict[str, Any]:
        extensions = dict(context.extensions)
        failed = [(failure, "") for failure in execution.failures]
        failed += [(failure, "STALE") for failure in execution.stale.values()]
        if failed:
            distinct = {(f.source, f.operation, f.error.code, used): (f, used) for f, used in failed}
            extensions["sourceErrors"] = [
                {**describe(failure), "answeredFrom": used or None} for failure, used in distinct.values()
            ]
        if execution.index.issues:
            found = list(execution.index.issues)
            extensions["dataIssues"] = [
                {"source": i.source, "entity": i.entity, "element": i.element, "elementId": i.element_id, "reason": i.reason}
                for i in found[:MOST_ISSUES]
            ]
        if context.explain:
            plan = explain(execution.plan, self.services.registry, self.services.mappings)
            extensions["plan"] = plan.splitlines()
        return extensions


class _Refused(Exception):
    """The operation never runs; these are the reasons."""

    def __init__(self, errors: list[GraphQLError], code: str) -> None:
        super().__init__(code)
        self.errors = errors
        for error in errors:
            error.extensions = {"code": code, **(error.extensions or {})}


def _remember(kept: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)


def _tidy(errors: list[GraphQLError]) -> list[GraphQLError]:
    """At most MOST_ERRORS, none of which tells what happened inside; the rest is counted."""
    shown = [_masked(error) for error in errors[:MOST_ERRORS]]
    if len(errors) > MOST_ERRORS:
        more = len(errors) - MOST_ERRORS
        shown.append(GraphQLError(f"另有 {more} 个错误未列出", extensions={"code": "TOO_MANY_ERRORS", "more": more}))
    return shown


def _masked(error: GraphQLError) -> GraphQLError:
    if error.original_error is None or isinstance(error.original_error, GraphQLError):
        return error
    logger().error("request.internal_error", error=type(error.original_error).__name__, exc_info=error.original_error)
    return GraphQLError("内部错误", path=error.path, extensions={"code": "INTERNAL"})
