"""httpx behind the interface of adapters.http: for rare calls, such as the refresh of a platform's secrets."""

import asyncio
from collections.abc import Mapping

import httpx

from adapters.addresses import ForbiddenAddress, resolve
from adapters.errors import SourceContractBroken, SourceTimeout, SourceUnavailable
from adapters.http import BASE_HEADERS, HttpAnswer, Wire, packing, whole
from adapters.tls import tls_context

PORTS = {"http": 80, "https": 443}


class HttpxClient:
    """See HttpClient. A name is resolved here, so that what is connected to is what was checked."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ssl = tls_context(wire.tls)
        self._client: httpx.AsyncClient | None = None
        self._is_closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> HttpAnswer:
        """One request; see HttpClient."""
        client = self._client or self._open()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._send(client, method, httpx.URL(url), headers, body)
        except (TimeoutError, httpx.TimeoutException):
            raise SourceTimeout() from None
        except httpx.RemoteProtocolError as error:
            if any(word in str(error) for word in ("closed", "disconnected")):
                raise SourceUnavailable(type(error).__name__) from None
            raise SourceContractBroken("答复不合 HTTP 规定") from None
        except ForbiddenAddress as error:
            raise SourceUnavailable(str(error)) from None
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

    async def _send(
        self, client: httpx.AsyncClient, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None
    ) -> HttpAnswer:
        """The next address is tried only when there was no connection: nothing was sent by then."""
        if url.host != self._wire.host:
            raise ForbiddenAddress("未声明的主机")
        if self._wire.proxy:
            return await self._ask(client, client.build_request(method, url, headers=dict(headers), content=body))
        *others, last = await resolve(url.host, url.port or PORTS.get(url.scheme, 0), self._wire.networks)
        for address in others:
            try:
                return await self._ask(client, _pinned(client, method, url, headers, body, address))
            except httpx.ConnectError:
                continue
        return await self._ask(client, _pinned(client, method, url, headers, body, last))

    async def _ask(self, client: httpx.AsyncClient, request: httpx.Request) -> HttpAnswer:
        response = await client.send(request, stream=True)
        try:
            pieces = response.aiter_raw()

            async def read() -> bytes:
                return await anext(pieces, b"")

            encoding = packing(response.headers, response.headers.get("content-encoding", ""))
            content = await whole(read, encoding, self._wire.max_bytes)
            return HttpAnswer(response.status_code, response.headers, content)
        finally:
            await response.aclose()

    def _open(self) -> httpx.AsyncClient:
        if self._is_closed:
            raise SourceUnavailable("已关闭")
        self._client = httpx.AsyncClient(
            headers=BASE_HEADERS,
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(None, connect=self._wire.connecting, read=self._wire.reading),
            limits=httpx.Limits(max_connections=self._wire.connections),
            verify=self._ssl,
            proxy=self._wire.proxy,
        )
        return self._client


def _pinned(
    client: httpx.AsyncClient, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None, address: str
) -> httpx.Request:
    """A request to one address of a host; its `Host`, and the name in the host's certificate, stay what was declared."""
    at = url.copy_with(host=address)
    named = {**headers, "Host": url.netloc.decode("ascii")}
    return client.build_request(method, at, headers=named, content=body, extensions={"sni_hostname": url.host})
