"""Turning a request away before it is parsed: what it costs is what is left of ten times our load for those who are let in.

A connection's bytes are one whole request for the endpoint, or nothing is known of them and the parser has to look. So this
may only be too strict: whoever stands in front of us has to read the same ends of requests into these bytes as we do.
"""

import json
import re
from hashlib import sha256

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.limits import BadRequest
from gateway.web.admission import REFUSAL, REFUSAL_HEAD

AT_ONCE = 128
"""Connections looked at in one turn of the loop; those that are in have to get their turn as well."""
AGAIN = 0.008
"""Seconds from one turn to the next while nobody more is let in: to wake up for each of them would cost more than to refuse it."""
LARGEST = 64 * 1024
"""Bytes of a request that is looked at here."""
MOST_JUDGED = 500
_JUDGED: dict[tuple[bytes, bytes, bool], int | None] = {}
"""What was said of heads, since clients write the same again and again: by their digests, for there may be credentials in them."""
TARGETS = (b"POST /graphql ", b"POST /graphql?", b"GET /graphql ", b"GET /graphql?")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,6})\r\n")
PLAIN = re.compile(
    rb"[^\r\n\0]+ http/1\.1\r\n"
    rb"(?:(?!transfer-encoding|upgrade|expect|connection)[a-z0-9-]+:[^\r\n\0]*\r\n)*\r\n"
)
"""A head, in small letters, without what changes where a request ends or what comes after it."""
CLOSING = re.compile(rb"\r\nconnection: *close\r\n")

STATUS = b"HTTP/1.1 503 Service Unavailable\r\n"
KEPT = STATUS + REFUSAL_HEAD + b"\r\n" + REFUSAL
LAST = STATUS + REFUSAL_HEAD + b"connection: close\r\n\r\n" + REFUSAL


def is_one_request(said: bytes, critical: bytes = b"", is_last: bool = False) -> bool:
    """Whether this is exactly one request for the endpoint, with nothing more to come, and not marked as critical.

    `is_last`: the connection ends with it, so that the request may say so as well.
    """
    if len(said) > LARGEST or not said.startswith(TARGETS):
        return False
    end = said.find(b"\r\n\r\n") + 4
    head = said[:end]
    judged = (sha256(head).digest(), critical, is_last)
    if judged not in _JUDGED:
        if len(_JUDGED) >= MOST_JUDGED:
            _JUDGED.clear()
        _JUDGED[judged] = _length(head, critical, is_last)
    length = _JUDGED[judged]
    return length is not None and len(said) == end + length


def _length(head: bytes, critical: bytes, is_last: bool) -> int | None:
    """How long the body behind a head is, None where that is for the parser to say."""
    is_get, head = head.startswith(b"GET"), head.lower()
    if is_last:
        head = CLOSING.sub(b"\r\n", head)
    if not PLAIN.fullmatch(head) or head.count(b"\r\nhost:") != 1:
        return None
    if critical and critical.partition(b":")[0] in head:
        return None
    lengths = head.count(b"\r\ncontent-length")
    if not lengths:
        return 0 if is_get else None
    told = LENGTH.search(head)
    return int(told[1]) if lengths == 1 and told is not None else None


def late_head(seconds: float) -> BadRequest:
    """The refusal of a head that did not come in time."""
    return BadRequest("REQUEST_TIMEOUT", f"请求头应在 {seconds:g} 秒内发完")


def late_body(seconds: float) -> BadRequest:
    """The refusal of a body that did not."""
    return BadRequest("REQUEST_TIMEOUT", f"请求体应在 {seconds:g} 秒内发完")


def refusal_of(refusal: BadRequest) -> bytes:
    """The last answer on a connection."""
    body = json.dumps(refusal.body(), ensure_ascii=False).encode()
    head = (
        b"content-type: application/json; charset=utf-8\r\ncache-control: no-store\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    return STATUS_LINE[refusal.status] + head + body
