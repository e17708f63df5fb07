"""Whose first request is not whole yet is no more than a descriptor: with the same answers, and the same time, as a connection has."""

import contextlib
import socket
import threading
import time

import pytest

from contract_tests.federation import Federation
from contract_tests.hostile import gateway, nobody_is_called_and_life_goes_on, sources
from contract_tests.serving import Served, head, read_reply, served
from gateway.web import accepting, at_once
from gateway.web.quiet import LONGEST_HEAD, is_half_head, length_if_half

__all__ = ["gateway", "nobody_is_called_and_life_goes_on", "sources"]

USUAL = {"content-type": "application/json", "x-nothing": "", "x-tab": "a\tb c"}
BODY = b'{"query":"{ __typename }"}'
HEAD = head("POST", "/graphql?a=%20b", {**USUAL, "content-length": str(len(BODY))})
PLAIN = head("POST", "/graphql", {**USUAL, "content-length": str(len(BODY))})
SECONDS = 1.0
"""For a head, where a test waits for the end of it."""
LATE = 0.6
"""The part of it after which somebody says more."""


def test_every_beginning_of_a_usual_head_may_become_one() -> None:
    unusual = {n for n in range(len(HEAD)) if not is_half_head(HEAD[:n])}
    method, version = HEAD.index(b" "), HEAD.index(b"HTTP/1.1\r\n")
    assert unusual <= {*range(method), *range(version, version + 10)}, "these go to the parser at once"
    assert not is_half_head(HEAD)
    assert not is_half_head(HEAD + BODY)


@pytest.mark.parametrize(
    "said",
    [
        b"GARBAGE",
        b"POST graphql",
        b"POST /graphql HTTP/1.0\r\nhost",
        b"POST /graphql HTTP/1.1\nhost: a\n",
        b"POST /graphql HTTP/1.1\r\n host: a\r\n",
        b"POST /graphql HTTP/1.1\r\nhost : a\r\n",
        b"POST /graphql HTTP/1.1\r\nhost: a\0",
        b"POST /graphql HTTP/1.1\r\n\r\n{",
        b"POST /graphql HTTP/1.1\r\nhost: " + b"a" * LONGEST_HEAD,
        "POST /graphql HTTP/1.1\r\nhost: 甲".encode(),
    ],
)
def test_whatever_is_wrong_or_large_is_for_the_parser_to_say(said: bytes) -> None:
    assert not is_half_head(said)


def test_a_request_in_two_pieces_is_answered_wherever_it_is_cut(gateway: Served) -> None:
    for cut in range(1, len(HEAD + BODY), 3):
        with gateway.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall((HEAD + BODY)[:cut])
            connection.sendall((HEAD + BODY)[cut:])
            first = read_reply(connection)
            connection.sendall(HEAD + BODY)
            assert read_reply(connection).json == first.json == {"data": {"__typename": "Query"}}, cut


def test_a_request_that_comes_byte_by_byte_is_answered(gateway: Served) -> None:
    assert gateway.send(*(bytes([byte]) for byte in HEAD + BODY)).json == {"data": {"__typename": "Query"}}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, float]]:
    """What was said by those of whom a connection was made, and how long their bodies took."""
    found: list[tuple[bytes, float]] = []
    begin = accepting.Listener._begin

    def begin_and_tell(
        listener: accepting.Listener, taken: int, said: bytes, took: float, waited: float, is_request: bool
    ) -> None:
        found.append((said, waited))
        begin(listener, taken, said, took, waited, is_request)

    monkeypatch.setattr(accepting.Listener, "_begin", begin_and_tell)
    return found


def test_no_connection_is_made_before_a_request_is_whole(gateway: Served, begun: list[tuple[bytes, float]]) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(40):
            stack.enter_context(gateway.connect()).sendall((PLAIN + BODY)[: 4 + number * 4])
        assert gateway.is_answering()
    assert gateway.is_answering()
    assert [said for said, _ in begun if b"\r\n" in said and len(said) < len(PLAIN + BODY)] == []


