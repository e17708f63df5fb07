"""uvicorn with the settings this product relies on."""

import contextlib
import functools
import resource
import sys

import uvicorn
from starlette.types import ASGIApp

from gateway.settings import Settings
from gateway.web.protocol import GuardedProtocol, Patience


def serve(app: ASGIApp, settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM; requests in flight finish first. Exits with 1 when it could not start."""
    allow_many_connections()
    server = uvicorn.Server(configured(app, settings, host, port))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(1)


def configured(app: ASGIApp, settings: Settings, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """How the application is served: our limits on the wire, no WebSocket, no names of programs in headers.

    uvicorn's own access log stays off: ours has counts only.
    """
    patience = Patience(settings.head_timeout, settings.body_timeout, settings.stall_timeout)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=functools.partial(GuardedProtocol, patience=patience),  # type: ignore[arg-type]
        ws="none",
        loop="asyncio",
        access_log=False,
        log_level="error",
        server_header=False,
    )


def allow_many_connections() -> None:
    """As many open files as the system lets us have, so that half-open connections do not keep others out."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
