"""Structured logs: one JSON line an event, constant names, counts instead of people."""

import json
import logging
import sys
from collections.abc import MutableMapping
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


def tell(fields: dict[str, Any]) -> None:
    """Write a line of level `info` without the ways of a logger: for what is told of every call.

    `fields` are the line's own from now on; its constant name is `event` among them.
    """
    fields["level"] = "info"
    stream = _stream or sys.stderr
    stream.write(_line(None, "", fields) + "\n")
    stream.flush()


def _line(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    if trace := TRACE.get():
        fields["trace_id"] = trace
    fields["timestamp"] = datetime.now().isoformat()
    return _encode(fields)
