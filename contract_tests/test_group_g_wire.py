"""Hostile bytes and hostile clients, row by row of the catalogue of faults: everything ends, and life goes on."""

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.simulator.faults import Fault
from contract_tests.federation import Federation, proven
from contract_tests.hostile import CASE, LATE, gateway, nobody_is_called_and_life_goes_on, sources
from contract_tests.serving import PATIENCE, Reply, Served, head, read_reply, served
from gateway.returning import return_everything
from gateway.web.protocol import GRACE

__all__ = ["gateway", "nobody_is_called_and_life_goes_on", "sources"]

HEAD = 2.0
"""Seconds for a head and for a body where a test waits for the end of them."""
STALL = 1.0


def test_g13_a_body_is_cut_off_while_it_is_read(gateway: Served) -> None:
    said = head("POST", "/graphql", {"content-type": "application/json", "content-length": str(20_000_000)})
    assert (gateway.send(said).status, gateway.send(said).codes) == (413, ["BODY_TOO_LARGE"])
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    chunked = head("POST", "/graphql", {"content-type": "application/json", "transfer-encoding": "chunked"})
    endless = gateway.send(chunked, *[chunk] * 300)
    assert (endless.status, endless.codes, endless.headers["connection"]) == (413, ["BODY_TOO_LARGE"], "close")


def until_closed(connection: socket.socket, started: float) -> tuple[float, bytes]:
    """How long the server kept the connection, and what it said."""
    got = b""
    try:
        while more := connection.recv(65536):
            got += more
    except ConnectionError:
        pass
    return time.monotonic() - started, got


def test_g15_a_thousand_half_heads_are_closed_in_time_and_keep_nobody_out(sources: Federation) -> None:
    limits = {"GATEWAY_HEAD_TIMEOUT": str(HEAD), "GATEWAY_BODY_TIMEOUT": str(HEAD)}
    with served(sources, **limits) as impatient:
        half_heads_are_closed_in_time(impatient)


def test_g15_the_limits_of_a_head_and_a_body_are_ten_seconds_unless_set(sources: Federation) -> None:
    settings = sources.settings
    assert (settings.head_timeout, settings.body_timeout, settings.stall_timeout) == (10, 10, 10)
    assert settings.body_timeout + GRACE < 12


