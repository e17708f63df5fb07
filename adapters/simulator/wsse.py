"""WS-Security UsernameToken from the service's side: right password, fresh, and seen for the first time."""

import base64
import binascii
import hmac
from collections.abc import Callable
from datetime import UTC, datetime

from lxml import etree

from adapters.signing import wsse_digest
from adapters.simulator.simulation import FRESH

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#"


class UsernameTokens:
    """Checks tokens of one user. A nonce counts once; it is remembered as long as its time stamp would be fresh."""

    def __init__(self, username: str, password: str, digest: bool, clock: Callable[[], float]) -> None:
        self._username, self._password, self._digest, self._clock = username, password, digest, clock
        self._seen: dict[bytes, float] = {}

    def is_valid(self, envelope: etree._Element) -> bool:
        """Whether the envelope's token may be trusted."""
        token = envelope.find(f".//{{{WSSE}}}Security/{{{WSSE}}}UsernameToken")
        if token is None:
            return False
        username, password = token.findtext(f"{{{WSSE}}}Username", ""), token.find(f"{{{WSSE}}}Password")
        if password is None or not hmac.compare_digest(username.encode(), self._username.encode()):
            return False
        given = (password.text or "").encode()
        if not self._digest:
            is_text = password.get("Type", f"{PROFILE}PasswordText") == f"{PROFILE}PasswordText"
            return is_text and hmac.compare_digest(given, self._password.encode())
        if password.get("Type") != f"{PROFILE}PasswordDigest":
            return False
        created = token.findtext(f"{{{WSU}}}Created", "").strip()
        try:
            nonce = base64.b64decode(token.findtext(f"{{{WSSE}}}Nonce", ""), validate=True)
            at = datetime.fromisoformat(created)
        except (ValueError, binascii.Error):
            return False
        right = hmac.compare_digest(given, wsse_digest(nonce, created, self._password).encode())
        return right and bool(nonce) and abs(_seconds(at) - self._clock()) <= FRESH and self._is_new(nonce)

    def _is_new(self, nonce: bytes) -> bool:
        now = self._clock()
        self._seen = {seen: until for seen, until in self._seen.items() if until > now}
        if nonce in self._seen:
            return False
        self._seen[nonce] = now + 2 * FRESH
        return True


def _seconds(at: datetime) -> float:
    """Seconds since 1970; without a zone the time is UTC."""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
