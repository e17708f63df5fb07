"""Subscriptions: who is told what, and each event answered as the subscription asked, its entity by the ordinary engine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from graphql import GraphQLError

from gateway import metrics
from gateway.context import EVERYBODY, RequestContext, Viewer
from gateway.engine.arguments import read_global_id
from gateway.engine.engine import Engine, Result
from gateway.engine.listening import Feed, Listener
from gateway.engine.preparation import Refused
from gateway.engine.subscription_document import Asked, EventQuery, read_subscription
from gateway.errors import QueryError
from gateway.store.feed import Change
from gateway.store.run_states import RunState
from schema.formats import print_datetime
from schema.identity import global_id
from schema.problems import did_you_mean
from schema.registry import Registry
from schema.subscription import (
    CHANGED_NODE,
    ENTITY_CHANGE,
    ENTITY_CHANGED,
    MOST_IDS,
    SYNC_RUN,
    ChangeKind,
    RunStatus,
)

ANSWERED_AT_ONCE = 8
"""Events whose entities are asked for at one time, of all subscriptions together: a page that lands must not crowd out
the queries of everybody else."""


class Subscriptions:
    """The subscriptions of the process."""

    def __init__(self, engine: Engine, feed: Feed, most: int) -> None:
        self.engine, self.feed, self.most = engine, feed, most
        self.turns = asyncio.Semaphore(ANSWERED_AT_ONCE)

    @property
    def count(self) -> int:
        """How many there are."""
        return self.feed.listening

    async def subscribe(
        self,
        text: str,
        variables: Mapping[str, Any] | None,
        operation_name: str | None,
        context: Callable[[], RequestContext],
    ) -> "Subscription":
        """The answers to what happens from now on; whoever takes it has to close it. `context` is made for every answer.

        Raises Refused.
        """
        viewer = context().viewer
        asked = self._read(text, variables or {}, operation_name, viewer.role)
        if self.feed.is_closed:
            raise Refused([GraphQLError("服务正在停止，请重新连接")], "SHUTTING_DOWN")
        if self.count >= self.most:
            raise Refused([GraphQLError(f"订阅已达上限 {self.most} 个，请稍后再试")], "TOO_MANY_SUBSCRIPTIONS")
        opened = AsyncExitStack()
        try:
            listener = await opened.enter_async_context(self._listen(asked, viewer))
        except QueryError as error:
            raise Refused([GraphQLError(str(error))], error.code) from None
        metrics.SUBSCRIPTIONS.inc()
        opened.callback(metrics.SUBSCRIPTIONS.dec)
        return Subscription(self.engine, asked, listener, context, opened, self.turns)

    def close(self) -> None:
        """End every subscription as if there were nothing more to tell; from now on there are none."""
        self.feed.close()

    def _read(self, text: str, variables: Mapping[str, Any], operation_name: str | None, role: str) -> Asked:
        preparation = self.engine.preparation
        document, operation, values = preparation.prepare_subscription(text, variables, operation_name, role)
        try:
            asked = read_subscription(preparation.schema, document, operation, values, variables)
        except GraphQLError as error:
            raise Refused([error], "BAD_USER_INPUT") from None
        if asked.query is not None:  # what is too much for one event is refused before the first
            entities = self.engine.services.registry.entities
            entity = str(asked.arguments.get("entity"))
            example = global_id(entity if entity in entities else next(iter(entities)), "?")
            preparation.prepare(asked.query.text, _variables(asked.query, example), None, role=role)
        return asked

    def _listen(self, asked: Asked, viewer: Viewer) -> AbstractAsyncContextManager[Listener[Any]]:
        services, is_open = self.engine.services, self.engine.preparation.is_open
        if asked.field == ENTITY_CHANGED:
            wants = changes_wanted(asked.arguments, services.registry, viewer, is_open)
            return self.feed.listen(self.feed.changes, wants)
        return self.feed.listen(self.feed.run_updates, runs_wanted(asked.arguments, services.mappings, viewer, is_open))


class Subscription:
    """One subscription under way. Iterate over its answers, then close it."""

    def __init__(
        self,
        engine: Engine,
        asked: Asked,
        listener: Listener[Any],
        context: Callable[[], RequestContext],
        opened: AsyncExitStack,
        turns: asyncio.Semaphore,
    ) -> None:
        self.engine, self.asked, self.listener = engine, asked, listener
        self.context, self.opened, self.turns = context, opened, turns
        self.is_over = False

    def __aiter__(self) -> AsyncIterator[Result]:
        """The answers."""
        return self

    async def __anext__(self) -> Result:
        """The answer to the next event; the last one, when the telling breaks off, has no data and says why."""
        if self.is_over:
            raise StopAsyncIteration
        try:
            event = await anext(self.listener)
        except QueryError as error:
            self.is_over = True
            metrics.SUBSCRIPTIONS_CUT.labels(error.code).inc()
            return Result(None, [GraphQLError(str(error), extensions={"code": error.code})], {}, executed=True)
        return await self._answer(event)

    async def aclose(self) -> None:
        """Listen no longer; may be called twice."""
        self.is_over = True
        await self.opened.aclose()

    async def _answer(self, event: Change | RunState) -> Result:
        told = told_of(event)
        found: dict[str, Any] = {}
        errors: Sequence[GraphQLError] = ()
        extensions: dict[str, Any] = {}
        if isinstance(event, Change) and self.asked.query is not None:
            variables = _variables(self.asked.query, told["id"])
            async with self.turns:
                result = await self.engine.execute(self.asked.query.text, variables, None, self.context())
            found, extensions = result.data or {}, result.extensions
            errors = [self._placed(error) for error in result.errors]
        fields = {
            name: found.get(name) if field == CHANGED_NODE else told[field] for name, field in self.asked.fields.items()
        }
        return Result({self.asked.answered_as: fields}, list(errors), extensions, executed=True)

    def _placed(self, error: GraphQLError) -> GraphQLError:
        """The error with its path within the event; where the text was derived from another, its lines tell nobody anything."""
        path = [self.asked.answered_as, *error.path] if error.path else [self.asked.answered_as]
        return GraphQLError(error.message, path=path, extensions=error.extensions)


def told_of(event: Change | RunState) -> dict[str, Any]:
    """The fields of an event as they stand in an answer, by their GraphQL names; without the entity it is about."""
    return _change(event) if isinstance(event, Change) else _run(event)


def changes_wanted(
    arguments: Mapping[str, Any], registry: Registry, viewer: Viewer, is_open: bool
) -> Callable[[Change], bool]:
    """Which changes a subscription is told of. Raises QueryError, which names what there is if the schema `is_open`."""
    entity, ids = arguments.get("entity"), arguments.get("ids")
    if entity is not None and entity not in registry.entities:
        raise _unknown("实体", entity, registry.entities if is_open else ())
    places = None if ids is None else frozenset(_places(registry, entity, ids))

    def wants(change: Change) -> bool:
        if entity is not None and change.entity != entity:
            return False
        return (places is None or (change.entity, change.key) in places) and is_within(viewer)

    return wants


def runs_wanted(
    arguments: Mapping[str, Any], sources: Mapping[str, object], viewer: Viewer, is_open: bool
) -> Callable[[RunState], bool]:
    """Which runs a subscription is told of. Raises QueryError, which names what there is if the schema `is_open`."""
    source = arguments.get("source")
    if source is not None and source not in sources:
        raise _unknown("来源系统", source, sources if is_open else ())
    return lambda run: source in (None, run.source) and is_within(viewer)


def is_within(viewer: Viewer) -> bool:
    """Whether the viewer may learn that something happened. Until there are scopes, only whoever sees the whole province."""
    return viewer.scope == EVERYBODY.scope


def _places(registry: Registry, entity: str | None, ids: Sequence[str]) -> list[tuple[str, str]]:
    if not 1 <= len(ids) <= MOST_IDS:
        raise QueryError(f"ids 应有 1 至 {MOST_IDS} 个，实为 {len(ids)} 个")
    places = []
    for text in ids:
        reference = read_global_id(registry, str(text))
        if reference.problem or reference.key is None:
            raise QueryError(reference.problem or f"“{str(text)[:100]}” 不是本服务的全局标识")
        if entity is not None and reference.entity != entity:
            raise QueryError(f"“{str(text)[:100]}” 不是 {entity} 的全局标识")
        places.append((reference.entity, reference.key))
    return places


def _unknown(what: str, name: str, known: Iterable[str]) -> QueryError:
    hint = did_you_mean(name, known)
    return QueryError(f"没有{what} “{name[:100]}”{f'，{hint}' if hint else ''}")


def _variables(query: EventQuery, identifier: str) -> dict[str, Any]:
    return {**query.variables, query.variable: identifier}


def _change(event: Change) -> dict[str, Any]:
    return {
        "__typename": ENTITY_CHANGE,
        "id": global_id(event.entity, event.key),
        "entity": event.entity,
        "change": ChangeKind(event.kind).name,
        "changedAt": print_datetime(event.at),
        "source": event.source,
    }


def _run(event: RunState) -> dict[str, Any]:
    return {
        "__typename": SYNC_RUN,
        "id": str(event.run_id),
        "source": event.source,
        "operation": event.operation,
        "status": RunStatus(event.status).name,
        "startedAt": print_datetime(event.started_at),
        "finishedAt": print_datetime(event.finished_at) if event.finished_at else None,
        "error": event.error,
        "pages": event.pages,
        "fetched": event.fetched,
        "applied": event.applied,
        "unchanged": event.unchanged,
        "duplicate": event.duplicate,
        "quarantined": event.quarantined,
    }
