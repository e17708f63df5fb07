"""Server-sent events, as the GraphQL over SSE protocol has them in its “distinct connections mode”: one request, one operation,
an event `next` for each result and `complete` after the last."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from gateway.engine.engine import Result
from gateway.engine.subscriptions import Subscription
from gateway.web.live import Live
from gateway.web.negotiation import EVENT_STREAM
from gateway.web.response import to_bytes

COMMENT = b":\n\n"
COMPLETE = b"event: complete\ndata:\n\n"
HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "vary": "Accept",
    "x-accel-buffering": "no",  # nginx would keep events back until it has a page of them
    "x-content-type-options": "nosniff",
}


class EventStream(StreamingResponse):
    """The results of an operation as events, and a comment after each `heartbeat` seconds without one.

    While it waits for events it takes no place among the requests that are being answered.
    """

    def __init__(self, results: Result | Subscription, live: Live, heartbeat: float) -> None:
        super().__init__(iter(()), 200, HEADERS, media_type=EVENT_STREAM)
        self.results, self.live, self.heartbeat = results, live, heartbeat

    async def stream_response(self, send: Send) -> None:
        """Send everything; when the client is gone, the subscription ends."""
        self.live.admission.leave()
        coming: asyncio.Task[Result | None] | None = None
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await _send(send, COMMENT)  # from here on nothing is missed, and the client may know it
            while True:
                coming = coming or asyncio.ensure_future(self._next())
                await asyncio.wait({coming}, timeout=self.heartbeat)
                if not coming.done():
                    await _send(send, COMMENT)
                    continue
                result, coming = coming.result(), None
                if result is None:
                    break
                body = to_bytes(self.live.too_large(result).body())
                await _send(send, b"event: next\ndata: " + body + b"\n\n")
            await send({"type": "http.response.body", "body": COMPLETE, "more_body": False})
        finally:
            self.live.admission.enter()  # for whoever counts us out when the response is over
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            if isinstance(self.results, Subscription):
                await self.results.aclose()

    async def _next(self) -> Result | None:
        if isinstance(self.results, Subscription):
            return await anext(self.results, None)
        result, self.results = self.results, _NOTHING
        return None if result is _NOTHING else result


_NOTHING: Any = Result(None, [], {}, executed=False)


async def _send(send: Send, piece: bytes) -> None:
    await send({"type": "http.response.body", "body": piece, "more_body": True})
