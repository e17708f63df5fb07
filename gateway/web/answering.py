"""From a request that was let in to its result: each class of operation within its own share, and all of it in time."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from typing import Any

from graphql import GraphQLError

from gateway.context import Deadline, RequestContext
from gateway.engine.engine import Engine, Result
from gateway.engine.preparation import Refused
from gateway.engine.remembered import Known
from gateway.limits import BadRequest, GraphQLRequest
from gateway.settings import Settings
from gateway.web.admission import Admission
from gateway.web.documents import Documents
from gateway.web.learning import Learning, overloaded
from gateway.web.wanted import Wanted

MARGIN, MOST_MARGIN = 0.1, 0.1
"""The part of its time, and the most seconds, that are kept back to write the answer."""
OTHER, SEVERAL, SCHEMA = "other", "several", "introspection"
"""What metrics call an operation that never ran, one of several roots, one that reads the schema."""


class Answering:
    """The way from a text to its result. One for the process."""

    def __init__(
        self, engine: Callable[[], Engine], settings: Settings, documents: Documents, admission: Admission
    ) -> None:
        self.engine, self.settings, self.documents, self.admission = engine, settings, documents, admission
        self.learning = Learning(settings.learning_share, settings.most_learning, self._is_busy)
        self.labels: OrderedDict[tuple[str, str | None], str] = OrderedDict()

    async def result(
        self,
        text: str,
        asked: GraphQLRequest,
        told: Wanted,
        deadline: Deadline,
    ) -> Result | AsyncIterator[dict[str, Any]]:
        """The result, by the deadline: what sources and the store did not tell by then is an error where it would have been.

        Who takes what is deferred later is given the payloads then, when there is any such thing.

        Raises BadRequest: 503 for what there is no room for, 405 for a read that would be none.
        """
        engine, name, is_read = self.engine(), asked.operation_name, told.is_read
        known = engine.preparation.known_of(text, name)
        if known is None:
            refused = await self.learning.prepare(
                lambda: self._read(engine, text, name, is_read),
                lambda: engine.learn(text, asked.variables, name),
                deadline=deadline,
            )
            if refused is not None:
                return refused
            known = engine.preparation.known_of(text, name)
        elif is_read:
            _check_query_only(engine, text, name)
        is_heavy = known is not None and known.cost >= self.settings.heavy_cost
        if is_heavy and not self.admission.take_heavy():
            raise overloaded("heavy")
        try:
            kept_back = min(MOST_MARGIN, deadline.left * MARGIN)
            until = Deadline(deadline.at - kept_back)
            context = RequestContext(until, explain=told.is_explained, trace=told.is_traced, deliverer=told.deliverer)
            ready = engine.ask(text, asked.variables, name, context, told.in_parts)
            if isinstance(ready, Result):
                return ready
            if (result := await engine.shortly(ready)) is not None:
                return result
            if (lane := ready.prepared.lane) is not None:
                self.learning.offer(lane.due)
            async with asyncio.timeout(deadline.left):
                if ready.comes_in_parts:
                    return engine.in_parts(ready)
                result = await engine.at_length(ready)
            if (projection := ready.prepared.projection) is not None:
                self.learning.offer(projection.due)
            return result
        except TimeoutError:
            late = GraphQLError("请求时限已到", extensions={"code": "DEADLINE_EXCEEDED"})
            return Result(None, [late], {}, executed=True)
        finally:
            if is_heavy:
                self.admission.give_heavy()

    def label(self, text: str, asked: GraphQLRequest) -> str:
        """What metrics and traces call the operation: a registered one by its name, any other by its root field.

        Never a word of the client: whoever names operations could write anything into our metrics, people's numbers too.
        """
        key = (text, asked.operation_name)
        if (label := self.labels.get(key)) is None:
            known = self.engine().preparation.known_of(*key)
            if known is None:
                return OTHER
            label = self._label(known, text)
            self.labels[key] = label
            if len(self.labels) > self.settings.plans_kept:
                self.labels.popitem(last=False)
        return label

    def _label(self, known: Known, text: str) -> str:
        if known.name and self.documents.is_registered(text):
            return known.name
        roots = {SCHEMA if root.startswith("__") else root for root in known.roots}
        return roots.pop() if len(roots) == 1 else SEVERAL

    def _read(self, engine: Engine, text: str, name: str | None, is_read: bool) -> Result | None:
        if is_read:
            _check_query_only(engine, text, name)
        return engine.read(text, name)

    def _is_busy(self, learning: int) -> bool:
        return self.admission.in_flight > learning or self.admission.is_late


def _check_query_only(engine: Engine, text: str, operation_name: str | None) -> None:
    """GET is safe by the meaning of HTTP: what may change something is refused before anything else is looked at."""
    try:
        operation = engine.preparation.operation_type(text, operation_name)
    except Refused:
        return  # it will be refused again, with its reasons
    if operation != "query":
        raise BadRequest("METHOD_NOT_ALLOWED", f"GET 只能查询（query），{operation} 请用 POST")
