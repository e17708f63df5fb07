"""How the answer to a request begins: as uvicorn has it, and shorter where the request is here as a whole, or its head is known."""

import asyncio
import sys
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.web.admission import WAITED, Admission
from gateway.web.cycle import Cycle
from gateway.web.heads import Head, Heads
from gateway.web.wanted import usual

TARGET = b"/graphql"
START = b"POST %b HTTP/1.1\r\n" % TARGET


class Beginning(HttpToolsProtocol):
    """uvicorn's httptools protocol, which begins to answer at once where it can."""

    def __init__(self, *given: Any, admission: Admission, heads: Heads, **named: Any) -> None:
        super().__init__(*given, **named)
        self.admission, self.heads = admission, heads
        self.entered, self.waits_since = 0, 0.0
        self.waited = 0.0
        """Seconds between the first head and the end of its body, where that was before the connection was ours."""
        self.is_for_us = self.is_due = False
        self.task: asyncio.Task[None] | None = None
        self.is_in_head, self.is_begun = True, False
        self.unread_head = self.messages = 0

    @property
    def _is_at_rest(self) -> bool:
        """Whether the next byte would be the first of a request, before which nothing is left to be answered."""
        return not self.is_begun and self._is_idle and not self.admission.is_draining

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _is_critical(self) -> bool:
        """Whether the request says that it goes before the rest."""
        critical = self.admission.critical
        return bool(critical) and critical in (name + b": " + value for name, value in self.headers)

    def _enter(self) -> None:
        self.entered += 1
        self.admission.enter()

    def _know(self, data: bytes) -> None:
        """Remember the head of what was just read as one request and nothing more, if it said nothing unusual."""
        if self.cycle.keep_alive and data.startswith(START):
            headers = list(self.cycle.scope["headers"])
            if (told := usual("POST", headers, len(data))) is not None:
                self.heads.keep(data, headers, told)

    def _begin_known(self, head: Head, body: bytes) -> None:
        """Answer one request with a head that was read before: what the parser and its callbacks come to."""
        self._unset_keepalive_if_required()
        HttpToolsProtocol.on_message_begin(self)
        self.scope["headers"] = self.headers = head
        self.url, self.is_for_us, self.unread_head = TARGET, True, 0
        self._begin("POST", "1.1", keep_alive=True)
        self.cycle.body += body
        self.cycle.more_body = False
        self.cycle.message_event.set()
        self.messages += 1
        self._enter()
        self._start_due()

    def _begin(self, method: str, version: str, keep_alive: bool) -> None:
        """What uvicorn does once a head is over, for the one address that most ask for."""
        before, scope = self.cycle, self.scope
        if self.waited:
            scope[WAITED], self.waited = self.waited, 0.0  # type: ignore[literal-required]
        scope["method"], scope["http_version"] = method, version
        scope["path"], scope["raw_path"], scope["query_string"] = TARGET.decode(), TARGET, b""
        self.cycle = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self.is_due = True
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def _start_due(self) -> None:
        """Answer what was begun, now that its body is here, or will take a while; not behind an answer that was the last."""
        if not self.is_due:
            return
        self.is_due = False
        if self.is_in_head and self.admission.is_busy and not self._is_critical():
            self.waits_since = self.loop.time()
            self.admission.wait(self, self._start_late)
        elif not self.transport.is_closing():
            self._start_asgi_task(self.cycle, self.app, is_whole=self.is_in_head)

    def _start_late(self) -> None:
        """The same for who had to wait, of whose time that was a part."""
        self.admission.looks.between()
        scope: Any = self.cycle.scope
        scope[WAITED] = scope.get(WAITED, 0.0) + self.loop.time() - self.waits_since
        if not self.transport.is_closing():
            self._start_asgi_task(self.cycle, self.app, is_whole=True)

    def _start_asgi_task(self, cycle: Any, app: Any, is_whole: bool = False) -> None:
        """Answer one request; when the client leaves, everything that was going on for it ends. `is_whole`: all of it is here, and
        where Python can do that its answer goes as far as it gets without waiting, at once."""

        async def until_gone(scope: Any, receive: Any, send: Any) -> None:
            try:
                await app(scope, receive, send)
            except asyncio.CancelledError:
                if not cycle.disconnected:
                    raise

        if is_whole and sys.version_info >= (3, 12):
            self.task = asyncio.Task(cycle.run_asgi(until_gone), loop=self.loop, eager_start=True)
        else:
            self.task = self.loop.create_task(cycle.run_asgi(until_gone))
        if not self.task.done():
            self.tasks.add(self.task)
            self.task.add_done_callback(self.tasks.discard)
