"""Taking connections. While nobody more is let in, a request that is already there whole is turned away from the bare socket:
to make a connection of it first would cost as much as all the rest, and ten times our load would leave nothing for anybody."""

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway import metrics
from gateway.web.admission import REFUSAL, REFUSAL_HEAD, Admission

AT_ONCE = 200
"""Connections taken in one turn of the loop."""
PEEKED = 16 * 1024
AGAIN = 0.002
"""Seconds until one that has not said anything yet is looked at once more."""
LOOKS = 2
LENGTH = re.compile(rb"\r\ncontent-length: *(\d{1,6})\r\n", re.IGNORECASE)
TARGETS = (b"POST /graphql ", b"POST /graphql?", b"GET /graphql ", b"GET /graphql?")
TURNED_AWAY = b"HTTP/1.1 503 Service Unavailable\r\n" + REFUSAL_HEAD + b"connection: close\r\n\r\n" + REFUSAL
PAUSE = 0.5
"""Seconds to wait when the system has no more files for us."""


class Listener:
    """One listening socket of the running loop."""

    def __init__(self, listening: socket.socket, protocol: Callable[[], Any], admission: Admission) -> None:
        self.listening, self.protocol, self.admission = listening, protocol, admission
        self.loop = asyncio.get_running_loop()
        self.silent: deque[tuple[socket.socket, int]] = deque()
        self.making: set[asyncio.Task[Any]] = set()
        self.is_open = True
        self.listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Take no more; who was taken already is served."""
        if self.is_open:
            self.is_open = False
            self.loop.remove_reader(self.listening)
            self.listening.close()
            self._look_again()

    def _resume(self) -> None:
        if self.is_open:
            self.loop.add_reader(self.listening, self._take)

    def _take(self) -> None:
        was_waiting = bool(self.silent)
        for _ in range(AT_ONCE):
            try:
                connection, _address = self.listening.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                break
            except OSError:  # no more files: what waits goes on waiting in the kernel
                self.loop.remove_reader(self.listening)
                self.loop.call_later(PAUSE, self._resume)
                break
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so only for sockets it made
            self._receive(connection, 0)
        if self.silent and not was_waiting:
            self.loop.call_later(AGAIN, self._look_again)

    def _receive(self, connection: socket.socket, looks: int) -> None:
        """Turn it away, look again in a moment, or make a connection of it, which is what happens whenever in doubt."""
        if self.admission.is_full and self.is_open and looks < LOOKS:
            try:
                said = connection.recv(PEEKED, socket.MSG_PEEK)
            except BlockingIOError:
                self.silent.append((connection, looks + 1))
                return
            except OSError:
                connection.close()
                return
            if _is_whole(said) and not self._is_critical(said):
                _turn_away(connection, len(said))
                return
        made = self.loop.create_task(self._make(connection))
        self.making.add(made)
        made.add_done_callback(self.making.discard)

    def _is_critical(self, said: bytes) -> bool:
        mark = self.admission.critical
        return bool(mark) and mark.partition(b":")[0] in said.lower()

    async def _make(self, connection: socket.socket) -> None:
        try:
            await self.loop.connect_accepted_socket(self.protocol, connection)
        except OSError:
            connection.close()

    def _look_again(self) -> None:
        waiting, self.silent = self.silent, deque()
        for connection, looks in waiting:
            self._receive(connection, looks)
        if self.silent:
            self.loop.call_later(AGAIN, self._look_again)


def _is_whole(said: bytes) -> bool:
    """Whether this is exactly one request for the endpoint, with nothing more to come."""
    if not said.startswith(TARGETS):
        return False
    end = said.find(b"\r\n\r\n")
    if end < 0:
        return False
    told = LENGTH.search(said, 0, end + 2)
    if told is None:
        return said.startswith(b"GET") and len(said) == end + 4
    return len(said) == end + 4 + int(told[1])


def _turn_away(connection: socket.socket, size: int) -> None:
    metrics.BUSY.inc()
    try:
        connection.recv(size)
        connection.send(TURNED_AWAY)
    except OSError:
        pass
    connection.close()
