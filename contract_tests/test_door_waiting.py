"""Who is in and has to wait for a turn, and who was turned away and asks again on the same connection."""

import asyncio
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

import pytest
import uvicorn
from starlette.types import ASGIApp

from contract_tests.federation import Federation
from contract_tests.hostile import gateway, nobody_is_called_and_life_goes_on, sources
from contract_tests.serving import PATIENCE, Served, head, listening_with, proven, read_reply
from gateway import serving
from gateway.app import Application, create_app
from gateway.web import at_once
from gateway.web.admission import FIRST, LEAST, NARROWEST, Admission
from gateway.web.busyness import Busyness

__all__ = ["gateway", "nobody_is_called_and_life_goes_on", "sources"]


class Narrow:
    """A gateway that answers one after the other, and one source of it that only listens."""

    def __init__(self, app: Application, gateway: Served, source: socket.socket, connections: ExitStack) -> None:
        self.app, self.gateway, self.source, self.connections = app, gateway, source, connections

    def ask(self, number: int, **headers: str) -> socket.socket:
        """Send a request about a case of that source."""
        query = f'{{ enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "W{number}") {{ caseName }} }}'
        asking = self.connections.enter_context(self.gateway.connect())
        asking.sendall(request(query, **headers))
        return asking

    def call(self) -> socket.socket:
        """The next call of the source, which is never answered."""
        called, _ = self.source.accept()
        called.settimeout(PATIENCE)
        assert called.recv(65536)
        return called

    def becomes(self, in_flight: int, waiting: int) -> None:
        """Until so many are in, and so many of them wait."""
        admission, until = self.app.admission, time.monotonic() + PATIENCE
        while (admission.in_flight, len(admission.waiting)) != (in_flight, waiting):
            assert time.monotonic() < until
            time.sleep(0.005)

    def is_silent(self) -> bool:
        """Whether nobody calls the source."""
        self.source.settimeout(0.2)
        try:
            self.source.accept()
        except TimeoutError:
            return True
        finally:
            self.source.settimeout(PATIENCE)
        return False


@contextmanager
def narrow(sources: Federation, limit: float = 1.0, most: str = "1000", **changed: str) -> Iterator[Narrow]:
    with socket.create_server(("127.0.0.1", 0)) as source:
        source.settimeout(PATIENCE)
        address = f"http://127.0.0.1:{source.getsockname()[1]}"
        settings = {"BINHAI_MARKET_URL": address, "GATEWAY_MOST_IN_FLIGHT": most, **changed}
        app = create_app(*proven({**sources.settings.secrets, **settings}))
        app.admission.limit = limit
        setattr(app.admission, "adapt", lambda *_seen: None)  # noqa: B010 - so that the limit stays
        with listening_with(app) as gateway, ExitStack() as connections:
            yield Narrow(app, gateway, source, connections)


def request(query: str = "{ __typename }", **headers: str) -> bytes:
    body = json.dumps({"query": query}).encode()
    named = {"content-type": "application/json", "content-length": str(len(body))}
    return head("POST", "/graphql", named | {name.replace("_", "-"): value for name, value in headers.items()}) + body


def test_who_is_in_waits_until_others_are_over(sources: Federation) -> None:
    with narrow(sources) as one:
        first = one.ask(1)
        called = one.call()
        second = one.ask(2)
        one.becomes(2, 1)
        third = one.connections.enter_context(one.gateway.connect())
        third.sendall(request())
        one.becomes(3, 2)
        assert one.is_silent()
        called.close()
        assert read_reply(first).status == 200
        called = one.call()
        one.becomes(2, 1)
        called.close()
        assert read_reply(second).status == 200
        assert read_reply(third).json == {"data": {"__typename": "Query"}}
        one.becomes(0, 0)


def test_what_is_critical_does_not_wait(sources: Federation) -> None:
    with narrow(sources, GATEWAY_CRITICAL_HEADER="x-criticality: oversight") as one:
        first = one.ask(1)
        called = one.call()
        waiting = one.ask(2)
        one.becomes(2, 1)
        before_the_rest = one.ask(3, x_criticality="oversight")
        one.call().close()
        assert read_reply(before_the_rest).status == 200
        one.becomes(2, 1)
        called.close()
        assert read_reply(first).status == 200
        one.call().close()
        assert read_reply(waiting).status == 200


