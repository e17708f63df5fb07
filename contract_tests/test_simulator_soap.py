"""Simulated SOAP services speak with zeep's own client, whose answers are checked against the schema of the WSDL."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import httpx
import pytest
import requests
import zeep
from lxml import etree
from zeep.wsse.username import UsernameToken

from adapters.mapping.load import load_mapping, load_mappings
from adapters.simulator.serve import Simulator, invent_secrets, start
from schema.load import load_registry

REGISTRY = load_registry()
MAPPINGS = load_mappings(REGISTRY)
LICENCE, POLICE = MAPPINGS["transport_licence"], MAPPINGS["traffic_police"]
USER, PASSWORD, SERIAL = (
    "transport-licence-user-sample",
    "transport-licence-password-sample",
    "traffic-police-serial-sample",
)
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
CHANGES = '<QueryChanges xmlns="urn:transport:licence"><maxRows>2</maxRows></QueryChanges>'
ACTION = "urn:transport:licence/QueryChanges"


@pytest.fixture(scope="module")
def licence() -> Iterator[Simulator]:
    with start(LICENCE, invent_secrets(LICENCE)) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def police() -> Iterator[Simulator]:
    with start(POLICE, invent_secrets(POLICE)) as simulator:
        yield simulator


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def service_of(session: requests.Session) -> Callable[..., Any]:
    """zeep's own client for a simulator, from the WSDL that the simulator publishes."""

    def service(simulator: Simulator, token: UsernameToken | None = None) -> Any:
        transport = zeep.Transport(session=session)
        return zeep.Client(f"{simulator.url}?wsdl", transport=transport, wsse=token).service

    return service


def post(simulator: Simulator, content: str | bytes, action: str = ACTION) -> httpx.Response:
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
    body = content.encode() if isinstance(content, str) else content
    return httpx.post(simulator.url, content=body, headers=headers, trust_env=False)


def enveloped(body: str, header: str = "") -> str:
    return f'<e:Envelope xmlns:e="{ENVELOPE}"><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>'


def fault_of(response: httpx.Response) -> tuple[int, str]:
    root = etree.fromstring(response.content)
    return response.status_code, root.findtext(f"{{{ENVELOPE}}}Body/{{{ENVELOPE}}}Fault/faultcode")


# document/literal


def good_token(**words: Any) -> UsernameToken:
    return UsernameToken(USER, PASSWORD, use_digest=True, **words)


def test_zeep_finds_licences_by_number_by_holder_and_by_change(licence, service_of):
    service = service_of(licence, good_token())
    found = service.QueryLicences(licenceNos={"string": ["JT-WH-35-0012", "nobody's"]}, withHistory=False)
    assert (found.head.rtnCode, found.head.rtnMsg) == ("000000", "成功")
    assert [(x.licNo, x.seqNo, x.holder.uscc) for x in found.body.licences.licence] == [
        ("JT-WH-35-0012", 100025, "91350100MA0B00015H")
    ]
    held = service.QueryByHolder(usccs={"string": ["91350100MA0B00015H"]}).body.licences.licence
    assert {x.holder.uscc for x in held} == {"91350100MA0B00015H"}
    assert len(held) > 1


def test_changes_without_page_numbers_go_on_from_the_cursor_inclusively(licence, service_of):
    service = service_of(licence, good_token())
    seen: list[int] = []
    while True:
        page = service.QueryChanges(fromSeq=seen[-1] if seen else None, maxRows=4).body.licences.licence
        assert not seen or page[0].seqNo == seen[-1]
        seen += [x.seqNo for x in page if x.seqNo not in seen]
        if len(page) < 4:
            break
    texts = [record.findtext("seqNo") for record in licence.dataset.records("License")]
    assert seen == sorted(map(int, texts))


def test_nothing_found_and_rejections_have_their_own_codes(licence, service_of):
    service = service_of(licence, good_token())
    empty = service.QueryLicences(licenceNos={"string": ["nobody's"]}, withHistory=False)
    assert (empty.head.rtnCode, empty.body.licences) == ("000404", None)
    for numbers, reason in (
        ([f"N{n}" for n in range(21)], "一次应查 1 至 20 个键，实有 21 个"),
        ([], "message.licenceNos.string 应为列表"),
    ):
        rejected = service.QueryLicences(licenceNos={"string": numbers}, withHistory=False)
        assert (rejected.head.rtnCode, rejected.head.rtnMsg) == ("400", reason)
    wrong = service.QueryLicences(licenceNos={"string": ["a"]}, withHistory=True)
    assert (wrong.head.rtnCode, wrong.body) == ("400", None)


