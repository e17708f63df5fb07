"""Structured logs: one JSON line an event, constant names, counts instead of people."""

import asyncio
import atexit
import json
import logging
import sys
from collections import deque
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import structlog

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""The trace identifier of the request that is being answered; it stands in each of its lines."""
SOON = 0.1
"""Seconds that a line about a call may wait for others; what is told by `logger` comes at once, behind those that wait."""
MOST_WAITING = 200
_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


class _Out:
    """Where lines go: what `configure_logging` was given for as long as it is open, else standard error as it is now.

    No call and no request may fail because of a line about it.
    """

    def __init__(self) -> None:
        self.stream: Any = None
        self._waiting: deque[str] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where somebody will write what waits."""

    def write(self, text: str) -> None:
        """Behind what waits."""
        self.let_go()
        self._open.write(text)

    def flush(self) -> None:
        self._open.flush()

    def soon(self, text: str) -> None:
        """Write it together with others: a call of the system for each line costs more than all the rest about it."""
        self._waiting.append(text)
        loop = asyncio._get_running_loop()
        if loop is None or len(self._waiting) >= MOST_WAITING:
            self.let_go()
        elif self._loop is not loop:
            self._loop = loop
            loop.call_later(SOON, self.let_go)

    def let_go(self) -> None:
        """Write what waits."""
        self._loop = None
        lines = []
        while self._waiting:
            lines.append(self._waiting.popleft())  # one by one: other threads write too
        if lines:
            self._open.write("".join(lines))
            self._open.flush()

    @property
    def _open(self) -> Any:
        return sys.stderr if self.stream is None or self.stream.closed else self.stream


_out: Any = _Out()
write_what_waits = _out.let_go
"""Write the lines about calls that wait for others; at the end of a process that is not ended by a signal it is done by itself."""
atexit.register(write_what_waits)


def configure_logging(stream: Any = None) -> None:
    """Send every event to `stream` (standard error) as one JSON line; values are escaped, so nothing can forge a line."""
    _out.let_go()
    _out.stream = stream
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, _line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(_out),
        cache_logger_on_first_use=True,
    )


def logger() -> Any:
    """The logger; its methods take a constant event name and fields."""
    return structlog.get_logger()


def line_begun(event: str, fields: Mapping[str, str]) -> str:
    """The beginning of lines of level `info` that have these fields in common, for `tell`."""
    return _encode({"event": event, "level": "info", **fields})[:-1]


def tell(begun: str, numbers: str) -> None:
    """Write a line without the ways of a logger: for what is told of every call. `numbers` are the rest of its fields, each as
    `, "name": 1`, with constant names and without a word of anybody else's.
    """
    traced = f', "trace_id": "{trace}"' if (trace := TRACE.get()) else ""
    _out.soon(f'{begun}{numbers}{traced}, "timestamp": "{datetime.now().isoformat()}"}}\n')


def _line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    if trace := TRACE.get():
        fields["trace_id"] = trace
    fields["timestamp"] = datetime.now().isoformat()
    return _encode(fields)
