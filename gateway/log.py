"""Structured logs: one JSON line an event, constant names, counts instead of people."""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import structlog

TRACE: ContextVar[str] = ContextVar("trace", default="")
"""The trace identifier of the request that is being answered; it stands in each of its lines."""
_encode = json.JSONEncoder(ensure_ascii=False, default=repr).encode


class _Out:
    """Where lines go: what `configure_logging` was given for as long as it is open, else standard error as it is now.

    No call and no request may fail because of a line about it.
    """

    stream: Any = None

    def write(self, text: str) -> None:
        self._open.write(text)

    def flush(self) -> None:
        self._open.flush()

    @property
    def _open(self) -> Any:
        return sys.stderr if self.stream is None or self.stream.closed else self.stream


_out: Any = _Out()


def configure_logging(stream: Any = None) -> None:
    """Send every event to `stream` (standard error) as one JSON line; values are escaped, so nothing can forge a line."""
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
    _out.write(f'{begun}{numbers}{traced}, "timestamp": "{datetime.now().isoformat()}"}}\n')
    _out.flush()


def _line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    if trace := TRACE.get():
        fields["trace_id"] = trace
    fields["timestamp"] = datetime.now().isoformat()
    return _encode(fields)
