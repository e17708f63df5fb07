"""What a SOAP service publishes now, against the WSDL kept beside the mapping. Nothing of it is needed to start."""

import asyncio
import hashlib
import ssl
from datetime import UTC, datetime
from urllib.parse import urlsplit

from cryptography import x509
from lxml import etree

from adapters.charset import charset_in_xml, to_text
from adapters.xml_tree import parse_xml

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
UNIMPORTANT = (f"{WSDL}service", f"{WSDL}documentation", "{http://www.w3.org/2001/XMLSchema}annotation")
"""Addresses, which the mapping gives, and words for people."""

SOON = 30
"""Days before its end in which a certificate is told of."""


def wsdl_digest(document: bytes) -> str:
    """SHA-256 of what a WSDL describes: not its layout, prefixes of no meaning, comments, or addresses.

    Raises SourceContractBroken for what is no XML.
    """
    root = parse_xml(to_text(document, charset_in_xml(document)))
    for element in list(root.iter()):
        if element.tag in UNIMPORTANT and (parent := element.getparent()) is not None:
            parent.remove(element)
    for element in root.iter():
        element.text, element.tail = (element.text or "").strip(), None
    return hashlib.sha256(etree.tostring(root, method="c14n", exclusive=True)).hexdigest()


async def certificate_note(url: str, timeout: float) -> str | None:
    """What is to be told of a server's certificate: that it has ended, or soon will; None where nothing is."""
    days = await _days_of_certificate(url, timeout)
    if days is None or days >= SOON:
        return None
    return f"对方的 TLS 证书{'已过期' if days < 0 else f'将在 {days} 天后过期'}"


async def _days_of_certificate(url: str, timeout: float) -> int | None:
    """Days until a server's certificate ends, negative when it has ended; None where there is none to be seen.

    It is only looked at, not trusted: nothing is sent.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname is None:
        return None
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=anybody)
    except (TimeoutError, OSError):
        return None
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    shown = tls.getpeercert(binary_form=True)
    writer.close()
    return (
        None if shown is None else (x509.load_der_x509_certificate(shown).not_valid_after_utc - datetime.now(UTC)).days
    )
