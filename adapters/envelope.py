"""SOAP envelopes, read without a WSDL: what was returned, or which Fault."""

from collections.abc import Mapping
from typing import Any

from lxml import etree

from adapters.errors import SourceContractBroken
from adapters.mapping.paths import TEXT, plain
from adapters.xml_tree import TreeReader, local_name, parse_xml


def open_envelope(text: str) -> tuple[str, etree._Element]:
    """The namespace of an envelope, which tells SOAP 1.1 from 1.2, and its Body. Raises SourceContractBroken."""
    envelope = parse_xml(text)
    body = next((child for child in envelope if local_name(child) == "Body"), None)
    if local_name(envelope) != "Envelope" or body is None:
        raise SourceContractBroken("答复不是 SOAP 信封")
    return str(etree.QName(envelope).namespace), body


def fault_in(body: etree._Element) -> etree._Element | None:
    """The Fault in a Body; it may come with HTTP 200."""
    return next((child for child in body if local_name(child) == "Fault"), None)


def fault_reason(fault: etree._Element) -> str:
    """What a Fault says in words."""
    reason = next((e for e in fault.iter() if local_name(e) in ("faultstring", "Text")), None)
    return "" if reason is None else "".join(map(str, reason.itertext())).strip()


def returned(body: etree._Element, wanted: Mapping[str, Any] | None = None) -> Any:
    """What the operation returned: the tree of the Body's element, or `wanted` of it, with every `href` resolved."""
    referred = {href[1:] for e in body.iter() if (href := e.get("href") or "").startswith("#") and not len(e)}
    targets: dict[str, etree._Element] = {}
    for element in body.iter() if referred else ():
        name = element.get("id")
        if name in referred and targets.setdefault(name, element) is not element:
            raise SourceContractBroken("multiRef 的 id 重复")
    if referred - targets.keys():
        raise SourceContractBroken("multiRef 引用的元素不存在")
    response = next((child for child in body if child.get("id") not in targets), None)
    if response is None:
        raise SourceContractBroken("SOAP 答复的 Body 是空的")
    return TreeReader(targets).read(response, wanted=wanted)


def single_text(tree: Any) -> str:
    """The text of the one part that was returned. Raises SourceContractBroken when there is no such text."""
    if isinstance(tree, dict):
        parts = [value for name, value in tree.items() if name != TEXT and not name.startswith("@")]
        tree = plain(parts[0] if len(parts) == 1 else tree if not parts else None)
    if not isinstance(tree, str):
        raise SourceContractBroken("SOAP 答复应返回一个文本")
    return tree


def fault_codes(fault: etree._Element) -> list[str]:
    """The codes of a Fault, SOAP 1.2 subcodes before their code, prefixes dropped."""
    texts: list[str] = []
    for child in fault:
        if local_name(child) == "faultcode":
            texts = [child.text or ""]
        elif local_name(child) == "Code":
            texts = [e.text or "" for e in child.iter() if local_name(e) == "Value"][::-1]
    return [code for text in texts if (code := text.strip().rpartition("}")[2].rpartition(":")[2])]
