"""An answer that comes in parts: `multipart/mixed`, as GraphQL over HTTP proposes for incremental delivery."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.web.response import to_bytes

BOUNDARY = "-"
MEDIA_TYPE = f'multipart/mixed; boundary="{BOUNDARY}"'


def takes_parts(accept: str | None) -> bool:
    """Whether the client says that it reads `multipart/mixed`."""
    types = (entry.split(";")[0].strip().lower() for entry in (accept or "").split(",")[:100])
    return "multipart/mixed" in types


class PartsResponse(Response):
    """Sends each payload as it becomes ready; when the client leaves, what is still under way for it ends."""

    def __init__(self, payloads: AsyncIterator[dict[str, Any]]) -> None:
        super().__init__(headers={"cache-control": "no-store", "vary": "Accept", "x-content-type-options": "nosniff"})
        self.headers["content-type"] = MEDIA_TYPE
        del self.headers["content-length"]
        self.payloads = payloads

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send them all, or until the client is gone."""
        sending = asyncio.create_task(self._send(send))
        leaving = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for payload in self.payloads:
                content = to_bytes(payload)
                head = f"\r\n--{BOUNDARY}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n".encode()
                await send({"type": "http.response.body", "body": head + content, "more_body": True})
        finally:
            with suppress(Exception):
                await self.payloads.aclose()  # type: ignore[attr-defined]
        await send({"type": "http.response.body", "body": f"\r\n--{BOUNDARY}--\r\n".encode(), "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
