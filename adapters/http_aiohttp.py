"""aiohttp behind the interface of adapters.http: the default for all that users wait for."""

import asyncio
import socket
from collections.abc import Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from adapters.addresses import ForbiddenAddress, check_address
from adapters.errors import SourceContractBroken, SourceTimeout, SourceUnavailable
from adapters.http import BASE_HEADERS, MOST_HEADERS, HttpAnswer, Wire, packing, whole
from adapters.tls import tls_context


class AiohttpClient:
    """See HttpClient. What is declared is put into the session once; a call builds nothing but itself."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ssl = tls_context(wire.tls)
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: float
    ) -> HttpAnswer:
        """One request; see HttpClient."""
        session = self._session or self._open()
        try:
            async with asyncio.timeout_at(deadline):
                response = await session.request(
                    method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
                )
                head = response.headers
                try:
                    encoding = packing(head, ",".join(head.getall("content-encoding", ())))
                    content = await whole(response.content.readany, encoding, self._wire.max_bytes)
                except BaseException:
                    response.close()
                    raise
                return HttpAnswer(response.status, head, content)
        except TimeoutError:
            raise SourceTimeout() from None
        except (aiohttp.ClientResponseError, aiohttp.http.HttpProcessingError) as error:
            if isinstance(error, aiohttp.ClientHttpProxyError):
                raise SourceUnavailable("代理拒绝了连接") from None
            raise SourceContractBroken("答复不合 HTTP 规定") from None
        except aiohttp.ClientConnectorError as error:
            raise SourceUnavailable(_told(error.__cause__)) from None
        except aiohttp.ClientPayloadError as error:
            if isinstance(error.__cause__, aiohttp.http.HttpProcessingError) and not _is_cut(error.__cause__):
                raise SourceContractBroken("答复不合 HTTP 规定") from None
            raise SourceUnavailable(type(error).__name__) from None
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
        wire = self._wire
        connector = aiohttp.TCPConnector(
            limit=wire.connections,
            ssl=self._ssl,
            resolver=_Declared(wire),
            ttl_dns_cache=max(int(wire.names_kept), 1),
            use_dns_cache=wire.names_kept > 0,
            socket_factory=None if wire.proxy else self._connect_to,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=BASE_HEADERS,
            skip_auto_headers=("Content-Type",),
            timeout=aiohttp.ClientTimeout(
                total=None, connect=None, sock_connect=wire.connecting, sock_read=wire.reading
            ),
            auto_decompress=False,
            trust_env=False,
            proxy=wire.proxy,
            max_line_size=MOST_HEADERS,
            max_field_size=MOST_HEADERS,
        )
        # aiohttp would repeat a GET whose connection broke; who may repeat what is decided above the adapters
        session._retry_connection = False
        self._session = session
        return session

    def _connect_to(self, place: tuple[object, ...]) -> socket.socket:
        """A socket for the very address that is going to be connected to, if it is allowed."""
        family, kind, protocol, _, address = place
        check_address(str(address[0]), self._wire.host, self._wire.networks)  # type: ignore[index]
        made = socket.socket(family, kind, protocol)  # type: ignore[arg-type]
        made.setblocking(False)
        return made


class _Declared(AbstractResolver):
    """Resolves the declared host and the declared proxy, and no other name."""

    def __init__(self, wire: Wire) -> None:
        self._names = {wire.host, (URL(wire.proxy).host or "") if wire.proxy else wire.host}
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a host. Raises OSError."""
        if host not in self._names:
            raise ForbiddenAddress("未声明的主机")
        return await self._resolver.resolve(host, port, family)

    async def close(self) -> None:
        """Nothing is held."""


def _told(error: BaseException | None) -> str:
    return str(error) if isinstance(error, ForbiddenAddress) else type(error).__name__


def _is_cut(error: BaseException) -> bool:
    return isinstance(
        error, (aiohttp.http_exceptions.ContentLengthError, aiohttp.http_exceptions.TransferEncodingError)
    ) and ("Not enough data" in str(error))
