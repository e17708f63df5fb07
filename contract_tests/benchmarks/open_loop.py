"""An open-loop generator of load: requests are sent when their time has come, whether or not earlier ones were answered.

Whoever waits for answers before asking again (a closed loop) asks less of a server the slower it gets, and never sees it
collapse. Here every request has its moment, drawn beforehand, and a deadline, after which its client is gone. Plain sockets
and epoll: a client library could not send ten times what the server can take from one core. It never sleeps, so its core is
its own: a timer is late by up to a millisecond, and to wake a sleeping core would be the server's work at every answer.
"""

import contextlib
import gc
import random
import re
import select
import socket
import statistics
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
RETRY = re.compile(rb"\r\nretry-after: *\d", re.IGNORECASE)
MOST_CONNECTIONS = 8000
ADDRESSES = [f"127.0.0.{number}" for number in range(1, 33)]
"""Of ours: each has 28,000 ports, and a connection that is over keeps its port for a minute."""
NO_PORT_YET = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
"""Python has it since 3.12."""
UNTOLD = 599
"""Instead of 503 where the refusal does not say when to come again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How one request ended: when it was due (seconds from the beginning), how long it took from then, and its status.

    `late` is the part of `took` for which it was the sender that was late.

    The status is 0 for one that was not answered by its deadline, -1 for a connection that failed.
    """

    due: float
    took: float
    status: int
    late: float = 0.0


@dataclass(slots=True)
class _Asking:
    held: socket.socket
    due: float = 0.0
    late: float = 0.0
    got: bytearray = field(default_factory=bytearray)
    to_send: bytes = b""
    is_old: bool = False
    """Whether an earlier request was answered on it: closed now, it may just have been let go."""


class Load:
    """Requests to one port of this machine."""

    def __init__(self, port: int, request: bytes, deadline: float, is_kept: bool) -> None:
        self.port, self.deadline, self.is_kept = port, deadline, is_kept
        end = b"\r\n\r\n" if is_kept else b"\r\nconnection: close\r\n\r\n"
        self.request = request.replace(b"\r\n\r\n", end, 1)
        self.poll = select.epoll()
        gc.disable()  # what has been seen is kept until the end; to look through it would hold up what is due by a tenth of a second
        self.open: dict[int, _Asking] = {}
        self.idle: list[_Asking] = []
        self.addresses = cycle(ADDRESSES)
        self.seen: list[Seen] = []
        self.lateness: list[float] = []
        self.began = 0.0

    def run(self, rate: float, seconds: float, seed: int = 1) -> list[Seen]:
        """What became of the requests of so many seconds at so many a second, at moments drawn at random."""
        chance = random.Random(seed)
        moments: deque[float] = deque()
        at = 0.0
        while (at := at + chance.expovariate(rate)) < seconds:
            moments.append(at)
        self.seen, self.lateness, self.began = [], [], time.perf_counter()
        expiring: deque[tuple[float, _Asking, float]] = deque()
        while moments or len(self.open) > len(self.idle):
            now = time.perf_counter() - self.began
            while moments and moments[0] <= now:
                due = moments.popleft()
                self.lateness.append(now - due)
                if (asking := self._send(due, now - due)) is not None:
                    expiring.append((due + self.deadline, asking, due))
                now = time.perf_counter() - self.began
            while expiring and expiring[0][0] <= now:
                _, asking, due = expiring.popleft()
                if asking.due == due and asking.held.fileno() >= 0:
                    self._expire(asking, due, now)
            for number, events in self.poll.poll(0):
                if (asking := self.open.get(number)) is not None:
                    self._go_on(asking, events)
        return self.seen

    def peak(self, clients: int, seconds: float) -> float:
        """Answers a second to so many clients that each ask again as soon as they are answered: a closed loop."""
        self.seen, self.began, answered = [], time.perf_counter(), 0
        for _ in range(clients):
            self._send(0.0, 0.0)
        while (now := time.perf_counter() - self.began) < seconds:
            for number, events in self.poll.poll(0):
                if (asking := self.open.get(number)) is not None:
                    self._go_on(asking, events)
            for seen in self.seen:
                answered += seen.status == 200
                self._send(now, 0.0)
            self.seen.clear()
        return answered / seconds

    def close(self) -> None:
        """Let go of all connections."""
        for asking in list(self.open.values()):
            self._drop(asking)
        self.poll.close()
        gc.enable()

    def _send(self, due: float, late: float) -> _Asking | None:
        asking = self.idle.pop() if self.idle else None
        if asking is None:
            if len(self.open) >= MOST_CONNECTIONS:
                self.seen.append(Seen(due, 0.0, -1))
                return None
            held = socket.socket()
            held.setblocking(False)
            held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            held.setsockopt(socket.IPPROTO_IP, NO_PORT_YET, 1)
            held.bind((next(self.addresses), 0))
            with contextlib.suppress(BlockingIOError):
                held.connect(("127.0.0.1", self.port))
            asking = _Asking(held)
            self.open[held.fileno()] = asking
            self.poll.register(held.fileno(), select.EPOLLIN | select.EPOLLOUT)
        asking.due, asking.late, asking.got, asking.to_send = due, late, bytearray(), self.request
        if asking.is_old:
            self._write(asking)
        return asking

    def _write(self, asking: _Asking) -> None:
        try:
            sent = asking.held.send(asking.to_send)
        except BlockingIOError:
            return
        except OSError:
            self._fail(asking)
            return
        asking.to_send = asking.to_send[sent:]

    def _go_on(self, asking: _Asking, events: int) -> None:
        if asking.to_send and events & select.EPOLLOUT:
            self._write(asking)
            if not asking.to_send and asking.held.fileno() >= 0:
                self.poll.modify(asking.held.fileno(), select.EPOLLIN)
        if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and asking.held.fileno() >= 0:
            self._read(asking)

    def _read(self, asking: _Asking) -> None:
        try:
            more = asking.held.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            self._fail(asking)
            return
        if not more:
            self._fail(asking)
            return
        got = asking.got
        got += more
        end = got.find(b"\r\n\r\n")
        if end < 0:
            return
        told = LENGTH.search(got, 0, end)
        if len(got) < end + 4 + (int(told[1]) if told else 0):
            return
        now = time.perf_counter() - self.began
        status = int(got[9:12])
        if status == 503 and not RETRY.search(got, 0, end):
            status = UNTOLD
        self.seen.append(Seen(asking.due, now - asking.due, status, asking.late))
        asking.due = -1.0
        if self.is_kept and not CLOSE.search(got, 0, end):
            asking.is_old = True
            self.idle.append(asking)
        else:
            self._drop(asking)

    def _fail(self, asking: _Asking) -> None:
        if asking in self.idle:
            self.idle.remove(asking)
        elif asking.due >= 0:
            self.seen.append(Seen(asking.due, time.perf_counter() - self.began - asking.due, -1))
        self._drop(asking)

    def _expire(self, asking: _Asking, due: float, now: float) -> None:
        self.seen.append(Seen(due, now - due, 0))
        self._drop(asking)

    def _drop(self, asking: _Asking) -> None:
        number = asking.held.fileno()
        asking.due = -1.0
        if number >= 0:
            self.poll.unregister(number)
            del self.open[number]
            asking.held.close()


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed; 0 of none."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=1000, method="inclusive")[min(int(share * 1000), 999) - 1]
