"""A SOAP 1.1 service over HTTP, from its vendored WSDL: typed document/literal, or texts in and out (rpc/encoded)."""

import base64
import copy
import hmac
from dataclasses import replace
from typing import Any

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.charset import charset_in
from adapters.mapping.written import BasicAuth, SoapConnect, WsseAuth
from adapters.simulator.binding import Asked, Rejected, Sent, UnknownOperation, bind
from adapters.simulator.envelope import MESSAGES, Verdict, answered, code_of, said
from adapters.simulator.faults import Fault
from adapters.simulator.http import disturbed
from adapters.simulator.simulation import Simulation
from adapters.simulator.trees import encode_answer, parse_xml, tree_of
from adapters.simulator.wsdl import (
    ENVELOPE,
    XSD,
    XSI,
    ServedOperation,
    Service,
    load_service,
    text_answer,
    typed_answer,
)
from adapters.simulator.wsse import WSSE, UsernameTokens

SOAP = f"{{{ENVELOPE}}}"


def soap_app(simulation: Simulation) -> tuple[Starlette, str]:
    """The service as an ASGI application, and the path of its endpoint."""
    connect = simulation.mapping.connect
    assert isinstance(connect, SoapConnect)
    service = load_service(simulation.mapping.folder / connect.wsdl, connect.binding)
    system = _System(simulation, connect, service)
    routes = [
        Route(service.path, system.handle, methods=["POST"]),
        Route(service.path, system.describe, methods=["GET"]),
    ]
    return Starlette(routes=routes), service.path