def test_who_leaves_while_waiting_is_never_begun(sources: Federation) -> None:
    with narrow(sources) as one:
        first = one.ask(1)
        called = one.call()
        left = one.ask(2)
        one.becomes(2, 1)
        left.close()
        one.becomes(1, 0)
        called.close()
        assert read_reply(first).status == 200
        assert one.is_silent()
        one.becomes(0, 0)


def test_the_time_of_waiting_is_the_clients_time(sources: Federation) -> None:
    with narrow(sources) as one:
        first = one.ask(1)
        called = one.call()
        began = time.monotonic()
        second = one.ask(2, x_request_timeout="0.6")
        one.becomes(2, 1)
        time.sleep(0.5)
        called.close()
        reply = read_reply(second)
        assert time.monotonic() - began < 1.5  # and not 0.6 from when its turn came, with all of its call
        assert (reply.status, reply.codes) in ((200, ["DEADLINE_EXCEEDED"]), (200, ["SOURCE_TIMEOUT"]))
        assert read_reply(first).status == 200


def test_turned_away_and_asking_again_in_every_way(sources: Federation) -> None:
    with narrow(sources, most="1") as one, one.gateway.connect() as kept, one.gateway.connect() as leaving:
        first = one.ask(1)
        called = one.call()
        for asking in (kept, leaving):
            for _ in range(5):
                asking.sendall(request())
                assert read_reply(asking).status == 503
        kept.sendall(request()[:40])  # a part of one
        time.sleep(0.05)
        kept.sendall(request()[40:])
        assert read_reply(kept).status == 503
        kept.sendall(request() + request())  # two together
        assert [read_one(kept), read_one(kept)] == [503, 503]
        kept.sendall(head("GET", "/healthz", {}))  # something else
        assert read_reply(kept).status == 200
        kept.sendall(request())
        assert read_reply(kept).status == 503
        leaving.close()
        called.close()
        assert read_reply(first).status == 200
        kept.sendall(request())
        assert read_reply(kept).json == {"data": {"__typename": "Query"}}
        kept.sendall(b"\0\r\n\r\n")
        assert read_reply(kept).status == 400


