"""SOAP services: requests from the WSDL, answers read by readers made from its types.

zeep never reads an answer: its deserialiser turns numbers and dates it does not understand into None without a word. The
envelope is read as text for text; what a value is worth is decided by the mapping.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from lxml import etree
from zeep.wsse.username import UsernameToken

from adapters.charset import charset_in, charset_in_xml, to_text
from adapters.decode import decode
from adapters.envelope import fault_codes, fault_in, fault_reason, open_envelope, single_text
from adapters.errors import SourceContractBroken
from adapters.http import HttpAnswer, HttpClient, raise_for_status, within
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import BasicAuth, SoapConnect, WsseAuth
from adapters.outcome import LONGEST_MESSAGE, Kind, Verdict, judge_for
from adapters.page import off_loop, operation_of, page_of, page_read, told_by
from adapters.request import fill
from adapters.rest import basic
from adapters.secrets import Secrets, resolve, resolve_address
from adapters.soap_drift import certificate_note, wsdl_digest
from adapters.soap_reading import reading_of
from adapters.soap_request import Envelope, Request, envelope_of
from adapters.source import Call, Page
from adapters.wsdl import Wsdl
from schema.problems import Problem, Problems

STATUSES_OF_FAULTS = (200, 400, 500)
"""A SOAP Fault may come with these; what comes with others is told by the status alone."""

SECURITY_FAULTS = (
    "UnsupportedSecurityToken",
    "UnsupportedAlgorithm",
    "InvalidSecurity",
    "InvalidSecurityToken",
    "FailedAuthentication",
    "FailedCheck",
    "SecurityTokenUnavailable",
    "MessageExpired",
)
"""The codes of WS-Security 1.1.1 §12: the token was not taken, be it wrong, used twice, or of another time."""

LARGEST_SKEW = 60
"""Seconds between the source's clock and ours that are told beside a refused token."""


