"""From the text of an operation to its answer: prepare, run the waves, read the index through the schema."""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import strawberry
from graphql import GraphQLError

from gateway import tracing
from gateway.context import RequestContext
from gateway.engine.answer import Answers, describe
from gateway.engine.arguments import RootArguments, root_arguments
from gateway.engine.error_masking import internal_error, tidy
from gateway.engine.executor import Execution, Services
from gateway.engine.explain import explain
from gateway.engine.heard import Heard
from gateway.engine.incremental import PatientAnswers, PhasedRun
from gateway.engine.index import Index
from gateway.engine.payloads import payloads
from gateway.engine.plan import Span
from gateway.engine.preparation import Preparation, Prepared, Refused
from gateway.engine.selection import Root
from gateway.engine.trace import Times, federated_trace
from gateway.log import logger
from schema.identity import global_id

MOST_ISSUES = 100
MOST_READIED, LONGEST_TEXT, MOST_WORDS, LONGEST_WORD = 1000, 2048, 8, 100
"""Operations kept with the arguments of their roots; how long their texts are, how many variables they have, and how long these."""
Readied = tuple[Prepared, list[RootArguments]]


@dataclass(slots=True)
class Result:
    """The answer to one operation, in Structs, mappings or as JSON; `executed` is false when it never ran and there is no data."""

    answer: Any
    errors: list[GraphQLError]
    extensions: dict[str, Any]
    executed: bool

    @property
    def data(self) -> Any:
        """The answer in plain mappings and lists."""
        if isinstance(self.answer, msgspec.Raw):
            return msgspec.json.decode(self.answer)
        return msgspec.to_builtins(self.answer)

    @property
    def plain(self) -> msgspec.Raw | None:
        """The answer where it is JSON already and all there is to say."""
        return None if self.errors or self.extensions or self.answer.__class__ is not msgspec.Raw else self.answer

    def body(self) -> dict[str, Any]:
        """The response as GraphQL over HTTP wants it, for `to_bytes`: its data may be made of Structs."""
        body: dict[str, Any] = {}
        if self.errors:
            body["errors"] = [error.formatted for error in self.errors]
        if self.executed:
            body["data"] = self.answer
        if self.extensions:
            body["extensions"] = self.extensions
        return body


class Began(NamedTuple):
    """When a request began, by the clock on the wall and by the monotonic one, in nanoseconds."""

    wall: int
    clock: int


UNTIMED = Began(0, 0)
"""Of a request that nobody wants to see the times of."""


class Asked(NamedTuple):
    """An operation about to be executed."""

    text: str
    variables: Mapping[str, Any] | None
    operation_name: str | None
    prepared: Prepared
    arguments: list[RootArguments]
    context: RequestContext
    began: Began
    heard: Heard

    @property
    def comes_in_parts(self) -> bool:
        """Whether something of it is deferred or streamed, and the client takes it so."""
        return self.prepared.phases is not None


