"""What a line of the log is, whichever way it is written."""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from contextvars import copy_context
from datetime import datetime

import pytest
import structlog

from contract_tests.waiting import until_at_last
from gateway import log
from gateway.log import MOST_WAITING, SOON, TRACE, configure_logging, line_begun, logger, tell

FORGED = 'a%d"\n{"event": "forged"}\u2028'


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    written, before = io.StringIO(), structlog.get_config()
    monkeypatch.setattr(log._out, "stream", None)
    configure_logging(written)
    yield written
    structlog.configure(**before)


def test_both_ways_write_the_same_line_and_nothing_can_forge_one(stream: io.StringIO) -> None:
    def write() -> None:
        TRACE.set("4bf92f3577b34da6a3ce929d0e0e4736")
        tell(line_begun("source.call", {"source": FORGED}), ', "keys": %d, "ms": %.1f', (2, 1.52))
        logger().info("source.call", source=FORGED, keys=2, ms=1.5)

    copy_context().run(write)
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    told = [json.loads(line) for line in lines]
    for line in told:
        datetime.fromisoformat(line.pop("timestamp"))
    fields = {"event": "source.call", "source": FORGED, "keys": 2, "ms": 1.5, "level": "info"}
    assert told == [{**fields, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}] * 2


def test_outside_a_request_no_trace_is_named_and_an_error_has_its_level_and_its_place(stream: io.StringIO) -> None:
    try:
        raise ValueError("nobody's")
    except ValueError as error:
        logger().error("request.internal_error", exc_info=error)
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"], "trace_id" in line) == ("request.internal_error", "error", False)
    assert "ValueError: nobody's" in line["exception"]
    logger().debug("nobody reads this")
    assert stream.getvalue().count("\n") == 1


def test_a_stream_that_was_closed_fails_nobody(stream: io.StringIO, capsys: pytest.CaptureFixture[str]) -> None:
    stream.close()
    tell(line_begun("source.call", {"source": "a"}), ', "keys": %d', (1,))
    logger().error("request.internal_error")
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in told] == ["source.call", "request.internal_error"]


def test_lines_about_calls_wait_for_others_and_keep_their_trace_their_moment_and_their_turn(
    stream: io.StringIO,
) -> None:
    begun = line_begun("source.call", {"source": "a"})

    def count() -> int:
        return stream.getvalue().count("\n")

    async def calls() -> None:
        for number in range(MOST_WAITING - 1):
            TRACE.set(f"{number:032x}")
            tell(begun, ', "keys": %d', (number,))
        assert count() == 0
        told_by = time.time()
        await asyncio.sleep(SOON / 10)
        tell(begun, ', "keys": %d', (MOST_WAITING - 1,))
        assert count() == MOST_WAITING
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["keys"] for line in lines] == list(range(MOST_WAITING))
        assert [line["trace_id"] for line in lines[:-1]] == [f"{number:032x}" for number in range(MOST_WAITING - 1)]
        assert all(datetime.fromisoformat(line["timestamp"]).timestamp() <= told_by for line in lines[:-1])
        tell(begun, ', "keys": %d', (0,))
        assert count() == MOST_WAITING
        await until_at_last(lambda: count() > MOST_WAITING)
        tell(begun, ', "keys": %d', (1,))
        logger().info("something.else")
        last = [json.loads(line)["event"] for line in stream.getvalue().splitlines()[-2:]]
        assert last == ["source.call", "something.else"]

    asyncio.run(calls())
