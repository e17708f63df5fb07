"""HTTP/1.1 on the wire with an end to everything: uvicorn's own protocol bounds neither a head, a slow body nor a slow reader.

A head has so many seconds and LARGEST_HEAD bytes, a body so many seconds, and whoever reads an answer must take some of it
in as many (Patience). Absolute and other odd request targets, and none or several Host, are 400; only a GET becomes a WebSocket.
"""

import asyncio
import contextlib
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway import metrics
from gateway.alarms import Alarm, alarms_of
from gateway.limits import BadRequest
from gateway.web import at_once
from gateway.web.admission import REFUSAL, REFUSAL_HEAD, refuse
from gateway.web.beginning import TARGET, Beginning
from gateway.web.kept_out import KeptOut
from gateway.web.patience import Patience
from gateway.web.response import LINGERING
from gateway.web.turning_away import KEPT, is_one_request, late_head, refusal_of

LARGEST_HEAD = 16 * 1024
MOST_HEADERS = 100
LEAST_PROGRESS = 16 * 1024
"""Bytes a reader has to take before its time is up, for getting as much again."""
LARGEST_READ = 16 * 1024
"""Bytes of a connection that are read in one turn: requests that are pipelined by the thousand take turns with others."""
MOST_UNREAD = 64 * 1024
"""Bytes of refusals that may wait for somebody who goes on asking and reads none of them."""
DELIVERIES = b"/deliver/"
"""Bodies under here may take as long as they need, as long as they come on."""
GRACE = LINGERING + 0.5
"""Seconds that the application has to answer 408 itself, and to linger, before a slow body is cut off here."""