class Engine:
    """Answers operations. One for the process."""

    def __init__(self, schema: strawberry.Schema, services: Services, preparation: Preparation) -> None:
        self.schema, self.services, self.preparation = schema, services, preparation
        self.readied: dict[Hashable, Readied] = {}

    def read(self, text: str, operation_name: str | None) -> Result | None:
        """Parse and validate an operation that was never asked before; the result when it is refused."""
        try:
            self.preparation.read(text, operation_name)
        except Refused as refused:
            return Result(None, tidy(refused.errors), {}, executed=False)
        return None

    def learn(self, text: str, variables: Mapping[str, Any] | None, operation_name: str | None) -> Result | None:
        """Parse, validate and plan an operation that was never asked before; the result when it is refused."""
        try:
            self.preparation.prepare(text, variables or {}, operation_name)
        except Refused as refused:
            return Result(None, tidy(refused.errors), {}, executed=False)
        return None

    async def execute(
        self, text: str, variables: Mapping[str, Any] | None, operation_name: str | None, context: RequestContext
    ) -> Result:
        """The answer; never raises for what a client or a source did wrong."""
        asked = self.ask(text, variables, operation_name, context)
        if isinstance(asked, Result):
            return asked
        return await self.shortly(asked) or await self.at_length(asked)

    async def shortly(self, asked: Asked) -> Result | None:
        """The answer by the short way of the operation, never later than its deadline; None where it has none, or the answers
        of the sources are not for it."""
        lane = asked.prepared.lane
        if lane is None or asked.context.explain or asked.context.trace:
            return None
        (arguments,) = asked.arguments
        (reference,) = arguments.references
        if reference.key is None:
            return None
        answer, heard = await lane.answer(self.services, asked.context, reference.key)
        if answer is not None:
            return Result(answer, [], {}, executed=True)
        asked.heard.update(heard)
        return None

    def ask(
        self,
        text: str,
        variables: Mapping[str, Any] | None,
        operation_name: str | None,
        context: RequestContext,
        in_parts: bool = False,
    ) -> Asked | Result:
        """The operation ready to be answered, or why it will not be."""
        began = Began(time.time_ns(), time.perf_counter_ns()) if context.trace else UNTIMED
        try:
            with tracing.span("plan", {}):
                prepared, arguments = self._ready(text, variables or {}, operation_name, in_parts, context.viewer.role)
        except Refused as refused:
            return Result(None, tidy(refused.errors), {}, executed=False)
        return Asked(text, variables, operation_name, prepared, arguments, context, began, {})

    def _ready(
        self, text: str, variables: Mapping[str, Any], operation_name: str | None, in_parts: bool, role: str
    ) -> Readied:
        """The operation prepared, and the arguments of its roots: once for what is asked again with the same few words. Raises
        Refused."""
        question = None if in_parts else _question(text, variables, operation_name, role)
        known = self.readied.get(question) if question is not None else None
        if known is not None and self.preparation.is_used(text, operation_name):
            return known
        prepared = self.preparation.prepare(text, variables, operation_name, in_parts, role)
        found = prepared, [self._arguments(root, prepared) for root in prepared.plan.roots]
        if question is not None and prepared.lane is not None:
            if len(self.readied) >= MOST_READIED:
                self.readied.clear()
            self.readied[question] = found
        return found

    def _execution(self, asked: Asked) -> Execution:
        index = Index(self.services.registry)
        plan = asked.prepared.plan
        return Execution(self.services, plan, asked.arguments, asked.context, index, heard=asked.heard)

    async def at_length(self, asked: Asked) -> Result:
        """The answer by the plan, step by step; what the short way has heard is not asked again."""
        prepared, context = asked.prepared, asked.context
        execution = self._execution(asked)
        try:
            await execution.run()
        except Exception as error:  # a bug of ours: the client is told that, and nothing of what happened inside
            logger().error("request.internal_error", error=type(error).__name__, exc_info=error)
            return Result(None, [internal_error()], {}, executed=True)
        found = time.perf_counter_ns()
        if prepared.projection is not None:
            answer, errors = prepared.projection.answer(execution, prepared.document)
        else:
            answer, errors = await self._by_strawberry(asked, execution)
        errors = tidy(errors)
        extensions = self._extensions(execution, context)
        if context.explain:
            extensions["cost"] = prepared.cost
        if context.trace:
            now = time.perf_counter_ns()
            times = Times(asked.began.wall, Span(asked.began.clock, now), Span(found, now), execution.spans)
            data = msgspec.to_builtins(answer)
            extensions["ftv1"] = federated_trace(self.schema._schema, prepared, data, errors, times)
        execution.index.forget()
        return Result(answer, errors, extensions, executed=True)

    async def in_parts(self, asked: Asked) -> AsyncIterator[dict[str, Any]]:
        """Payload after payload; whoever stops listening cancels what is still under way."""
        phases = asked.prepared.phases
        assert phases is not None
        execution = self._execution(asked)
        run = PhasedRun(execution, phases)
        later = run.later()
        rest = asyncio.create_task(run.rest())
        try:
            await run.first()
            answers = PatientAnswers(execution, asked.prepared.document, later)
            frames = await self.schema.stream(
                asked.text,
                variable_values=dict(asked.variables or {}),
                context_value=answers,
                operation_name=asked.operation_name,
            )
            async for payload in payloads(frames, answers):
                if not payload.get("hasNext", False) and (told := self._extensions(execution, asked.context)):
                    payload["extensions"] = told
                yield payload
                later.is_first = False
            await rest
        except Exception as error:
            logger().error("request.internal_error", error=type(error).__name__, exc_info=error)
            yield {"errors": [internal_error().formatted], "hasNext": False}
        finally:
            rest.cancel()
            await asyncio.gather(rest, return_exceptions=True)
            execution.index.forget()

    async def _by_strawberry(self, asked: Asked, execution: Execution) -> tuple[Any, list[GraphQLError]]:
        """The data and the errors of what is not compiled: introspection and the dictionary."""
        answers = Answers(execution, asked.prepared.document)
        result = await self.schema.execute(
            asked.text,
            variable_values=dict(asked.variables or {}),
            context_value=answers,
            operation_name=asked.operation_name,
        )
        return result.data, [*(result.errors or []), *answers.beside]

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
        execution.index.find_conflicts()
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


def _question(text: str, variables: Mapping[str, Any], operation_name: str | None, role: str) -> Hashable | None:
    """What an operation with a few short texts as its variables is known by; None for any other."""
    if len(variables) > MOST_WORDS or len(text) > LONGEST_TEXT:
        return None
    for value in variables.values():
        if value.__class__ is not str or len(value) > LONGEST_WORD:
            return None
    return text, operation_name, role, tuple(variables.items())