def test_every_answer_is_valid_by_the_schema_of_the_wsdl(licence):
    wsdl = etree.parse(str(LICENCE.folder / "service.wsdl"))
    inside = wsdl.find(".//{http://www.w3.org/2001/XMLSchema}schema")
    schema = etree.XMLSchema(etree.fromstring(etree.tostring(inside)))
    for body, action in (
        ('<QueryChanges xmlns="urn:transport:licence"><maxRows>500</maxRows></QueryChanges>', "QueryChanges"),
        (
            '<QueryByHolder xmlns="urn:transport:licence"><usccs><string>x</string></usccs></QueryByHolder>',
            "QueryByHolder",
        ),
        ('<QueryByHolder xmlns="urn:transport:licence"><usccs/></QueryByHolder>', "QueryByHolder"),
    ):
        answer = post(licence, enveloped(body, security()), f"urn:transport:licence/{action}")
        (element,) = etree.fromstring(answer.content).find(f"{{{ENVELOPE}}}Body")
        schema.assertValid(element)


def security(
    username: str = USER,
    password: str = PASSWORD,
    nonce: bytes | None = None,
    created: str | None = None,
    kind: str = "PasswordDigest",
) -> str:
    """A UsernameToken written by hand."""
    nonce = nonce or hashlib.sha256(str(datetime.now().timestamp()).encode()).digest()
    created = created or datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    value = digest if kind == "PasswordDigest" else password
    return f"""<s:Security xmlns:s="{WSS}-wssecurity-secext-1.0.xsd" xmlns:u="{WSS}-wssecurity-utility-1.0.xsd">
        <s:UsernameToken><s:Username>{username}</s:Username>
        <s:Password Type="{WSS}-username-token-profile-1.0#{kind}">{value}</s:Password>
        <s:Nonce>{base64.b64encode(nonce).decode()}</s:Nonce><u:Created>{created}</u:Created></s:UsernameToken></s:Security>"""


def test_a_nonce_counts_once(licence):
    envelope = enveloped(CHANGES, security())
    assert post(licence, envelope).status_code == 200
    assert fault_of(post(licence, envelope)) == (500, "wsse:FailedAuthentication")


@pytest.mark.parametrize(
    "header",
    [
        "",
        security(password="wrong"),
        security(username="somebody"),
        security(kind="PasswordText"),
        security(created=(datetime.now(UTC) - timedelta(minutes=6)).isoformat()),
        security(created=(datetime.now(UTC) + timedelta(hours=2)).isoformat()),
        security(created="yesterday"),
    ],
    ids=["none", "password", "user", "text", "stale", "future", "no time"],
)
def test_a_token_that_is_wrong_in_any_way_fails_authentication(licence, header):
    assert fault_of(post(licence, enveloped(CHANGES, header))) == (500, "wsse:FailedAuthentication")


def test_zeep_hears_of_a_wrong_password_as_a_fault(licence, service_of):
    with pytest.raises(zeep.exceptions.Fault) as caught:
        service_of(licence, UsernameToken(USER, "wrong", use_digest=True)).QueryChanges(maxRows=1)
    assert caught.value.code == "wsse:FailedAuthentication"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (enveloped("<Nonsense xmlns='urn:transport:licence'/>"), "soapenv:Client"),
        (enveloped(""), "soapenv:VersionMismatch"),
        ("<Envelope><Body><x/></Body></Envelope>", "soapenv:VersionMismatch"),
        ("no xml", "soapenv:Client"),
        (enveloped("<x>" * 99 + "</x>" * 99), "soapenv:Client"),
        (f'<!DOCTYPE x [<!ENTITY e "{"e" * 9}">]>{enveloped(CHANGES.replace("2", "&e;"))}', "soapenv:Client"),
    ],
)
def test_what_is_no_proper_request_is_a_fault(licence, content, code):
    assert fault_of(post(licence, content)) == (500, code)


def test_another_soap_action_or_path_is_refused(licence):
    answer = post(licence, enveloped(CHANGES, security()), "urn:transport:licence/QueryByHolder")
    assert fault_of(answer) == (500, "soapenv:Client")
    assert httpx.post(licence.url.replace("/licence/", "/other/"), content=b"", trust_env=False).status_code == 404
    assert httpx.get(licence.url, trust_env=False).status_code == 405


# rpc/encoded, XML in texts


def query(**conditions: str) -> str:
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in conditions.items())
    return quote_plus(f"<root><QueryCondition>{inside}</QueryCondition></root>")


def asked(service: Any, jkid: str, document: str, serial: str = SERIAL) -> tuple[str, etree._Element]:
    text = unquote_plus(
        service.queryObjectOut(xtlb="04", jkxlh=serial, jkid=jkid, UTF8XmlDoc=document), errors="strict"
    )
    declaration, _, rest = text.partition("?>")
    return declaration, etree.fromstring(rest)