def half_heads_are_closed_in_time(gateway: Served) -> None:
    started = time.monotonic()
    half = [gateway.connect() for _ in range(1000)]
    for number, connection in enumerate(half):
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: a\r\nX-Slow: " if number % 2 else b"\r\n")
    dripping = gateway.connect()
    dripping.sendall(head("POST", "/graphql", {"content-type": "application/json", "content-length": "99999"}))
    refused = gateway.connect()
    refused.sendall(head("POST", "/graphql", {"content-type": "text/plain", "content-length": "99999"}))
    kept = gateway.connect()
    kept.sendall(head("GET", "/healthz", {}))
    assert read_reply(kept).status == 200
    kept.sendall(b"GET /graphql")
    ended = threading.Event()

    drops = [
        (dripping, b" "),
        (kept, b"a"),
        (refused, b" "),
        *((one, b"\r\n") for one in half[:20:2]),
        *((one, b" ") for one in half[1:20:2]),
    ]

    def drip() -> None:
        while not ended.wait(HEAD / 10):
            for connection, drop in drops:
                with contextlib.suppress(OSError):
                    connection.sendall(drop)

    dropping = threading.Thread(target=drip)
    dropping.start()
    asked = []
    while time.monotonic() - started < HEAD / 2:
        asked.append(gateway.is_answering())
    assert all(asked)
    try:
        with ThreadPoolExecutor(4) as pool:
            lasted = list(pool.map(lambda connection: until_closed(connection, started), half))
            body_lasted, body_said = pool.submit(until_closed, dripping, started).result()
            kept_lasted, kept_said = pool.submit(until_closed, kept, started).result()
            refused_lasted, refused_said = pool.submit(until_closed, refused, started).result()
    finally:
        ended.set()
        dropping.join()
        for connection in (*half, dripping, refused, kept):
            connection.close()
    assert max(seconds for seconds, _ in lasted) < HEAD + LATE
    assert min(seconds for seconds, _ in lasted) > HEAD / 2
    said = {told.split(b"\r\n")[0] for _, told in lasted[21::2]}
    assert said == {b"HTTP/1.1 408 Request Timeout"}
    assert body_said.startswith(b"HTTP/1.1 408 ")
    assert refused_said.startswith(b"HTTP/1.1 415 ")
    assert kept_said.startswith(b"HTTP/1.1 408 ")
    assert max(body_lasted, refused_lasted, kept_lasted) < HEAD + GRACE + LATE


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([b"GET /graphql HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000_000], id="20 MB in one header"),
        pytest.param([b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"], id="a long target"),
        pytest.param([b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 101 + b"\r\n"], id="many headers"),
        pytest.param([b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 17 + b"\r\n"], id="17 KB"),
    ],
)
def test_g15_a_head_that_is_too_large_is_431(gateway: Served, sent: list[bytes]) -> None:
    started = time.monotonic()
    try:
        reply: Reply | None = gateway.send(*sent)
    except ConnectionError:
        reply = None  # closed while 20 MB were still on their way: the answer was thrown away with the connection
    assert reply is None or (reply.status, reply.codes) == (431, ["HEADERS_TOO_LARGE"])
    assert reply is not None or len(sent[0]) > 10_000_000
    assert time.monotonic() - started < LATE


def test_g16_a_reader_that_stops_is_let_go(sources: Federation) -> None:
    """Answers are asked for and never read; once no byte has moved for a while the connection is reset."""
    query = "query=%7B__schema%7Btypes%7Bname%20description%20fields%7Bname%20description%7D%7D%7D%7D"
    with served(sources, GATEWAY_STALL_TIMEOUT=str(STALL)) as gateway, socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", gateway.port))
        reader.sendall(head("GET", f"/graphql?{query}", {"accept": "*/*"}) * 200)
        started = time.monotonic()
        while time.monotonic() - started < STALL * 2 + LATE * 2 and is_open(reader):
            time.sleep(0.02)
        assert STALL / 2 < time.monotonic() - started < STALL * 2 + LATE * 2


def is_open(connection: socket.socket) -> bool:
    """Whether the other side has neither closed nor reset it."""
    looking = select.poll()
    looking.register(connection, 0)
    return not looking.poll(0)


def test_g16_when_the_client_leaves_the_calls_for_it_end(sources: Federation) -> None:
    """The source is a socket of this test: it takes the call, says nothing, and sees when the caller hangs up."""
    with silent_source(sources) as (gateway, source):
        body = json.dumps({"query": f"{{ {CASE} {{ caseName }} }}"}).encode()
        named = {"content-type": "application/json", "content-length": str(len(body))}
        client = gateway.connect()
        client.sendall(head("POST", "/graphql", named) + body)
        called, _ = source.accept()
        with called:
            called.settimeout(PATIENCE)
            assert called.recv(65536)
            left = time.monotonic()
            client.close()
            assert called.recv(65536) == b""
            assert time.monotonic() - left < 0.1
        assert gateway.is_answering()


def test_g16_a_client_that_leaves_in_the_middle_of_its_body_is_no_event(
    gateway: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    for sent in (b"", b'{"query":'):
        with gateway.connect() as connection:
            named = {"content-type": "application/json", "content-length": "500"}
            connection.sendall(head("POST", "/graphql", named) + sent)
        assert gateway.is_answering()
    assert "Exception" not in capfd.readouterr().err


@contextlib.contextmanager
def silent_source(sources: Federation) -> Iterator[tuple[Served, socket.socket]]:
    """A gateway one of whose sources is a socket that only listens."""
    with socket.create_server(("127.0.0.1", 0)) as source:
        source.settimeout(PATIENCE)
        with served(sources, BINHAI_MARKET_URL=f"http://127.0.0.1:{source.getsockname()[1]}") as gateway:
            yield gateway, source


G19: list[tuple[str, bytes]] = [
    ("two lengths", b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ("length and chunks", b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("odd transfer encoding", b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ("negative length", b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    ("absolute URI", b"GET http://169.254.169.254/graphql HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no Host", b"GET /graphql HTTP/1.1\r\n\r\n"),
    ("two Hosts", b"GET /graphql HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("folded header", b"GET /graphql HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"),
    ("bare CR", b"GET /graphql HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: a\rX-Evil: 1\r\n\r\n"),
    ("space before colon", b"GET /graphql HTTP/1.1\r\nHost: a\r\nContent-Length : 0\r\n\r\n"),
    ("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
]  # fmt: skip


@pytest.mark.parametrize("sent", [row[1] for row in G19], ids=[row[0] for row in G19])
def test_g19_what_two_servers_could_read_differently_is_400(gateway: Served, sent: bytes) -> None:
    reply = gateway.send(sent)
    assert (reply.status, reply.codes, reply.headers["connection"]) == (400, ["BAD_REQUEST"], "close")


def test_g19_another_host_is_400_where_hosts_are_listed(sources: Federation) -> None:
    with served(sources, GATEWAY_ALLOWED_HOSTS="gateway.fujian.example, 127.0.0.1") as listed:
        refused = listed.ask("{ __typename }", host="evil.example")
        assert (refused.status, refused.codes) == (400, ["BAD_REQUEST"])
        assert listed.ask("{ __typename }", host="Gateway.Fujian.Example:8080").status == 200
        assert listed.is_answering()


def test_g19_no_header_of_the_client_reaches_a_source(sources: Federation) -> None:
    planted = dict.fromkeys(("x_forwarded_for", "cookie", "authorization", "via", "x_canary"), "CANARY")
    with silent_source(sources) as (gateway, source), ThreadPoolExecutor(1) as pool:
        asked = pool.submit(gateway.ask, f"{{ {CASE} {{ caseName }} }}", **planted)
        called, _ = source.accept()
        with called:
            seen = called.recv(65536)
        assert asked.result().codes == ["SOURCE_UNAVAILABLE"]
    assert seen.startswith((b"GET ", b"POST "))
    assert b"CANARY" not in seen


def test_g20_a_flood_of_errors_is_counted_and_not_listed(sources: Federation, tmp_path: Path) -> None:
    """Every party in the store is asked for its licences under many names, and their source is down."""
    sources.simulators["transport_licence"].faults.add(Fault("fail"))
    changed = {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path / 'fresh.db'}", "GATEWAY_MOST_COST": "1000000"}
    settings, definitions = proven({**sources.settings.secrets, **changed})
    return_everything(settings, definitions, lambda _line: None)
    many = " ".join(f"a{i}: licenses {{ certCode }}" for i in range(95))
    with served(sources, **changed) as fresh:
        reply = fresh.ask(f"{{ parties(first: 100) {{ totalCount nodes {{ {many} }} }} }}")
        *errors, counted = reply.json["errors"]
        flood = 95 * sum(sources.calls()["transport_licence.licenses_of_holder"])
        assert flood > 200
        assert (reply.status, len(errors)) == (200, 100)
        assert {error["extensions"]["code"] for error in errors} == {"SOURCE_UNAVAILABLE"}
        assert counted["extensions"] == {"code": "TOO_MANY_ERRORS", "more": flood - 100}
        assert fresh.is_answering()


def test_g20_an_answer_that_is_too_large_says_so(sources: Federation) -> None:
    with served(sources, GATEWAY_LARGEST_ANSWER="2000") as small:
        reply = small.ask("{ __schema { types { name description } } }")
        assert (reply.status, reply.codes, reply.json["data"]) == (200, ["ANSWER_TOO_LARGE"], None)
        assert small.is_answering()
