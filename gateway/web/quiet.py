"""Connections whose first request is not whole yet: a descriptor, and what it has said so far.

To make a connection of the server's (transport, parser, timers, a task) takes many times as long, and a hundred objects that
the collector looks through; whoever says nothing, half a head or half a body would have that at the expense of those who ask.
So one is made when a request is whole, or is no usual one: what is wrong with it is for the parser and the endpoint to say.
"""

import asyncio
import contextlib
import re
import select
from collections.abc import Callable
from dataclasses import dataclass

from gateway.alarms import Alarm, alarms_of
from gateway.web import at_once
from gateway.web.admission import Admission
from gateway.web.patience import Patience
from gateway.web.turning_away import AGAIN, AT_ONCE, LENGTH, PLAIN, late_body, late_head, refusal_of

LONGEST_HEAD = 4096
"""Bytes of a head that has not ended; a longer one is the parser's."""
LARGEST_BODY = 16 * 1024
"""Bytes of a body that is waited for here; a larger one is the endpoint's."""
HALF = re.compile(
    rb"(?:GET|POST|HEAD)(?:\ (?:/[!-~]*+(?:\ HTTP/1\.1\r\n"
    rb"(?:[A-Za-z0-9-]++:[\t\ -~]*+\r\n)*+"
    rb"(?:[A-Za-z0-9-]++(?::[\t\ -~]*+\r?)?|\r)?)?)?)?",
    re.VERBOSE,
)
"""The beginning of a usual head, which an empty line would end."""
JSON = re.compile(rb"\r\ncontent-type: *application/json *\r\n")
START = b"POST /graphql "


def is_half_head(said: bytes) -> bool:
    """Whether this may become a usual head, and is none yet."""
    return len(said) <= LONGEST_HEAD and HALF.fullmatch(said) is not None


def length_if_half(said: bytes) -> int:
    """How long the usual request will be of which this is the head and not yet all of the body; 0 for everything else."""
    end = said.find(b"\r\n\r\n") + 4
    if end < 4 or end > LONGEST_HEAD or not said.startswith(START):
        return 0
    head = said[:end].lower()
    told = LENGTH.findall(head)
    if not PLAIN.fullmatch(head) or head.count(b"\r\nhost:") != 1 or head.count(b"\r\ncontent-length") != 1:
        return 0
    if len(told) != 1 or int(told[0]) > LARGEST_BODY or head.count(b"\r\ncontent-type") != 1 or not JSON.search(head):
        return 0
    length = end + int(told[0])
    return length if len(said) < length else 0


@dataclass(slots=True)
class Word:
    """What a connection has said since it was taken. `length`: how long its request will be, once its head is here, and
    `since_head`: since when that is."""

    said: bytes
    since: float
    alarm: Alarm
    length: int = 0
    since_head: float = 0.0


class Quiet:
    """Those of one listening socket. `spoke` is given whose request is whole, or is for others to read: what it said, in how
    many seconds, and how many of them went by after its head."""

    def __init__(
        self, patience: Patience, admission: Admission, spoke: Callable[[int, bytes, float, float], None]
    ) -> None:
        self.patience, self.admission, self.spoke = patience, admission, spoke
        self.loop = asyncio.get_running_loop()
        self.alarms = alarms_of(self.loop)
        self.held: dict[int, Word] = {}
        self.poll: select.epoll | None = None

    def takes(self, taken: int, said: bytes) -> bool:
        """Wait for what it says next, unless there is no need to."""
        length = 0 if not said or is_half_head(said) else length_if_half(said) or None
        if length is None:
            return False
        if self.poll is None:
            self.poll = select.epoll()
            self._watch()
        self.poll.register(taken, select.EPOLLIN)
        now = self.loop.time()
        patience = self.patience.body if length else self.patience.head
        self.held[taken] = Word(said, now, self.alarms.at(now + patience, self._end_late, taken), length, now)
        return True

    def close(self) -> None:
        """Let go of all."""
        for taken in list(self.held):
            self._forget(taken)
            at_once.close(taken)
        self._end()

    def _watch(self) -> None:
        """Look when somebody says something; while nobody more is let in, a moment later, at all who did by then."""
        assert self.poll is not None
        if self.admission.is_full:
            self.loop.remove_reader(self.poll.fileno())
            self.admission.looks.later(AGAIN, self._look)
        else:
            self.loop.add_reader(self.poll.fileno(), self._look)

    def _look(self) -> None:
        for taken, _ in self.poll.poll(0, AT_ONCE) if self.poll else ():
            self._hear(taken)
        if self.held:
            self._watch()
        else:
            self._end()

    def _hear(self, taken: int) -> None:
        word = self.held[taken]
        try:
            more = at_once.receive(taken)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        if not more:  # it has left
            self._forget(taken)
            at_once.close(taken)
            return
        word.said += more
        if not (len(word.said) < word.length if word.length else self._is_half(taken, word)):
            now = self.loop.time()
            self._forget(taken)
            waited = now - word.since_head if word.length else 0.0
            self.spoke(taken, word.said, now - word.since, waited)

    def _is_half(self, taken: int, word: Word) -> bool:
        """Whether the head goes on, or is over and a body will follow, which has a time of its own."""
        if is_half_head(word.said):
            return True
        word.length = length_if_half(word.said)
        if word.length:
            word.alarm.cancel()
            word.since_head = self.loop.time()
            word.alarm = self.alarms.at(word.since_head + self.patience.body, self._end_late, taken)
        return word.length > 0

    def _forget(self, taken: int) -> None:
        self.held.pop(taken).alarm.cancel()
        if self.poll is not None:
            self.poll.unregister(taken)

    def _end(self) -> None:
        if self.poll is not None:
            self.loop.remove_reader(self.poll.fileno())
            self.poll.close()
            self.poll = None
            self.admission.looks.no_more(self._look)

    def _end_late(self, taken: int) -> None:
        word = self.held[taken]
        self._forget(taken)
        if word.said:
            refusal = late_body(self.patience.body) if word.length else late_head(self.patience.head)
            with contextlib.suppress(OSError):
                at_once.send(taken, refusal_of(refusal), is_last=True)
        at_once.close(taken)
        if not self.held:
            self._end()
