"""FAULTS.md group R: what a REST source does wrong, and what its adapter makes of it, one row each.

Every row runs a source of this repository over a socket that misbehaves once and is well afterwards: the fault ends in
its typed error, tells the public nothing of what the source said, and leaves nothing behind that the next call trips
over. Retries, breaker and budgets are above the adapter and tested there; R1's TLS and R4's addresses also stand, for
every client, in test_http_client_tls.py and test_http_client_addresses.py, R7's numbers in test_json_tree.py.
"""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from adapters.errors import SourceError
from adapters.inflate import LARGEST_ANSWER
from adapters.mapping.load import load_mappings
from adapters.open import open_source
from adapters.source import Call, Page, Source
from contract_tests.raw_http import LONG, SHORT, Behaviour, answer, endless, sends, server, silence, trickles
from schema.load import load_registry

pytestmark = pytest.mark.anyio

MARKET = load_mappings(load_registry())["binhai_market"]
CANARY = "ORA-00942: T_CASE, jdbc:oracle:thin:@10.1.2.3, 350102199003070011"
RECORD = {"AJBH": "2024-1", "AJMC": "某案"}
JSON = "Content-Type: application/json"


def enveloped(*records: Any, **parts: Any) -> bytes:
    """An answer of this source as it should be, except for `parts`."""
    whole = {"code": "0", "msg": CANARY, "data": {"list": list(records), "total": len(records)}, **parts}
    return json.dumps(whole, ensure_ascii=False).encode()


WELL = answer(enveloped(RECORD), JSON)


@dataclass(frozen=True, slots=True)
class Failed:
    """How a call ended: the code a client reads, and for how long the source wants to be left alone."""

    code: str
    retry_after: float | None = None


@asynccontextmanager
async def misbehaving(behave: Behaviour, heads: list[bytes] | None = None) -> AsyncIterator[Source]:
    """A source behind a server that does this to the first request and answers all others."""
    is_first = True

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal is_first
        was_first, is_first = is_first, False
        await (behave if was_first else sends(WELL))(reader, writer)

    async with server(serve, heads) as url:
        source = open_source(MARKET, {"BINHAI_MARKET_URL": url, "BINHAI_MARKET_TOKEN": "CANARY-token"})
        try:
            yield source
        finally:
            await source.aclose()


async def outcome(source: Source, timeout: float = LONG) -> list[Any] | Failed:
    """The records of a page of changes, or how asking for it failed. No error may tell what the source said."""
    try:
        page: Page = await source.call(Call("cases_changed", timeout, page=1, size=5))
        return list(page.records)
    except SourceError as raised:
        error = raised
    assert (error.source, error.operation) == ("binhai_market", "cases_changed")
    assert error.public_message == type(error).__doc__
    assert "CANARY" not in f"{error!s} {error!r}"
    return Failed(error.code, error.retry_after)


def row(id: str, sent: bytes | Behaviour, expected: list[Any] | Failed) -> Any:
    return pytest.param(sends(sent) if isinstance(sent, bytes) else sent, expected, id=id)


UNAVAILABLE, TIMEOUT = Failed("SOURCE_UNAVAILABLE"), Failed("SOURCE_TIMEOUT")
BROKEN, REJECTED, DENIED = Failed("SOURCE_CONTRACT_BROKEN"), Failed("SOURCE_REJECTED"), Failed("SOURCE_DENIED")


def status(line: str, *headers: str) -> bytes:
    """An error page of some server, with all it should not have told."""
    return answer(f"<html><body><pre>{CANARY}\n\tat oracle.jdbc</pre></body></html>".encode(), *headers, status=line)


def throttled(after: float | None) -> Failed:
    return Failed("SOURCE_THROTTLED", after)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LOGIN = f"<!DOCTYPE html><html><title>登录</title>{CANARY}</html>".encode()
PACKED = "Content-Encoding: gzip"

