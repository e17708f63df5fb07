"""GraphQL over WebSocket by the protocol graphql-transport-ws, spoken by Strawberry's handler; every operation, queries too,
goes the way and is under the limits of those that come by HTTP."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from json import JSONDecodeError
from typing import Any, cast

import msgspec
from graphql import GraphQLError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler
from strawberry.subscriptions.protocols.graphql_transport_ws.types import Message, SubscribeMessage
from strawberry.types.execution import ExecutionResult, PreExecutionError
from strawberry.types.unset import UNSET

from gateway import metrics
from gateway.context import Deadline
from gateway.engine.engine import Result
from gateway.engine.subscriptions import Subscription
from gateway.limits import BadRequest, GraphQLRequest, parse_json, request_of
from gateway.log import logger
from gateway.web.learning import overloaded
from gateway.web.live import Live, refused, wait_all
from gateway.web.origin import check_host, check_origin
from gateway.web.response import to_bytes

PROTOCOL = "graphql-transport-ws"
GOING_AWAY = 1001
NOT_ACCEPTABLE = 4406
LONGEST_ID = 200


class Sockets:
    """The application behind WebSockets on `/graphql`. One for the process."""

    def __init__(self, live: Live) -> None:
        self.live, self.settings = live, live.settings
        self.open: set[_Handler] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection to its end; then nothing is left that went on for it."""
        websocket = WebSocket(scope, receive, send)
        try:
            self._check(websocket)
        except BadRequest as bad:
            await websocket.send_denial_response(JSONResponse(bad.body(), bad.status))
            return
        if PROTOCOL not in scope["subprotocols"]:
            await websocket.accept()
            await websocket.close(
                NOT_ACCEPTABLE, "Subprotocol not acceptable"
            )  # a page could not see a refused handshake
            return
        await websocket.accept(subprotocol=PROTOCOL)
        handler = _Handler(websocket, self.live)
        self.open.add(handler)
        metrics.SOCKETS.inc()
        try:
            await handler.handle()
        except WebSocketDisconnect:
            pass  # while we were saying something
        finally:
            self.open.discard(handler)
            metrics.SOCKETS.dec()

    async def leave(self, seconds: float) -> None:
        """End every subscription with `complete`, let queries finish, and close with 1001, so that clients reconnect elsewhere."""
        self.live.subscriptions().close()
        await asyncio.gather(*(handler.leave(seconds) for handler in list(self.open)), return_exceptions=True)

    def _check(self, connection: HTTPConnection) -> None:
        check_host(connection.headers.get("host", ""), self.settings.allowed_hosts)
        check_origin(connection, self.settings.allowed_origins)
        if self.live.admission.is_draining or len(self.open) >= self.settings.most_sockets:
            raise BadRequest("TOO_MANY_CONNECTIONS", "WebSocket 连接已满或服务正在停止，请稍后重连")


class _View:
    """What Strawberry's handler asks of the view it thinks it belongs to."""

    def decode_json(self, text: str) -> Any:
        """JSON as strictly as bodies are read. Raises JSONDecodeError."""
        try:
            return parse_json("消息", text)
        except BadRequest as bad:
            raise JSONDecodeError(str(bad), "", 0) from None

    def encode_json(self, message: Mapping[str, Any]) -> str:
        """The message as text."""
        return to_bytes(message).decode()

    async def on_ws_connect(self, _context: None) -> Any:
        """Whoever opens a connection may. What `connection_init` carries will tell the viewer once there are any."""
        return UNSET