class _Refused(Exception):
    """An answer that is due before the operation is known or reached."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class _System:
    """One service: its records, and the tokens it has seen."""

    def __init__(self, simulation: Simulation, connect: SoapConnect, service: Service) -> None:
        self.simulation, self.connect, self.service = simulation, connect, service
        self.answering = simulation.answering()
        self.tokens: UsernameTokens | None = None
        if isinstance(connect.auth, WsseAuth):
            username, password = simulation.secret(connect.auth.username), simulation.secret(connect.auth.password)
            self.tokens = UsernameTokens(username, password, connect.auth.digest, simulation.clock)

    async def describe(self, request: Request) -> Response:
        """The WSDL, when asked for with `?wsdl`."""
        if "wsdl" not in {name.lower() for name in request.query_params}:
            return Response("SOAP service; ?wsdl", 405, media_type="text/plain")
        return Response(self.service.document_at(str(request.url.replace(query=""))), media_type="text/xml")

    async def handle(self, request: Request) -> Response:
        """One request, from its envelope to its answer."""
        try:
            envelope, served, message = self._opened(request, await request.body())
        except _Refused as refused:
            return refused.response
        asked: Asked | None = None
        refusal: Exception | None = None
        try:
            sent = Sent(operation=served.name, message=message)
            asked = bind(self.simulation.mapping, sent, self.simulation.secrets)
        except (Rejected, UnknownOperation) as error:
            refusal = error
        meant = asked.operation if asked else getattr(refusal, "operation", None)
        if meant is None:
            return self._unauthorized(request, envelope) or self._fault("soapenv:Server", f"{served.name} 未开放")
        self.simulation.calls.add(meant.name, len(asked.keys) if asked else 0)
        disturbance = self.simulation.faults.take(meant.name)
        response = self._unauthorized(request, envelope) or self._answer(served, asked, refusal)
        return await disturbed(self.simulation, disturbance, response, lambda fault: self._special(served, fault))

    def _opened(self, request: Request, body: bytes) -> tuple[etree._Element, ServedOperation, Any]:
        try:
            envelope = parse_xml(body, charset_in(request.headers.get("content-type")))
            element = envelope.find(f"{SOAP}Body/*")
            message = None if element is None else tree_of(element)
        except ValueError as error:
            raise _Refused(self._fault("soapenv:Client", str(error))) from None
        if envelope.tag != f"{SOAP}Envelope" or element is None:
            raise _Refused(self._fault("soapenv:VersionMismatch", "不是 SOAP 1.1 信封"))
        served = self.service.operations.get(str(element.tag))
        if served is None:
            raise _Refused(self._fault("soapenv:Client", f"没有操作 {element.tag}"))
        action = request.headers.get("soapaction")
        if action is None or (served.action and action.strip('"') != served.action):
            raise _Refused(self._fault("soapenv:Client", f"SOAPAction 不正确：{action}"))
        return envelope, served, message

    def _unauthorized(self, request: Request, envelope: etree._Element) -> Response | None:
        if self.tokens and not self.tokens.is_valid(envelope):
            return self._fault("wsse:FailedAuthentication", "用户名令牌未通过验证")
        if isinstance(self.connect.auth, BasicAuth):
            username, password = (
                self.simulation.secret(e) for e in (self.connect.auth.username, self.connect.auth.password)
            )
            right = b"Basic " + base64.b64encode(f"{username}:{password}".encode())
            if not hmac.compare_digest(request.headers.get("authorization", "").encode(), right):
                return Response("Unauthorized", 401, {"WWW-Authenticate": "Basic"}, media_type="text/plain")
        return None

    def _answer(self, served: ServedOperation, asked: Asked | None, refusal: Exception | None) -> Response:
        if asked is not None:
            try:
                answer = self.answering.answer(asked)
            except Rejected as error:
                return self._verdict(served, "rejected", str(error))
            if not answer.total and not code_of(self.connect.outcome, "empty") and self.connect.faults.empty:
                return self._fault(self.connect.faults.empty[0], "未查询到数据")
            records = [_numbered(number, record) for number, record in enumerate(answer.records, 1)]
            return self._reply(served, answered(self.simulation.mapping, asked, replace(answer, records=records)))
        return self._verdict(served, "rejected", str(refusal))

    def _special(self, served: ServedOperation, fault: Fault) -> Response:
        if fault.kind == "throttle":
            return self._verdict(served, "throttled")
        if fault.code is None and self.connect.faults.retry + (
            self.connect.outcome.retry if self.connect.outcome else []
        ):
            return self._verdict(served, "retry", status=fault.status)
        return self._fault(fault.code or "soapenv:Server", MESSAGES["retry"], fault.status)

    def _verdict(self, served: ServedOperation, verdict: Verdict, message: str = "", status: int = 500) -> Response:
        codes: list[str] = getattr(self.connect.faults, verdict, [])
        if codes:
            return self._fault(codes[0], message or MESSAGES[verdict], status)
        if code_of(self.connect.outcome, verdict):
            return self._reply(served, said(self.simulation.mapping, verdict, message))
        if verdict == "throttled":
            return Response("Too Many Requests", 429, media_type="text/plain")
        return self._fault("soapenv:Client", message or MESSAGES[verdict], status)

    def _reply(self, served: ServedOperation, tree: object) -> Response:
        assert isinstance(tree, dict)
        if not self.connect.answer:
            return _envelope(typed_answer(served, tree))
        text = encode_answer(self.connect.answer, tree).decode()
        return _envelope(text_answer(served, text, self.service.is_encoded))

    def _fault(self, code: str, reason: str, status: int = 500) -> Response:
        """A Fault; a code without a prefix is one of the service's own."""
        nsmap = {"soapenv": ENVELOPE, "wsse": WSSE, "tns": self.service.namespace}
        fault = etree.Element(f"{SOAP}Fault", nsmap=nsmap)
        etree.SubElement(fault, "faultcode").text = code if ":" in code else f"tns:{code}"
        etree.SubElement(fault, "faultstring").text = reason
        return _envelope(fault, status)


def _envelope(content: etree._Element, status: int = 200) -> Response:
    envelope = etree.Element(f"{SOAP}Envelope", nsmap={"soapenv": ENVELOPE, "xsd": XSD, "xsi": XSI})
    etree.SubElement(envelope, f"{SOAP}Body").append(content)
    body = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
    return Response(body, status, headers={"content-type": "text/xml; charset=utf-8"})


def _numbered(number: int, record: etree._Element) -> etree._Element:
    """Records that have an `id` count from 1 in every answer, as the traffic police's do (domain.md §4.4)."""
    numbered = copy.deepcopy(record)
    if "id" in numbered.attrib:
        numbered.set("id", str(number))
    return numbered
