"""What a request wants besides its operation: in which form, how explained, and by when. Read from its headers.

Most requests say nothing unusual; `usual` sees that at one look at the raw headers, and everything else is for `wanted`.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from starlette.requests import Request

from gateway.context import Deliverer
from gateway.web.negotiation import media_type, takes_events, takes_parts

PLAIN_JSON = frozenset((b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"))
USUAL = frozenset(
    (b"host", b"user-agent", b"accept", b"accept-encoding", b"accept-language", b"content-type", b"content-length",
     b"connection", b"cache-control", b"pragma", b"x-forwarded-for", b"x-forwarded-proto", b"x-request-id")
)  # fmt: skip
"""Headers that a POST may have without any of our rules looking at them, or that `usual` itself looks at."""
TRACE_HEADER = "apollo-federation-include-trace"


class Wanted(NamedTuple):
    """What the answer should be like; `media_type` and `encodings` as the client takes them."""

    method: str
    media_type: str | None
    encodings: str | None
    unless: str | None = None
    """The entity tags of answers that the client has (If-None-Match)."""
    is_explained: bool = False
    is_traced: bool = False
    in_parts: bool = False
    deliverer: Deliverer | None = None

    @property
    def is_read(self) -> bool:
        """Whether it may change nothing by the meaning of HTTP."""
        return self.method != "POST"


def wanted(request: Request, may_explain: bool, may_trace: bool, deliverer: Deliverer | None) -> Wanted:
    """What a request wants, for whoever delivers by it."""
    headers = request.headers
    accept = headers.get("accept")
    return Wanted(
        request.method,
        media_type(accept),
        headers.get("accept-encoding"),
        headers.get("if-none-match"),
        may_explain and headers.get("x-explain") == "1",
        may_trace and headers.get(TRACE_HEADER) == "ftv1",
        takes_parts(accept),
        deliverer,
    )


def usual(method: str, raw: Iterable[tuple[bytes, bytes]], largest: int) -> Wanted | None:
    """What a POST of JSON of at most `largest` bytes wants that says nothing else; None for any other request."""
    headers = dict(raw)
    if method != "POST" or not USUAL.issuperset(headers) or headers.get(b"content-type") not in PLAIN_JSON:
        return None
    length = headers.get(b"content-length", b"")
    if not length.isdigit() or len(length) > 15 or int(length) > largest or len(headers) != len(list(raw)):
        return None
    return _as_told(headers.get(b"accept"), headers.get(b"accept-encoding"))


@lru_cache(maxsize=256)
def _as_told(accept: bytes | None, encodings: bytes | None) -> Wanted | None:
    said = None if accept is None else accept.decode("latin-1")
    kind = media_type(said)
    if kind is None or takes_events(said) or takes_parts(said):
        return None
    return Wanted("POST", kind, None if encodings is None else encodings.decode("latin-1"))
