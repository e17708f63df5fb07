"""What a mapping says about the wire is what the client does; what no client can keep is a mistake of the mapping."""

import gzip
from pathlib import Path

import pytest

from adapters.addresses import ip_network
from adapters.errors import SourceContractBroken
from adapters.http import HttpClient, Wire, within
from adapters.http_aiohttp import AiohttpClient
from adapters.http_httpx import HttpxClient
from adapters.http_pyreqwest import PyreqwestClient
from adapters.mapping.load import load_mapping
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import HttpConnect
from adapters.open import open_source
from adapters.secrets import BadSecret, MissingSecret
from adapters.tls import Tls
from adapters.wire import http_client, wire
from contract_tests.certificates import Authority
from contract_tests.federation import copy_mappings
from contract_tests.raw_http import LONG, answer, sends, server
from schema.load import load_registry
from schema.problems import Problems

pytestmark = pytest.mark.anyio

REGISTRY = load_registry()
SECRETS = {"BINHAI_MARKET_URL": "http://127.0.0.1:9", "BINHAI_MARKET_TOKEN": "t"}


def mapping(folder: Path, *words: str) -> SourceMapping:
    """The mapping of the market's system with these lines under `connect`."""
    file = copy_mappings(folder) / "binhai_market" / "mapping.yaml"
    lines = "\n".join(f"  {word}" for word in words)
    file.write_text(file.read_text("utf-8").replace("  timeout: 8s\n", f"  timeout: 8s\n{lines}\n"), "utf-8")
    return load_mapping(REGISTRY, file.parent)


def declared(folder: Path, *words: str, **more: str) -> Wire:
    connect = mapping(folder, *words).connect
    assert isinstance(connect, HttpConnect)
    return wire(connect, "env:BINHAI_MARKET_URL", {**SECRETS, **more})


def test_without_words_the_wire_is_the_safe_one(tmp_path: Path) -> None:
    assert declared(tmp_path) == Wire("127.0.0.1", connections=4, max_bytes=16 * 1024 * 1024, connecting=5.0)


