"""From a GraphQL response to bytes on the wire: JSON, an entity tag for GET, and the encoding the client likes best."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import brotli
import msgspec
import zstandard
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.web.cycle import Cycle
from gateway.web.negotiation import JSON_TYPE, RESPONSE_TYPE, encoding, is_unchanged, media_type
from gateway.web.wanted import Wanted

ENCODER = msgspec.json.Encoder()
VARY = "Accept, Accept-Encoding"
FRESHNESS = "private, max-age=0, must-revalidate"
"""A client may keep an answer, but has to ask each time whether it still holds; nobody in between may keep it."""
LEAST_COMPRESSED = 1024
LARGEST_AT_ONCE = 64 * 1024
"""Bytes that are compressed on the spot; more is left to a thread."""
LINGERING = 1.0


class Lingering(Response):
    """An answer to a request whose body nobody will read: what still comes is thrown away for a moment, so that the client
    gets to see the answer instead of a reset connection, and then the connection is closed."""

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, wait, close."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(LINGERING):
                while (await receive()).get("more_body"):
                    pass
        except TimeoutError:
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def to_bytes(body: Mapping[str, Any]) -> bytes:
    """The JSON of a response; half of a surrogate pair, which UTF-8 cannot write, becomes a question mark."""
    try:
        return ENCODER.encode(body)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(body)
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


async def answer(wanted: Wanted, content: bytes, status: int, is_clean: bool) -> Response:
    """The response. `is_clean`: it has no errors, so that a GET may be asked again with the tag of its answer."""
    chosen = encoding(wanted.encodings) if len(content) >= LEAST_COMPRESSED else None
    if chosen is None and wanted.method == "POST":
        return _Plain(content, status, wanted.media_type or JSON_TYPE)
    headers = {"vary": VARY, "cache-control": "no-store", "x-content-type-options": "nosniff"}
    if is_clean and status == 200 and wanted.method in ("GET", "HEAD"):
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}{f"-{chosen}" if chosen else ""}"'
        headers |= {"etag": tag, "cache-control": FRESHNESS}
        if is_unchanged(wanted.unless, tag):
            return Response(status_code=304, headers=headers)
    if chosen:
        headers["content-encoding"] = chosen
        if len(content) > LARGEST_AT_ONCE:
            content = await asyncio.to_thread(compress, content, chosen)
        else:
            content = compress(content, chosen)
    return Response(content, status, headers, media_type=f"{wanted.media_type or JSON_TYPE}; charset=utf-8")


class _Plain(Response):
    """What most are answered: its headers but for the length are those of every other answer of its type."""

    def __init__(self, content: bytes, status: int, kind: str) -> None:
        self.status_code, self.body, self.background = status, content, None
        self.known, head = _PLAIN_HEADS[kind]
        self.raw_headers = [*head, (b"content-length", b"%d" % len(content))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, in one piece where our own server is what sends."""
        cycle = getattr(send, "__self__", None)
        if isinstance(cycle, Cycle):
            head = self.known + b"".join([b"%b: %b\r\n" % line for line in self.raw_headers[KNOWN_LINES:]])
            if cycle.answer(self.status_code, head, bytes(self.body)):
                return
        await super().__call__(scope, receive, send)


def _head_of(kind: str) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    lines = [
        (b"vary", VARY.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-type", f"{kind}; charset=utf-8".encode()),
    ]
    return b"".join(b"%b: %b\r\n" % line for line in lines), lines


_PLAIN_HEADS = {kind: _head_of(kind) for kind in (RESPONSE_TYPE, JSON_TYPE)}
KNOWN_LINES = 4
"""Lines of such a head that are always the same; nobody takes one away."""


def refusal(request: Request, body: Mapping[str, Any], status: int, is_lingering: bool) -> Response:
    """The answer to a request that is refused; `is_lingering` when its body was left unread."""
    kind = Lingering if is_lingering else Response
    headers = {"vary": VARY, "cache-control": "no-store", "x-content-type-options": "nosniff"}
    return kind(to_bytes(body), status, headers, media_type=_content_type(request))


def compress(content: bytes, chosen: str) -> bytes:
    """The content in one of ENCODINGS, at levels that cost about as little time as they save."""
    match chosen:
        case "zstd":
            return zstandard.ZstdCompressor(level=3).compress(content)
        case "br":
            return bytes(brotli.compress(content, quality=4, mode=brotli.MODE_TEXT))
        case "gzip":
            return gzip.compress(content, compresslevel=5, mtime=0)
    raise ValueError(chosen)


def _content_type(request: Request) -> str:
    return f"{media_type(request.headers.get('accept')) or JSON_TYPE}; charset=utf-8"
