"""HTTP as adapters need it: one request, one whole answer, before a deadline and within a size, or a SourceError.

One interface, three clients behind it: aiohttp for the hot path, pyreqwest where a mapping asks for it, httpx for rare
calls. None follows redirects, keeps cookies, repeats a request or looks at proxies of the environment; each connects only
to the declared host, at an address that `addresses` allows. Texts of errors name no address and no header: both may
carry secrets.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple, Protocol

from adapters.addresses import Network
from adapters.charset import charset_in
from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from adapters.inflate import LARGEST_ANSWER, Inflater
from adapters.tls import SYSTEM, Tls

BASE_HEADERS = {"User-Agent": "minzhifa-gateway", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
MOST_HEADERS = 16 * 1024
"""Bytes of one line of an answer's head."""

UNPACKED_AT_ONCE = 1024 * 1024
"""Bytes that are unpacked before others get their turn on the event loop."""


class HttpAnswer(NamedTuple):
    """A whole answer, unpacked. Names in `headers` may be asked for in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """`application/json`, without parameters; empty when the answer does not say."""
        return _types_in(self.headers.get("content-type", ""))[0]

    @property
    def content_type(self) -> str:
        """The media type with the charset the answer declares, if any: what the body needs to be read again."""
        return _types_in(self.headers.get("content-type", ""))[1]


@lru_cache(maxsize=256)
def _types_in(header: str) -> tuple[str, str]:
    media_type, charset = header.partition(";")[0].strip().lower(), charset_in(header)
    return media_type, f"{media_type}; charset={charset}" if charset else media_type


class HttpClient(Protocol):
    """Sends requests. Any status is an answer; `raise_for_status` tells what it means."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> HttpAnswer:
        """One request, never repeated; `deadline` by the event loop's clock, for everything up to the last byte.

        Raises SourceUnavailable (refused, unknown host, forbidden address, TLS, reset, cut off), SourceTimeout, or
        SourceContractBroken (too big, damaged compression, no HTTP). Who is cancelled lets go of the connection.
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Wire:
    """How a source is reached. `connections` bounds how many are open, `max_bytes` an answer both as it arrives and
    unpacked, `networks` (none: any that is not forbidden) where the host may be; `proxy` is an address with or without
    credentials; what a name resolves to is believed for `names_kept` seconds. Before a call's deadline, `connecting` and
    `reading` bound how many seconds it may wait for a connection and for the next byte.
    """

    host: str
    connections: int = 4
    max_bytes: int = LARGEST_ANSWER
    networks: tuple[Network, ...] = ()
    tls: Tls = SYSTEM
    proxy: str | None = None
    names_kept: float = 10.0
    connecting: float | None = None
    reading: float | None = None


def within(timeout: float) -> float:
    """The deadline that is `timeout` seconds from now."""
    return asyncio.get_running_loop().time() + timeout


def raise_for_status(answer: HttpAnswer) -> None:
    """What a status means: 401 and 403 denied, 429 throttled, 408 and 5xx unavailable, 3xx and other 4xx rejected."""
    status = answer.status
    if 200 <= status < 300:
        return
    told = f"HTTP {status}"
    if status in (401, 403):
        raise SourceDenied(told)
    if status == 429:
        raise SourceThrottled(told, retry_after=retry_after(answer.headers))
    if status == 408 or status >= 500:
        raise SourceUnavailable(told, retry_after=retry_after(answer.headers))
    raise SourceRejected(told)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that `Retry-After` asks to wait, written as a number or as a date; None for anything else."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) < 10:
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def packing(headers: Mapping[str, str], encodings: str) -> str:
    """How a body is packed, "" for not at all. Raises SourceContractBroken for an answer that gives its length twice.

    RFC 9112 §6.3 lets Transfer-Encoding win over Content-Length; who sends both has something in between that reads
    answers differently, and the rest of this one might become the head of the next.
    """
    if "transfer-encoding" in headers and "content-length" in headers:
        raise SourceContractBroken("答复的长度有两种说法")
    encoding = encodings.strip().lower()
    return "" if encoding == "identity" else encoding


async def whole(read: Callable[[], Awaitable[bytes]], encoding: str, limit: int) -> bytes:
    """What `read` gives until it gives nothing, unpacked; both what arrives and what it becomes are bounded."""
    if encoding:
        return await _unpacked(read, Inflater(encoding, limit), limit)
    first = piece = await read()
    received, pieces = 0, []
    while piece:
        received += len(piece)
        if received > limit:
            raise SourceContractBroken("答复超过大小上限")
        pieces.append(piece)
        piece = await read()
    return first if len(pieces) < 2 else b"".join(pieces)


async def _unpacked(read: Callable[[], Awaitable[bytes]], inflater: Inflater, limit: int) -> bytes:
    received, pending, pieces = 0, 0, []
    while piece := await read():
        received += len(piece)
        if received > limit:
            raise SourceContractBroken("答复超过大小上限")
        for part in inflater.parts(piece):
            pieces.append(part)
            pending += len(part)
            if pending > UNPACKED_AT_ONCE:
                pending = 0
                await asyncio.sleep(0)
    if received:
        inflater.finish()
    return b"".join(pieces)
