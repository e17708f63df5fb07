"""The vendored WSDL from the service's side: which element asks for which operation, and how its answer is built."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zeep
from lxml import etree

from adapters.xml_tree import local_name

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
WSDL_SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
SOAP_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
NUMBERS = {
    "int",
    "integer",
    "long",
    "short",
    "byte",
    "decimal",
    "double",
    "float",
    "nonNegativeInteger",
    "positiveInteger",
}


@dataclass(frozen=True, slots=True)
class ServedOperation:
    """One operation of the binding; `answer` is the schema element of its response."""

    name: str
    action: str
    answer: Any


@dataclass(frozen=True)
class Service:
    """A binding of a WSDL. `operations` are found by the qualified name of the element that asks."""

    operations: Mapping[str, ServedOperation]
    path: str
    namespace: str
    is_encoded: bool
    document: bytes

    def document_at(self, address: str) -> bytes:
        """The WSDL as the running service publishes it, with its own address."""
        root = etree.fromstring(self.document)
        for place in root.iter(f"{WSDL_SOAP}address"):
            place.set("location", address)
        return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def load_service(file: Path, binding: str) -> Service:
    """The service in a vendored WSDL; nothing is fetched from elsewhere."""
    wsdl = zeep.Client(str(file)).wsdl  # type: ignore[no-untyped-call]
    root = etree.fromstring(file.read_bytes())
    namespace, name = binding[1:].split("}")
    bodies = root.iterfind(f"{WSDL}binding[@name='{name}']//{WSDL_SOAP}body")
    is_encoded = any(body.get("use") == "encoded" for body in bodies)
    operations = {}
    for operation in wsdl.bindings[binding]._operations.values():
        answer = operation.output.body
        if operation.style == "rpc":
            tag = etree.QName(etree.QName(answer.qname).namespace or namespace, f"{operation.name}Response")
            answer = zeep.xsd.Element(tag, answer.type)  # type: ignore[no-untyped-call]
        asking = etree.QName(operation.input.body.qname).text
        operations[asking] = ServedOperation(operation.name, operation.soapaction or "", answer)
    ports = [port for service in wsdl.services.values() for port in service.ports.values()]
    address = next((p.binding_options["address"] for p in ports if p.binding.name == etree.QName(binding)), "")
    return Service(operations, urlsplit(address).path or "/", namespace, is_encoded, file.read_bytes())


def typed_answer(served: ServedOperation, tree: Mapping[str, Any]) -> etree._Element:
    """The response element with `tree` inside, qualified and ordered as the schema asks."""
    return _typed(served.answer, tree)


def text_answer(served: ServedOperation, text: str, is_encoded: bool) -> etree._Element:
    """The response element with a text in its only leaf."""
    element = etree.Element(served.answer.qname, nsmap={"ns1": served.answer.qname.namespace})
    leaf, schema = element, served.answer
    while inside := _children(schema):
        schema = inside[0]
        leaf = etree.SubElement(leaf, schema.qname)
        if is_encoded:
            leaf.set(f"{{{XSI}}}type", "xsd:string")
    if is_encoded:
        element.set(f"{{{ENVELOPE}}}encodingStyle", SOAP_ENCODING)
    leaf.text = text
    return element


def _typed(schema: Any, value: Any) -> etree._Element:
    """One element of the schema's kind; records keep their text, their attributes and what the schema does not know."""
    element = etree.Element(schema.qname)
    if isinstance(value, etree._Element):
        element.text, known = value.text, set[str]()
        for name, given in value.attrib.items():
            element.set(name, given)
        parts = [child for child in value if isinstance(child.tag, str)]
        for inside in _children(schema):
            name = inside.qname.localname
            known.add(name)
            element.extend(_typed(inside, part) for part in parts if local_name(part) == name)
        element.extend(part for part in parts if local_name(part) not in known)
    elif isinstance(value, Mapping):
        unknown = set(value) - {inside.qname.localname for inside in _children(schema)}
        if unknown:
            raise ValueError(f"WSDL 的 {schema.qname.localname} 里没有 {'、'.join(sorted(unknown))}")
        for inside in _children(schema):
            element.extend(_typed(inside, item) for item in _given(inside, value))
    else:
        element.text = str(value)
    return element


def _given(schema: Any, value: Mapping[str, Any]) -> Iterable[Any]:
    """What is there for a child; what the schema demands and nobody gave is made up from its type."""
    name = schema.qname.localname
    if name in value:
        given = value[name]
        return given if isinstance(given, list) else [given]
    if not schema.min_occurs:
        return []
    if _children(schema):
        return [{}]
    kind = etree.QName(schema.type.qname).localname if schema.type.qname else "string"
    now = datetime.now(UTC)
    plain = {"boolean": "false", "dateTime": now.isoformat(timespec="seconds"), "date": date.today().isoformat()}
    return ["0" if kind in NUMBERS else plain.get(kind, "")]


def _children(schema: Any) -> Sequence[Any]:
    return [element for _, element in getattr(schema.type, "elements", ())]
