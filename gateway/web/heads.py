"""Heads of requests that were read before: a client writes nearly the same with every request, and the same says the same.

Only what `usual` knows is kept: a POST of JSON that names nobody, on a connection that goes on, whose body is as long as its head
says. So no credentials are kept here, and nothing that changes how what follows is to be read.
"""

from collections.abc import Sequence

from gateway.web.wanted import Wanted

MOST_HEADS = 1000
LARGEST = 1024
"""Bytes of a head that is kept."""
UNIQUE = b"x-request-id"
"""A line of which no two are alike."""
END = b"\r\n\r\n"


class Head(list[tuple[bytes, bytes]]):
    """The lines of a head as ASGI has them, how long the body after it is, and what it wants."""

    __slots__ = ("length", "told")

    def __init__(self, lines: Sequence[tuple[bytes, bytes]], length: int, told: Wanted) -> None:
        super().__init__(lines)
        self.length, self.told = length, told


class Heads:
    """What was read so far, by its very bytes. One for the process."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, said: bytes) -> tuple[Head, bytes] | None:
        """The head and the body of exactly one request; None where its head is not known, or more or less than that was said."""
        end = said.find(END, 0, LARGEST) + len(END)
        head = self._known.get(said[:end])
        return (head, said[end:]) if head is not None and len(said) == end + head.length else None

    def keep(self, said: bytes, lines: Sequence[tuple[bytes, bytes]], told: Wanted) -> None:
        """Know the head of what was just read as exactly one request of these lines."""
        if any(name == UNIQUE for name, _ in lines):
            return
        end = said.find(END, 0, LARGEST) + len(END)
        length = int(next(value for name, value in lines if name == b"content-length"))
        if end < len(END) or len(said) != end + length:
            return
        if len(self._known) >= MOST_HEADS:
            self._known.clear()
        self._known[said[:end]] = Head(lines, length, told)
