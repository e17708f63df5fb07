"""Whatever a server does, a request ends in time, in bounded memory, with an answer or the right error.

The servers are sockets of this process, because no well-behaved server library can be made to behave like these.
"""

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from adapters.http import AiohttpClient, HttpAnswer, HttpClient, HttpxClient, raise_for_status
from adapters.inflate import LARGEST_ANSWER

pytestmark = pytest.mark.anyio

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 20.0
"""Seconds after which a call counts as one that hangs; nothing here asserts speed."""

SHORT, LONG = 0.3, 10.0


@pytest.fixture(params=[AiohttpClient, HttpxClient])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[HttpClient]:
    made = request.param(4)
    yield made
    await made.aclose()


@asynccontextmanager
async def server(
    behave: Behaviour, heads: list[bytes] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server that reads the head of each request, keeps it if asked to, and then behaves."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if heads is not None:
                    heads.append(head)
                await behave(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    tasks: set[asyncio.Task[None]] = set()

    def start(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.create_task(serve(reader, writer)))

    listening = await asyncio.start_server(start, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{listening.sockets[0].getsockname()[1]}/path"
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def sends(*pieces: bytes, close: bool = False) -> Behaviour:
    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if close:
            writer.close()

    return behave


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        await writer.drain()


def trickles(head: bytes, drop: bytes) -> Behaviour:
    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.02)

    return behave


async def silence(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(PATIENCE * 2)


async def test_an_answer_is_status_headers_and_body(client: HttpClient) -> None:
    async with server(
        sends(answer("闽".encode(), "Content-Type: text/xml; charset=GBK", status="404 Not Found"))
    ) as url:
        got = await client.send("POST", url, {"X-A": "1"}, b"body", LONG)
    assert (got.status, got.headers["content-type"], got.body) == (404, "text/xml; charset=GBK", "闽".encode())
    assert got.media_type == "text/xml"


async def test_what_is_sent_is_what_arrives(client: HttpClient) -> None:
    heads: list[bytes] = []
    bodies: list[bytes] = []

    async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(4))
        writer.write(answer(b""))

    async with server(keep, heads) as url:
        await client.send("POST", f"{url}?a=%2F%E9%97%BD&b=%20", {"gjgxjhpt_sid": "s_1"}, b"body", LONG)
    first, *lines = heads[0].decode().split("\r\n")
    assert (first, bodies) == ("POST /path?a=%2F%E9%97%BD&b=%20 HTTP/1.1", [b"body"])
    assert {"gjgxjhpt_sid: s_1", "Content-Length: 4"} <= set(lines)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip"])
async def test_compressed_answers_are_unpacked(client: HttpClient, encoding: str) -> None:
    async with server(sends(answer(gzip.compress(b"abc"), f"Content-Encoding: {encoding}"))) as url:
        assert (await client.send("GET", url, {}, None, LONG)).body == b"abc"


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(silence, id="accepts and is silent"),
        pytest.param(trickles(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), id="trickles its head"),
        pytest.param(trickles(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"), id="trickles its body"),
        pytest.param(
            trickles(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), id="trickles chunks"
        ),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), id="stalls in its body"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), id="stalls in a chunk"),
    ],
)
async def test_the_deadline_holds_for_the_whole_call(client: HttpClient, behave: Behaviour) -> None:
    async with server(behave) as url:
        started = time.monotonic()
        with pytest.raises(SourceTimeout):
            await client.send("GET", url, {}, None, SHORT)
        assert time.monotonic() - started < PATIENCE


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(endless, id="endless"),
        pytest.param(sends(answer(bytes(LARGEST_ANSWER + 1))), id="one byte too long"),
        pytest.param(sends(answer(gzip.compress(bytes(4 * LARGEST_ANSWER)), "Content-Encoding: gzip")), id="gzip bomb"),
        pytest.param(sends(answer(gzip.compress(b"abc")[:-3], "Content-Encoding: gzip")), id="cut gzip"),
        pytest.param(sends(answer(b"abc", "Content-Encoding: gzip")), id="no gzip"),
        pytest.param(sends(answer(b"abc", "Content-Encoding: gzip, gzip")), id="packed twice"),
        pytest.param(sends(answer(b"abc", "Content-Encoding: br")), id="packed as nobody asked"),
        pytest.param(sends(b"220 mail ESMTP\r\n\r\n", close=True), id="not HTTP"),
    ],
)
async def test_what_nobody_can_use_breaks_the_contract(client: HttpClient, behave: Behaviour) -> None:
    async with server(behave) as url:
        with pytest.raises(SourceContractBroken):
            await client.send("GET", url, {}, None, PATIENCE)


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(sends(close=True), id="closed without an answer"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True), id="cut in its body"),
        pytest.param(
            sends(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", close=True), id="cut in a chunk"
        ),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nX: ", close=True), id="cut in its head"),
    ],
)
async def test_a_lost_connection_is_unavailability(client: HttpClient, behave: Behaviour) -> None:
    async with server(behave) as url:
        with pytest.raises(SourceUnavailable):
            await client.send("GET", url, {}, None, LONG)


