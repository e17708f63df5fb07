"""Structured logs: one JSON line an event, constant names, counts instead of people."""

import asyncio
import atexit
import json
import logging
import sys
import time
from collections import deque
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from typing import Any

import structlog

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""The trace identifier of the request that is being answered; it stands in each of its lines."""
SOON = 0.1
"""Seconds that a line about a call may wait for others; what is told by `logger` comes at once, behind those that wait."""
MOST_WAITING = 50
Told = tuple[str, str, tuple[int | float | str, ...], str, float]
"""How a line begins, how its numbers are written, those, the trace, and the moment."""
_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


class _Out:
    """Where lines go: what `configure_logging` was given for as long as it is open, else standard error as it is now.

    No call and no request may fail because of a line about it.
    """

    def __init__(self) -> None:
        self.stream: Any = None
        self._waiting: deque[Told] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where somebody will write what waits."""

    def write(self, text: str) -> None:
        """Behind what waits."""
        self.let_go()
        self._open.write(text)

    def flush(self) -> None:
        self._open.flush()

    def soon(self, told: Told) -> None:
        """Write it together with others: a call of the system for each line costs more than all the rest about it, and even to
        put its text together is cheaper for many at once."""
        self._waiting.append(told)
        loop = asyncio._get_running_loop()
        if loop is None or len(self._waiting) >= MOST_WAITING:
            self._write_all()
        elif self._loop is not loop:
            self._loop = loop
            loop.call_later(SOON, self.let_go)

    def let_go(self) -> None:
        """Write what waits."""
        self._loop = None
        self._write_all()

    def _write_all(self) -> None:
        lines = []
        while self._waiting:
            lines.append(_text(*self._waiting.popleft()))  # one by one: other threads write too
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


def tell(begun: str, written: str, numbers: tuple[int | float | str, ...]) -> None:
    """Write a line without the ways of a logger: for what is told of every call. `written` says how `numbers`, the rest of its
    fields, are, each as `, "name": %d`, with constant names and without a word of anybody else's.
    """
    _out.soon((begun, written, numbers, TRACE.get(), time.time()))


def _text(begun: str, written: str, numbers: tuple[int | float | str, ...], trace: str, at: float) -> str:
    traced = f', "trace_id": "{trace}"' if trace else ""
    second = int(at)
    return f'{begun}{written % numbers}{traced}, "timestamp": "{_clock(second)}.{int((at - second) * 1e6):06d}"}}\n'


@lru_cache(maxsize=4)
def _clock(second: int) -> str:
    """A second as clocks here show it: there are many lines in one."""
    return datetime.fromtimestamp(second).isoformat()


def _line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    if trace := TRACE.get():
        fields["trace_id"] = trace
    fields["timestamp"] = datetime.now().isoformat()
    return _encode(fields)
