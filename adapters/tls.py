"""TLS as a mapping declares it: whose certificates count, who we are, and which version at least."""

import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of this installation. With `ca` only its authorities count, without it those of the system.

    `key` is needed when `certificate` does not hold it; a key must not be encrypted.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    minimum: Literal["1.2", "1.3"] = "1.2"


VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
SYSTEM = Tls()
"""The authorities of the operating system, and no certificate of ours."""


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Our side of a connection. Raises OSError or ssl.SSLError when a file is not what it should be."""
    if tls.ca is None and tls.certificate is None:
        return _of_system(tls.minimum)
    context = ssl.create_default_context(cafile=tls.ca)
    if tls.ca:
        # Authorities of agencies' own making often lack the key usage that Python 3.13 asks of them (RFC 5280 §4.2.1.3);
        # signatures, dates and names are checked as ever.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_password)
    context.minimum_version = VERSIONS[tls.minimum]
    return context


@cache
def _of_system(minimum: str) -> ssl.SSLContext:
    """With the authorities of the operating system, which are read once for all sources: that takes as long as reading a mapping."""
    context = ssl.create_default_context()
    context.minimum_version = VERSIONS[minimum]
    return context


def identity(tls: Tls) -> bytes | None:
    """Certificate and key in one PEM text."""
    if tls.certificate is None:
        return None
    return b"\n".join(file.read_bytes() for file in (tls.certificate, tls.key) if file)


def _no_password() -> str:
    """Instead of OpenSSL asking whoever sits at the terminal."""
    raise ssl.SSLError("the key is encrypted")
