"""What every test may ask for, and how tests log."""

from collections.abc import Iterator

import pytest
import structlog

from contract_tests.servers import postgres_server
from gateway.log import write_what_waits

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


@pytest.fixture(autouse=True)
def _lines_stand_with_their_test() -> Iterator[None]:
    """What a test logs is written while its output is captured, and not behind the summary."""
    yield
    write_what_waits()


@pytest.fixture(scope="session")
def one_postgres() -> Iterator[str]:
    """The URL of the PostgreSQL of this process. It is here because a fixture that modules import is set up by each of them."""
    with postgres_server() as url:
        yield url
