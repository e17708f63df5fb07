"""A head that was read before is not read again, and nobody can tell by the answers."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from contract_tests.serving import head
from gateway.web.admission import Admission
from gateway.web.heads import MOST_HEADS, Heads
from gateway.web.kept_out import KeptOut
from gateway.web.protocol import GuardedProtocol, Patience
from gateway.web.wanted import usual

BODY = b'{"query": "{ __typename }"}'
USUAL = {"content-type": "application/json", "accept": "application/json", "content-length": str(len(BODY))}
PLAIN = head("POST", "/graphql", USUAL) + BODY
OTHERS = (
    head("POST", "/graphql", {**USUAL, "connection": "close"}) + BODY,
    head("POST", "/graphql", {**USUAL, "x-request-id": "7"}) + BODY,
    head("POST", "/graphql", {**USUAL, "authorization": "Bearer x"}) + BODY,
    head("POST", "/graphql?a=1", USUAL) + BODY,
    head("POST", "/graphql/", USUAL) + BODY,
    head("GET", "/graphql", USUAL) + BODY,
    head("POST", "/graphql", {**USUAL, "expect": "100-continue"}) + BODY,
    head("POST", "/graphql", {**USUAL, "content-length": "", "transfer-encoding": "chunked"})
    + b"3\r\n{ }\r\n0\r\n\r\n",
    head("POST", "/graphql", USUAL).replace(b"HTTP/1.1", b"HTTP/1.0") + BODY,
    head("POST", "/graphql", USUAL).replace(b"\r\naccept", b"\r\nhost: a\r\naccept") + BODY,
    head("POST", "/graphql", USUAL).replace(b"\r\n", b"\n") + BODY,
    b"\r\n" + PLAIN,
)
BLANK_FIRST = head("POST", "/graphql", {**USUAL, "content-length": "31"}) + b"\r\n\r\n" + BODY
UNFINISHED = (
    PLAIN[:7],
    b"POST /graphql HTTP/1.1\r\nx-a: ",
    head("POST", "/graphql", {**USUAL, "content-length": "300"}) + BODY,
    head("POST", "/graphql", {**USUAL, "content-length": str(len(PLAIN))}),
)
PIECES = st.lists(st.sampled_from((*[PLAIN] * 9, BLANK_FIRST, *UNFINISHED, *OTHERS)), min_size=1, max_size=6)


class Wire(asyncio.Transport):
    """A connection whose other end is the test; what goes past it comes out of `theirs`."""

    ours: socket.socket
    theirs: socket.socket

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []
        self.is_closed = False
        self.protocol: Any = None

    def take(self) -> bytes:
        """What was said, by whatever way."""
        said = b"".join(self.said)
        self.said.clear()
        with contextlib.suppress(BlockingIOError):
            said += self.theirs.recv(65536)
        return said

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "socket":
            return self.ours
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.said.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.said.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def get_protocol(self) -> Any:
        return self.protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture(autouse=True, scope="module")
def sockets() -> Iterator[None]:
    Wire.ours, Wire.theirs = socket.socketpair()
    Wire.theirs.setblocking(False)
    with Wire.ours, Wire.theirs:
        yield


class Forgetful(Heads):
    """Heads of which none is ever known."""

    def of(self, said: bytes) -> None:  # noqa: ARG002 - of the others
        return None


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was asked, waits a little, and keeps the request's place until then."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await asyncio.sleep(0)
    told = [scope["method"], scope["path"], scope["query_string"], scope["http_version"], list(scope["headers"]), body]
    content = repr(told).encode()
    lines = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": lines})
    await send({"type": "http.response.body", "body": content})


async def connected(heads: Heads, admission: Admission | None = None) -> tuple[GuardedProtocol, Wire]:
    door = admission or Admission(100, 1.0)
    made = functools.partial(GuardedProtocol, patience=Patience(), admission=door, heads=heads, kept_out=KeptOut(door))
    config = uvicorn.Config(echo, http=made, ws="none", lifespan="off", log_level="critical")  # type: ignore[arg-type]
    config.load()
    protocol = made(config=config, server_state=ServerState(), app_state={})
    wire = Wire()
    wire.protocol = protocol
    protocol.connection_made(wire)
    return protocol, wire


async def say(protocol: GuardedProtocol, wire: Wire, piece: bytes) -> bytes:
    """What is answered to a piece, as long as anything is."""
    if not wire.is_closed:
        protocol.data_received(piece)
    for _ in range(12):
        await asyncio.sleep(0)
    return wire.take()


@given(PIECES, st.lists(st.tuples(st.integers(0, 5), st.integers(1, 200)), max_size=3), st.booleans())
def test_answers_are_the_same_whether_heads_are_known_or_not(
    requests: list[bytes], cuts: list[tuple[int, int]], is_in_one: bool
) -> None:
    pieces = [b"".join(requests)] if is_in_one else list(requests)
    for place, at in cuts:
        if place < len(pieces):
            piece = pieces[place]
            pieces[place : place + 1] = [part for part in (piece[:at], piece[at:]) if part]

    async def both() -> None:
        heads = Heads()
        warm, warm_wire = await connected(heads)
        await say(warm, warm_wire, PLAIN)
        assert len(heads) == 1
        knowing, wire = await connected(heads)
        reading, other_wire = await connected(Forgetful())
        for piece in pieces:
            assert await say(knowing, wire, piece) == await say(reading, other_wire, piece)
            assert (wire.is_closed, knowing.admission.in_flight) == (other_wire.is_closed, reading.admission.in_flight)
            assert (knowing.messages, knowing.is_in_head, knowing.is_begun, set(knowing.timers)) == (
                reading.messages,
                reading.is_in_head,
                reading.is_begun,
                set(reading.timers),
            )

    asyncio.run(both())


pytestmark = pytest.mark.anyio


async def test_only_what_says_nothing_unusual_is_known() -> None:
    for other in OTHERS:
        heads = Heads()
        protocol, wire = await connected(heads)
        assert await say(protocol, wire, other)
        assert len(heads) == 0, other


async def test_the_second_is_not_parsed_and_counts_like_the_first() -> None:
    protocol, wire = await connected(Heads())
    first = await say(protocol, wire, PLAIN)
    protocol.parser = None  # type: ignore[assignment]
    other = head("POST", "/graphql", USUAL) + BODY.replace(b"typename", b"Typename")
    assert await say(protocol, wire, PLAIN) == first
    assert await say(protocol, wire, other) == first.replace(b"typename", b"Typename")
    assert (protocol.messages, protocol.admission.in_flight, protocol.server_state.total_requests) == (3, 0, 3)


async def test_who_is_one_too_many_or_comes_while_we_leave_is_told_so_with_a_known_head_too() -> None:
    heads = Heads()
    admission = Admission(1, 1.0)
    protocol, wire = await connected(heads, admission)
    kept_alive = head("POST", "/graphql", {**USUAL, "connection": "keep-alive"}) + BODY
    for known in (PLAIN, kept_alive):
        await say(protocol, wire, known)
    assert len(heads) == 2
    admission.enter()
    for known in (PLAIN, kept_alive):  # the second is never turned away before it is parsed
        assert (await say(protocol, wire, known)).startswith(b"HTTP/1.1 503")
    admission.leave()
    admission.is_draining = True
    assert b"\r\nconnection: close\r\n" in (await say(protocol, wire, PLAIN)).lower()
    assert wire.is_closed


async def test_what_is_turned_away_unread_is_not_remembered_as_what_was_answered_before() -> None:
    heads = Heads()
    admission = Admission(1, 1.0)
    protocol, wire = await connected(heads, admission)
    await say(protocol, wire, PLAIN)
    admission.enter()
    for line in ({"user-agent": "a"}, {"connection": "keep-alive"}):  # the first is turned away before it is parsed
        for method in ("GET", "POST"):
            refused = head(method, "/graphql", {**USUAL, **line}) + BODY
            assert (await say(protocol, wire, refused)).startswith(b"HTTP/1.1 503")
    assert len(heads) == 1


async def test_there_are_never_more_than_so_many() -> None:
    heads = Heads()
    lines = [(name.encode(), value.encode()) for name, value in USUAL.items()]
    told = usual("POST", lines, 1000)
    assert told is not None
    for number in range(MOST_HEADS + 2):
        heads.keep(head("POST", "/graphql", {"user-agent": str(number), **USUAL}) + BODY, lines, told)
    assert len(heads) == 2


async def test_who_leaves_is_not_answered_any_more() -> None:
    heads = Heads()
    protocol, wire = await connected(heads)
    await say(protocol, wire, PLAIN)
    protocol.data_received(PLAIN)
    assert (protocol.admission.in_flight, protocol.timeout_keep_alive_task) == (1, None)
    task = protocol.task
    assert task is not None and not task.done()  # noqa: PT018 - one thing
    wire.is_closed = True
    protocol.connection_lost(None)
    await asyncio.wait([task], timeout=1)
    assert (task.done(), wire.said, protocol.admission.in_flight) == (True, [], 0)
