"""From the text of an operation to its answer: prepare, run the waves, read the index through the schema."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLError

from gateway.context import RequestContext
from gateway.engine.answer import Answers, describe
from gateway.engine.arguments import RootArguments, root_arguments
from gateway.engine.executor import Execution, Services
from gateway.engine.explain import explain
from gateway.engine.index import Index
from gateway.engine.plan import Span
from gateway.engine.preparation import MOST_ERRORS, Preparation, Prepared, Refused
from gateway.engine.selection import Root
from gateway.engine.trace import Times, federated_trace
from gateway.log import logger
from schema.identity import global_id

MOST_ISSUES = 100


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one operation; `executed` is false when it never ran, and there is no `data` then."""

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


class Engine:
    """Answers operations. One for the process."""

    def __init__(self, schema: strawberry.Schema, services: Services, preparation: Preparation) -> None:
        self.schema, self.services, self.preparation = schema, services, preparation

    async def execute(
        self, text: str, variables: Mapping[str, Any] | None, operation_name: str | None, context: RequestContext
    ) -> Result:
        """The answer; never raises for what a client or a source did wrong."""
        wall, started = time.time_ns(), time.perf_counter_ns()
        try:
            prepared = self.preparation.prepare(text, variables or {}, operation_name, context.viewer.role)
            arguments = [self._arguments(root, prepared) for root in prepared.plan.roots]
        except Refused as refused:
            return Result(None, _tidy(refused.errors), {}, executed=False)
        execution = Execution(self.services, prepared.plan, arguments, context, Index(self.services.registry))
        try:
            await execution.run()
        except Exception as error:  # a bug of ours: the client is told that, and nothing of what happened inside
            logger().error("request.internal_error", error=type(error).__name__, exc_info=error)
            return Result(None, [GraphQLError("内部错误", extensions={"code": "INTERNAL"})], {}, executed=True)
        answers = Answers(execution, prepared.document)
        found = time.perf_counter_ns()
        result: Any = await self.schema.execute(
            text, variable_values=dict(variables or {}), context_value=answers, operation_name=operation_name
        )
        errors = _tidy([*(result.errors or []), *answers.beside])
        extensions = self._extensions(execution, context)
        if context.explain:
            extensions["cost"] = prepared.cost
        if context.trace:
            now = time.perf_counter_ns()
            times = Times(wall, Span(started, now), Span(found, now), execution.spans)
            extensions["ftv1"] = federated_trace(self.schema._schema, prepared, result.data, errors, times)
        return Result(result.data, errors, extensions, executed=True)

    def _arguments(self, root: Root, prepared: Prepared) -> RootArguments:
        try:
            given = self.preparation.arguments(root.node, prepared.values)
            return root_arguments(root, given, self.services.registry, self.services.hash_id)
        except GraphQLError as error:
            raise Refused([error], "BAD_USER_INPUT") from None

    def _extensions(self, execution: Execution, context: RequestContext) -> dict[str, Any]:
        extensions: dict[str, Any] = {}
        failed = [(failure, None) for failure in execution.failures]
        used = [(failure, "STORE") for failure in execution.stale.values()]
        if failed or used:
            distinct = {(f.source, f.operation, f.error.code, store): (f, store) for f, store in [*failed, *used]}
            extensions["sourceErrors"] = [
                {**describe(failure), "answeredFrom": store} for failure, store in distinct.values()
            ]
        if execution.index.issues:
            extensions["dataIssues"] = [
                {
                    "source": issue.source,
                    "entity": issue.entity,
                    "id": global_id(issue.entity, issue.key or ""),
                    "element": issue.element,
                    "elementId": issue.element_id,
                    "checkType": issue.check_type,
                    "severity": issue.severity,
                    "reason": issue.reason,
                }
                for issue in list(execution.index.issues)[:MOST_ISSUES]
            ]
        if context.explain:
            plan = explain(execution.plan, self.services.registry, self.services.mappings)
            extensions["plan"] = plan.splitlines()
        return extensions


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