class GuardedProtocol(Beginning):
    """uvicorn's httptools protocol, with limits."""

    def __init__(self, *given: Any, patience: Patience, kept_out: KeptOut, **named: Any) -> None:
        super().__init__(*given, **named)
        self.patience, self.kept_out = patience, kept_out
        self.descriptor, self.said_no_at = -1, 0.0
        self.is_refusing = False
        self.timers: dict[str, Alarm] = {}
        self.alarms = alarms_of(self.loop)
        self.said = b""
        """What was read of the connection before it was ours."""
        self.took = 0.0
        """Seconds that its first head had before."""
        self.head_size = self.hosts = self.progress = 0
        self.refusal: BadRequest | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first head its time. Any byte that waits to be written counts as a stall, not only many."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)
        self.descriptor = transport.get_extra_info("socket").fileno()
        setattr(transport, "max_size", LARGEST_READ)  # noqa: B010 - asyncio has it and its type does not
        self._start("head", max(self.patience.head - self.took, 0.0), self._head_is_late)
        if self.said:
            self.data_received(self.said)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left behind."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        self.admission.give_up(self)
        self.kept_out.remove(self)
        self.admission.leave(self.entered)
        self.entered = 0
        super().connection_lost(exc)
        if self.task is not None and self.cycle is not None and self.cycle.disconnected:
            self.task.cancel()

    def data_received(self, data: bytes) -> None:
        """Read; refuse a head that grows too large before it ends. What has not all come yet has its time from now on."""
        if self.transport.is_closing() or (self.admission.is_full and self._is_turned_away(data)):
            return
        before, cycle = self.messages, self.cycle
        is_at_rest = self._is_at_rest
        if is_at_rest and not self.admission.is_full and (found := self.heads.of(data)) is not None:
            self._stop("head")
            self._begin_known(*found)
            if self._is_idle:
                self._start("head", self.patience.head, self._head_is_late)
            return
        super().data_received(data)
        if self.transport.get_protocol() is not self or self.transport.is_closing():
            return
        if not self.is_in_head:
            self._start("body", self.patience.body + GRACE, self.transport.close)
            self._start_due()
            return
        self.unread_head = self.unread_head + len(data) if self.messages == before else 0
        if self.unread_head > LARGEST_HEAD:
            self._refuse(_too_large())
        elif self.is_begun or self._is_idle:
            self._start("head", self.patience.head, self._head_is_late)
        if is_at_rest and self.messages == before + 1 and not self.is_begun and self.cycle is not cycle:
            self._know(data)

    def on_message_begin(self) -> None:
        """A new head."""
        super().on_message_begin()
        self.is_begun = True
        self.head_size = self.hosts = 0

    def on_url(self, url: bytes) -> None:
        """Count it."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count it, and do what uvicorn does with it."""
        self._count(len(name) + len(value) + 4)
        if len(self.headers) >= MOST_HEADERS:
            self._raise(_too_large())
        name = name.lower()
        self.hosts += name == b"host"
        self.expect_100_continue |= name == b"expect" and value.lower() == b"100-continue"
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is over; what it asks for may still be nothing that an origin server answers."""
        self._stop("head")
        self.is_in_head, self.unread_head = False, 0
        if not self.url.startswith(b"/"):
            self._raise(BadRequest("BAD_REQUEST", "请求目标应为以 / 开头的路径"))
        if self.hosts > 1 or (self.hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._raise(BadRequest("BAD_REQUEST", "应有且仅有一个 Host 请求头"))
        if self.parser.should_upgrade() and self._should_upgrade():
            super().on_headers_complete()
            return
        self.is_for_us = self.url == TARGET or self.url.startswith(TARGET + b"?")
        if self.is_for_us and self._is_one_too_many():
            self._turn_away()
            return
        if self.url == TARGET:
            version = self.parser.get_http_version()
            keep_alive = version != "1.0" and self.parser.should_keep_alive()
            self._begin(self.parser.get_method().decode("ascii"), version, keep_alive)
        else:
            super().on_headers_complete()
        if self.admission.is_draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Keep it, unless nobody will read it."""
        self.progress += len(body)
        if self.progress >= LEAST_PROGRESS and self.url.startswith(DELIVERIES):
            self.progress = 0
            self._stop("body")
            self._start("body", self.patience.body + GRACE, self.transport.close)
        if not self.is_refusing:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is over."""
        self._stop("body")
        self.is_in_head, self.is_begun = True, False
        self.messages += 1
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        if self.is_refusing:
            self.is_refusing = False
            if not self.parser.should_keep_alive() or self.admission.is_draining:
                self.transport.close()
            return
        if self.is_for_us and not self.cycle.response_complete:
            self._enter()
        super().on_message_complete()
        self._start_due()

    def on_response_complete(self) -> None:
        """One is over. What uvicorn does then, with an alarm in place of a timer."""
        if self.entered:
            self.entered -= 1
            self.admission.leave()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            idle: Any = self.alarms.after(self.timeout_keep_alive, self.timeout_keep_alive_handler)
            self.timeout_keep_alive_task = idle
            if self.admission.is_busy and self._is_at_rest:  # what comes next here has to wait, or is one too many
                self.said_no_at = 0.0
                self.kept_out.add(self)

    def shutdown(self) -> None:
        """No more after what is going on. A connection that is kept and idle gets to ask once more: its request may be on
        its way already, and to close now would lose it; the answer says that it was the last."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False

    def pause_writing(self) -> None:
        """The reader is slower than we are."""
        super().pause_writing()
        self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The reader has taken everything."""
        self._stop("write")
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words
        """What uvicorn calls for anything its parser refuses; what we refused is said with its own status."""
        self._refuse(self.refusal or BadRequest("BAD_REQUEST", "不是合法的 HTTP 请求"))

    def handle_websocket_upgrade(self) -> None:
        """The connection is no longer ours; how many there may be is for the application to say."""
        for timer in self.timers.values():
            timer.cancel()
        self.timers.clear()
        super().handle_websocket_upgrade()

    def _should_upgrade(self) -> bool:
        """Only a first request: what is pipelined before a handshake would still be answered on the same connection."""
        is_first = self.cycle is None or self.cycle.response_complete
        is_get = self.parser.get_method() == b"GET" and self.parser.get_http_version() == "1.1"
        return is_first and is_get and super()._should_upgrade()

    def _is_one_too_many(self) -> bool:
        return self.admission.is_full and (self.admission.is_crowded or not self._is_critical())

    def _is_turned_away(self, data: bytes) -> bool:
        """Turn a request away before anything is parsed, when nothing is going on here and this is the whole of it."""
        if self.is_begun or self.pipeline or not (self.cycle is None or self.cycle.response_complete):
            return False
        if self.admission.is_draining or not is_one_request(data, self.admission.critical):
            return False
        self.said_no_at = 0.0
        self.say_no()
        self.kept_out.add(self)
        return True

    def say_no(self) -> None:
        """Refuse one request of which nothing was parsed. Who keeps asking is not idle, which is noted once a second."""
        metrics.BUSY.inc()
        if (now := self.loop.time()) > self.said_no_at + 1:
            self.said_no_at = now
            self._unset_keepalive_if_required()
            self._stop("head")
            self._start("head", self.patience.head, self._head_is_late)
        sent = 0
        if at_once.is_known and not self.transport.get_write_buffer_size():
            with contextlib.suppress(OSError):  # the transport will find out by itself
                sent = at_once.send(self.descriptor, KEPT)
        if sent < len(KEPT):
            self.transport.write(KEPT[sent:])
            self._end_if_unread()

    def _end_if_unread(self) -> None:
        if self.transport.get_write_buffer_size() > MOST_UNREAD:
            self._reset()

    def _turn_away(self) -> None:
        """Say so at once, in so many bytes known beforehand; what comes of the body is thrown away while it comes."""
        metrics.BUSY.inc()
        is_behind = self.cycle is not None and not self.cycle.response_complete
        if is_behind or self.parser.get_method() == b"HEAD":
            self.is_for_us, app, self.app = False, self.app, refuse
            self._start("body", self.patience.body + GRACE, self.transport.close)
            super().on_headers_complete()
            self.app = app
            return
        self.is_refusing = True
        is_last = not self.parser.should_keep_alive() or self.admission.is_draining
        end = b"connection: close\r\n\r\n" if is_last else b"\r\n"
        self.transport.write(b"".join((STATUS_LINE[503], REFUSAL_HEAD, end, REFUSAL)))
        self._end_if_unread()

    def _watch_writing(self, left: int) -> None:
        def check() -> None:
            now = self.transport.get_write_buffer_size()
            if now > left - LEAST_PROGRESS:
                self._reset()
            else:
                self._watch_writing(now)

        self._stop("write")
        self._start("write", self.patience.stall, check)

    def _reset(self) -> None:
        """Close at once and for good: without this option the kernel would go on holding what nobody reads."""
        held = self.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _head_is_late(self) -> None:
        if self.unread_head:
            self._refuse(late_head(self.patience.head))
        else:
            self.transport.close()

    def _count(self, size: int) -> None:
        self.head_size += size
        if self.head_size > LARGEST_HEAD:
            self._raise(_too_large())

    def _raise(self, refusal: BadRequest) -> None:
        self.refusal = refusal
        raise refusal

    def _refuse(self, refusal: BadRequest) -> None:
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(refusal_of(refusal))
        self.transport.close()

    def _start(self, name: str, seconds: float, then: Any) -> None:
        if name not in self.timers and not self.transport.is_closing():
            self.timers[name] = self.alarms.after(seconds, self._end, name, then)

    def _end(self, name: str, then: Any) -> None:
        self.timers.pop(name, None)
        if not self.transport.is_closing() or name == "write":
            then()

    def _stop(self, name: str) -> None:
        if timer := self.timers.pop(name, None):
            timer.cancel()


def _too_large() -> BadRequest:
    return BadRequest("HEADERS_TOO_LARGE", f"请求头超过 {LARGEST_HEAD} 字节或 {MOST_HEADERS} 行")