def test_every_word_arrives_at_the_client(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway")
    words = (
        "tls: {ca: env:CA, certificate: env:CERTIFICATE, key: env:KEY, minimum: '1.3'}",
        "max_bytes: 512KB",
        "read_timeout: 3s",
        "addresses: [127.0.0.0/8, 'fd12::/16']",
    )
    assert declared(
        tmp_path, *words, CA=str(authority.file), CERTIFICATE=str(certificate), KEY=str(key)
    ) == Wire(
        "127.0.0.1",
        connecting=5.0,
        reading=3.0,
        max_bytes=512 * 1024,
        networks=(ip_network("127.0.0.0/8"), ip_network("fd12::/16")),
        tls=Tls(authority.file, certificate, key, "1.3"),
    )  # fmt: skip
    assert (
        declared(tmp_path / "p", "proxy: env:PROXY", PROXY="http://a:b@10.0.0.1:3128").proxy
        == "http://a:b@10.0.0.1:3128"
    )


@pytest.mark.parametrize(
    ("words", "place", "told"),
    [
        (["client: pyreqwest"], "connect.client", "pyreqwest 不能立即中断已发出的请求"),
        (
            ["client: pyreqwest", "waives: cancellation", "tls: {ca: env:CA}"],
            "connect.tls.ca",
            "还信任操作系统的全部根证书",
        ),
        (["waives: cancellation"], "connect.waives", "aiohttp 不需要放弃任何保证"),
        (["proxy: env:PROXY", "addresses: 10.0.0.0/8"], "connect.addresses", "网关无法核对地址"),
        (["tls: {key: env:KEY}"], "connect.tls.key", "有 key 就必须有 certificate"),
        (["addresses: 10.0.0.1/8"], "connect.addresses", "不是网段"),
        (["max_bytes: 9GB"], "connect.max_bytes", "不是大小"),
        (["max_bytes: 900MB"], "connect.max_bytes", "67108864"),
        (["proxy: http://10.0.0.1"], "connect.proxy", "env:NAME"),
        (["client: requests"], "connect.client", "pyreqwest"),
    ],
)
def test_what_cannot_be_kept_is_a_mistake_with_its_place(
    words: list[str], place: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(Problems) as raised:
        mapping(tmp_path, *words)
    [problem] = raised.value.problems
    assert (problem.path, told in str(problem), problem.line > 1) == (place, True, True), str(problem)


async def test_a_source_is_opened_with_the_client_its_mapping_names(tmp_path: Path) -> None:
    kinds: dict[str, type[HttpClient]] = {"a": AiohttpClient, "p": PyreqwestClient}
    for name, words in (("a", ()), ("p", ("client: pyreqwest", "waives: cancellation"))):
        source = open_source(mapping(tmp_path / name, *words), SECRETS)
        assert type(source.http) is kinds[name]  # type: ignore[attr-defined]
        await source.aclose()


async def test_secrets_of_a_platform_are_fetched_with_httpx_by_the_same_way(tmp_path: Path) -> None:
    mappings = copy_mappings(tmp_path)
    source = open_source(
        load_mapping(REGISTRY, mappings / "national_registry"),
        {"NATIONAL_REGISTRY_URL": "http://127.0.0.1:9", "NATIONAL_REGISTRY_RID": "r", "NATIONAL_REGISTRY_APPKEY": "k"},
    )
    assert (type(source.http), type(source.rare)) == (AiohttpClient, HttpxClient)  # type: ignore[attr-defined]
    await source.aclose()


def test_files_and_addresses_that_cannot_be_used_are_told_without_their_value(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gateway")
    _, locked = authority.issue("locked", encrypted_with=b"CANARY")
    _, other = authority.issue("other")
    ours = "tls: {certificate: env:FILE, key: env:KEY}"
    cases: list[tuple[str, dict[str, str], str]] = [
        ("tls: {ca: env:CA}", {"CA": str(tmp_path / "CANARY.pem")}, "CA"),
        ("tls: {ca: env:CA}", {"CA": str(key)}, "CA"),
        (ours, {"FILE": str(certificate), "KEY": str(locked)}, "FILE"),
        (ours, {"FILE": str(certificate), "KEY": str(other)}, "FILE"),
        ("proxy: env:PROXY", {"PROXY": "socks5://CANARY@10.0.0.1"}, "PROXY"),
        ("proxy: env:PROXY", {"PROXY": "http://10.0.0.1:CANARY"}, "PROXY"),
        ("max_bytes: 4MB", {"BINHAI_MARKET_URL": "http://169.254.169.254/CANARY"}, "BINHAI_MARKET_URL"),
        ("addresses: 10.0.0.0/8", {}, "BINHAI_MARKET_URL"),
    ]
    for number, (word, more, name) in enumerate(cases):
        with pytest.raises(BadSecret) as raised:
            declared(tmp_path / str(number), word, **more)
        assert (raised.value.name, "CANARY" in str(raised.value)) == (name, False), word
    with pytest.raises(MissingSecret):
        open_source(mapping(tmp_path / "m", "proxy: env:PROXY"), SECRETS)


@pytest.mark.parametrize("kind", ["aiohttp", "httpx", "pyreqwest"])
async def test_an_answer_may_be_as_large_as_declared_and_not_a_byte_larger(kind: str) -> None:
    client = http_client(Wire("127.0.0.1", max_bytes=2048), kind)
    async with server(sends(answer(bytes(2048)))) as url:
        assert (await client.send("GET", url, {}, None, within(LONG))).body == bytes(2048)
    for too_large in (answer(bytes(2049)), answer(gzip.compress(bytes(2049)), "Content-Encoding: gzip")):
        async with server(sends(too_large)) as url:
            with pytest.raises(SourceContractBroken):
                await client.send("GET", url, {}, None, within(LONG))
    await client.aclose()