class _Handler(BaseGraphQLTransportWSHandler[None, None]):
    """One connection."""

    def __init__(self, websocket: WebSocket, live: Live) -> None:
        self.live, self.connection = live, websocket
        view: Any = _View()
        super().__init__(
            view,
            ASGIWebSocketAdapter(view, websocket, websocket),
            None,
            None,
            cast(Any, self),  # the schema, of which only `stream` is used
            timedelta(seconds=live.settings.socket_init_timeout),
            live.settings.most_socket_operations,
        )

    async def handle_message(self, message: Message) -> None:
        """Refuse what has not the shape of a message of the protocol, then go on as Strawberry does."""
        told: Any = message
        if not isinstance(told, dict) or not isinstance(told.get("type"), str):
            await self.handle_invalid_message("Message should be an object with a type")
            return
        if told["type"] in ("subscribe", "complete"):
            identifier = told.get("id")
            if not isinstance(identifier, str) or not 1 <= len(identifier) <= LONGEST_ID:
                await self.handle_invalid_message(f"Message should have an id of 1 to {LONGEST_ID} characters")
                return
        if told["type"] == "connection_init" and told.get("payload") is None:
            told.pop("payload", None)
        await super().handle_message(message)

    async def handle_subscribe(self, message: SubscribeMessage) -> None:
        """Start an operation; one that cannot be read is answered with an error, and the connection goes on."""
        payload: Any = message.get("payload")
        if not isinstance(payload, dict):
            await self.handle_invalid_message("Message should have a payload")
            return
        if not self.connection_acknowledged or message["id"] in self.operations:
            await super().handle_subscribe({**message, "payload": {"query": ""}})
            return
        try:
            asked = request_of(payload)
            text = self.live.documents.text_of(asked)
        except BadRequest as bad:
            errors = [error.formatted for error in refused(bad).errors]
            await self.send_message({"id": message["id"], "type": "error", "payload": errors})
            return
        variables = None if asked.variables is None else dict(asked.variables)
        told = {"query": text, "variables": variables, "operationName": asked.operation_name}
        await super().handle_subscribe({**message, "payload": cast(Any, told)})
        if asked.document_id and message["id"] in self.operations:
            self.live.documents.remember(asked)

    async def stream(
        self,
        query: str,
        variable_values: Mapping[str, Any] | None,
        operation_name: str | None,
        **_unused: object,
    ) -> "_Results":
        """The results of an operation; Strawberry's handler calls it as a method of the schema."""
        asked = GraphQLRequest(query, None, variable_values, operation_name)
        admission = self.live.admission
        admission.enter()
        try:
            if admission.in_flight > admission.room:
                raise overloaded("busy")
            opened = await self.live.open(query, asked, Deadline.after(self.live.settings.request_timeout))
        except BadRequest as bad:
            opened = refused(bad)
        except Exception as error:  # a bug of ours: the client is told that, and nothing of what happened inside
            await self.handle_task_exception(error)
            opened = refused(_internal())
        finally:
            admission.leave()
        return _Results(opened, self.live)

    async def handle_task_exception(self, error: Exception) -> None:
        """A bug of ours, or a client that left in the middle."""
        if not isinstance(error, WebSocketDisconnect) and self.connection.application_state is WebSocketState.CONNECTED:
            logger().error("socket.internal_error", error=type(error).__name__, exc_info=error)

    async def leave(self, seconds: float) -> None:
        """Let operations finish, then close the connection because the server is going away."""
        await wait_all([operation.task for operation in self.operations.values() if operation.task], seconds)
        if self.connection.application_state is WebSocketState.CONNECTED:
            await self.connection.close(GOING_AWAY, "Server is shutting down")


class _Results:
    """Results as Strawberry's handler takes them: their data is JSON already."""

    def __init__(self, opened: Result | Subscription, live: Live) -> None:
        self.opened, self.live = opened, live
        self.is_over = False

    def __aiter__(self) -> "_Results":
        return self

    async def __anext__(self) -> ExecutionResult:
        if self.is_over:
            raise StopAsyncIteration
        if isinstance(self.opened, Subscription):
            return self._shown(await anext(self.opened))
        self.is_over = True
        return self._shown(self.opened)

    def _shown(self, result: Result) -> ExecutionResult:
        result = self.live.too_large(result)
        if not result.executed:
            return PreExecutionError(None, [_plain(error) for error in result.errors])
        data: Any = msgspec.Raw(to_bytes(result.answer))
        return ExecutionResult(data, result.errors or None, result.extensions or None)

    async def aclose(self) -> None:
        """Nothing more is wanted."""
        self.is_over = True
        if isinstance(self.opened, Subscription):
            await self.opened.aclose()


def _plain(error: GraphQLError) -> GraphQLError:
    """The same error; for one of syntax Strawberry would close the connection, and end everybody else's operations on it."""
    return GraphQLError(
        error.message, error.nodes, error.source, error.positions, error.path, extensions=error.extensions
    )


def _internal() -> BadRequest:
    return BadRequest("INTERNAL", "内部错误")
