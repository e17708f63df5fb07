"""What the door does when there is more than can be done: refusals before any work, shares for what is heavy and what is new."""

import asyncio
import contextlib
import itertools
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from contract_tests.federation import Federation
from contract_tests.hostile import CASE, gateway, nobody_is_called_and_life_goes_on, sources
from contract_tests.serving import PATIENCE, Reply, Served, head, read_reply, served
from gateway.context import Deadline
from gateway.limits import Overloaded
from gateway.web.admission import FIRST, LEAST, LOOKS, NARROWEST, Admission
from gateway.web.learning import Learning

__all__ = ["gateway", "nobody_is_called_and_life_goes_on", "sources"]

ASKED = f"{{ {CASE} {{ caseName }} }}"
REFUSED = {"errors": [{"message": "服务繁忙，请稍后重试", "extensions": {"code": "OVERLOADED", "retryable": True}}]}


class Full:
    """A gateway one of whose sources only listens, with as many requests in it as wait for that source."""

    def __init__(self, gateway: Served, source: socket.socket, pool: ThreadPoolExecutor) -> None:
        self.gateway, self.source, self.pool = gateway, source, pool
        self.called: list[socket.socket] = []

    def ask(self, **headers: str) -> Future[Reply]:
        """Send a request and wait until the source is asked for it."""
        query = f'{{ enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "N{len(self.called)}") {{ caseName }} }}'
        reply = self.pool.submit(self.gateway.ask, query, **headers)
        called, _ = self.source.accept()
        called.settimeout(PATIENCE)
        assert called.recv(65536)
        self.called.append(called)
        return reply

    def let_go(self) -> None:
        """Let the source hang up on all of them."""
        for called in self.called:
            called.close()
        self.called.clear()


@contextlib.contextmanager
def filling(sources: Federation, **settings: str) -> Iterator[Full]:
    with socket.create_server(("127.0.0.1", 0)) as source, ThreadPoolExecutor(8) as pool:
        source.settimeout(PATIENCE)
        address = f"http://127.0.0.1:{source.getsockname()[1]}"
        with served(sources, BINHAI_MARKET_URL=address, **settings) as gateway:
            full = Full(gateway, source, pool)
            try:
                yield full
            finally:
                source.close()
                full.let_go()


def test_what_is_too_much_is_503_before_any_work_on_new_and_kept_connections(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="2", GATEWAY_CRITICAL_HEADER="x-criticality: oversight") as full:
        gateway = full.gateway
        kept = gateway.connect()
        kept.sendall(request())
        assert read_reply(kept).status == 200
        waiting = [full.ask(), full.ask()]

        on_new = gateway.ask("{ __typename }")
        assert (on_new.status, on_new.headers["retry-after"], on_new.json) == (503, "1", REFUSED)
        for _ in range(2):
            kept.sendall(request())
            on_kept = read_reply(kept)
            assert (on_kept.status, on_kept.headers["retry-after"], on_kept.json) == (503, "1", REFUSED)
            assert "connection" not in on_kept.headers
        unread = head("POST", "/graphql", {"content-type": "application/json", "content-length": "100000"})
        assert gateway.send(unread).status == 503
        with gateway.connect() as asking:
            asking.sendall(head("HEAD", "/graphql?query=%7B__typename%7D", {"connection": "close"}))
            said = b"".join(iter(lambda: asking.recv(65536), b""))
        assert said.startswith(b"HTTP/1.1 503 ")
        assert said.endswith(b"\r\n\r\n")
        assert gateway.send(head("GET", "/healthz", {})).status == 200
        assert gateway.ask("{ __typename }", x_criticality="oversight").status == 200

        full.let_go()
        assert [reply.result().status for reply in waiting] == [200, 200]
        kept.sendall(request())
        assert read_reply(kept).json == {"data": {"__typename": "Query"}}
        assert b'gateway_refused_total{reason="busy"}' in gateway.send(head("GET", "/metrics", {})).body
        kept.close()


def request(**headers: str) -> bytes:
    body = b'{"query":"{ __typename }"}'
    named = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    return head("POST", "/graphql", named) + body


def test_requests_whose_client_left_make_room(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="1") as full:
        body = json.dumps({"query": ASKED}).encode()
        leaving = full.gateway.connect()
        named = {"content-type": "application/json", "content-length": str(len(body))}
        leaving.sendall(head("POST", "/graphql", named) + body)
        called, _ = full.source.accept()
        assert full.gateway.ask("{ __typename }").status == 503
        leaving.close()
        called.settimeout(PATIENCE)
        while called.recv(65536):
            pass
        assert full.gateway.is_answering()
        called.close()


def test_half_sent_bodies_take_no_room(sources: Federation) -> None:
    with served(sources, GATEWAY_MOST_IN_FLIGHT="2") as small, contextlib.ExitStack() as stack:
        for _ in range(20):
            half = stack.enter_context(small.connect())
            half.sendall(head("POST", "/graphql", {"content-type": "application/json", "content-length": "99"}) + b"{")
        assert small.is_answering()


def test_what_is_pipelined_behind_the_last_that_was_let_in_is_refused_in_its_turn(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="1") as full:
        body = json.dumps({"query": ASKED}).encode()
        named = {"content-type": "application/json", "content-length": str(len(body))}
        with full.gateway.connect() as connection:
            connection.sendall(head("POST", "/graphql", named) + body + request(connection="close"))
            called, _ = full.source.accept()
            called.close()
            said = b"".join(iter(lambda: connection.recv(65536), b""))
        assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"503"]
        assert json.loads(said.rpartition(b"\r\n\r\n")[2]) == REFUSED


