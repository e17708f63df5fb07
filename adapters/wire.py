"""From what a mapping says about the wire to a client that keeps it."""

import ssl
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from adapters.addresses import ForbiddenAddress, check_address, literal
from adapters.http import HttpClient, Wire
from adapters.mapping.written import HttpConnect, TlsWords
from adapters.secrets import PREFIX, BadSecret, Secrets, resolve
from adapters.tls import Tls, tls_context


def wire(connect: HttpConnect, at: str, secrets: Secrets) -> Wire:
    """How to reach a source whose address is in `at` (`env:NAME`). Raises MissingSecret or BadSecret."""
    host = urlsplit(resolve(at, secrets)).hostname or ""
    networks = tuple(map(ip_network, connect.addresses))
    if literal(host):
        try:
            check_address(host, host, networks)
        except ForbiddenAddress:
            raise BadSecret(at.removeprefix(PREFIX), "地址不在允许之列") from None
    return Wire(
        host=host,
        connections=connect.concurrency,
        max_bytes=connect.max_bytes,
        networks=networks,
        tls=_tls(connect.tls, secrets),
        proxy=_proxy(connect.proxy, secrets) if connect.proxy else None,
        connecting=connect.connect_timeout,
        reading=connect.read_timeout,
    )


def http_client(wire: Wire, kind: str = "aiohttp") -> HttpClient:
    """A client, not yet connected: `aiohttp`, `pyreqwest` or `httpx`; only the one that is meant is imported."""
    match kind:
        case "pyreqwest":
            from adapters.http_pyreqwest import PyreqwestClient

            return PyreqwestClient(wire)
        case "httpx":
            from adapters.http_httpx import HttpxClient

            return HttpxClient(wire)
        case _:
            from adapters.http_aiohttp import AiohttpClient

            return AiohttpClient(wire)


def _tls(words: TlsWords, secrets: Secrets) -> Tls:
    """The files that are named, proven to be readable and what they should be."""
    files = {name: Path(resolve(at, secrets)) for name in ("ca", "certificate", "key") if (at := getattr(words, name))}
    tls = Tls(**files, minimum=words.minimum)
    for name in files:
        try:
            tls_context(Tls(ca=tls.ca) if name == "ca" else Tls(certificate=tls.certificate, key=tls.key))
        except (OSError, ssl.SSLError):
            variable = getattr(words, name).removeprefix(PREFIX)
            raise BadSecret(variable, "应为可读的 PEM 文件；私钥不能加密，并须与证书相配") from None
    return tls


def _proxy(at: str, secrets: Secrets) -> str:
    proxy = resolve(at, secrets)
    try:
        parts = urlsplit(proxy)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise BadSecret(at.removeprefix(PREFIX), "应为 http:// 或 https:// 的代理地址")
    return proxy
