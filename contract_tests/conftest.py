"""What every test may ask for, and how tests log."""

import pytest
import structlog

structlog.configure(  # the default prints every local variable of a traceback, schemas and specifications among them
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio."""
    return "asyncio"
