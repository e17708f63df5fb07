"""TLS and proxies: only whom the mapping trusts is talked to, in a version that counts, by the way that was declared."""

import asyncio
import base64
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.errors import SourceUnavailable
from adapters.http import Wire, within
from adapters.tls import Tls
from adapters.wire import http_client
from contract_tests.certificates import Authority
from contract_tests.raw_http import LONG, answer, sends, server

pytestmark = pytest.mark.anyio

KINDS = ("aiohttp", "httpx", "pyreqwest")
OWN_CA = ("aiohttp", "httpx")
"""Clients that can be kept from trusting the authorities of the system as well."""


async def ask(kind: str, wire: Wire, url: str) -> bytes:
    """The body of one answer."""
    client = http_client(wire, kind)
    try:
        return (await client.send("GET", url, {}, None, within(LONG))).body
    finally:
        await client.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_certificate_nobody_vouches_for_ends_the_call_before_anything_is_sent(
    kind: str, tmp_path: Path
) -> None:
    heads: list[bytes] = []
    async with server(sends(answer(b"ok")), heads, Authority(tmp_path).server()) as url:
        with pytest.raises(SourceUnavailable):
            await ask(kind, Wire("127.0.0.1"), url)
    assert heads == []


@pytest.mark.parametrize("kind", OWN_CA)
async def test_an_authority_of_ones_own_is_trusted_once_it_is_declared(kind: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with server(sends(answer(b"ok")), None, authority.server()) as url:
        assert await ask(kind, Wire("127.0.0.1", tls=Tls(ca=authority.file)), url) == b"ok"


@pytest.mark.parametrize("kind", OWN_CA)
@pytest.mark.parametrize(("days", "to"), [(-1, "127.0.0.1"), (9, "127.0.0.2"), (9, "elsewhere.test")])
async def test_expired_and_for_another_host_is_refused_although_its_authority_is_trusted(
    kind: str, days: int, to: str, tmp_path: Path
) -> None:
    heads: list[bytes] = []
    authority = Authority(tmp_path)
    async with server(sends(answer(b"ok")), heads, authority.server(days, to)) as url:
        with pytest.raises(SourceUnavailable):
            await ask(kind, Wire("127.0.0.1", tls=Tls(ca=authority.file)), url)
    assert heads == []


@pytest.mark.parametrize("kind", OWN_CA)
async def test_the_name_in_a_certificate_is_the_declared_one_also_when_an_address_is_connected_to(
    kind: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    trusting = Wire("localhost", tls=Tls(ca=authority.file))
    async with server(sends(answer(b"ok")), None, authority.server(to="localhost")) as url:
        assert await ask(kind, trusting, url.replace("127.0.0.1", "localhost")) == b"ok"
    async with server(sends(answer(b"ok")), None, authority.server(to="127.0.0.1")) as url:
        with pytest.raises(SourceUnavailable):
            await ask(kind, trusting, url.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("kind", OWN_CA)
async def test_an_old_version_is_refused_and_nothing_is_tried_without_tls(kind: str, tmp_path: Path) -> None:
    heads: list[bytes] = []
    authority = Authority(tmp_path)
    for newest, minimum in ((ssl.TLSVersion.TLSv1_1, "1.2"), (ssl.TLSVersion.TLSv1_2, "1.3")):
        old = authority.server()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = old.maximum_version = newest
        old.set_ciphers("ALL:@SECLEVEL=0")
        async with server(sends(answer(b"ok")), heads, old) as url:
            with pytest.raises(SourceUnavailable):
                await ask(kind, Wire("127.0.0.1", tls=Tls(ca=authority.file, minimum=minimum)), url)  # type: ignore[arg-type]
    assert heads == []


@pytest.mark.parametrize("kind", OWN_CA)
async def test_who_we_are_is_shown_to_a_server_that_asks(kind: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    asking = authority.server()
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(authority.file)
    asking.verify_flags &= ~ssl.VERIFY_X509_STRICT
    certificate, key = authority.issue("gateway")
    shown: list[object] = []

    async def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        shown.append(writer.get_extra_info("peercert")["subject"])
        writer.write(answer(b"ok"))

    async with server(look, None, asking) as url:
        with pytest.raises(SourceUnavailable):
            await ask(kind, Wire("127.0.0.1", tls=Tls(ca=authority.file)), url)
        assert await ask(kind, Wire("127.0.0.1", tls=Tls(authority.file, certificate, key)), url) == b"ok"
    assert shown == [((("commonName", "gateway"),),)]


def test_pyreqwest_never_pretends_to_trust_only_the_declared_authority(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trusting the authorities of the system"):
        http_client(Wire("127.0.0.1", tls=Tls(ca=Authority(tmp_path).file)), "pyreqwest")


@asynccontextmanager
async def proxy(heads: list[bytes], leads_to: int) -> AsyncIterator[str]:
    """A proxy that knows one way; it keeps the heads of what it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        there, back = await asyncio.open_connection("127.0.0.1", leads_to)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            back.write(head)

        async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while piece := await source.read(65536):
                target.write(piece)
            target.close()

        await asyncio.gather(carry(reader, back), carry(there, writer), return_exceptions=True)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://agency:CANARY@127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_declared_proxy_is_asked_and_resolves_the_name(kind: str) -> None:
    heads: list[bytes] = []
    async with server(sends(answer(b"ok"))) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with proxy(heads, port) as address:
            wire = Wire("legacy.test", proxy=address)
            assert await ask(kind, wire, "http://legacy.test/path?a=1") == b"ok"
    first, *lines = heads[0].decode().lower().split("\r\n")
    assert first == "get http://legacy.test/path?a=1 http/1.1"
    assert f"proxy-authorization: basic {base64.b64encode(b'agency:CANARY').decode()}".lower() in lines


@pytest.mark.parametrize("kind", OWN_CA)
async def test_through_a_proxy_tls_is_still_with_the_source(kind: str, tmp_path: Path) -> None:
    heads: list[bytes] = []
    authority = Authority(tmp_path)
    async with server(sends(answer(b"ok")), None, authority.server(to="legacy.test")) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        async with proxy(heads, port) as address:
            wire = Wire("legacy.test", proxy=address, tls=Tls(ca=authority.file))
            assert await ask(kind, wire, f"https://legacy.test:{port}/") == b"ok"
            with pytest.raises(SourceUnavailable):
                await ask(
                    kind, Wire("other.test", proxy=address, tls=Tls(ca=authority.file)), f"https://other.test:{port}/"
                )
    assert [head.split()[:2] for head in heads] == [
        [b"CONNECT", f"legacy.test:{port}".encode()], [b"CONNECT", f"other.test:{port}".encode()]
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
async def test_proxies_of_the_environment_are_not_used(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with server(sends(answer(b"ok"))) as url:
        assert await ask(kind, Wire("127.0.0.1"), url) == b"ok"
