"""GraphQL over HTTP: POST and GET on `/graphql`, the page for browsers, and the health of the process."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.context import Deadline, RequestContext
from gateway.engine.engine import Engine, Result
from gateway.limits import BadRequest, GraphQLRequest, check_content_type, parse_request, read_body, request_of
from gateway.settings import Settings

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"


class Endpoint:
    """The handlers of `/graphql`."""

    def __init__(self, engine: Callable[[], Engine], settings: Settings, page: Callable[[], str]) -> None:
        self.engine, self.settings, self.page = engine, settings, page

    async def post(self, request: Request) -> Response:
        """Answer an operation."""
        try:
            check_content_type(request.headers.get("content-type"), request.headers.get("content-encoding"))
            body = await read_body(request.stream(), self.settings.largest_body)
            return await self._answer(request, parse_request(body))
        except BadRequest as bad:
            return _refusal(request, bad)

    async def get(self, request: Request) -> Response:
        """The page for a browser, or the answer to `?query=…`."""
        if "query" not in request.query_params and "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(self.page())
        try:
            tree: dict[str, Any] = dict(request.query_params)
            for name in ("variables", "extensions"):
                if name in tree:
                    tree[name] = _parsed(name, tree[name])
            return await self._answer(request, request_of(tree))
        except BadRequest as bad:
            return _refusal(request, bad)

    async def _answer(self, request: Request, asked: GraphQLRequest) -> Response:
        is_explained = self.settings.allow_explain and request.headers.get("x-explain") == "1"
        context = RequestContext(Deadline.after(self.settings.request_timeout), explain=is_explained)
        result = await self.engine().execute(asked.query, asked.variables, asked.operation_name, context)
        return _response(request, result.body(), _status(request, result))


def _parsed(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest(400, f"{name} 不是合法的 JSON") from None


def _media_type(request: Request) -> str:
    """`application/json` for clients that only know that; the newer type for everybody who asks for it."""
    accept = request.headers.get("accept", "*/*")
    return RESPONSE_TYPE if RESPONSE_TYPE in accept else JSON_TYPE


def _status(request: Request, result: Result) -> int:
    """What never ran is 400 in the newer media type; `application/json` answers it with 200, as old clients expect."""
    if result.executed or _media_type(request) == JSON_TYPE:
        return 200
    return 400


def _refusal(request: Request, bad: BadRequest) -> Response:
    return _response(request, {"errors": [{"message": str(bad), "extensions": {"code": bad.code}}]}, bad.status)


def _response(request: Request, body: dict[str, Any], status: int) -> Response:
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(content, status, media_type=f"{_media_type(request)}; charset=utf-8")
