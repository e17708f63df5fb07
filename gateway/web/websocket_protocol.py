"""WebSocket on the wire with an end to everything: who reads nothing, or answers no ping, is not held on to."""

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

GOING_AWAY = 1001


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with a limit on how long a reader may take nothing of what it is sent."""

    def __init__(self, *given: Any, stall: float, **named: Any) -> None:
        super().__init__(*given, **named)
        self.stall = stall
        self.stalled: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is left behind."""
        self._stop()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The reader is slower than we are."""
        super().pause_writing()
        if self.stalled is None:
            self.stalled = self.loop.call_later(self.stall, self._reset)

    def resume_writing(self) -> None:
        """The reader has taken everything."""
        self._stop()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server ends before the application has closed the connection: say where the client should go, elsewhere."""
        if not self.handshake_complete or self.close_sent:
            super().shutdown()
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
        self.conn.send_close(GOING_AWAY)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.close()

    def _stop(self) -> None:
        if self.stalled is not None:
            self.stalled.cancel()
            self.stalled = None

    def _reset(self) -> None:
        """Close at once and for good: without this option the kernel would go on holding what nobody reads."""
        held = self.transport.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