ROWS = [
    # R1 refused and TLS: below. R2: see test_a_deadline_ends_the_call
    row("R2 endless body", endless, BROKEN),
    row("R2 endless head", trickles(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 60_000 + b"\r\n"), BROKEN),
    row("R2 closed without a word", sends(close=True), UNAVAILABLE),
    row("R3 500", status("500 Internal Server Error"), UNAVAILABLE),
    row("R3 502", status("502 Bad Gateway"), UNAVAILABLE),
    row("R3 503", status("503 Service Unavailable"), UNAVAILABLE),
    row("R3 503 for 2 s", status("503 Service Unavailable", "Retry-After: 2"), Failed("SOURCE_UNAVAILABLE", 2.0)),
    row("R3 504", status("504 Gateway Timeout"), UNAVAILABLE),
    row("R3 400", status("400 Bad Request"), REJECTED),
    row("R3 401", status("401 Unauthorized"), DENIED),
    row("R3 403", status("403 Forbidden"), DENIED),
    row("R3 404", status("404 Not Found"), REJECTED),
    row("R3 429", status("429 Too Many Requests"), throttled(None)),
    row("R3 429 for 1 s", status("429 Too Many Requests", "Retry-After: 1"), throttled(1.0)),
    row("R3 429 for a day", status("429 Too Many Requests", "Retry-After: 86400"), throttled(86400.0)),
    row("R3 429 until 1999", status("429 No", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT"), throttled(0.0)),
    row("R3 429 for bad", status("429 Too Many Requests", "Retry-After: soon"), throttled(None)),
    row("R3 429 for less than nothing", status("429 Too Many Requests", "Retry-After: -5"), throttled(None)),
    row("R4 to the metadata", status("302 Found", "Location: http://169.254.169.254/latest/"), REJECTED),
    row("R4 to a file", status("301 Moved Permanently", "Location: file:///etc/passwd"), REJECTED),
    row("R4 to another host", status("307 Temporary Redirect", "Location: http://127.0.0.2:9/"), REJECTED),
    row("R4 to itself", status("308 Permanent Redirect", "Location: /api/v2/cases"), REJECTED),
    row("R5 truncated JSON", answer(enveloped(RECORD)[:-9], JSON), BROKEN),
    row("R5 cut in its body", sends(WELL[:-9], close=True), UNAVAILABLE),
    row("R5 bad chunk", CHUNKED + b"ZZ\r\n{}\r\n0\r\n\r\n", BROKEN),
    row("R5 two lengths", answer(enveloped(RECORD), "Content-Length: 3"), BROKEN),
    row("R5 a length and chunks", answer(b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), BROKEN),
    row("R5 200 and a login page", answer(LOGIN, "Content-Type: text/html; charset=utf-8"), BROKEN),
    row("R5 a login page that says it is JSON", answer(LOGIN, JSON), BROKEN),
    row("R5 204", b"HTTP/1.1 204 No Content\r\n\r\n", BROKEN),
    row("R5 empty 200", answer(b"", JSON), BROKEN),
    row("R5 blank 200", answer(b" \r\n", JSON), BROKEN),
    # better than FAULTS.md asks: old servers put text/html on all they send; what is inside decides
    row("R5 JSON that says it is a page", answer(enveloped(RECORD), "Content-Type: text/html"), [RECORD]),
    row("R5 JSON without a type", answer(enveloped(RECORD)), [RECORD]),
    row("R5 JSON and then more", answer(enveloped(RECORD) + b"{}", JSON), BROKEN),
    row("R5 another document", answer(b'["ok"]', JSON), BROKEN),
    row("R5 a place that moved", answer(b'{"code":"0","result":{"list":[]}}', JSON), BROKEN),
    row("R5 records that are none", answer(enveloped("2024-1", 7), JSON), BROKEN),
    row("R7 double key", answer(b'{"code":"0","data":{"list":[{"AJBH":"1","AJBH":"2"}]}}', JSON), BROKEN),
    row("R7 double code", answer(b'{"code":"0","code":"0","data":{"list":[]}}', JSON), BROKEN),
    row("R7 NaN", answer(enveloped({"SAJE": float("nan")}), JSON), BROKEN),
    row("R7 Infinity", answer(enveloped({"SAJE": float("inf")}), JSON), BROKEN),
    row("R7 -Infinity", answer(enveloped({"SAJE": float("-inf")}), JSON), BROKEN),
    row("R8 gzip bomb", answer(gzip.compress(bytes(8 * LARGEST_ANSWER)), PACKED), BROKEN),
    row(
        "R8 packed twice",
        answer(gzip.compress(gzip.compress(enveloped(RECORD))), "Content-Encoding: gzip, gzip"),
        BROKEN,
    ),
    row("R8 packed twice and told once", answer(gzip.compress(gzip.compress(enveloped(RECORD))), PACKED), BROKEN),
    row("R8 packed and cut", answer(gzip.compress(enveloped(RECORD))[:-4], PACKED), BROKEN),
    row("R8 not packed at all", answer(enveloped(RECORD), PACKED), BROKEN),
    row("R8 packed", answer(gzip.compress(enveloped(RECORD)), PACKED), [RECORD]),
    row("R8 one byte too large", answer(bytes(LARGEST_ANSWER + 1), JSON), BROKEN),
    row("R8 200,000 deep", answer(b"[" * 200_000, JSON), BROKEN),
    row("R8 lone surrogate", answer(b'{"code":"0","data":{"list":[{"AJMC":"\\ud842"}]}}', JSON), BROKEN),
    # it is a text like others here: the mapping makes an issue of it, and the other values of the record survive (R9)
    row("R8 NUL in a text", answer(b'{"code":"0","data":{"list":[{"AJMC":"\\u0000"}]}}', JSON), [{"AJMC": "\x00"}]),
    row("R8 NUL outside", answer(b'{"code":"0",\x00"data":{"list":[]}}', JSON), BROKEN),
    row("R10 one record twice", answer(enveloped(RECORD, RECORD), JSON), [RECORD, RECORD]),
    row("R11 none found", answer(b'{"code":"1404","msg":"x"}', JSON), []),
    row("R11 again later", answer(enveloped(code="5001"), JSON), UNAVAILABLE),
    row("R11 throttled", answer(enveloped(code="4290"), JSON), throttled(None)),
    row("R11 throttled for 7 s", answer(enveloped(code="4290"), JSON, "Retry-After: 7"), throttled(7.0)),
    row("R11 denied", answer(enveloped(code="4010"), JSON), DENIED),
    row("R11 an unknown code", answer(enveloped(RECORD, code="500"), JSON), REJECTED),
    row("R11 no code", answer(b'{"data":{"list":[]}}', JSON), BROKEN),
    row("R11 a code that is a list", answer(enveloped(code=["0"]), JSON), BROKEN),
    row("R11 a code that is null", answer(enveloped(code=None), JSON), BROKEN),
    row("R11 a code that is a number", answer(enveloped(RECORD, code=0), JSON), [RECORD]),
]


@pytest.mark.parametrize(("behave", "expected"), ROWS)
async def test_a_fault_ends_as_it_should_and_leaves_nothing_behind(
    behave: Behaviour, expected: list[Any] | Failed
) -> None:
    heads: list[bytes] = []
    async with misbehaving(behave, heads) as source:
        assert await outcome(source) == expected
        assert len(heads) == 1
        assert await outcome(source) == [RECORD]
    assert len(heads) == 2


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(silence, id="R2 accepts and is silent"),
        pytest.param(trickles(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), id="R2 trickles its head"),
        pytest.param(trickles(b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b" "), id="R2 trickles its body"),
        pytest.param(trickles(CHUNKED, b"1\r\n \r\n"), id="R2 trickles chunks"),
        pytest.param(sends(CHUNKED + b"9\r\n{"), id="R2 stalls in a chunk"),
        pytest.param(sends(WELL[:-1]), id="R2 withholds the last byte"),
    ],
)
async def test_a_deadline_ends_the_call_and_the_connection(behave: Behaviour) -> None:
    is_gone = asyncio.Event()

    async def until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sending = asyncio.ensure_future(behave(reader, writer))
        with suppress(ConnectionError):
            await reader.read(1)
        is_gone.set()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)

    async with misbehaving(until_gone) as source:
        assert await outcome(source, SHORT) == TIMEOUT
        async with asyncio.timeout(LONG):
            await is_gone.wait()
        assert await outcome(source) == [RECORD]


