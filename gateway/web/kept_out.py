"""Connections whose request was turned away and that are kept: while nobody more is let in, they are looked at together.

Through the event loop each refusal would cost it a turn of its own, and the interpreter, which Python gives away around
every call of a socket. Here whoever asks again is read from the bare socket, in batches. As soon as there is room, or somebody
says anything else than one whole request, their connection goes back to the event loop.
"""

import asyncio
import select
from typing import TYPE_CHECKING

from gateway.web import at_once
from gateway.web.admission import Admission
from gateway.web.turning_away import AGAIN, AT_ONCE, is_one_request

if TYPE_CHECKING:
    from gateway.web.protocol import GuardedProtocol


class KeptOut:
    """Those of one server."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.connections: dict[int, GuardedProtocol] = {}
        self.poll: select.epoll | None = None

    def add(self, connection: "GuardedProtocol") -> None:
        """Take a connection over from the event loop, where the system can do that."""
        if not at_once.is_known or connection.descriptor in self.connections:
            return
        connection.transport.pause_reading()
        if self.poll is None:
            self.poll = select.epoll()
            self.admission.looks.later(AGAIN, self._look)
        self.poll.register(connection.descriptor, select.EPOLLIN)
        self.connections[connection.descriptor] = connection

    def remove(self, connection: "GuardedProtocol") -> None:
        """Forget a connection, if it is here."""
        if self.connections.get(connection.descriptor) is not connection or self.poll is None:
            return
        del self.connections[connection.descriptor]
        self.poll.unregister(connection.descriptor)
        if not self.connections:
            asyncio.get_running_loop().remove_reader(self.poll.fileno())
            self.poll.close()
            self.poll = None
            self.admission.looks.no_more(self._look)

    def _look(self) -> None:
        """Answer those who ask again. The next look is a moment later while there is no room, else when somebody asks."""
        for descriptor, _ in self.poll.poll(0, AT_ONCE) if self.poll else ():
            if (connection := self.connections.get(descriptor)) is not None:
                self._answer(connection)
        if self.poll is None:
            return
        loop = asyncio.get_running_loop()
        if self.admission.is_full:
            loop.remove_reader(self.poll.fileno())
            self.admission.looks.later(AGAIN, self._look)
        else:
            loop.add_reader(self.poll.fileno(), self._look)

    def _answer(self, connection: "GuardedProtocol") -> None:
        if connection.transport.is_closing():
            self.remove(connection)
            return
        try:
            said = at_once.receive(connection.descriptor)
        except BlockingIOError:
            return
        except OSError:
            said = b""  # the event loop finds out by itself
        is_out = self.admission.is_full and not self.admission.is_draining
        if is_out and is_one_request(said, self.admission.critical):
            connection.say_no()
            return
        self.remove(connection)
        connection.transport.resume_reading()
        if said:
            connection.data_received(said)
