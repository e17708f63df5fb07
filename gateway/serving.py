"""uvicorn with the settings this product relies on: our limits on the wire, our way to accept, and an end without loss."""

import asyncio
import contextlib
import functools
import resource
import socket
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import uvicorn
from starlette.types import ASGIApp

from gateway.app import Application
from gateway.garbage import Garbage
from gateway.settings import Settings
from gateway.web.accepting import Listener
from gateway.web.heads import Heads
from gateway.web.kept_out import KeptOut
from gateway.web.patience import Patience
from gateway.web.protocol import GuardedProtocol
from gateway.web.websocket_protocol import GuardedWebSocket

BACKLOG = 2048
TURN = 0.0002
"""Seconds that a thread may keep the interpreter from the event loop, which asks for it again after every system call.
Much less, and both do little but change places."""
THREADS = 4


class Server(uvicorn.Server):
    """A server that takes connections as `Listener` does, and ends as `shutdown` says."""

    def __init__(self, app: Application, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(configured(app, app))
        self.app, self.host, self.port = app, host, port
        self.admission, self.settings = app.admission, app.settings
        self.listeners: list[Listener] = []
        self.has_process = False
        """Whether the process is there for this server alone, so that it may be set up for it."""
        self.garbage = Garbage(lambda: not self.admission.in_flight)
        self.control: socket.socket | None = None
        """To the process that started us: told when we are ready, at its end when it is gone."""
        self.observed: socket.socket | None = None
        """Where `/metrics` is asked for, when it has a port of its own."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything, then listen. Exits with 3 when it cannot."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(3)
        try:
            for one in sockets or [listen(self.host, self.port)]:
                self._listen(one, self.config)
            if self.settings.metrics_port is not None:
                held = self.observed or listen(self.host, self.settings.metrics_port)
                self._listen(held, configured(self.app, self.app.observed()))
        except OSError as error:
            print(f"端口不能用：{error.strerror}", file=sys.stderr)
            await self.lifespan.shutdown()
            sys.exit(3)
        self.servers = []
        if self.has_process:
            sys.setswitchinterval(TURN)
            self.garbage.start()
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "work"))
        self.admission.watch()
        self.started = True
        if self.control is not None:
            self.control.setblocking(False)
            asyncio.get_running_loop().add_reader(self.control, self._abandoned)
            self.control.send(b"ready")

    def _listen(self, listening: socket.socket, config: uvicorn.Config) -> None:
        if not config.loaded:
            config.load()

        def protocol() -> asyncio.Protocol:
            return config.http_protocol_class(  # type: ignore[call-arg]
                config=config, server_state=self.server_state, app_state=self.lifespan.state
            )

        self.listeners.append(Listener(listening, protocol, self.admission, patience_of(self.settings)))

    def _abandoned(self) -> None:
        """Nobody is left who would end us."""
        assert self.control is not None
        if not self.control.recv(100):
            asyncio.get_running_loop().remove_reader(self.control)
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - the listeners have them
        """First say that we are leaving, then take no more connections, then wait for what is going on and for the last
        request of connections that are kept; at the end of our time cancel what is left."""
        self.admission.is_draining = True
        await asyncio.sleep(self.settings.drain_notice)
        for listener in self.listeners:
            listener.close()
        until = time.monotonic() + self.settings.drain_timeout
        await self.app.leave(self.settings.drain_timeout)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self._is_anybody_here() and time.monotonic() < until:
            if self.force_exit:
                break
            await asyncio.sleep(0.02)
        for listener in self.listeners:
            listener.let_go()
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        self.admission.stop()
        self.garbage.stop()
        if not self.force_exit:
            await self.lifespan.shutdown()

    def _is_anybody_here(self) -> bool:
        """Whether anything is going on, or a first request may be on its way."""
        are_waiting = any(listener.quiet.held or listener.making for listener in self.listeners)
        return bool(are_waiting or self.server_state.connections or self.server_state.tasks)


def serve(
    app: Application,
    host: str,
    port: int,
    sockets: Sequence[socket.socket] = (),
    control: socket.socket | None = None,
    observed: socket.socket | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight finish first. Exits with another status than 0 when it cannot start."""
    allow_many_connections()
    server = Server(app, host, port)
    server.control, server.observed, server.has_process = control, observed, True
    with contextlib.suppress(KeyboardInterrupt):
        server.run(list(sockets) or None)
    if not server.started:
        sys.exit(1)


def configured(app: Application, served: ASGIApp) -> uvicorn.Config:
    """How an application is served: our limits on the wire, no names of programs in headers.

    WebSockets are not compressed: what one message may unpack to, and the memory each connection would hold, are not worth it.

    uvicorn's own access log stays off: ours has counts only.
    """
    settings = app.settings
    protocol = functools.partial(
        GuardedProtocol,
        patience=patience_of(settings),
        admission=app.admission,
        heads=Heads(),
        kept_out=KeptOut(app.admission),
    )
    return uvicorn.Config(
        served,
        http=protocol,  # type: ignore[arg-type]
        ws=functools.partial(GuardedWebSocket, stall=settings.stall_timeout),  # type: ignore[arg-type]
        ws_max_size=settings.largest_body,
        ws_ping_interval=settings.heartbeat,
        ws_ping_timeout=settings.heartbeat,
        ws_per_message_deflate=False,
        loop="asyncio",
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
    )


def patience_of(settings: Settings) -> Patience:
    """How long anybody is waited for."""
    return Patience(settings.head_timeout, settings.body_timeout, settings.stall_timeout)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def allow_many_connections() -> None:
    """As many open files as the system lets us have, so that half-open connections do not keep others out."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
