"""Group S of the catalogue of faults: sizes, WSDLs, attachments and security of SOAP services, over real sockets."""

import asyncio
import base64
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceUnavailable,
)
from adapters.inflate import LARGEST_ANSWER
from adapters.live import live_differences
from adapters.mapping.load import load_mapping, load_mappings
from adapters.open import open_source
from adapters.simulator.serve import address_variable, invent_secrets, start
from adapters.soap import SECURITY_FAULTS
from adapters.soap_drift import certificate_note, wsdl_digest
from contract_tests.soap_answers import (
    LONG,
    REGISTRY,
    ROW,
    TYPES,
    WSDL,
    Answering,
    enveloped,
    fault,
    found,
    opened,
    page,
    service,
    soap_mapping,
)
from schema.problems import Problems

__all__ = ["service"]

pytestmark = pytest.mark.anyio


# S6 size


@pytest.mark.parametrize(
    "body",
    [
        enveloped(found(ROW.replace("甲", "x" * (LARGEST_ANSWER + 1)))),
        enveloped(found(ROW.replace("甲", "x" * 11_000_000))),
        enveloped("<a>" * 500 + "</a>" * 500),
        enveloped(found(ROW) + "<a/>" * 2_000_100),
    ],
    ids=["over the cap", "one text of 11 MB", "depth 500", "two million siblings"],
)
async def test_s6_what_is_too_big_or_too_deep_is_refused(service: Answering, tmp_path: Path, body: str) -> None:
    service.says(body)
    async with opened(service, tmp_path) as source:
        with pytest.raises(SourceContractBroken):
            await page(source)


async def test_s6_a_large_answer_is_read_beside_the_event_loop(service: Answering, tmp_path: Path) -> None:
    service.says(enveloped(found(*[ROW] * 20_000)))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with opened(service, tmp_path) as source:
        reading = source.readings["by_no"]
        read, before, after = reading.read, 0, 0
        assert read is not None

        def counted(*words: Any) -> Any:
            nonlocal before, after
            before = turns
            tree = read(*words)
            after = turns
            return tree

        object.__setattr__(reading, "read", counted)
        beside = asyncio.create_task(others())
        assert len((await page(source)).records) == 20_000
        beside.cancel()
    assert after > before


# S7 the WSDL


async def test_s7_a_source_opens_without_its_server_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    gone = Answering(url="http://127.0.0.1:9/s")
    async with opened(gone, tmp_path) as source:
        with pytest.raises(SourceUnavailable):
            await page(source)
    outside = '<x:import namespace="urn:o" schemaLocation="http://127.0.0.1:9/o.xsd"/>'
    (tmp_path / "made_up" / "s.wsdl").write_text(
        WSDL.replace("TYPES", TYPES.replace('"qualified">', f'"qualified">{outside}', 1)), "utf-8"
    )
    with pytest.raises(Problems, match="ExternalReferenceForbidden"):
        open_source(load_mapping(REGISTRY, tmp_path / "made_up"), {"MADE_UP_URL": gone.url})


async def test_s7_drift_of_a_published_wsdl_is_told_and_its_layout_and_address_are_not(
    service: Answering, tmp_path: Path
) -> None:
    kept = WSDL.replace("TYPES", TYPES)
    same = kept.replace("http://localhost/s", "http://10.0.0.1/other").replace(
        "<x:sequence>", "<x:sequence>\n  <!-- 注 -->"
    )
    async with opened(service, tmp_path) as source:
        told = []
        for published in (kept, same, kept.replace('name="seq" type="x:int"', 'name="seq" type="x:string"')):
            service.says(published)
            told.append(await source.differences(LONG))
    assert told == [[], [], ["对方现在发布的 WSDL 与 s.wsdl 不同"]]
    assert set(service.paths) == {"/s?wsdl"}


async def test_s7_a_pinned_wsdl_must_be_the_one_that_was_reviewed(tmp_path: Path) -> None:
    kept = WSDL.replace("TYPES", TYPES)
    secrets = {"MADE_UP_URL": "http://127.0.0.1:9/s"}
    pinned = f"wsdl_digest: {wsdl_digest(kept.encode())}"
    await open_source(soap_mapping(tmp_path, auth=pinned), secrets).aclose()
    with pytest.raises(Problems, match=r"connect\.wsdl_digest: s\.wsdl 的摘要是"):
        open_source(soap_mapping(tmp_path, TYPES.replace("remark", "note"), pinned), secrets)


