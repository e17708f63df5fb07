"""SOAP services that tests make up: a WSDL, a mapping over it, and answers served over a real socket."""

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from adapters.mapping.load import load_mapping
from adapters.mapping.model import SourceMapping
from adapters.open import open_source
from adapters.soap import SoapSource
from adapters.source import Call, Page
from schema.load import load_registry

REGISTRY = load_registry()
ENVELOPE_11 = "http://schemas.xmlsoap.org/soap/envelope/"
ENVELOPE_12 = "http://www.w3.org/2003/05/soap-envelope"
XSI = "http://www.w3.org/2001/XMLSchema-instance"

TYPES = """<x:schema targetNamespace="urn:m" elementFormDefault="qualified">
<x:complexType name="Base"><x:sequence>
  <x:element name="no" type="x:string"/><x:element name="name" type="x:string" nillable="true"/>
</x:sequence><x:attribute name="version" type="x:int"/></x:complexType>
<x:complexType name="Row"><x:complexContent><x:extension base="m:Base"><x:sequence>
  <x:element name="on" type="x:date" minOccurs="0"/><x:element name="seq" type="x:int" minOccurs="0"/>
  <x:element name="amount" type="m:Amount" minOccurs="0"/>
  <x:element name="kind" type="x:string" minOccurs="0" maxOccurs="unbounded"/>
  <x:choice minOccurs="0"><x:element name="person" type="m:Who"/><x:element name="body" type="m:Who"/></x:choice>
  <x:element name="remark" type="x:string" minOccurs="0"/>
  <x:element name="history" type="m:History" minOccurs="0"/>
  <x:element name="flag" type="x:boolean" minOccurs="0"/>
</x:sequence></x:extension></x:complexContent></x:complexType>
<x:complexType name="Amount"><x:simpleContent><x:extension base="x:decimal"><x:attribute name="unit" type="x:string"/>
</x:extension></x:simpleContent></x:complexType>
<x:complexType name="Who"><x:all><x:element name="uscc" type="x:string" minOccurs="0"/>
  <x:element name="title" type="x:string" minOccurs="0"/></x:all></x:complexType>
<x:complexType name="History"><x:sequence><x:element name="entry" type="x:string" minOccurs="0" maxOccurs="unbounded"/>
</x:sequence></x:complexType>
<x:element name="Find"><x:complexType><x:sequence>
  <x:element name="id" type="x:string" maxOccurs="unbounded"/></x:sequence></x:complexType></x:element>
<x:element name="Found"><x:complexType><x:sequence>
  <x:element name="code" type="x:string"/>
  <x:element name="row" type="m:Row" minOccurs="0" maxOccurs="unbounded"/>
</x:sequence></x:complexType></x:element></x:schema>"""

WSDL = """<w:definitions targetNamespace="urn:m" xmlns:m="urn:m" xmlns:w="http://schemas.xmlsoap.org/wsdl/"
  xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:x="http://www.w3.org/2001/XMLSchema">
<w:types>TYPES</w:types>
<w:message name="I"><w:part name="p" element="m:Find"/></w:message>
<w:message name="O"><w:part name="p" element="m:Found"/></w:message>
<w:portType name="P"><w:operation name="Find"><w:input message="m:I"/><w:output message="m:O"/></w:operation></w:portType>
<w:binding name="B" type="m:P"><s:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
<w:operation name="Find"><s:operation soapAction=""/><w:input><s:body use="literal"/></w:input>
<w:output><s:body use="literal"/></w:output></w:operation></w:binding>
<w:service name="S"><w:port name="T" binding="m:B"><s:address location="http://localhost/s"/></w:port></w:service>
</w:definitions>"""

MAPPING = """
source: made_up
title: 虚构
agency: 11350100MB0A00018J
owner: 无
connect:
  kind: soap
  wsdl: s.wsdl
  binding: "{urn:m}B"
  endpoint: env:MADE_UP_URL
  outcome: {path: code, ok: ["0"]}
  AUTH
operations:
  by_no:
    request: {operation: Find, message: {id: $keys}}
    records: row
    lookup: {entity: Inspection, by: inspection_no, batch: 50}
entities:
  Inspection:
    key: inspection_no
    fields:
      inspection_no: no
      inspection_name: name
      change_no: {path: seq, as: integer}
      started_at: {path: on, as: datetime, format: "%Y-%m-%d", zone: Asia/Shanghai}
      source_record_id: amount
      batch_no: "@version"
      officers: {path: "kind[]", ref: Officer.cert_no}
      party: {path: body.title, ref: Party.uscc}
"""


def soap_mapping(folder: Path, types: str = TYPES, auth: str = "auth: {kind: none}") -> SourceMapping:
    """The made-up service's mapping, written into `folder`."""
    source = folder / "made_up"
    source.mkdir(exist_ok=True)
    (source / "s.wsdl").write_text(WSDL.replace("TYPES", types), "utf-8")
    (source / "mapping.yaml").write_text(MAPPING.replace("AUTH", auth), "utf-8")
    return load_mapping(REGISTRY, source)


def enveloped(inside: str, namespace: str = ENVELOPE_11, head: str = "") -> str:
    """A SOAP message around the content of a Body."""
    words = f'xmlns:s="{namespace}" xmlns:xsi="{XSI}"'
    return f"{head}<s:Envelope {words}><s:Body>{inside}</s:Body></s:Envelope>"


def found(*rows: str, code: str = "0") -> str:
    """The answer of `Find` with these rows, their elements in the service's namespace."""
    inside = "".join(f"<m:row>{row}</m:row>" if not row.startswith("<m:row") else row for row in rows)
    return f'<m:Found xmlns:m="urn:m"><m:code>{code}</m:code>{inside}</m:Found>'


def fault(code: str, text: str) -> str:
    """An answer that is a Fault."""
    return enveloped(f"<s:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></s:Fault>")


@dataclass(slots=True)
class Answering:
    """A web server that gives one answer to everything; `seen` are the bodies it was sent, `paths` what it was asked."""

    url: str = ""
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/xml; charset=utf-8"})
    seen: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def says(self, body: str | bytes, status: int = 200, **headers: str) -> None:
        """What is answered from now on."""
        self.body, self.status = body if isinstance(body, bytes) else body.encode(), status
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        self.headers = {"Content-Type": "text/xml; charset=utf-8", **given}


@contextmanager
def answering() -> Iterator[Answering]:
    """A web server on a port of its own."""
    told = Answering()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def date_time_string(self, timestamp: float | None = None) -> str:
            return told.headers.get("Date") or super().date_time_string(timestamp)

        def do_POST(self) -> None:
            told.seen.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.do_GET()

        def do_GET(self) -> None:
            told.paths.append(self.path)
            self.send_response(told.status)
            for name, value in told.headers.items():
                if name != "Date":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_address[1]}/s"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


LONG = 20.0
ROW = "<m:no>1</m:no><m:name>甲</m:name>"
RECORD = {"no": "1", "name": "甲"}


@pytest.fixture
def service() -> Iterator[Answering]:
    with answering() as told:
        yield told


@asynccontextmanager
async def opened(service: Answering, folder: Path, auth: str = "auth: {kind: none}") -> AsyncIterator[SoapSource]:
    secrets = {"MADE_UP_URL": service.url, "U": "user", "P": "password"}
    source = open_source(soap_mapping(folder, auth=auth), secrets)
    assert isinstance(source, SoapSource)
    try:
        yield source
    finally:
        await source.aclose()


async def page(source: SoapSource) -> Page:
    return await source.call(Call("by_no", LONG, keys=["1"]))