class SoapSource:
    """A source that is asked with SOAP messages."""

    def __init__(self, mapping: SourceMapping, connect: SoapConnect, secrets: Secrets, http: HttpClient) -> None:
        self.mapping, self.connect, self.secrets, self.http = mapping, connect, secrets, http
        self.endpoint = resolve_address(connect.endpoint, secrets)
        self.headers: dict[str, str] = {}
        token = None
        match connect.auth:
            case BasicAuth() as auth:
                self.headers["Authorization"] = basic(resolve(auth.username, secrets), resolve(auth.password, secrets))
            case WsseAuth() as auth:
                username, password = resolve(auth.username, secrets), resolve(auth.password, secrets)
                make: Any = UsernameToken
                token = make(username, password, use_digest=auth.digest, zulu_timestamp=True)
        _check_pin(mapping, connect)
        words = {name: operation.written.request.operation or "" for name, operation in mapping.operations.items()}
        self.wsdl = Wsdl(mapping.folder / connect.wsdl, connect.binding, words, token)
        self.is_signed = token is not None
        self.envelopes: dict[str, Envelope | None] = {}
        self.judge = judge_for(connect.outcome)
        faults = connect.faults
        self.fault_kinds: dict[str, Kind] = dict.fromkeys((*SECURITY_FAULTS, *faults.denied), "denied")
        self.fault_kinds |= dict.fromkeys(faults.throttled, "throttled")
        self.fault_kinds |= dict.fromkeys(faults.retry, "retry")
        self.fault_kinds |= dict.fromkeys(faults.empty, "empty")
        self.readings = {
            name: reading_of(mapping, operation, connect, self.wsdl) for name, operation in mapping.operations.items()
        }

    async def call(self, call: Call) -> Page:
        """Send one message."""
        with told_by(self.mapping, call):
            operation = operation_of(self.mapping, call)
            headers, envelope = self._request(operation, call)
            answer = await self.http.send(
                "POST", self.endpoint, {**headers, **self.headers}, envelope, within(call.timeout)
            )
            reader = call.reader if answer.status == 200 else None  # other statuses may come with a Fault
            if (page := page_read(answer, reader, lambda: self._page(operation, answer))) is not None:
                return page
            return await off_loop(len(answer.body), lambda: self._page(operation, answer))

    def _request(self, operation: OperationMapping, call: Call) -> Request:
        """Headers and envelope. Raises SourceRejected."""
        if operation.lookup is None or len(call.keys) != 1 or self.is_signed:
            return self._made(operation, call)
        if operation.name not in self.envelopes:
            self.envelopes[operation.name] = envelope_of(lambda key: self._made(operation, replace(call, keys=(key,))))
        envelope = self.envelopes[operation.name]
        return (envelope and envelope.of(call.keys[0])) or self._made(operation, call)

    def _made(self, operation: OperationMapping, call: Call) -> Request:
        request = operation.written.request
        message = fill(request.message or {}, call, self.secrets)
        return self.wsdl.request(request.operation or "", message, self.endpoint)

    def reread(self, operation: OperationMapping, raw: bytes, media_type: str) -> Page:
        """The page that an answer was, from what was kept of it."""
        return self._page(operation, HttpAnswer(200, {"content-type": media_type}, raw))

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        await self.http.aclose()

    async def differences(self, timeout: float) -> list[str]:
        """What the service publishes that is not as the mapping has it, in words. Raises SourceError: it cannot be asked."""
        told = [note for note in [await certificate_note(self.endpoint, timeout)] if note]
        answer = await self.http.send(
            "GET", f"{self.endpoint.partition('?')[0]}?wsdl", self.headers, None, within(timeout)
        )
        raise_for_status(answer)
        if wsdl_digest(answer.body) != wsdl_digest((self.mapping.folder / self.connect.wsdl).read_bytes()):
            told.append(f"对方现在发布的 WSDL 与 {self.connect.wsdl} 不同")
        return told

    def _page(self, operation: OperationMapping, answer: HttpAnswer) -> Page:
        if answer.status not in STATUSES_OF_FAULTS:
            raise_for_status(answer)
        try:
            namespace, body = open_envelope(text := _text(answer))
        except SourceContractBroken:
            raise_for_status(answer)
            raise
        if (fault := fault_in(body)) is not None:
            return page_of(operation, None, self._fault(fault, answer), answer.body, answer.content_type)
        raise_for_status(answer)
        notes = {} if namespace == self.wsdl.namespace else {"envelope": f"命名空间 {namespace} 与 WSDL 的绑定不同"}
        tree = self.readings[operation.name].tree(body, text, notes)
        if self.connect.answer:
            tree = decode(self.connect.answer, single_text(tree))
        return page_of(operation, tree, self.judge(tree), answer.body, answer.content_type, notes)

    def _fault(self, fault: etree._Element, answer: HttpAnswer) -> Verdict:
        """What a Fault means, by its codes without their prefixes, the most specific first."""
        codes = fault_codes(fault)
        known = next((code for code in codes if code in self.fault_kinds), None)
        kind: Kind = self.fault_kinds[known] if known else "rejected"
        reason = fault_reason(fault)
        if known in SECURITY_FAULTS and (skew := _skew(answer.headers)) is not None:
            reason = f"对方时钟与本机相差 {skew} 秒；{reason}"
        return Verdict(kind, known or (codes[0] if codes else "Fault"), reason[:LONGEST_MESSAGE])


def _check_pin(mapping: SourceMapping, connect: SoapConnect) -> None:
    """The WSDL is the one that was reviewed, where the mapping says which. Raises Problems."""
    if connect.wsdl_digest:
        try:
            digest = wsdl_digest((mapping.folder / connect.wsdl).read_bytes())
        except (OSError, SourceContractBroken):
            return  # reading it tells better what is wrong
        if digest != connect.wsdl_digest:
            file = f"{mapping.folder.name}/mapping.yaml"
            raise Problems([Problem(file, 1, 1, "connect.wsdl_digest", f"{connect.wsdl} 的摘要是 {digest}")])


def _skew(headers: Mapping[str, str]) -> int | None:
    """Seconds by which the source's clock differs from ours, when that may be why a token is refused."""
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
        seconds = round(abs((datetime.now(UTC) - theirs).total_seconds()))
    except (ValueError, TypeError):
        return None
    return seconds if seconds > LARGEST_SKEW else None


def _text(answer: HttpAnswer) -> str:
    """The text of an answer. Raises SourceContractBroken for attachments, emptiness, and unknown charsets."""
    if answer.media_type.startswith("multipart/"):
        raise SourceContractBroken("不支持带附件的 SOAP 答复")
    if not answer.body:
        raise SourceContractBroken("答复是空的")
    return to_text(answer.body, charset_in(answer.headers.get("content-type")), charset_in_xml(answer.body))