async def test_s7_all_sources_are_compared_on_demand_and_the_unreachable_are_told() -> None:
    mappings = load_mappings(REGISTRY)
    chosen = {name: mappings[name] for name in ("transport_licence", "traffic_police")}
    licence = chosen["transport_licence"]
    with start(licence, invent_secrets(licence)) as simulator:
        secrets = {**invent_secrets(licence), **invent_secrets(chosen["traffic_police"])}
        secrets[address_variable(licence)] = simulator.url
        secrets[address_variable(chosen["traffic_police"])] = "http://127.0.0.1:9/x"
        assert await live_differences(chosen, secrets) == ["traffic_police：来源系统暂时无法访问"]


# S8 attachments


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"--b\r\nContent-Type: application/xop+xml\r\n\r\n" + enveloped(found(ROW)).encode() + b"\r\n--b--",
         'multipart/related; type="application/xop+xml"; boundary=b'),
        (b"--b\r\n\r\n" + b"x" * 1_000_000 + b"\r\n--b--", "multipart/related; boundary=b"),
        (enveloped(found(ROW.replace("甲", base64.b64encode(bytes(13_000_000)).decode()))).encode(), "text/xml"),
    ],
    ids=["MTOM", "attachment bomb", "base64 of 13 MB"],
)  # fmt: skip
async def test_s8_attachments_and_files_in_base64_are_refused(
    service: Answering, tmp_path: Path, body: bytes, content_type: str
) -> None:
    service.says(body, Content_Type=content_type)
    async with opened(service, tmp_path) as source:
        with pytest.raises(SourceContractBroken):
            await page(source)


# S9 WS-Security


WSSE = "auth: {kind: wsse, username: env:U, password: env:P}"


async def test_s9_no_two_requests_carry_the_same_nonce_and_each_carries_its_own_time(
    service: Answering, tmp_path: Path
) -> None:
    service.says(enveloped(found(ROW)))
    async with opened(service, tmp_path, WSSE) as source:
        await asyncio.gather(*(page(source) for _ in range(20)))
    nonces = {etree.fromstring(sent).findtext(".//{*}Nonce") for sent in service.seen}
    assert (len(nonces), None in nonces) == (20, False)
    for sent in service.seen:
        created = datetime.fromisoformat(str(etree.fromstring(sent).findtext(".//{*}Created")))
        assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)


@pytest.mark.parametrize("code", SECURITY_FAULTS)
async def test_s9_a_token_that_is_not_taken_is_denial_whatever_the_mapping_knows(
    service: Answering, tmp_path: Path, code: str
) -> None:
    service.says(fault(f"wsse:{code}", "replayed nonce"), 500)
    async with opened(service, tmp_path, WSSE) as source:
        with pytest.raises(SourceDenied) as told:
            await page(source)
    assert (told.value.retryable, told.value.detail) == (False, f"{code} replayed nonce")


async def test_s9_a_clock_that_differs_is_told_beside_the_refusal(service: Answering, tmp_path: Path) -> None:
    ahead = (datetime.now(UTC) + timedelta(minutes=15)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    service.says(fault("wsse:MessageExpired", "expired"), 500, Date=ahead)
    async with opened(service, tmp_path, WSSE) as source:
        with pytest.raises(SourceDenied, match=r"对方时钟与本机相差 (89|90)\d 秒") as told:
            await page(source)
    assert "90" not in told.value.public_message


@pytest.mark.parametrize(("days", "told"), [(-2, "已过期"), (10, "将在 9 天后过期"), (90, None)])
async def test_s9_a_certificate_that_has_ended_is_refused_and_one_that_will_is_told_before(
    tmp_path: Path, days: int, told: str | None
) -> None:
    began = datetime.now(UTC) - timedelta(days=5)
    ends = datetime.now(UTC) + timedelta(days=days)
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make_certificate(began, ends, key, certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    received: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with opened(Answering(url=f"https://localhost:{port}/s"), tmp_path) as source:
        with pytest.raises(SourceUnavailable):
            await page(source)
        assert await certificate_note(source.endpoint, LONG) == (told and f"对方的 TLS 证书{told}")
    server.close()
    assert [data for data in received if data] == []


def make_certificate(began: datetime, ends: datetime, key: Path, certificate: Path) -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(began)
        .not_valid_after(ends)
        .sign(own, hashes.SHA256())
    )
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8
    key.write_bytes(own.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption()))
