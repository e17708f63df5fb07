"""What both transports of subscriptions share: from a text to one result or to many, under the limits every request has."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import GraphQLError

from gateway.context import Deadline, RequestContext
from gateway.engine.engine import Result
from gateway.engine.preparation import Refused
from gateway.engine.subscriptions import Subscription, Subscriptions
from gateway.limits import BadRequest, GraphQLRequest
from gateway.settings import Settings
from gateway.web.admission import Admission
from gateway.web.answering import Answering
from gateway.web.documents import Documents
from gateway.web.learning import overloaded
from gateway.web.response import to_bytes
from gateway.web.wanted import Wanted

SUBSCRIPTION = "subscription"


class Live:
    """The way of an operation that may be a subscription. One for the process."""

    def __init__(
        self,
        subscriptions: Callable[[], Subscriptions],
        answering: Answering,
        documents: Documents,
        settings: Settings,
        admission: Admission,
    ) -> None:
        self.subscriptions, self.answering, self.documents = subscriptions, answering, documents
        self.settings, self.admission = settings, admission

    async def open(
        self, text: str, asked: GraphQLRequest, deadline: Deadline, is_read: bool = False
    ) -> Result | Subscription:
        """The result of a query, or the subscription, which the caller has to close. Raises BadRequest.

        `is_read`: it was asked for by GET, which changes nothing, so that a mutation is refused.
        """
        if self.admission.is_crowded:
            raise overloaded("busy")
        try:
            kind = await self._kind(text, asked, deadline)
            if kind != SUBSCRIPTION:
                result = await self.answering.result(
                    text, asked, Wanted("GET" if is_read else "POST", None, None), deadline
                )
                assert isinstance(result, Result)  # nothing comes in parts here
                return result
            return await self.subscriptions().subscribe(text, asked.variables, asked.operation_name, self._context)
        except Refused as refused:
            return Result(None, refused.errors, {}, executed=False)

    async def is_subscription(self, text: str, asked: GraphQLRequest, deadline: Deadline) -> bool:
        """Whether it is one; not for what does not even parse. Raises BadRequest."""
        try:
            return await self._kind(text, asked, deadline) == SUBSCRIPTION
        except Refused:
            return False

    def too_large(self, result: Result) -> Result:
        """The result, or an error in its place when it is larger than an answer may be."""
        largest = self.settings.largest_answer
        if len(to_bytes(result.body())) <= largest:
            return result
        message = f"答案超过 {largest} 字节，请减少条数或字段"
        error = GraphQLError(message, extensions={"code": "ANSWER_TOO_LARGE"})
        return Result(None, [error], {}, executed=True)

    async def _kind(self, text: str, asked: GraphQLRequest, deadline: Deadline) -> str:
        """The kind of the operation; a subscription never seen before is prepared in its turn, as other texts are."""
        preparation = self.subscriptions().engine.preparation

        def learn() -> str:
            kind = preparation.operation_type(text, asked.operation_name)
            if kind == SUBSCRIPTION:
                preparation.prepare_subscription(text, asked.variables or {}, asked.operation_name)
            return kind

        if (text, asked.operation_name) in preparation.texts:
            return learn()
        kind = await self.answering.learning.prepare(learn, deadline=deadline)
        assert kind is not None
        return kind

    def _context(self) -> RequestContext:
        """Of the answer to one event: it has the time that a request has."""
        return RequestContext(Deadline.after(self.settings.request_timeout))


def refused(bad: BadRequest) -> Result:
    """The result that says why an operation is not even looked at."""
    error: Mapping[str, Any] = bad.body()["errors"][0]
    return Result(None, [GraphQLError(error["message"], extensions=error["extensions"])], {}, executed=False)


async def wait_all(tasks: Sequence[asyncio.Task[Any]], seconds: float) -> None:
    """Until all are done, or the time is up."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