def test_answered_and_turned_away_ever_since_is_not_idle(sources: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = serving.configured

    def impatient(app: Application, served: ASGIApp) -> uvicorn.Config:
        config = usual(app, served)
        config.timeout_keep_alive = 1
        return config

    monkeypatch.setattr(serving, "configured", impatient)
    with narrow(sources, most="3") as one:
        asking = [one.ask(number) for number in (1, 2, 3)]
        one.becomes(3, 2)
        one.call().close()
        assert read_reply(asking[0]).status == 200  # and others wait: it is looked at with those who are turned away
        one.connections.enter_context(one.call())
        one.ask(4)
        one.becomes(3, 2)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            asking[0].sendall(request())
            assert read_reply(asking[0]).status == 503
            time.sleep(0.1)


def test_turned_away_and_idle_is_closed_in_the_time_of_a_head(sources: Federation) -> None:
    changed = {"GATEWAY_MOST_IN_FLIGHT": "1", "GATEWAY_HEAD_TIMEOUT": "1"}
    app = create_app(*proven({**sources.settings.secrets, **changed}))
    app.admission.enter()
    with listening_with(app) as gateway, gateway.connect() as kept:
        kept.sendall(request())
        kept.sendall(b"")
        assert read_reply(kept).status == 503
        assert kept.recv(100) == b""


def test_without_the_systems_calls_it_is_the_same(sources: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "is_known", False)
    test_turned_away_and_asking_again_in_every_way(sources)


def read_one(connection: socket.socket) -> int:
    """The status of one reply of several, byte by byte."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += connection.recv(1)
    left = int(got.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while left:
        left -= len(connection.recv(left))
    return int(got[9:12])


def test_few_are_answered_at_once_while_late_and_some_more_may_be_in() -> None:
    admission = Admission(most=1000, latest=0.01)
    for _ in range(100):
        admission.in_flight = int(admission.limit)
        admission.adapt(0.02)
    assert (admission.limit, admission.room) == (NARROWEST, LEAST)
    admission.in_flight = 0
    for number in range(int(LEAST)):
        assert not admission.is_full
        admission.enter()
        if admission.is_busy:
            admission.wait(number, lambda: None)
    assert (admission.is_full, admission.running) == (True, int(NARROWEST))


def test_few_are_answered_at_once_while_busy_and_as_many_may_be_in_as_do_not_wait_long() -> None:
    admission = Admission(most=1000, latest=0.01)
    for _ in range(100):
        admission.in_flight = int(admission.room)
        admission.waiting = dict.fromkeys(range(int(admission.room - admission.limit)), (0.0, list))
        admission.adapt(0.001, busy=0.99, waited=0.07)
    assert (admission.limit, admission.room) == (NARROWEST, FIRST)
    admission.adapt(0.001, busy=0.99, waited=0.02)
    assert admission.room > FIRST
    for _ in range(100):
        admission.adapt(0.001, busy=0.99, waited=0.2)
    assert (admission.limit, admission.room) == (NARROWEST, LEAST)
    admission.adapt(0.001, busy=0.93)
    assert admission.limit == NARROWEST  # neither more nor fewer
    admission.limit = 60.0
    admission.waiting, admission.in_flight = {}, 40
    for _ in range(100):
        admission.in_flight = int(admission.limit)
        admission.adapt(0.001, busy=3.0)
    assert admission.limit == 3 * NARROWEST  # so many cores are at work


@pytest.mark.anyio
async def test_who_waits_for_others_than_us_soon_has_a_turn() -> None:
    admission, begun = Admission(most=1000, latest=0.01), list[int]()
    admission.limit = NARROWEST
    for number in range(60):
        admission.enter()
        if admission.is_busy:
            admission.wait(number, lambda number=number: begun.append(number))
    for _ in range(8):
        admission.adapt(0.001, busy=0.1, waited=0.01)
        await asyncio.sleep(0)
    assert begun == list(range(4, 60))


def test_what_the_threads_of_the_store_spend_counts_and_what_others_do_does_not() -> None:
    busyness, clocks, stop = Busyness(), list[int](), threading.Event()

    def spend(is_ours: bool) -> None:
        if is_ours:
            clocks.append(time.pthread_getcpuclockid(threading.get_ident()))
        while not stop.is_set():
            hashlib.pbkdf2_hmac("sha256", b"", b"", 2000)  # without the interpreter

    def share() -> float:
        for _ in range(10):
            told = busyness.look(time.monotonic())
            time.sleep(0.05)
        return told

    with ThreadPoolExecutor(2) as pool:
        assert share() < 0.3
        pool.submit(spend, is_ours=False)
        assert share() < 0.3
        pool.submit(spend, is_ours=True)
        busyness.clocks = lambda: clocks
        until = time.monotonic() + PATIENCE
        while share() < 0.2:
            assert time.monotonic() < until
        stop.set()
    assert busyness.look(time.monotonic()) >= 0.0  # of a thread that is no more


@pytest.mark.anyio
async def test_who_is_turned_away_is_looked_at_between_two_answers_and_not_in_the_name_of_either() -> None:
    admission, looked = Admission(most=10, latest=1.0), list[str]()
    asking = ContextVar("asking", default="nobody")

    def look() -> None:
        looked.append(asking.get())

    def answer() -> None:
        admission.enter()
        admission.leave()

    asking.set("somebody")
    admission.looks.later(0.005, look)
    answer()
    assert looked == []
    time.sleep(0.01)  # noqa: ASYNC251 - the event loop gets no turn
    answer()
    answer()
    await asyncio.sleep(0.02)
    assert looked == ["nobody"]
    admission.looks.later(0.0, look)
    await asyncio.sleep(0.02)
    assert len(looked) == 2  # nobody answers anything
    admission.looks.later(0.0, look)
    admission.looks.no_more(look)
    answer()
    await asyncio.sleep(0.02)
    assert len(looked) == 2
