"""FAULTS.md R4: wherever a name or a redirect points, a connection goes only where the source was declared to be.

What names resolve to is the operating system's answer, which these tests give in its place: it comes from the network.
"""

import asyncio
import socket
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest

from adapters.addresses import ForbiddenAddress, check_address
from adapters.errors import SourceError, SourceUnavailable
from adapters.http import HttpClient, Wire, within
from adapters.wire import http_client
from contract_tests.raw_http import LONG, answer, sends, server

pytestmark = pytest.mark.anyio

KINDS = ("aiohttp", "httpx", "pyreqwest")
NAME = "legacy.test"
Names = dict[str, list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """What names mean; may be changed in the middle of a test."""
    meaning: Names = {}
    asked: Callable[..., Any] = socket.getaddrinfo

    def answered(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        texts = meaning.get(host if isinstance(host, str) else "", [host])
        return [info for text in texts for info in asked(text, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", answered)
    return meaning


FORBIDDEN = [
    "169.254.169.254", "169.254.1.1", "100.100.100.200", "168.63.129.16", "0.0.0.0", "224.0.0.1", "255.255.255.255",
    "127.0.0.1", "127.8.8.8", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1",
    "::ffff:169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::127.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_name_never_means_this_machine_or_a_metadata_service(address: str) -> None:
    with pytest.raises(ForbiddenAddress):
        check_address(address, NAME, ())


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "172.16.0.9", "192.168.1.1", "59.56.1.1", "fd12:3456::1", "2409:8034::1"]
)
def test_a_name_may_mean_any_address_of_an_intranet_or_the_internet(address: str) -> None:
    check_address(address, NAME, ())


@pytest.mark.parametrize(
    ("address", "host", "is_allowed"),
    [
        ("10.20.1.1", NAME, True), ("10.21.1.1", NAME, False), ("::ffff:10.20.1.1", NAME, True),
        ("fd12::1", NAME, True), ("127.0.0.1", "localhost", False), ("10.20.1.1", "10.20.1.2", False),
        ("10.20.1.2", "10.20.1.2", True), ("10.21.1.2", "10.21.1.2", False), ("169.254.20.1", NAME, False),
    ],
)  # fmt: skip
def test_declared_networks_are_a_list_of_what_is_allowed(address: str, host: str, is_allowed: bool) -> None:
    networks = (ip_network("10.20.0.0/16"), ip_network("fd12::/16"), ip_network("169.254.0.0/16"))
    if is_allowed:
        check_address(address, host, networks)
        return
    with pytest.raises(ForbiddenAddress):
        check_address(address, host, networks)


async def ask(client: HttpClient, url: str) -> bytes:
    return (await client.send("GET", url, {}, None, within(LONG))).body


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_means_this_machine_is_refused_before_a_connection_is_made(kind: str, names: Names) -> None:
    heads: list[bytes] = []
    names[NAME] = ["127.0.0.1"]
    async with server(sends(answer(b"secret")), heads) as url:
        client = http_client(Wire(NAME), kind)
        with pytest.raises(SourceUnavailable) as raised:
            await ask(client, url.replace("127.0.0.1", NAME))
        await client.aclose()
    assert (heads, raised.value.detail) == ([], "解析所得的地址不在允许之列")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_name_that_changes_its_meaning_is_not_followed_there(kind: str, names: Names) -> None:
    """DNS rebinding: the first answer is the declared network's, the second is another machine."""
    heads: list[bytes] = []

    async def once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"ok", "Connection: close"))
        writer.close()

    async with server(once, heads) as url:
        there = url.replace("127.0.0.1", NAME)
        client = http_client(Wire(NAME, networks=(ip_network("127.0.0.1/32"),), names_kept=0.0), kind)
        names[NAME] = ["127.0.0.1"]
        assert await ask(client, there) == b"ok"
        names[NAME] = ["127.0.0.2"]
        with pytest.raises(SourceUnavailable):
            await ask(client, there)
        names[NAME] = ["127.0.0.2", "127.0.0.1"]
        assert await ask(client, there) == b"ok"
        await client.aclose()
    assert len(heads) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_another_host_than_the_declared_one_is_never_asked(kind: str) -> None:
    heads: list[bytes] = []
    async with server(sends(answer(b"ok")), heads) as url:
        client = http_client(Wire("127.0.0.1"), kind)
        assert await ask(client, url) == b"ok"
        for other in ("localhost", "127.0.0.2"):
            with pytest.raises(SourceError):
                await ask(client, url.replace("127.0.0.1", other))
        await client.aclose()
    assert len(heads) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_the_next_address_of_a_host_is_tried_when_nobody_is_at_the_first(kind: str, names: Names) -> None:
    names[NAME] = ["127.0.0.3", "127.0.0.1"]
    async with server(sends(answer(b"ok"))) as url:
        client = http_client(Wire(NAME, networks=(ip_network("127.0.0.0/8"),)), kind)
        there = url.replace("127.0.0.1", NAME)
        if kind == "pyreqwest":  # it knows one address at a time; the next one is for the next call
            with pytest.raises(SourceUnavailable):
                await ask(client, there)
        assert await ask(client, there) == b"ok"
        await client.aclose()
