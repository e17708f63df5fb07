"""uvicorn with the settings this product relies on: our limits on the wire, our way to accept, and an end without loss."""

import asyncio
import contextlib
import functools
import os
import resource
import socket
import sys
import time
from collections.abc import Sequence

import uvicorn
from starlette.types import ASGIApp

from gateway.settings import Settings
from gateway.web.accepting import Listener
from gateway.web.admission import Admission
from gateway.web.protocol import GuardedProtocol, Patience

BACKLOG = 2048


class Server(uvicorn.Server):
    """A server that takes connections as `Listener` does, and ends as `shutdown` says."""

    def __init__(self, config: uvicorn.Config, admission: Admission, settings: Settings) -> None:
        super().__init__(config)
        self.admission, self.settings = admission, settings
        self.listeners: list[Listener] = []
        self.ready: int | None = None
        """A file descriptor that is told when we are ready to serve."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open everything, then listen. Exits with 3 when it cannot."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(3)
        try:
            listening = sockets or [listen(self.config.host, self.config.port)]
        except OSError as error:
            print(f"端口 {self.config.port} 不能用：{error.strerror}", file=sys.stderr)
            await self.lifespan.shutdown()
            sys.exit(3)
        for one in listening:
            self.listeners.append(Listener(one, self._protocol, self.admission))
        self.servers = []
        self.admission.watch()
        self.started = True
        if self.ready is not None:
            os.write(self.ready, b"ready\n")
            os.close(self.ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - the listeners have them
        """First say that we are leaving, then take no more connections, then wait for what is going on and for the last
        request of connections that are kept; at the end of our time cancel what is left."""
        self.admission.is_draining = True
        await asyncio.sleep(self.settings.drain_notice)
        for listener in self.listeners:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        until = time.monotonic() + self.settings.drain_timeout
        while (self.server_state.connections or self.server_state.tasks) and time.monotonic() < until:
            if self.force_exit:
                break
            await asyncio.sleep(0.02)
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        self.admission.stop()
        if not self.force_exit:
            await self.lifespan.shutdown()

    def _protocol(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )  # type: ignore[call-arg]
        return made


def serve(
    app: ASGIApp,
    admission: Admission,
    settings: Settings,
    host: str,
    port: int,
    sockets: Sequence[socket.socket] = (),
    ready: int | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight finish first. Exits with 1 when it could not start."""
    allow_many_connections()
    server = Server(configured(app, admission, settings, host, port), admission, settings)
    server.ready = ready
    with contextlib.suppress(KeyboardInterrupt):
        server.run(list(sockets) or None)
    if not server.started:
        sys.exit(1)


def configured(
    app: ASGIApp, admission: Admission, settings: Settings, host: str = "127.0.0.1", port: int = 0
) -> uvicorn.Config:
    """How the application is served: our limits on the wire, no WebSocket, no names of programs in headers.

    uvicorn's own access log stays off: ours has counts only.
    """
    protocol = functools.partial(
        GuardedProtocol,
        patience=Patience(settings.head_timeout, settings.body_timeout, settings.stall_timeout),
        admission=admission,
        critical=settings.critical_header.encode("latin-1"),
    )
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",
        access_log=False,
        log_level="error",
        server_header=False,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def allow_many_connections() -> None:
    """As many open files as the system lets us have, so that half-open connections do not keep others out."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
