"""What may be turned away unread: exactly one whole request for the endpoint, and nothing that anybody could read otherwise."""

import socket

import pytest

from gateway.web import at_once, turning_away
from gateway.web.turning_away import is_one_request

BODY = b'{"query":"{ __typename }"}'


def post(*lines: str, target: str = "/graphql", body: bytes = BODY, length: str | None = None) -> bytes:
    told = [f"content-length: {len(body)}" if length is None else length]
    return "\r\n".join([f"POST {target} HTTP/1.1", "host: a", *told, *lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    ("said", "is_one"),
    [
        (post(), True),
        (post("content-type: application/json", "accept: */*"), True),
        (post(target="/graphql?a=1"), True),
        (post(length=f"Content-Length:{len(BODY)}"), True),
        (b"GET /graphql?query=%7Ba%7D HTTP/1.1\r\nhost: a\r\n\r\n", True),
        (post()[:-1], False),
        (post() + b"P", False),
        (post()[:40], False),
        (b"", False),
        (post(target="/graphqlx"), False),
        (post(target="/healthz"), False),
        (post().replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (post().replace(b"POST ", b"PUT "), False),
        (post("host: b"), False),
        (post().replace(b"host: a\r\n", b""), False),
        (post("content-length: 5"), False),
        (post("Content-Length : 5"), False),
        (post("transfer-encoding: chunked"), False),
        (post("Transfer-Encoding : chunked"), False),
        (post("connection: upgrade", "upgrade: websocket"), False),
        (post("connection: close"), False),
        (post("expect: 100-continue"), False),
        (post("x: a", " folded: b"), False),
        (post("x: a\nb: c"), False),
        (post("x: \0"), False),
        (post(length=""), False),
        (post(length="content-length: 1e1", body=b"x" * 10), False),
        (post(length="content-length: +26"), False),
        (post(length="x-content-length: 26"), False),
        (b"GET /graphql HTTP/1.1\r\nhost: a\r\n\r\nGET", False),
        (b"HEAD /graphql HTTP/1.1\r\nhost: a\r\n\r\n", False),
        (post("x-criticality: oversight"), False),
        (post("X-CRITICALITY:anything"), False),
    ],
)  # fmt: skip
def test_only_one_whole_plain_request_is_known_for_what_it_is(said: bytes, is_one: bool) -> None:
    assert is_one_request(said, critical=b"x-criticality: oversight") is is_one


def test_a_last_request_may_say_that_it_is_one() -> None:
    assert is_one_request(post("connection: close"), is_last=True)
    assert not is_one_request(post("connection: close, upgrade"), is_last=True)


def test_what_was_said_of_a_head_is_said_again_and_the_head_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning_away, "MOST_JUDGED", 3)
    turning_away._JUDGED.clear()
    secret = post("authorization: Bearer secret")
    for _ in range(2):
        assert is_one_request(secret)
        assert not is_one_request(secret + b"P")
    assert len(turning_away._JUDGED) == 1
    assert b"secret" not in repr(turning_away._JUDGED).encode()
    for number in range(5):
        assert is_one_request(post(f"x-a: {number}"))
        assert len(turning_away._JUDGED) <= 3


def test_calls_that_return_at_once_do_and_say_so() -> None:
    assert at_once.is_known
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            at_once.accept(listening.fileno())
        with socket.create_connection(listening.getsockname()) as client:
            taken = at_once.accept(listening.fileno())
            with pytest.raises(BlockingIOError):
                at_once.receive(taken)
            client.sendall(b"x" * 100)
            said = b""
            while len(said) < 100:
                try:
                    said += at_once.receive(taken)
                except BlockingIOError:
                    continue
            assert said == b"x" * 100
            assert at_once.send(taken, b"yes") == 3
            at_once.close(taken)
            assert (client.recv(10), client.recv(10)) == (b"yes", b"")
    with pytest.raises(OSError, match="Bad file descriptor"):
        at_once.send(taken, b"no")