async def test_a_date_to_come_back_is_told_in_seconds() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with misbehaving(sends(status("429 Too Many Requests", f"Retry-After: {later}"))) as source:
        told = await outcome(source)
    assert isinstance(told, Failed)
    assert told.retry_after is not None
    assert 3000 < told.retry_after <= 3600


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://nobody.invalid", "https://127.0.0.1:9"])
async def test_r1_nobody_there_is_unavailability(address: str) -> None:
    source = open_source(MARKET, {"BINHAI_MARKET_URL": address, "BINHAI_MARKET_TOKEN": "CANARY-token"})
    assert await outcome(source) == UNAVAILABLE
    await source.aclose()


async def test_r1_tls_is_not_given_up_for_a_server_without_it() -> None:
    asked: list[bytes] = []

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(3))
        writer.write(WELL)
        writer.close()

    listening = await asyncio.start_server(plain, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    source = open_source(MARKET, {"BINHAI_MARKET_URL": url, "BINHAI_MARKET_TOKEN": "CANARY-token"})
    assert await outcome(source) == UNAVAILABLE
    await source.aclose()
    listening.close()
    assert [first[:2] for first in asked] == [b"\x16\x03"], "one handshake, and nothing in plain text"


async def test_r10_a_total_that_is_not_the_number_of_rows_is_told_as_it_is() -> None:
    for total, expected in (
        (99, (99, {})),
        ("x", (None, {"total": "data.total 不是整数"})),
        (-1, (None, {"total": "data.total 不是整数"})),
    ):
        async with misbehaving(sends(answer(enveloped(data={"list": [RECORD], "total": total}), JSON))) as source:
            page = await source.call(Call("cases_changed", LONG, page=1, size=5))
        assert (page.records, page.total, page.notes) == ([RECORD], *expected)


async def test_r12_a_source_that_flaps_is_asked_anew_each_time_and_a_slow_one_is_waited_for() -> None:
    count = 0

    async def flap(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await asyncio.sleep(0.05)
        writer.write(WELL if count % 2 else status("503 Service Unavailable"))

    async with server(flap) as url:
        source = open_source(MARKET, {"BINHAI_MARKET_URL": url, "BINHAI_MARKET_TOKEN": "CANARY-token"})
        assert [await outcome(source) for _ in range(6)] == [[RECORD], UNAVAILABLE] * 3
        await source.aclose()
    assert count == 6
