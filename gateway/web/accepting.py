"""Taking connections. While nobody more is let in, a request that is already there whole is turned away from the bare socket:
to make a connection of it first would cost as much as all the rest, and ten times our load would leave nothing for anybody."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway import metrics
from gateway.web import at_once
from gateway.web.admission import Admission
from gateway.web.turning_away import AGAIN, AT_ONCE, LAST, is_one_request

LOOKS = 2
"""Times that a connection is looked at until it is made, though it has not said anything yet."""
PAUSE = 0.5
"""Seconds to wait when the system has no more files for us."""


class Listener:
    """One listening socket of the running loop."""

    def __init__(self, listening: socket.socket, protocol: Callable[[], Any], admission: Admission) -> None:
        self.listening, self.protocol, self.admission = listening, protocol, admission
        self.loop = asyncio.get_running_loop()
        self.silent: deque[tuple[int, int]] = deque()
        self.making: set[asyncio.Task[Any]] = set()
        self.coming = 0
        """Connections being made whose request is here already: they are about to come in."""
        self.is_open = True
        self.listening.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Take no more; who was taken already is served."""
        if self.is_open:
            self.is_open = False
            self.loop.remove_reader(self.listening)
            self.listening.close()

    def _resume(self) -> None:
        if self.is_open:
            self.loop.add_reader(self.listening, self._take)

    def _take(self) -> None:
        pause = 0.0
        for _ in range(AT_ONCE):
            try:
                taken = self._accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                break
            except OSError:  # no more files: what waits goes on waiting in the kernel
                pause = PAUSE
                break
            self._receive(taken, 0)
        if pause or self.silent or self.admission.is_full:
            self.loop.remove_reader(self.listening)
            self.admission.looks.later(pause or AGAIN, self._take_again)

    def _take_again(self) -> None:
        waiting, self.silent = self.silent, deque()
        for taken, looks in waiting:
            self._receive(taken, looks)
        self._resume()
        if self.is_open:
            self._take()

    def _accept(self) -> int:
        if at_once.is_known:
            return at_once.accept(self.listening.fileno())
        connection, _address = self.listening.accept()
        connection.setblocking(False)
        return connection.detach()

    def _receive(self, taken: int, looks: int) -> None:
        """Turn it away, look again in a moment, or make a connection of it, which is what happens whenever in doubt."""
        said, is_request = b"", False
        if at_once.is_known:
            is_full = self.admission.has_no_room_for(self.coming)
            try:
                said = at_once.receive(taken)
            except BlockingIOError:
                if is_full and self.is_open and looks < LOOKS:
                    self.silent.append((taken, looks + 1))
                    return
            except OSError:
                at_once.close(taken)
                return
            else:
                if not said:  # it has left
                    at_once.close(taken)
                    return
                is_request = is_one_request(said, self.admission.critical, is_last=True)
                if is_full and is_request:
                    metrics.BUSY.inc()
                    with contextlib.suppress(OSError):
                        at_once.send(taken, LAST, is_last=True)
                    at_once.close(taken)
                    return
        self.coming += is_request
        made = self.loop.create_task(self._make(taken, said, is_request))
        self.making.add(made)
        made.add_done_callback(self.making.discard)

    async def _make(self, taken: int, said: bytes, is_request: bool) -> None:
        """A connection of the server's, which is given first what was read already."""
        connection = socket.socket(fileno=taken)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio does so only for sockets it made
            protocol = self.protocol()
            protocol.said = said
            await self.loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:
            connection.close()
        finally:
            self.coming -= is_request
