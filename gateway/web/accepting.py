"""Taking connections. While nobody more is let in, a request that is already there whole is turned away from the bare socket:
to make a connection of it first would cost as much as all the rest, and ten times our load would leave nothing for anybody.
Whose first request is not whole yet waits as a bare socket as well."""

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from gateway import metrics
from gateway.web import at_once
from gateway.web.admission import Admission
from gateway.web.patience import Patience
from gateway.web.quiet import Quiet
from gateway.web.turning_away import AGAIN, AT_ONCE, LAST, is_one_request

LOOKS = 2
"""Times that a connection is looked at until it has to wait for what it says."""
PAUSE = 0.5
"""Seconds to wait when the system has no more files for us."""


class Listener:
    """One listening socket of the running loop."""

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], Any],
        admission: Admission,
        patience: Patience,
    ) -> None:
        self.listening, self.protocol, self.admission = listening, protocol, admission
        self.quiet = Quiet(patience, admission, self._heard)
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

    def let_go(self) -> None:
        """Wait no longer for those who have not asked."""
        self.quiet.close()

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
        """Turn it away, look again in a moment, wait for what it says, or make a connection of it."""
        if not at_once.is_known:
            self._begin(taken, b"", 0.0, 0.0, is_request=False)
            return
        try:
            said = at_once.receive(taken)
        except BlockingIOError:
            if self.is_open and looks < LOOKS and self.admission.has_no_room_for(self.coming):
                self.silent.append((taken, looks + 1))
            else:
                self.quiet.takes(taken, b"")
        except OSError:
            at_once.close(taken)
        else:
            is_request = is_one_request(said, self.admission.critical, is_last=True)
            if not said:  # it has left
                at_once.close(taken)
            elif is_request or not self.quiet.takes(taken, said):
                self._answer(taken, said, 0.0, 0.0, is_request, is_leaving=True)

    def _heard(self, taken: int, said: bytes, took: float, waited: float) -> None:
        """What was waited for has been said; who was here before there was no room, and would like to stay, may."""
        is_request = is_one_request(said, self.admission.critical, is_last=True)
        is_leaving = not took or not is_one_request(said, self.admission.critical)
        self._answer(taken, said, took, waited, is_request, is_leaving)

    def _answer(self, taken: int, said: bytes, took: float, waited: float, is_request: bool, is_leaving: bool) -> None:
        """Turn it away, or make a connection of it, which is what happens whenever in doubt."""
        if is_request and is_leaving and self.admission.has_no_room_for(self.coming):
            metrics.BUSY.inc()
            with contextlib.suppress(OSError):
                at_once.send(taken, LAST, is_last=True)
            at_once.close(taken)
        else:
            self._begin(taken, said, took, waited, is_request)

    def _begin(self, taken: int, said: bytes, took: float, waited: float, is_request: bool) -> None:
        self.coming += is_request
        made = self.loop.create_task(self._make(taken, said, took, waited, is_request))
        self.making.add(made)
        made.add_done_callback(self.making.discard)

    async def _make(self, taken: int, said: bytes, took: float, waited: float, is_request: bool) -> None:
        """A connection of the server's, which is given first what was read already."""
        family = self.listening.family  # told here, it need not be asked of the system
        connection = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=taken)
        try:
            connection.setblocking(False)
            protocol = self.protocol()
            protocol.said, protocol.took, protocol.waited = said, took, waited
            await self.loop.connect_accepted_socket(lambda: protocol, connection)
        except OSError:
            connection.close()
        finally:
            self.coming -= is_request