def test_what_a_body_takes_is_time_of_its_request(gateway: Served, begun: list[tuple[bytes, float]]) -> None:
    with gateway.connect() as connection:
        connection.sendall(PLAIN[:-2])
        time.sleep(0.3)
        connection.sendall(PLAIN[-2:] + BODY[:5])
        time.sleep(0.2)
        connection.sendall(BODY[5:])
        assert read_reply(connection).json == {"data": {"__typename": "Query"}}
    ((said, waited),) = begun
    assert said == PLAIN + BODY
    assert 0.1 < waited < 0.3


@pytest.mark.parametrize(
    ("changed", "is_waited_for"),
    [
        ({}, True),
        ({"accept": "text/plain"}, True),
        ({"content-length": "16384"}, True),
        ({"content-length": "16385"}, False),
        ({"content-length": ""}, False),
        ({"content-length": "1x"}, False),
        ({"content-length": "2"}, False),
        ({"content-type": "text/plain"}, False),
        ({"content-type": ""}, False),
        ({"host": ""}, False),
        ({"expect": "100-continue"}, False),
        ({"transfer-encoding": "chunked"}, False),
        ({"connection": "close"}, False),
    ],
)
def test_a_body_is_waited_for_where_nothing_unusual_is_said(changed: dict[str, str], is_waited_for: bool) -> None:
    said = head("POST", "/graphql", {**USUAL, "content-length": "99", **changed})
    assert length_if_half(said + b"{}") == (
        len(said) + int(changed.get("content-length", "99")) if is_waited_for else 0
    )


def test_half_a_body_is_408_in_its_time(sources: Federation) -> None:
    with served(sources, GATEWAY_BODY_TIMEOUT=str(SECONDS)) as impatient, impatient.connect() as connection:
        connection.sendall(PLAIN)
        for piece in (BODY[:1], BODY[1:2], BODY[2:3]):
            time.sleep(SECONDS / 5)
            connection.sendall(piece)
        reply = read_reply(connection)
        assert connection.recv(100) == b""
    assert (reply.status, reply.codes, reply.headers["connection"]) == (408, ["REQUEST_TIMEOUT"], "close")
    assert reply.json["errors"][0]["message"] == "请求体应在 1 秒内发完"


@pytest.mark.parametrize(
    "more", [b"x: " + b"y" * LONGEST_HEAD, b"host: b\r\n", b"x\0"], ids=["long", "more of it", "wrong"]
)
def test_who_says_more_when_it_is_late_has_no_more_time(sources: Federation, more: bytes) -> None:
    with served(sources, GATEWAY_HEAD_TIMEOUT=str(SECONDS)) as impatient, impatient.connect() as connection:
        began = time.monotonic()
        connection.sendall(b"POST /graphql HTTP/1.1\r\nhost: a\r\n")
        time.sleep(SECONDS * LATE)
        connection.sendall(more)
        reply = read_reply(connection)
        took = time.monotonic() - began
        assert connection.recv(100) == b""
    expected = (400, ["BAD_REQUEST"]) if b"\0" in more else (408, ["REQUEST_TIMEOUT"])
    assert (reply.status, reply.codes, reply.headers["connection"]) == (*expected, "close")
    assert took < SECONDS * (1 + LATE)


def test_who_was_here_when_we_began_to_leave_may_ask_once(sources: Federation) -> None:
    replies = []

    def ask(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(HEAD + BODY)
        replies.append(read_reply(connection))

    with contextlib.ExitStack() as stack:
        with served(sources, GATEWAY_DRAIN_TIMEOUT="5") as leaving:
            connection = stack.enter_context(leaving.connect())
            other = stack.enter_context(leaving.connect())
            assert leaving.is_answering()
            asking = threading.Thread(target=ask, args=(connection,))
            asking.start()
            other.close()
        asking.join()
        assert connection.recv(100) == b""
    assert [(one.json, one.headers["connection"]) for one in replies] == [({"data": {"__typename": "Query"}}, "close")]


def test_this_system_can_do_it() -> None:
    assert at_once.is_known
