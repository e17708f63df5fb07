"""Certificates of tests' own making: an authority, and what it or nobody vouches for."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Authority:
    """An authority as agencies make them: its certificate says that it may sign, and hardly more."""

    def __init__(self, folder: Path, name: str = "in-house CA") -> None:
        self._folder, self._name = folder, _named(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = _builder(self._name, self._name, self._key, 9)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        self.file = folder / f"{name}.pem"
        signed = made.add_extension(basic, critical=True).sign(self._key, SHA256())
        self.file.write_bytes(signed.public_bytes(Encoding.PEM))

    def issue(
        self, name: str, days: int = 9, to: str = "127.0.0.1", encrypted_with: bytes | None = None
    ) -> tuple[Path, Path]:
        """A certificate file and its key file, good for one name or address and so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            holder: x509.GeneralName = x509.IPAddress(ip_address(to))
        except ValueError:
            holder = x509.DNSName(to)
        made = _builder(_named(name), self._name, key, days)
        signed = made.add_extension(x509.SubjectAlternativeName([holder]), critical=False).sign(self._key, SHA256())
        locked: KeySerializationEncryption = (
            BestAvailableEncryption(encrypted_with) if encrypted_with else NoEncryption()
        )
        files = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        files[0].write_bytes(signed.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        return files

    def server(self, days: int = 9, to: str = "127.0.0.1") -> ssl.SSLContext:
        """A server's side of TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue("server", days, to))
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
