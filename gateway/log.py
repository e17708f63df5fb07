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
_stream: Any = None


def configure_logging(stream: Any = None) -> None:
    """Send every event to `stream` (standard error) as one JSON line; values are escaped, so nothing can forge a line."""
    global _stream
    _stream = stream
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, _line],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
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
    stream = sys.stderr if _stream is None or _stream.closed else _stream
    traced = f', "trace_id": "{trace}"' if (trace := TRACE.get()) else ""
    stream.write(f'{begun}{numbers}{traced}, "timestamp": "{datetime.now().isoformat()}"}}\n')
    stream.flush()


def _line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    if trace := TRACE.get():
        fields["trace_id"] = trace
    fields["timestamp"] = datetime.now().isoformat()
    return _encode(fields)
