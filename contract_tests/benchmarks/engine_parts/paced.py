"""Latency under a given rate: an open loop in a process of its own, so that a slow answer delays no other request.

Requests are due at exponential intervals, as from clients that know nothing of each other. A request's time starts when it
was due: what waits for a free connection waits on the server's account.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import httptools

from contract_tests.benchmarks.engine_parts.processes import LOAD_CORE, pinned
from contract_tests.benchmarks.engine_parts.servers import PROJECT, Server

CONNECTIONS = 64
DRAINING = 600
"""Times 50 ms."""


@dataclass(frozen=True, slots=True)
class Latency:
    """From when a request was due until its last byte."""

    requests: int
    p50_ms: float
    p99_ms: float


def latencies(server: Server, bodies: Path, per_second: float, seconds: float) -> Latency:
    """What answers took at this rate. Raises AssertionError when one failed."""
    arguments = [str(server.port), str(bodies), repr(per_second), repr(seconds)]
    command = pinned(LOAD_CORE, [sys.executable, "-m", __name__, *arguments])
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return Latency(**json.loads(done.stdout))


class Connection(asyncio.Protocol):
    """A kept connection with at most one request under way."""

    def __init__(self, idle: "deque[Connection]", took: list[float]) -> None:
        self.idle, self.took = idle, took
        self.due = 0.0
        self.parser = httptools.HttpResponseParser(self)
        self.waiting: deque[tuple[float, bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It may be used."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.idle.append(self)

    def ask(self, due: float, request: bytes) -> None:
        """Send a request that was due then."""
        self.due = due
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """A piece of an answer."""
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The answer is there: its time counts, and who waited longest goes next."""
        self.took.append(time.perf_counter() - self.due)
        if (status := self.parser.get_status_code()) != 200:
            raise ValueError(f"status {status}")
        self.parser = httptools.HttpResponseParser(self)
        if self.waiting:
            self.ask(*self.waiting.popleft())
        else:
            self.idle.append(self)


async def drive(port: int, bodies: list[bytes], per_second: float, seconds: float) -> list[float]:
    """Seconds of every request, in the order of their answers."""
    loop = asyncio.get_running_loop()
    idle: deque[Connection] = deque()
    waiting: deque[tuple[float, bytes]] = deque()
    took: list[float] = []
    for _ in range(CONNECTIONS):
        _, made = await loop.create_connection(lambda: Connection(idle, took), "127.0.0.1", port)
        made.waiting = waiting
    chance = random.Random(4)
    due, end, sent = time.perf_counter(), time.perf_counter() + seconds, 0
    while due < end:
        if (left := due - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        body = bodies[sent % len(bodies)]
        if idle:
            idle.popleft().ask(due, body)
        else:
            waiting.append((due, body))
        sent += 1
        due += chance.expovariate(per_second)
    for _ in range(DRAINING):  # looked at from time to time, so that answers need not look whether they are the last
        if len(took) < sent:
            await asyncio.sleep(0.05)
    if len(took) < sent:
        raise TimeoutError(f"{sent - len(took)} of {sent} requests were not answered")
    return took


def main() -> None:
    """Drive and print the latencies as JSON."""
    port, file, per_second, seconds = sys.argv[1:]
    head = "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\naccept: application/json\r\n"
    bodies = [
        f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in Path(file).read_bytes().splitlines()
    ]
    took = sorted(asyncio.run(drive(int(port), bodies, float(per_second), float(seconds))))
    p50, p99 = (took[min(int(len(took) * share), len(took) - 1)] * 1000 for share in (0.5, 0.99))
    print(json.dumps({"requests": len(took), "p50_ms": p50, "p99_ms": p99}))


if __name__ == "__main__":
    main()
