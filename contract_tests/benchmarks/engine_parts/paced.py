"""Latency under a given rate: an open loop in a process of its own, so that a slow answer delays no other request.

A request's time starts when it was due: what waits for a free connection waits on the server's account. `even` requests come
at equal intervals, as wrk2 and vegeta send them; `poisson` ones as from clients that know nothing of each other. These queue
even before a server that takes exactly as long for each: where one such server is half busy, p99 is 4.3 times p50.

For a moment at first nothing is counted: 64 connections are made then, and a processor that had nothing to do before is slower.

It shares a hardware thread with the upstream systems, so it does as little as it can: what follows the head of an answer is
counted, and the kernel lets go of it without copying it. As root it goes before everything else there, some µs each time, and
server and nginx go before whatever else runs on this machine.
"""

import contextlib
import gc
import json
import os
import random
import re
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contract_tests.benchmarks.engine_parts.processes import LOAD_CORE, cpu_seconds, going_first, pinned
from contract_tests.benchmarks.engine_parts.servers import PROJECT, Server
from contract_tests.benchmarks.engine_parts.upstreams import Upstreams

CONNECTIONS = 64
STARTING = 0.05
WARMING = 0.5
"""Seconds at first whose requests do not count."""
DRAINING = 30.0
"""Seconds that the last answers may take."""
HEAD = 4096
"""Bytes that are read of an answer at first."""
SINK = bytearray(4 * 2**20)
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
OK, REFUSED = b"HTTP/1.1 200", b"HTTP/1.1 503"
Arrivals = Literal["even", "poisson"]
ARRIVALS: tuple[Arrivals, ...] = ("even", "poisson")


@dataclass(frozen=True, slots=True)
class Latency:
    """From when a request was due until its last byte. `refused`, of `requests`, were answered 503, and their times do not count.

    `late_ms`: so late at most were 99 of 100 requests looked at here, which is the part of the generator in the others.
    `busy`: processor time of the server a second. `is_first`: nobody else of this machine could take the cores meanwhile.
    """

    requests: int
    refused: int
    p50_ms: float
    p99_ms: float
    late_ms: float
    busy: float
    is_first: bool


def latencies(
    server: Server, nginx: Upstreams, bodies: Path, per_second: float, seconds: float, arrivals: Arrivals
) -> Latency:
    """What answers took at this rate. Raises AssertionError when one failed."""
    arguments = [str(server.port), str(bodies), repr(per_second), repr(seconds), arrivals]
    command = pinned(LOAD_CORE, [sys.executable, "-m", __name__, *arguments])
    cpu = cpu_seconds(server.pid)
    with going_first(server.pid, nginx.pid) as is_first:
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    cpu = cpu_seconds(server.pid) - cpu
    assert done.returncode == 0, done.stderr[-2000:]
    return Latency(**json.loads(done.stdout), busy=cpu / (WARMING + seconds), is_first=is_first)


class Connection:
    """A kept connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self.head, self.left = b"", 0

    def ask(self, due: float, request: bytes) -> None:
        """Send a request that was due then."""
        self.due, self.head, self.left = due, b"", 0
        sent = self.socket.send(request)
        assert sent == len(request), "a request did not fit the socket"

    def is_answered(self) -> bool:
        """Take what has come; whether it was the last of an answer. Raises ValueError when that is not what was wanted."""
        if self.left:
            self.left -= self.socket.recv_into(SINK, min(self.left, len(SINK)), socket.MSG_TRUNC)
            return not self.left
        said = self.socket.recv(HEAD)
        self.head += said
        end = self.head.find(b"\r\n\r\n")
        length = LENGTH.search(self.head, 0, end + 2)
        if not said or self.head[: len(OK)] not in (OK, REFUSED) or (end > 0 and length is None):
            raise ValueError(self.head[:500])
        if end < 0 or length is None:
            return False
        self.left = int(length[1]) - (len(self.head) - end - 4)
        return not self.left


def due_times(per_second: float, seconds: float, is_even: bool) -> Iterator[float]:
    """Seconds after the start at which requests are due."""
    chance, due = random.Random(4), 0.0
    while due < WARMING + seconds:
        yield due
        due += 1 / per_second if is_even else chance.expovariate(per_second)


def drive(port: int, bodies: list[bytes], dues: Iterator[float]) -> tuple[list[float], list[float], int]:
    """Seconds of every request that counts until its answer, and until it was sent; how many were refused, which have no answer."""
    connections = [Connection(port) for _ in range(CONNECTIONS)]
    by_number = {one.socket.fileno(): one for one in connections}
    idle, waiting = deque(connections), deque[tuple[float, bytes]]()
    took: list[float] = []
    late: list[float] = []
    with select.epoll() as poll:
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        start = time.monotonic() + STARTING
        due: float | None = start + next(dues)
        sent = refused = answered = 0
        while due is not None or answered < sent:
            left = DRAINING if due is None else max(due - time.monotonic(), 0.0)
            found, _, _ = select.select([poll], [], [], left)  # epoll itself knows no time below a millisecond
            if not found and due is None:
                raise TimeoutError(f"{sent - answered} of {sent} requests were not answered")
            for number, _ in poll.poll(0) if found else ():
                one = by_number[number]
                if one.is_answered():
                    answered += 1
                    if one.due >= start + WARMING:
                        if one.head.startswith(OK):
                            took.append(time.monotonic() - one.due)
                        else:
                            refused += 1
                    if waiting:
                        one.ask(*waiting.popleft())
                    else:
                        idle.append(one)
            while due is not None and due <= (now := time.monotonic()):
                if due >= start + WARMING:
                    late.append(now - due)
                if idle:
                    idle.popleft().ask(due, bodies[sent % len(bodies)])
                else:
                    waiting.append((due, bodies[sent % len(bodies)]))
                sent += 1
                after = next(dues, None)
                due = None if after is None else start + after
    return took, late, refused


def at(share: float, seconds: list[float]) -> float:
    """Milliseconds that this share of them did not exceed; not a number where there are none."""
    if not seconds:
        return float("nan")
    return sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)] * 1000


def main() -> None:
    """Drive and print the latencies as JSON."""
    port, file, per_second, seconds, arrivals = sys.argv[1:]
    head = "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\naccept: application/json\r\n"
    bodies = [
        f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in Path(file).read_bytes().splitlines()
    ]
    gc.disable()
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(3))
    dues = due_times(float(per_second), float(seconds), is_even=arrivals == "even")
    took, late, refused = drive(int(port), bodies, dues)
    times = {"p50_ms": at(0.5, took), "p99_ms": at(0.99, took), "late_ms": at(0.99, late)}
    told = {"requests": len(late), "refused": refused, **times}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
