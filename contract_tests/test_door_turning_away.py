"""Requests that are turned away unread, on connections that are kept and on new ones, in pieces and all at once."""

import re
import socket
import time

import pytest

from contract_tests.federation import Federation
from contract_tests.hostile import gateway, nobody_is_called_and_life_goes_on, sources
from contract_tests.serving import Reply, Served, head, read_reply
from contract_tests.test_door_shedding import filling, request

__all__ = ["gateway", "nobody_is_called_and_life_goes_on", "sources"]


def replies(connection: socket.socket, *chunks: bytes, asked: int = 0) -> list[bytes]:
    """The statuses of what is answered to bytes sent so: as many as there are requests in them, unless `asked` says it."""
    for chunk in chunks:
        connection.sendall(chunk)
        time.sleep(0.02)  # so that it is a piece of its own
    said, asked = b"", asked or b"".join(chunks).count(b"POST /graphql HTTP/1.1")
    while said.count(b"HTTP/1.1 ") < asked or said.endswith(b"\r\n\r\n"):
        more = connection.recv(65536)
        assert more, said
        said += more
    return re.findall(rb"HTTP/1.1 (\d+)", said)


def keep(gateway: Served) -> socket.socket:
    """A connection on which something was answered already."""
    kept = gateway.connect()
    assert replies(kept, request()) == [b"200"]
    return kept


def test_requests_in_pieces_and_in_pairs_are_refused_one_by_one(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="1") as full:
        one = request()
        with keep(full.gateway) as kept:
            waiting = full.ask()
            assert replies(kept, one) == [b"503"]
            assert replies(kept, one[:30], one[30:]) == [b"503"]
            assert replies(kept, one + one) == [b"503", b"503"]
            assert replies(kept, one + one[:30], one[30:]) == [b"503", b"503"]
            assert replies(kept, one[:-5], one[-5:]) == [b"503"]
            assert replies(kept, one, one, one) == [b"503"] * 3
            full.let_go()
            assert waiting.result().status == 200
            kept.sendall(one)
            assert read_reply(kept).json == {"data": {"__typename": "Query"}}


def test_a_piece_that_looks_like_a_request_is_none(sources: Federation) -> None:
    """What stands inside a head that is not over yet belongs to that head, whatever it looks like."""
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="1") as full:
        inside = request()
        with keep(full.gateway) as kept:
            waiting = full.ask()
            half = head("POST", "/graphql", {"content-length": str(len(inside))})
            kept.sendall(request() + half)
            assert replies(kept, inside, asked=2) == [b"503", b"503"]  # the body of the second is no third
            kept.settimeout(0.3)
            with pytest.raises(TimeoutError):
                kept.recv(1)
        full.let_go()
        assert waiting.result().status == 200


def test_new_connections_are_refused_and_closed_and_those_who_wait_with_their_words_get_in(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="1") as full:
        waiting = full.ask()
        silent = full.gateway.connect()
        for _ in range(20):
            with full.gateway.connect() as new:
                new.sendall(request(connection="close"))
                refused = read_reply(new)
                assert (refused.status, refused.headers["retry-after"], new.recv(1)) == (503, "1", b"")
        full.let_go()
        assert waiting.result().status == 200
        silent.sendall(request())
        answered: Reply = read_reply(silent)
        assert answered.json == {"data": {"__typename": "Query"}}
        silent.close()


def test_whoever_asks_on_and_reads_no_refusal_is_cut_off(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="1", GATEWAY_STALL_TIMEOUT="60") as full:
        with keep(full.gateway) as rude:
            waiting = full.ask()
            with pytest.raises(ConnectionError):
                rude.sendall(request() * 100_000)
        full.let_go()
        assert waiting.result().status == 200


def test_the_gateway_still_answers(gateway: Served) -> None:
    assert gateway.is_answering()