def test_what_is_pipelined_is_answered_in_order_up_to_the_last(sources: Federation) -> None:
    asked = [json.dumps({"query": f"{{ {name}: __typename }}"}).encode() for name in ("a", "b", "c")]
    ends = ({}, {"connection": "close"}, {})
    said = [
        head("POST", "/graphql", {"content-type": "application/json", "content-length": str(len(body)), **end}) + body
        for body, end in zip(asked, ends, strict=True)
    ]
    with served(sources) as gateway, gateway.connect() as connection:
        for piece in (said[0] + said[1][:20], said[1][20:-1], said[1][-1:] + said[2]):
            connection.sendall(piece)
            time.sleep(0.05)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb'{"data":({.*?})}', answers) == [b'{"a":"Query"}', b'{"b":"Query"}']


def test_heavy_operations_have_a_quarter_of_the_places(sources: Federation) -> None:
    with filling(sources, GATEWAY_MOST_IN_FLIGHT="4", GATEWAY_HEAVY_COST="1") as full:
        first = full.ask()
        second = full.gateway.ask(ASKED)
        assert (second.status, second.codes, second.headers["retry-after"]) == (503, ["OVERLOADED"], "1")
        assert full.gateway.is_answering()
        full.let_go()
        assert first.result().status == 200


def test_the_limit_shrinks_while_late_and_grows_while_used() -> None:
    admission = Admission(most=200, latest=0.01)
    first = admission.limit
    admission.in_flight = 60
    for _ in range(LOOKS - 1):
        admission.adapt(0.5)
    admission.adapt(0.001)
    assert (admission.limit >= first, admission.is_late) == (True, False)  # a pause that passes is no queue

    for _ in range(100):
        admission.in_flight = int(admission.limit)
        admission.adapt(0.02)
    assert (admission.limit, admission.room, admission.is_late) == (NARROWEST, LEAST, True)
    admission.in_flight = 100
    admission.limit = 50.0
    admission.adapt(0.02)
    assert admission.limit == 50.0  # those above it have to leave first

    admission.in_flight = 0
    admission.adapt(0.001)
    assert admission.limit == 50.0  # nobody needs more
    for _ in range(200):
        admission.in_flight = int(admission.limit)
        admission.adapt(0.001)
    assert (admission.limit, admission.is_full, admission.is_crowded) == (200, True, False)


def test_a_lateness_for_which_nobody_is_refused_makes_those_who_are_in_take_turns() -> None:
    admission = Admission(most=200, latest=0.01)
    for _ in range(100):
        admission.in_flight = int(admission.limit)
        admission.adapt(0.007)
    assert admission.limit == FIRST  # at 64 that is not late yet
    admission.limit = LEAST
    for _ in range(100):
        admission.in_flight = int(LEAST)
        admission.waiting = dict.fromkeys(range(int(LEAST - admission.limit)), (0.0, list))
        admission.adapt(0.007)
    assert (admission.limit, admission.room, admission.is_late) == (NARROWEST, LEAST, True)


@pytest.mark.anyio
async def test_new_operations_wait_for_each_other_and_leave_the_rest_of_the_time_to_others() -> None:
    learning = Learning(share=0.25, most_waiting=3, is_busy=lambda _waiting: True)
    spans: list[tuple[float, float]] = []

    def work() -> None:
        started = time.monotonic()
        while time.monotonic() < started + 0.02:
            pass
        spans.append((started, time.monotonic()))

    await asyncio.gather(*(learning.prepare(work, deadline=Deadline.after(PATIENCE)) for _ in range(3)))
    pauses = [after[0] - before[1] for before, after in itertools.pairwise(spans)]
    assert all(pause >= 3 * 0.02 * 0.9 for pause in pauses)


@pytest.mark.anyio
async def test_a_new_operation_that_would_come_too_late_is_refused_and_never_prepared() -> None:
    learning = Learning(share=0.01, most_waiting=2, is_busy=lambda _waiting: True)
    done: list[str] = []
    await learning.prepare(lambda: (time.sleep(0.01), done.append("first")), deadline=Deadline.after(PATIENCE))
    late = asyncio.create_task(learning.prepare(lambda: done.append("late"), deadline=Deadline.after(0.05)))
    waiting = asyncio.create_task(learning.prepare(lambda: done.append("waiting"), deadline=Deadline.after(PATIENCE)))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await learning.prepare(lambda: done.append("one too many"), deadline=Deadline.after(PATIENCE))
    with pytest.raises(Overloaded):
        await late
    await waiting
    assert done == ["first", "waiting"]


def test_known_operations_are_answered_while_new_ones_queue(sources: Federation) -> None:
    """One place for what is new, which is taken; a text that was asked before does not care."""
    with served(sources, GATEWAY_MOST_LEARNING="1", GATEWAY_LEARNING_SHARE="0.001") as gateway:
        known = "{ __typename }"
        assert gateway.ask(known).status == 200
        with ThreadPoolExecutor(4) as pool:
            news = [pool.submit(gateway.ask, f"{{ a{n}: __typename }}", x_request_timeout="1") for n in range(12)]
            knowns = [gateway.ask(known) for _ in range(5)]
            statuses = {reply.result().status for reply in news}
    assert [reply.status for reply in knowns] == [200] * 5
    assert statuses <= {200, 503}