async def test_nothing_is_sent_twice_not_even_on_a_connection_that_was_kept(client: HttpClient) -> None:
    heads: list[bytes] = []

    async def second_time_close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(heads) == 1:
            writer.write(answer(b"ok"))
        else:
            writer.close()

    async with server(second_time_close, heads) as url:
        await client.send("GET", url, {}, None, LONG)
        with pytest.raises(SourceUnavailable):
            await client.send("GET", url, {}, None, LONG)
    assert len(heads) == 2


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "file:///etc/passwd", "/elsewhere"])
async def test_redirects_are_answers_and_not_followed(client: HttpClient, location: str) -> None:
    heads: list[bytes] = []
    async with server(sends(answer(b"", f"Location: {location}", status="302 Found")), heads) as url:
        got = await client.send("GET", url, {}, None, LONG)
    with pytest.raises(SourceRejected):
        raise_for_status(got)
    assert len(heads) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/secret", "http://no-such-host.invalid/secret"])
async def test_nobody_there_is_unavailability_and_errors_tell_no_address(client: HttpClient, url: str) -> None:
    with pytest.raises(SourceUnavailable) as raised:
        await client.send("GET", f"{url}?sign=CANARY", {"Authorization": "CANARY"}, None, LONG)
    told = f"{raised.value!s} {raised.value!r} {raised.value.detail}"
    assert [word for word in ("CANARY", "secret", "127.0.0.1", "invalid") if word in told] == []
    assert raised.value.__suppress_context__


def certificate(folder: Path, days: int) -> ssl.SSLContext:
    """A server's side of TLS with a certificate of its own making, good for 127.0.0.1 for so many days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + made.public_bytes(Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context


@pytest.mark.parametrize("days", [-1, 9])
async def test_a_certificate_nobody_vouches_for_ends_the_call_before_anything_is_sent(
    client: HttpClient, tmp_path: Path, days: int
) -> None:
    heads: list[bytes] = []
    async with server(sends(answer(b"ok")), heads, certificate(tmp_path, days)) as url:
        with pytest.raises(SourceUnavailable):
            await client.send("GET", url, {}, None, LONG)
    assert heads == []


@pytest.mark.parametrize("kind", [AiohttpClient, HttpxClient])
async def test_an_authority_of_ones_own_can_be_given(kind: type[AiohttpClient | HttpxClient], tmp_path: Path) -> None:
    tls = certificate(tmp_path, 9)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "server.pem"))
    trusting.verify_flags &= ~ssl.VERIFY_X509_STRICT
    client = kind(1, trusting)
    async with server(sends(answer(b"ok")), None, tls) as url:
        assert (await client.send("GET", url, {}, None, LONG)).body == b"ok"
        await client.aclose()


async def test_cookies_are_not_carried_from_call_to_call(client: HttpClient) -> None:
    heads: list[bytes] = []
    async with server(sends(answer(b"", "Set-Cookie: session=1; Path=/")), heads) as url:
        for _ in range(2):
            await client.send("GET", url, {}, None, LONG)
    assert [b"cookie" in head.lower() for head in heads] == [False, False]


async def test_a_cancelled_call_lets_go_of_its_connection(client: HttpClient) -> None:
    is_there, is_gone = asyncio.Event(), asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        is_there.set()
        await reader.read(1)
        is_gone.set()

    async with server(wait) as url:
        call = asyncio.create_task(client.send("GET", url, {}, None, PATIENCE))
        await is_there.wait()
        call.cancel()
        async with asyncio.timeout(PATIENCE):
            await is_gone.wait()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_closing_twice_is_closing_once_and_then_nothing_is_sent(client: HttpClient) -> None:
    await client.aclose()
    await client.aclose()
    with pytest.raises(SourceUnavailable):
        await client.send("GET", "http://127.0.0.1:9/", {}, None, LONG)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (301, SourceRejected), (302, SourceRejected), (400, SourceRejected), (404, SourceRejected),
        (401, SourceDenied), (403, SourceDenied), (429, SourceThrottled), (408, SourceUnavailable),
        (500, SourceUnavailable), (502, SourceUnavailable), (503, SourceUnavailable), (504, SourceUnavailable),
        (599, SourceUnavailable), (200, None), (204, None),
    ],
)  # fmt: skip
async def test_what_each_status_means(status: int, error: type[SourceError] | None) -> None:
    if error is None:
        raise_for_status(HttpAnswer(status, {}, b""))
        return
    with pytest.raises(error) as raised:
        raise_for_status(HttpAnswer(status, {}, b""))
    assert type(raised.value) is error
