"""HTTP as adapters need it: one request, one whole answer, within a deadline and a size, or a SourceError.

Redirects are answers like any other, never followed. Proxies of the environment are not used. Texts of errors name no
address and no header: both may carry secrets.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp
import httpx
from yarl import URL

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)
from adapters.inflate import LARGEST_ANSWER, Inflater

BASE_HEADERS = {"User-Agent": "minzhifa-gateway", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
MOST_HEADERS = 16 * 1024
"""Bytes of one line of an answer's head."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer, unpacked. `headers` have names in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """`application/json`, without parameters; empty when the answer does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpClient(Protocol):
    """Sends requests. Any status is an answer; `raise_for_status` tells what it means."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpAnswer:
        """One request, never repeated; `timeout` in seconds from connecting to the last byte.

        Raises SourceUnavailable (refused, unknown host, reset, cut off), SourceTimeout, or SourceContractBroken (too
        big, damaged compression, no HTTP).
        """
        ...

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        ...


class AiohttpClient:
    """For the hot path. `connections` bounds how many are open; `verify`: a private CA's context; within the timeout of a
    request, seconds for `connecting` and for silence while `reading`."""

    def __init__(
        self,
        connections: int,
        verify: ssl.SSLContext | bool = True,
        connecting: float | None = None,
        reading: float | None = None,
    ) -> None:
        self._connections, self._verify = connections, verify
        self._connecting, self._reading = connecting, reading
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpAnswer:
        """One request; see HttpClient."""
        try:
            async with asyncio.timeout(timeout):
                async with self._open().request(
                    method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
                ) as response:
                    head = {name.lower(): value for name, value in response.headers.items()}
                    content = await _whole(response.content.iter_any(), head)
                    return HttpAnswer(response.status, head, content)
        except TimeoutError:
            raise SourceTimeout() from None
        except aiohttp.ClientResponseError:
            raise SourceContractBroken("答复不合 HTTP 规定") from None
        except (aiohttp.ClientError, OSError) as error:
            raise SourceUnavailable(type(error).__name__) from None

    async def aclose(self) -> None:
        """Close all connections."""
        self._is_closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        """The session; made when first needed, because it belongs to the running loop."""
        if self._is_closed:
            raise SourceUnavailable("已关闭")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._verify),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=BASE_HEADERS,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=None, sock_connect=self._connecting, sock_read=self._reading
                ),
                auto_decompress=False,
                trust_env=False,
                max_line_size=MOST_HEADERS,
                max_field_size=MOST_HEADERS,
            )
            # aiohttp would repeat a GET whose connection broke; who may repeat what is decided above the adapters
            self._session._retry_connection = False
        return self._session


class HttpxClient:
    """For low-rate work such as the refresh of a platform's secrets."""

    def __init__(self, connections: int = 2, verify: ssl.SSLContext | bool = True) -> None:
        self._connections, self._verify = connections, verify
        self._client: httpx.AsyncClient | None = None
        self._is_closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> HttpAnswer:
        """One request; see HttpClient."""
        client = self._open()
        try:
            async with asyncio.timeout(timeout):
                async with client.stream(method, url, headers=dict(headers), content=body) as response:
                    head = {name.lower(): value for name, value in response.headers.items()}
                    content = await _whole(response.aiter_raw(), head)
                    return HttpAnswer(response.status_code, head, content)
        except (TimeoutError, httpx.TimeoutException):
            raise SourceTimeout() from None
        except httpx.RemoteProtocolError as error:
            if "closed" in str(error) or "disconnected" in str(error):
                raise SourceUnavailable(type(error).__name__) from None
            raise SourceContractBroken("答复不合 HTTP 规定") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SourceUnavailable(type(error).__name__) from None
        finally:
            client.cookies.clear()

    async def aclose(self) -> None:
        """Close all connections."""
        self._is_closed = True
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    def _open(self) -> httpx.AsyncClient:
        if self._is_closed:
            raise SourceUnavailable("已关闭")
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=BASE_HEADERS,
                follow_redirects=False,
                trust_env=False,
                timeout=None,
                limits=httpx.Limits(max_connections=self._connections),
                verify=self._verify,
            )
        return self._client


def raise_for_status(answer: HttpAnswer) -> None:
    """What a status means: 401 and 403 denied, 429 throttled, 408 and 5xx unavailable, 3xx and other 4xx rejected.

    With 429 and 503 the source may say how long to stay away.
    """
    status = answer.status
    told = f"HTTP {status}"
    if status in (401, 403):
        raise SourceDenied(told)
    if status == 429:
        raise SourceThrottled(told, retry_after=retry_after(answer.headers.get("retry-after")))
    if status == 408 or status >= 500:
        wait = retry_after(answer.headers.get("retry-after")) if status == 503 else None
        raise SourceUnavailable(told, retry_after=wait)
    if status >= 300 or status < 200:
        raise SourceRejected(told)


def retry_after(text: str | None) -> float | None:
    """The seconds in a `Retry-After`, which may also be a date; None when it says nothing that can be read (RFC 9110 §10.2.3)."""
    if text is None:
        return None
    if (text := text.strip()).isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
        left = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, left.total_seconds())


async def _whole(pieces: AsyncIterator[bytes], headers: Mapping[str, str]) -> bytes:
    """The body, unpacked; both what arrives and what it becomes are bounded."""
    encoding = headers.get("content-encoding", "").strip().lower()
    inflater = Inflater(encoding) if encoding not in ("", "identity") else None
    received, left = bytearray(), LARGEST_ANSWER
    async for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise SourceContractBroken("答复超过大小上限")
        received += inflater.feed(piece) if inflater else piece
    if inflater and left < LARGEST_ANSWER:
        inflater.finish()
    return bytes(received)
