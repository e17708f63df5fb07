"""Requests to a SOAP service, made by zeep from the WSDL vendored beside the mapping; nothing is loaded from elsewhere.

zeep makes the envelope and WS-Security. What it leaves out of rpc/encoded requests is added as Axis 1.4 writes it:
`soapenv:encodingStyle` on the operation, and `xsi:type` on its parts, which Axis servers look at.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zeep
from lxml import etree
from zeep.exceptions import Error as ZeepError
from zeep.wsdl.messages.soap import RpcMessage
from zeep.wsse.username import UsernameToken

from adapters.charset import charset_in_xml, to_text
from adapters.errors import SourceContractBroken, SourceRejected
from adapters.xml_tree import XSI, local_name, parse_xml
from schema.problems import Problem, Problems, did_you_mean

XSD = "http://www.w3.org/2001/XMLSchema"
WSDL = "http://schemas.xmlsoap.org/wsdl/"
PREFIXES = {XSI: "xsi", XSD: "xsd", "http://schemas.xmlsoap.org/soap/encoding/": "soapenc"}
SETTINGS = {
    "strict": True,
    "forbid_dtd": True,
    "forbid_entities": True,
    "forbid_external": True,
    "xml_huge_tree": False,
}


class Wsdl:
    """A binding of a WSDL. Raises Problems when it cannot be read, or lacks the binding or an operation."""

    def __init__(self, file: Path, binding: str, operations: Mapping[str, str], token: UsernameToken | None) -> None:
        self._files = LocalFiles(file.parent)
        try:
            settings = zeep.Settings(**SETTINGS)
            client: Any = zeep.Client
            self._client = client(str(file), transport=self._files, settings=settings, wsse=token)
        except (ZeepError, OSError, ValueError, KeyError, AttributeError, etree.LxmlError) as error:
            raise Problems([Problem(str(file), 1, 1, "connect.wsdl", f"WSDL 无法读取：{error}")]) from None
        bindings = self._client.wsdl.bindings
        if binding not in bindings:
            told = did_you_mean(binding, bindings)
            raise Problems([Problem(str(file), 1, 1, "connect.binding", f"WSDL 中没有绑定 “{binding}”", told)])
        self._binding: Any = bindings[binding]
        if problems := [
            Problem(str(file), 1, 1, f"operations.{name}.request.operation", f"WSDL 的绑定中没有操作 “{word}”", told)
            for name, word in operations.items()
            if word not in (known := self._binding.all())
            for told in [did_you_mean(word, known)]
        ]:
            raise Problems(problems)
        name = etree.QName(binding).localname
        self._styles = _encoding_styles(self._files.loaded, name, "input")
        self._encoded_answers = _encoding_styles(self._files.loaded, name, "output")

    @property
    def namespace(self) -> str:
        """The namespace of the envelopes this binding speaks: it tells SOAP 1.1 from 1.2."""
        return str(self._binding.nsmap["soap-env"])

    def answer_type(self, operation: str) -> tuple[str | None, Any]:
        """How the element in the answer's Body is declared: its tag (None: of any name, as rpc has it) and zeep's type.

        Its type is None where the WSDL does not tell: no element, several, or `use="encoded"`, which may refer about.
        """
        output = self._binding.get(operation).output
        if output is None or output.body is None or operation in self._encoded_answers:
            return None, None
        if getattr(output, "_is_body_wrapped", False):
            return None, None
        is_rpc = isinstance(output, RpcMessage)
        return (None if is_rpc else str(etree.QName(output.body.qname).text)), output.body.type

    def request(self, operation: str, message: Mapping[str, Any], address: str) -> tuple[dict[str, str], bytes]:
        """Headers and envelope. Raises SourceRejected when the message does not fit the WSDL."""
        try:
            envelope, headers = self._binding._create(
                operation, (), dict(message), client=self._client, options={"address": address}
            )
        except (ZeepError, TypeError) as error:
            raise SourceRejected(f"请求不合 WSDL：{str(error)[:200]}") from None
        except (ValueError, AttributeError, KeyError):
            raise SourceRejected("请求中有 WSDL 的类型不能容纳的值") from None
        if style := self._styles.get(operation):
            _add_encoding(envelope, style, self._binding.get(operation).input.body.type.elements)
        return dict(headers), etree.tostring(envelope, xml_declaration=True, encoding="utf-8")


class LocalFiles:
    """What zeep loads documents with: files in one folder, and nothing else. `loaded` are their contents."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.loaded: list[bytes] = []

    def load(self, url: str) -> bytes:
        """The content of a file. Raises OSError for one outside the folder."""
        if urlsplit(url).scheme or not (file := Path(url).resolve()).is_relative_to(self._folder):
            raise OSError(f"只能引用映射文件夹中的文件：{url}")
        self.loaded.append(file.read_bytes())
        return self.loaded[-1]


def _encoding_styles(documents: list[bytes], binding: str, part: str) -> dict[str, str]:
    """The `encodingStyle` of each operation whose input or output is `use="encoded"`; zeep forgets it."""
    styles: dict[str, str] = {}
    for document in documents:
        try:
            root = parse_xml(to_text(document, charset_in_xml(document)))
        except SourceContractBroken:
            continue
        for body in root.iterfind(f"{{{WSDL}}}binding/{{{WSDL}}}operation/{{{WSDL}}}{part}/{{*}}body[@use='encoded']"):
            operation = body.getparent().getparent()  # type: ignore[union-attr]
            if operation is not None and operation.getparent().get("name") == binding:  # type: ignore[union-attr]
                styles[operation.get("name", "")] = body.get("encodingStyle", "")
    return styles


def _add_encoding(envelope: etree._Element, style: str, parts: list[tuple[str, Any]]) -> None:
    body = next(child for child in envelope if local_name(child) == "Body")
    wrapper = body[0]
    wrapper.set(etree.QName(etree.QName(envelope).namespace, "encodingStyle"), style)
    types = {element.qname.localname: etree.QName(element.type.qname) for _, element in parts}
    prefixes = dict(PREFIXES)
    for name in types.values():
        prefixes.setdefault(str(name.namespace), f"ns{len(prefixes)}")
    for part in wrapper:
        if kind := types.get(local_name(part)):
            part.set(f"{{{XSI}}}type", f"{prefixes[str(kind.namespace)]}:{kind.localname}")
    nsmap = {prefix: namespace for namespace, prefix in prefixes.items()}
    etree.cleanup_namespaces(envelope, top_nsmap=nsmap, keep_ns_prefixes=list(nsmap))
