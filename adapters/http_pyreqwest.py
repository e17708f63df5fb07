"""pyreqwest behind the interface of adapters.http: a third of aiohttp's work, for sources whose mapping asks for it.

What it cannot keep is written in `UNKEPT` and refused by `gateway check` unless the mapping waives it.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, PyreqwestError, RequestTimeoutError
from pyreqwest.proxy import ProxyBuilder
from yarl import URL

from adapters.addresses import ForbiddenAddress, check_address, literal, resolve
from adapters.errors import SourceContractBroken, SourceTimeout, SourceUnavailable
from adapters.http import BASE_HEADERS, HttpAnswer, Wire, packing, whole
from adapters.tls import identity

UNNAMED = {"user-agent": BASE_HEADERS["User-Agent"], "accept-encoding": BASE_HEADERS["Accept-Encoding"]}

CUT = ("end of file", "unexpected EOF", "connection closed", "connection reset")
"""In the words of hyper: the answer broke off. For pyreqwest that is a DecodeError like an answer that is no HTTP."""


class PyreqwestClient:
    """See HttpClient. Its own resolver is never asked: it is given the one address that was checked, and after a failure
    another one, where the host has others.

    Who is cancelled before the head of the answer is there leaves a connection that lasts until the deadline.
    """

    def __init__(self, wire: Wire) -> None:
        if wire.tls.ca:
            raise ValueError("pyreqwest cannot be kept from trusting the authorities of the system as well")
        self._wire = wire
        self._identity = identity(wire.tls)
        self._client: Client | None = None
        self._address: str | None = None
        self._failed: str | None = None
        self._good_until, self._origin = 0.0, ""
        self._resolving = asyncio.Lock()
        self._is_closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> HttpAnswer:
        """One request; see HttpClient."""
        try:
            async with asyncio.timeout_at(deadline):
                loop = asyncio.get_running_loop()
                client = self._client
                if client is None or loop.time() >= self._good_until or not url.startswith(self._origin):
                    client = await self._open(url)
                left = max(deadline - loop.time(), 0.0)
                asked = client.request(method, url).headers(dict(headers)).timeout(timedelta(seconds=left))
                if body is not None:
                    asked = asked.body_bytes(body)
                async with asked.build_streamed() as response:
                    head = response.headers
                    reader = response.body_reader

                    async def read() -> bytes:
                        piece = await reader.read_chunk()
                        return bytes(piece) if piece else b""

                    encoding = packing(head, ",".join(head.getall("content-encoding")))
                    content = await whole(read, encoding, self._wire.max_bytes)
                    return HttpAnswer(response.status, head, content)
        except (TimeoutError, RequestTimeoutError):
            raise SourceTimeout() from None
        except (PyreqwestError, OSError, ValueError) as error:
            self._good_until, self._failed = 0.0, self._address
            raise _told(error) from None

    async def aclose(self) -> None:
        """Let go of connections."""
        self._is_closed = True
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _open(self, url: str) -> Client:
        """A client for the address that the host has now; the one in use while that has not changed."""
        async with self._resolving:
            if self._is_closed:
                raise SourceUnavailable("已关闭")
            loop, wire, at = asyncio.get_running_loop(), self._wire, URL(url, encoded=True)
            origin = f"{at.origin()}/"
            if self._client is not None and loop.time() < self._good_until and origin == self._origin:
                return self._client
            address = None if wire.proxy else await self._look_up(at)
            if self._client is None or address != self._address:
                # the former one is not closed: others may be waiting for what they asked it
                self._client, self._address = self._build(at, address), address
            self._good_until, self._origin = loop.time() + wire.names_kept, origin
            return self._client

    async def _look_up(self, at: URL) -> str:
        host, networks = at.host or "", self._wire.networks
        if host != self._wire.host:
            raise ForbiddenAddress("未声明的主机")
        if literal(host):
            check_address(host, host, networks)
            return host
        addresses = await resolve(host, at.port or 0, networks)
        usable = [address for address in addresses if address != self._failed] or addresses
        return self._address if self._address in usable else usable[0]

    def _build(self, at: URL, address: str | None) -> Client:
        wire = self._wire
        builder = (
            ClientBuilder()
            .max_connections(wire.connections)
            .default_headers(UNNAMED)
            .http1_lower_case_headers()
            .follow_redirects(False)
            .referer(False)
            .default_cookie_store(False)
            .gzip(False)
            .deflate(False)
            .brotli(False)
            .zstd(False)
            .min_tls_version("TLSv1.3" if wire.tls.minimum == "1.3" else "TLSv1.2")
        )
        if wire.connecting is not None:
            builder = builder.connect_timeout(timedelta(seconds=wire.connecting))
        if wire.reading is not None:
            builder = builder.read_timeout(timedelta(seconds=wire.reading))
        if self._identity:
            builder = builder.identity_pem(self._identity)
        if wire.proxy:
            return builder.proxy(ProxyBuilder.all(wire.proxy)).build()
        if address and not literal(wire.host):
            builder = builder.resolve(wire.host, address, at.port or 0)
        return builder.no_proxy().build()


def _told(error: Exception) -> SourceUnavailable | SourceContractBroken:
    """The error in our words; pyreqwest's own name the address."""
    if isinstance(error, ForbiddenAddress):
        return SourceUnavailable(str(error))
    told = "; ".join(cause["message"] for cause in (getattr(error, "details", None) or {}).get("causes") or ())
    is_no_http = isinstance(error, DecodeError) or "Invalid chunk" in told
    if is_no_http and not any(word in told for word in CUT):
        return SourceContractBroken("答复不合 HTTP 规定")
    return SourceUnavailable(type(error).__name__)
