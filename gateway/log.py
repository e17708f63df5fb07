"""Structured logs: one JSON line an event, constant names, counts instead of people."""

import logging
import sys
from typing import Any

import structlog


def configure_logging(stream: Any = None) -> None:
    """Send every event to `stream` (standard error) as one JSON line; values are escaped, so nothing can forge a line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=True,
    )


def logger() -> Any:
    """The logger; its methods take a constant event name and fields."""
    return structlog.get_logger()
