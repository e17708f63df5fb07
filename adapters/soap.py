"""SOAP services: requests from the WSDL, answers read by our own decoder.

zeep never reads an answer: its deserialiser turns numbers and dates it does not understand into None without a word. The
envelope is read as text for text; what a value is worth is decided by the mapping.
"""

from typing import Any

from lxml import etree
from zeep.wsse.username import UsernameToken

from adapters.charset import charset_in, charset_in_xml, to_text
from adapters.decode import decode
from adapters.errors import SourceContractBroken
from adapters.http import HttpAnswer, HttpClient, raise_for_status
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.paths import TEXT, plain
from adapters.mapping.written import BasicAuth, SoapConnect, WsseAuth
from adapters.outcome import LONGEST_MESSAGE, Kind, Verdict, judge_for
from adapters.page import off_loop, operation_of, page_of, told_by
from adapters.request import fill
from adapters.rest import basic
from adapters.secrets import Secrets, resolve, resolve_address
from adapters.source import Call, Page
from adapters.wsdl import Wsdl
from adapters.xml_tree import TreeReader, local_name, parse_xml

STATUSES_OF_FAULTS = (200, 400, 500)
"""A SOAP Fault may come with these; what comes with others is told by the status alone."""


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
        words = {name: operation.written.request.operation or "" for name, operation in mapping.operations.items()}
        self.wsdl = Wsdl(mapping.folder / connect.wsdl, connect.binding, words, token)
        self.judge = judge_for(connect.outcome)
        faults = connect.faults
        self.fault_kinds: dict[str, Kind] = dict.fromkeys(faults.denied, "denied")
        self.fault_kinds |= dict.fromkeys(faults.throttled, "throttled")
        self.fault_kinds |= dict.fromkeys(faults.retry, "retry")
        self.fault_kinds |= dict.fromkeys(faults.empty, "empty")

    async def call(self, call: Call) -> Page:
        """Send one message."""
        with told_by(self.mapping, call):
            operation = operation_of(self.mapping, call)
            request = operation.written.request
            message = fill(request.message or {}, call, self.secrets)
            headers, envelope = self.wsdl.request(request.operation or "", message, self.endpoint)
            answer = await self.http.send("POST", self.endpoint, {**headers, **self.headers}, envelope, call.timeout)
            return await off_loop(len(answer.body), lambda: self._page(operation, answer))

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        await self.http.aclose()

    def _page(self, operation: OperationMapping, answer: HttpAnswer) -> Page:
        if answer.status not in STATUSES_OF_FAULTS:
            raise_for_status(answer)
        try:
            envelope, body = _envelope(answer)
        except SourceContractBroken:
            raise_for_status(answer)
            raise
        fault = next((child for child in body if local_name(child) == "Fault"), None)
        if fault is not None:
            return page_of(operation, None, self._fault(fault), answer.body, answer.media_type)
        raise_for_status(answer)
        tree = _returned(body)
        if self.connect.answer:
            tree = decode(self.connect.answer, _single_text(tree))
        namespace = str(etree.QName(envelope).namespace)
        notes = {} if namespace == self.wsdl.namespace else {"envelope": f"命名空间 {namespace} 与 WSDL 的绑定不同"}
        return page_of(operation, tree, self.judge(tree), answer.body, answer.media_type, notes)

    def _fault(self, fault: etree._Element) -> Verdict:
        """What a Fault means, by its codes without their prefixes, the most specific first."""
        codes = _fault_codes(fault)
        reason = next((e for e in fault.iter() if local_name(e) in ("faultstring", "Text")), None)
        message = ("" if reason is None else "".join(map(str, reason.itertext())).strip())[:LONGEST_MESSAGE]
        known = next((code for code in codes if code in self.fault_kinds), None)
        kind: Kind = self.fault_kinds[known] if known else "rejected"
        return Verdict(kind, known or (codes[0] if codes else "Fault"), message)


def _envelope(answer: HttpAnswer) -> tuple[etree._Element, etree._Element]:
    """Envelope and Body of an answer. Raises SourceContractBroken."""
    if answer.media_type.startswith("multipart/"):
        raise SourceContractBroken("不支持带附件的 SOAP 答复")
    if not answer.body:
        raise SourceContractBroken("答复是空的")
    declared = charset_in(answer.headers.get("content-type"))
    envelope = parse_xml(to_text(answer.body, declared, charset_in_xml(answer.body)))
    body = next((child for child in envelope if local_name(child) == "Body"), None)
    if local_name(envelope) != "Envelope" or body is None:
        raise SourceContractBroken("答复不是 SOAP 信封")
    return envelope, body


def _returned(body: etree._Element) -> Any:
    """What the operation returned: the tree of the Body's element, with every `href` resolved."""
    wanted = {href[1:] for e in body.iter() if (href := e.get("href") or "").startswith("#") and not len(e)}
    targets: dict[str, etree._Element] = {}
    for element in body.iter() if wanted else ():
        name = element.get("id")
        if name in wanted and targets.setdefault(name, element) is not element:
            raise SourceContractBroken("multiRef 的 id 重复")
    if wanted - targets.keys():
        raise SourceContractBroken("multiRef 引用的元素不存在")
    response = next((child for child in body if child.get("id") not in targets), None)
    if response is None:
        raise SourceContractBroken("SOAP 答复的 Body 是空的")
    return TreeReader(targets).read(response)


def _single_text(returned: Any) -> str:
    """The text of the one part that was returned. Raises SourceContractBroken when there is no such text."""
    if isinstance(returned, dict):
        parts = [value for name, value in returned.items() if name != TEXT and not name.startswith("@")]
        returned = plain(parts[0] if len(parts) == 1 else returned if not parts else None)
    if not isinstance(returned, str):
        raise SourceContractBroken("SOAP 答复应返回一个文本")
    return returned


def _fault_codes(fault: etree._Element) -> list[str]:
    """The codes of a Fault, SOAP 1.2 subcodes before their code, prefixes dropped."""
    texts: list[str] = []
    for child in fault:
        if local_name(child) == "faultcode":
            texts = [child.text or ""]
        elif local_name(child) == "Code":
            texts = [e.text or "" for e in child.iter() if local_name(e) == "Value"][::-1]
    return [code for text in texts if (code := text.strip().rpartition("}")[2].rpartition(":")[2])]