def test_the_police_answer_with_percent_encoded_xml_that_claims_gbk(police, service_of):
    declaration, root = asked(service_of(police), "04C02", query(xh="3501002400000103,nix,3501002400000101"))
    assert declaration == '<?xml version="1.0" encoding="GBK"'
    assert [(e.tag, e.text) for e in root.find("head")] == [("code", "1"), ("message", "成功"), ("rownum", "2")]
    records = root.findall("body/vioSurveil")
    assert [(r.get("id"), r.findtext("xh")) for r in records] == [("1", "3501002400000101"), ("2", "3501002400000103")]
    assert records[0].findtext("wfsj") == "2024-03-02 06:42:00"


def test_a_party_inside_the_record_is_found_by_its_code(police, service_of):
    _, root = asked(service_of(police), "04C01", query(tyshxydm="91350100MA0B00015H"))
    assert {e.text for e in root.iterfind("body/vioSurveil/tyshxydm")} == {"91350100MA0B00015H"}


def test_violations_are_paged_to_the_end_by_number_of_rows(police, service_of):
    service, seen = service_of(police), list[str]()
    records = police.dataset.records("EnforcementCase")
    for page in range(1, 50):
        _, root = asked(service, "04C03", query(gxsj="", page=str(page), pagesize="3"))
        seen += [e.text for e in root.iterfind("body/vioSurveil/xh")]
        assert root.findtext("head/rownum") == str(len(records))
        if len(seen) >= len(records):
            break
    expected = sorted((r.findtext("gxsj"), r.findtext("xh")) for r in records)
    assert seen == [number for _, number in expected]
    _, root = asked(service, "04C03", query(gxsj=expected[-1][0], page="1", pagesize="3"))
    assert root.findtext("body/vioSurveil/xh") == expected[-1][1]


def test_the_envelope_is_what_axis_sends(police):
    body = f"""<q:queryObjectOut xmlns:q="http://endpoint.axis.framework.tmri.com"><xtlb>04</xtlb><jkxlh>{SERIAL}</jkxlh>
        <jkid>04C02</jkid><UTF8XmlDoc>{query(xh="3501002400000101")}</UTF8XmlDoc></q:queryObjectOut>"""
    answer = post(police, enveloped(body), "")
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    (element,) = etree.fromstring(answer.content).find(f"{{{ENVELOPE}}}Body")
    assert element.tag == "{http://endpoint.axis.framework.tmri.com}queryObjectOutResponse"
    assert element.get(f"{{{ENVELOPE}}}encodingStyle") == "http://schemas.xmlsoap.org/soap/encoding/"
    assert element[0].tag == "queryObjectOutReturn"
    assert element[0].get("{http://www.w3.org/2001/XMLSchema-instance}type") == "xsd:string"
    assert element[0].text.startswith("%3C%3Fxml+version%3D%221.0%22+encoding%3D%22GBK%22%3F%3E%3Croot%3E")


@pytest.mark.parametrize(
    ("jkid", "document", "serial", "expected"),
    [
        ("04C02", query(xh="nix"), SERIAL, ("2", "未查询到数据")),
        ("04C02", query(xh=",".join(str(n) for n in range(51))), SERIAL, ("400", "一次应查 1 至 50 个键，实有 51 个")),
        ("04C02", query(), SERIAL, ("400", "缺少 message.UTF8XmlDoc.root.QueryCondition.xh")),
        ("04C02", "%3Croot%3E", SERIAL, ("400", "message.UTF8XmlDoc 无法解读：不是合法的 XML（第 1 行）")),
        ("04C02", query(xh="1"), "wrong", ("400", "message.jkxlh 不正确")),
        ("99C99", query(xh="1"), SERIAL, ("400", "message.jkid 应为 '04C01'，实为 '99C99'")),
    ],
)
def test_the_police_say_in_their_head_what_is_wrong(police, service_of, jkid, document, serial, expected):
    _, root = asked(service_of(police), jkid, document, serial)
    assert (root.findtext("head/code"), root.findtext("head/message")) == expected


def test_an_operation_that_the_wsdl_has_but_the_service_does_not_open_is_a_fault(police, service_of):
    with pytest.raises(zeep.exceptions.Fault) as caught:
        service_of(police).writeObjectOut(xtlb="04", jkxlh=SERIAL, jkid="04C01", UTF8XmlDoc="x")
    assert caught.value.code == "soapenv:Server"


# Other dialects


