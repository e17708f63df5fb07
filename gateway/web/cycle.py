"""One request and its answer on a connection, as uvicorn has them, with a short way out for an answer that is there as a whole."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

LARGEST_COPIED = 64 * 1024
"""Bytes of an answer that are put behind its head in one piece; a larger one is not copied once more."""


class Cycle(RequestResponseCycle):
    """uvicorn's cycle. `answer` does what `send` does with two messages, in one write and with a head that needs no checks."""

    def answer(self, status: int, head: bytes, content: bytes) -> bool:
        """Send the whole answer; `head` are its lines, in lower case, length included. False when that is left to `send`."""
        if self.response_started or self.disconnected or self.flow.write_paused or self.scope["method"] == "HEAD":
            return False
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        for name, value in self.default_headers:
            lines += (name, b": ", value, b"\r\n")
        lines += (head, b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        if len(content) < LARGEST_COPIED:
            lines.append(content)
            self.transport.write(b"".join(lines))
        else:
            self.transport.writelines((b"".join(lines), content))
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True
