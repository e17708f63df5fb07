"""An answer that comes in parts: `multipart/mixed`, as GraphQL over HTTP proposes for incremental delivery."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.web.response import to_bytes

BOUNDARY = "-"
MEDIA_TYPE = f'multipart/mixed; boundary="{BOUNDARY}"'


class PartsResponse(Response):
    """Sends each payload as it becomes ready. When the client leaves, the server cancels us, and what goes on for it."""

    def __init__(self, payloads: AsyncIterator[dict[str, Any]]) -> None:
        super().__init__(headers={"cache-control": "no-store", "vary": "Accept", "x-content-type-options": "nosniff"})
        self.headers["content-type"] = MEDIA_TYPE
        del self.headers["content-length"]
        self.payloads = payloads

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send them all."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self.payloads) as payloads:  # type: ignore[type-var]
            async for payload in payloads:
                head = f"\r\n--{BOUNDARY}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n".encode()
                await send({"type": "http.response.body", "body": head + to_bytes(payload), "more_body": True})
        await send({"type": "http.response.body", "body": f"\r\n--{BOUNDARY}--\r\n".encode(), "more_body": False})