def made_up(folder: Path, wsdl: str, auth: str, extra: str = "") -> Simulator:
    source = folder / "made_up"
    (source / "samples").mkdir(parents=True)
    (source / "samples" / "Party.xml").write_text("<s><row><id>2</id><n>乙</n></row><row><id>1</id><n>甲</n></row></s>")
    (source / "s.wsdl").write_text(wsdl)
    (source / "mapping.yaml").write_text(
        f"""
source: made_up
title: 虚构
agency: 11350100MB0A00018J
owner: 无
connect: {{kind: soap, wsdl: s.wsdl, binding: "{{urn:m}}B", endpoint: env:MADE_UP_URL, auth: {auth} {extra}}}
operations:
  parties:
    request: {{operation: Find, message: {{ids: $keys}}}}
    records: rows.row
    lookup: {{entity: Party, by: uscc, batch: 5}}
entities:
  Party: {{key: uscc, fields: {{uscc: id, party_name: n}}}}
"""
    )
    mapping = load_mapping(REGISTRY, source)
    return start(mapping, invent_secrets(mapping))


WSDL = """<w:definitions targetNamespace="urn:m" xmlns:m="urn:m" xmlns:w="http://schemas.xmlsoap.org/wsdl/"
  xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema">
<w:types><x:schema targetNamespace="urn:m">
<x:element name="Find"><x:complexType><x:sequence>
  <x:element name="ids" type="x:string" maxOccurs="unbounded"/></x:sequence></x:complexType></x:element>
<x:element name="Found"><x:complexType><x:sequence>
  <x:element name="at" type="x:dateTime"/><x:element name="count" type="x:int"/>
  <x:element name="rows"><x:complexType><x:sequence>
    <x:element name="row" minOccurs="0" maxOccurs="unbounded"><x:complexType><x:sequence>
      <x:element name="n" type="x:string" form="qualified"/><x:element name="id" type="x:string"/>
    </x:sequence></x:complexType></x:element></x:sequence></x:complexType></x:element>
</x:sequence></x:complexType></x:element></x:schema></w:types>
<w:message name="I"><w:part name="p" element="m:Find"/></w:message>
<w:message name="O"><w:part name="p" element="m:Found"/></w:message>
<w:portType name="P"><w:operation name="Find"><w:input message="m:I"/><w:output message="m:O"/></w:operation></w:portType>
<w:binding name="B" type="m:P"><s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<w:operation name="Find"><s:operation soapAction=""/><w:input><s:body use="literal"/></w:input>
<w:output><s:body use="literal"/></w:output></w:operation></w:binding>
<w:service name="S"><w:port name="T" binding="m:B"><s:address location="http://localhost/s"/></w:port></w:service>
</w:definitions>"""
FIND = '<m:Find xmlns:m="urn:m"><ids>1</ids></m:Find>'


def test_elements_are_qualified_and_ordered_as_their_schema_asks_and_what_it_demands_is_there(tmp_path):
    schema = etree.XMLSchema(etree.fromstring(WSDL).find(".//{http://www.w3.org/2001/XMLSchema}schema"))
    with made_up(tmp_path, WSDL, "{kind: none}") as simulator:
        (element,) = etree.fromstring(post(simulator, enveloped(FIND), "").content).find(f"{{{ENVELOPE}}}Body")
    schema.assertValid(element)
    assert [(child.tag, child.text) for child in element.find("rows/row")] == [("{urn:m}n", "甲"), ("id", "1")]


def test_a_password_in_clear_is_compared_when_the_mapping_asks_for_no_digest(tmp_path):
    auth = "{kind: wsse, username: env:U, password: env:P, digest: !!bool false}"
    with made_up(tmp_path, WSDL, auth) as simulator:
        right = security("u-sample", "p-sample", kind="PasswordText")
        assert post(simulator, enveloped(FIND, right), "").status_code == 200
        for wrong in (security("u-sample", "x", kind="PasswordText"), security("u-sample", "p-sample")):
            assert fault_of(post(simulator, enveloped(FIND, wrong), "")) == (500, "wsse:FailedAuthentication")


def test_basic_authentication_is_verified_before_soap(tmp_path):
    with made_up(tmp_path, WSDL, "{kind: basic, username: env:U, password: env:P}") as simulator:
        content, headers = enveloped(FIND).encode(), {"SOAPAction": '""', "Content-Type": "text/xml"}
        with httpx.Client(trust_env=False) as client:
            right = client.post(simulator.url, content=content, headers=headers, auth=("u-sample", "p-sample"))
            wrong = client.post(simulator.url, content=content, headers=headers, auth=("u-sample", "x"))
        assert (right.status_code, wrong.status_code) == (200, 401)


def test_a_source_that_has_only_faults_says_everything_with_faults(tmp_path):
    with made_up(tmp_path, WSDL, "{kind: none}", ", faults: {empty: [NoData]}") as simulator:
        unknown = post(simulator, enveloped(FIND.replace(">1<", ">9<")), "")
        assert fault_of(unknown) == (500, "tns:NoData")
        many = post(simulator, enveloped(FIND.replace("<ids>1</ids>", "<ids>1</ids>" * 6)), "")
        assert fault_of(many) == (500, "soapenv:Client")
