"""GraphQL over HTTP on `/graphql`: POST and GET, and the page for people who open it in a browser."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opentelemetry.trace import Span
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from gateway import metrics, tracing
from gateway.context import Deadline
from gateway.engine.engine import Result
from gateway.engine.subscriptions import Subscription
from gateway.limits import (
    STATUS,
    BadRequest,
    GraphQLRequest,
    check_content_type,
    parse_query_string,
    parse_request,
    parse_timeout,
    read_body,
)
from gateway.log import TRACE, logger
from gateway.settings import Settings
from gateway.web.admission import RETRY_AFTER, WAITED, Admission
from gateway.web.answering import OTHER, Answering
from gateway.web.bodies import Bodies
from gateway.web.delivery_access import DeliveryAccess
from gateway.web.documents import Documents
from gateway.web.events import EventStream
from gateway.web.headers import HttpRequest
from gateway.web.heads import Head
from gateway.web.learning import overloaded
from gateway.web.live import Live
from gateway.web.negotiation import JSON_TYPE, media_type, takes_events, takes_events_only, wants_html
from gateway.web.origin import check_host, check_origin
from gateway.web.parts import PartsResponse
from gateway.web.response import VARY, answer, refusal, to_bytes
from gateway.web.wanted import Wanted, usual, wanted

METHODS = "GET, HEAD, POST"
TAKEN = frozenset(METHODS.split(", "))
TIMEOUT_HEADER = "x-request-timeout"
TRACE_ID = b"x-trace-id"


@dataclass(slots=True)
class Observed:
    """What is told of one request to those who watch: which operation, how it ended, how long it took."""

    span: Span
    waited: float
    """Seconds before the gateway came to it."""
    started: float = field(default_factory=time.perf_counter)
    operation: str = OTHER
    outcome: str = "ok"

    def end(self) -> None:
        """Tell it."""
        metrics.request(self.operation, self.outcome).observe(time.perf_counter() - self.started + self.waited)
        if self.span.is_recording():
            self.span.set_attribute("graphql.operation", self.operation)
            self.span.set_attribute("graphql.outcome", self.outcome)


class Endpoint:
    """The application behind `/graphql`."""

    def __init__(
        self,
        settings: Settings,
        page: Callable[[], str],
        admission: Admission,
        documents: Documents,
        answering: Answering,
        live: Live,
        access: DeliveryAccess | None = None,
    ) -> None:
        self.settings, self.page, self.admission = settings, page, admission
        self.documents, self.answering, self.live, self.access = documents, answering, live, access
        self.takes_usual = not settings.allowed_hosts
        self.bodies = Bodies()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. When the client leaves, the server cancels us, and everything that goes on for it."""
        told = None
        if self.takes_usual and _is_whole(receive):
            told = self._told(scope)
        traceparent = None if told is not None else HttpRequest(scope, receive).headers.get(tracing.HEADER)
        with tracing.request_span(traceparent) as (trace_id, span):
            TRACE.set(trace_id)
            seen = Observed(span, scope.get(WAITED, 0.0))
            try:
                if told is not None:
                    response = await self._usual(receive, told, seen)
                else:
                    response = await self._respond(HttpRequest(scope, receive), seen)
            except BadRequest as bad:
                seen.outcome = "overloaded" if bad.status == 503 else "refused"
                response = self._refusal(HttpRequest(scope, receive), bad)
            except ClientDisconnect:
                return  # in the middle of its body
            except asyncio.CancelledError:
                seen.outcome = "cancelled"
                raise
            except Exception as error:  # a bug of ours: the client is told that, and nothing of what happened inside
                logger().error("request.internal_error", error=type(error).__name__, exc_info=error)
                body = {"errors": [{"message": "内部错误", "extensions": {"code": "INTERNAL"}}]}
                seen.outcome = "internal_error"
                response = refusal(HttpRequest(scope, receive), body, 500, is_lingering=False)
            finally:
                seen.end()
            response.raw_headers.append((TRACE_ID, trace_id.encode()))
            await response(scope, receive, send)

    def _told(self, scope: Scope) -> Wanted | None:
        """What it wants, where it says nothing unusual."""
        headers, largest = scope["headers"], self.settings.largest_body
        if headers.__class__ is Head and headers.length <= largest:
            return headers.told
        return usual(scope["method"], headers, largest)

    async def _usual(self, receive: Receive, told: Wanted, seen: Observed) -> Response:
        """What `_respond` does where none of its rules has anything to say."""
        message = await receive()  # the server has all of the body already
        if message["type"] != "http.request" or message.get("more_body"):
            raise ClientDisconnect
        body = message["body"]
        deadline = Deadline.after(self.settings.request_timeout - seen.waited)
        return await self._answer(told, self.bodies.of(body) or parse_request(body), deadline, seen, body)

    async def _respond(self, request: Request, seen: Observed) -> Response:
        check_host(request.headers.get("host", ""), self.settings.allowed_hosts)
        if request.headers.get("upgrade", "").lower() == "websocket":
            raise BadRequest(
                "WEBSOCKET_NOT_SUPPORTED", "WebSocket 握手应为 HTTP/1.1 的 GET，子协议 graphql-transport-ws"
            )
        if request.method not in TAKEN:
            raise BadRequest("METHOD_NOT_ALLOWED", f"{request.method[:20]} 不可用，请用 GET 或 POST")
        is_read = request.method != "POST"
        if is_read and self._is_for_people(request):
            headers = {"cache-control": "no-cache", "vary": VARY, "x-frame-options": "DENY"}
            return HTMLResponse(self.page(), headers=headers)
        check_origin(request, self.settings.allowed_origins)
        asked_for = request.headers.get(TIMEOUT_HEADER)
        seconds = parse_timeout(asked_for, self.settings.request_timeout, self.settings.longest_timeout)
        deadline = Deadline.after(seconds - seen.waited)
        is_for_events = request.method != "HEAD" and takes_events(request.headers.get("accept"))
        if media_type(request.headers.get("accept")) is None and not is_for_events:
            raise BadRequest("NOT_ACCEPTABLE", "只能以 application/graphql-response+json 或 application/json 答复")
        if is_read:
            asked = parse_query_string(request.scope["query_string"])
        else:
            headers_given = request.headers
            check_content_type(headers_given.getlist("content-type"), headers_given.get("content-encoding"))
            length = headers_given.get("content-length")
            largest, patience = self.settings.largest_body, self.settings.body_timeout
            asked = parse_request(await read_body(request.stream(), length, largest, patience))
        if is_for_events and (stream := await self._events(request, asked, is_read, deadline, seen)) is not None:
            return stream
        deliverer = self.access.deliverer(request) if self.access and not is_read else None
        told = wanted(request, self.settings.allow_explain, self.settings.federated_tracing, deliverer)
        return await self._answer(told, asked, deadline, seen)

    async def _events(
        self, request: Request, asked: GraphQLRequest, is_read: bool, deadline: Deadline, seen: Observed
    ) -> EventStream | None:
        """The answer as events: to a subscription, and to everything where the client reads nothing else."""
        text = self.documents.text_of(asked)
        is_choosing = not takes_events_only(request.headers.get("accept"))
        if is_choosing and not await self.live.is_subscription(text, asked, deadline):
            return None
        results = await self.live.open(text, asked, deadline, is_read)
        seen.operation = self.answering.label(text, asked)
        if isinstance(results, Subscription) or results.executed:
            self.documents.remember(asked)
        else:
            seen.outcome = "refused"
        return EventStream(results, self.live, self.settings.heartbeat)

    async def _answer(
        self, told: Wanted, asked: GraphQLRequest, deadline: Deadline, seen: Observed, body: bytes = b""
    ) -> Response:
        """The response; `body`: what was read, where that may be known the next time."""
        if self.admission.is_crowded:
            raise overloaded("busy")
        text = self.documents.text_of(asked)
        result = await self.answering.result(text, asked, told, deadline)
        seen.operation = self.answering.label(text, asked)
        if not isinstance(result, Result):
            return PartsResponse(result)
        seen.outcome = "refused" if not result.executed else "errors" if result.errors else "ok"
        if result.executed:
            self.documents.remember(asked)
        if (plain := result.plain) is None:
            content = to_bytes(result.body())
        else:
            content = b'{"data":%b}' % plain
            if body:
                self.bodies.keep(body, asked)
        if len(content) > self.settings.largest_answer:
            content = to_bytes(_too_large(self.settings.largest_answer))
            return await answer(told, content, 200, is_clean=False)
        return await answer(told, content, _status(told, result), is_clean=not result.errors)

    def _is_for_people(self, request: Request) -> bool:
        is_asking = any(name in request.query_params for name in ("query", "documentId", "extensions"))
        return not is_asking and self.settings.introspection and wants_html(request.headers.get("accept"))

    def _refusal(self, request: Request, bad: BadRequest) -> Response:
        is_json = media_type(request.headers.get("accept")) in (JSON_TYPE, None)
        status = 200 if bad.is_operation and is_json else bad.status
        response = refusal(request, bad.body(), status, bad.code in ("BODY_TOO_LARGE", "REQUEST_TIMEOUT"))
        if bad.code == "METHOD_NOT_ALLOWED":
            response.headers["allow"] = "POST" if request.method in METHODS else METHODS
        if bad.status == 503:
            response.headers["retry-after"] = str(RETRY_AFTER)
        return response


def _is_whole(receive: Receive) -> bool:
    """Whether uvicorn has read the whole request, so that nobody need wait for it."""
    return getattr(getattr(receive, "__self__", None), "more_body", True) is False


def _status(told: Wanted, result: Result) -> int:
    """What never ran has its status in the newer media type; `application/json` answers it with 200, as old clients expect."""
    if result.executed or told.media_type == JSON_TYPE:
        return 200
    return STATUS.get(str((result.errors[0].extensions or {}).get("code")), 400)


def _too_large(most: int) -> dict[str, object]:
    error = {"message": f"答案超过 {most} 字节，请减少条数或字段", "extensions": {"code": "ANSWER_TOO_LARGE"}}
    return {"errors": [error], "data": None}
