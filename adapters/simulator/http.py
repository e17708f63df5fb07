"""HTTP answers that go wrong, and the server that lets them."""

import asyncio
import socket
from collections.abc import Callable
from email.utils import formatdate

import uvicorn
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from adapters.simulator.faults import Disturbance, Fault
from adapters.simulator.simulation import Simulation

LOGIN_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>统一身份认证</title></head>
<body><form action="/login" method="post"><input name="user"><input name="password" type="password">
<button>登录</button></form></body></html>
"""
TRANSPORT = "simulator.transport"


class Protocol(HttpToolsProtocol):
    """HTTP that hands the connection itself to the answer, so that it can be cut."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = {TRANSPORT: {"transport": self.transport}}


class HttpServer:
    """An ASGI application on one socket; logging, signals and the event loop are left to others.

    `Date` is the simulation's time: clients learn from it how far their clocks are off.
    """

    def __init__(self, app: ASGIApp, clock: Callable[[], float]) -> None:
        config = uvicorn.Config(
            _dated(app, clock),
            http=Protocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level=None,
            server_header=False,
            date_header=False,
        )
        self._server = uvicorn.Server(config)
        self._serving: asyncio.Task[None] | None = None

    async def start(self, listening: socket.socket) -> None:
        """Accept connections."""
        self._serving = asyncio.create_task(self._server.serve([listening]))
        while not (self._server.started or self._serving.done()):  # noqa: ASYNC110 uvicorn has no event for it
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Let running answers end, and stop accepting."""
        self._server.should_exit = True
        if self._serving:
            await self._serving


class Dropped(Response):
    """No answer at all: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close, and wait until the connection is gone."""
        del send
        await _close(scope, receive)


class Truncated(Response):
    """Half of an answer whose full length was announced, and then the connection is closed."""

    def __init__(self, whole: Response) -> None:
        self.whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head and half the body."""
        body = bytes(self.whole.body)
        await send({"type": "http.response.start", "status": self.whole.status_code, "headers": self.whole.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await _close(scope, receive)


async def disturbed(
    simulation: Simulation, disturbance: Disturbance, response: Response, special: Callable[[Fault], Response]
) -> Response:
    """What becomes of an answer; `special` says in the protocol's own way “too many” and “again later”."""
    if not await simulation.wait(disturbance.seconds):
        return Dropped()
    match disturbance.fault:
        case None:
            return response
        case Fault(kind="fail"):
            return Response("Internal Server Error", 500, media_type="text/plain")
        case Fault(kind="truncate"):
            return Truncated(response)
        case Fault(kind="garbage"):
            return login_page()
        case Fault(kind="throttle" | "fault") as fault:
            return special(fault)
        case _:
            return Dropped()


def _dated(app: ASGIApp, clock: Callable[[], float]) -> ASGIApp:
    async def dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"date", formatdate(clock(), usegmt=True).encode())]
            await send(message)

        await app(scope, receive, send_dated)

    return dated


def login_page() -> Response:
    """What a gateway in front of the real system answers when its own session is over: 200 and HTML."""
    return HTMLResponse(LOGIN_PAGE)


async def _close(scope: Scope, receive: Receive) -> None:
    scope["extensions"][TRANSPORT]["transport"].close()
    while (await receive())["type"] != "http.disconnect":
        pass
