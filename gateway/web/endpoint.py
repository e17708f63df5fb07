"""GraphQL over HTTP on `/graphql`: POST and GET, and the page for people who open it in a browser."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from gateway.context import Deadline, RequestContext
from gateway.engine.engine import Engine, Result
from gateway.engine.preparation import Refused
from gateway.limits import (
    STATUS,
    BadRequest,
    GraphQLRequest,
    check_content_type,
    parse_query_string,
    parse_request,
    read_body,
)
from gateway.log import logger
from gateway.settings import Settings
from gateway.web.documents import Documents
from gateway.web.negotiation import JSON_TYPE, media_type, wants_html
from gateway.web.origin import check_host, check_origin
from gateway.web.parts import PartsResponse, takes_parts
from gateway.web.response import VARY, answer, refusal, to_bytes

METHODS = "GET, HEAD, POST"
TRACE_HEADER = "apollo-federation-include-trace"


class Endpoint:
    """The application behind `/graphql`."""

    def __init__(self, engine: Callable[[], Engine], settings: Settings, page: Callable[[], str]) -> None:
        self.engine, self.settings, self.page = engine, settings, page
        self.documents = Documents(settings.persisted_kept, settings.trusted_documents, settings.only_trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; when the client leaves, everything that was going on for it ends."""
        request = Request(scope, receive)
        response: Response | None
        try:
            response = await self._respond(request)
        except BadRequest as bad:
            response = self._refusal(request, bad)
        except ClientDisconnect:
            return  # in the middle of its body
        except Exception as error:  # a bug of ours: the client is told that, and nothing of what happened inside
            logger().error("request.internal_error", error=type(error).__name__, exc_info=error)
            body = {"errors": [{"message": "内部错误", "extensions": {"code": "INTERNAL"}}]}
            response = refusal(request, body, 500, is_lingering=False)
        if response is not None:
            await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response | None:
        check_host(request.headers.get("host", ""), self.settings.allowed_hosts)
        if request.headers.get("upgrade", "").lower() == "websocket":
            raise BadRequest("WEBSOCKET_NOT_SUPPORTED", "不支持 WebSocket 与订阅（subscription），请用 POST")
        if request.method not in METHODS.split(", "):
            raise BadRequest("METHOD_NOT_ALLOWED", f"{request.method[:20]} 不可用，请用 GET 或 POST")
        is_read = request.method != "POST"
        if is_read and self._is_for_people(request):
            headers = {"cache-control": "no-cache", "vary": VARY, "x-frame-options": "DENY"}
            return HTMLResponse(self.page(), headers=headers)
        check_origin(request, self.settings.allowed_origins)
        if media_type(request.headers.get("accept")) is None:
            raise BadRequest("NOT_ACCEPTABLE", "只能以 application/graphql-response+json 或 application/json 答复")
        if is_read:
            asked = parse_query_string(request.scope["query_string"])
        else:
            headers_given = request.headers
            check_content_type(headers_given.getlist("content-type"), headers_given.get("content-encoding"))
            length = headers_given.get("content-length")
            asked = parse_request(await read_body(request.stream(), length, self.settings.largest_body))
        return await _unless_gone(request, self._answer(request, asked, is_read))

    async def _answer(self, request: Request, asked: GraphQLRequest, is_read: bool) -> Response:
        text = self.documents.text_of(asked)
        engine = self.engine()
        if is_read:
            self._check_query_only(engine, text, asked.operation_name)
        is_explained = self.settings.allow_explain and request.headers.get("x-explain") == "1"
        is_traced = self.settings.federated_tracing and request.headers.get(TRACE_HEADER) == "ftv1"
        context = RequestContext(Deadline.after(self.settings.request_timeout), explain=is_explained, trace=is_traced)
        if takes_parts(request.headers.get("accept")):
            outcome = await engine.execute_in_parts(text, asked.variables, asked.operation_name, context)
            if not isinstance(outcome, Result):
                return PartsResponse(outcome)
            result = outcome
        else:
            result = await engine.execute(text, asked.variables, asked.operation_name, context)
        if result.executed:
            self.documents.remember(asked)
        content = to_bytes(result.body())
        if len(content) > self.settings.largest_answer:
            content = to_bytes(_too_large(self.settings.largest_answer))
            return await answer(request, content, 200, is_clean=False)
        return await answer(request, content, _status(request, result), is_clean=not result.errors)

    def _check_query_only(self, engine: Engine, text: str, operation_name: str | None) -> None:
        """GET is safe by the meaning of HTTP: what may change something is refused before anything else is looked at."""
        try:
            operation = engine.preparation.operation_type(text, operation_name)
        except Refused:
            return  # it will be refused again, with its reasons
        if operation != "query":
            raise BadRequest("METHOD_NOT_ALLOWED", f"GET 只能查询（query），{operation} 请用 POST")

    def _is_for_people(self, request: Request) -> bool:
        is_asking = any(name in request.query_params for name in ("query", "documentId", "extensions"))
        return not is_asking and self.settings.introspection and wants_html(request.headers.get("accept"))

    def _refusal(self, request: Request, bad: BadRequest) -> Response:
        is_json = media_type(request.headers.get("accept")) in (JSON_TYPE, None)
        status = 200 if bad.is_operation and is_json else bad.status
        response = refusal(request, bad.body(), status, bad.code in ("BODY_TOO_LARGE", "REQUEST_TIMEOUT"))
        if bad.code == "METHOD_NOT_ALLOWED":
            response.headers["allow"] = "POST" if request.method in METHODS else METHODS
        return response


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Response]) -> Response | None:
    """The result of the work, or None when the client left first; the work is cancelled then."""
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_until_gone(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _status(request: Request, result: Result) -> int:
    """What never ran has its status in the newer media type; `application/json` answers it with 200, as old clients expect."""
    if result.executed or media_type(request.headers.get("accept")) == JSON_TYPE:
        return 200
    return STATUS.get(str((result.errors[0].extensions or {}).get("code")), 400)


def _too_large(most: int) -> dict[str, object]:
    error = {"message": f"答案超过 {most} 字节，请减少条数或字段", "extensions": {"code": "ANSWER_TOO_LARGE"}}
    return {"errors": [error], "data": None}
