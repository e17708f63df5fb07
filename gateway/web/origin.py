"""Who may ask from a browser: no other site may, not even by requests that a browser sends without asking us first.

A POST has to be `application/json`, which a browser sends across sites only after a CORS preflight, and nobody passes ours
but the origins of `GATEWAY_ALLOWED_ORIGINS`. A GET needs no preflight. Apollo therefore asks for a header of its own on every
GET; that would shut out plain clients (curl, monitors, the official audits), so it is the other way round here: browsers say
themselves where a request comes from, in Sec-Fetch-Site (all since 2023), Origin or Referer, and what comes from another site
is refused, unless it has a header that forces a preflight (Apollo's own among them) or its origin is allowed. A request with
none of these three comes from no current browser; it has no one's ambient authority, only queries run over GET, and without
CORS no site can read the answer.

An answer is compressed although it holds secrets (BREACH): that attack needs other sites to make the victim's browser ask, with
the victim's rights and words of their choice. They cannot: their requests are refused here, and rights travel in a header.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection

from gateway.limits import BadRequest

PREFLIGHT_HEADERS = ("x-apollo-operation-name", "apollo-require-preflight", "graphql-require-preflight")
OURS = ("same-origin", "none")
"""Sec-Fetch-Site of our own pages, and of what people type in or have as a bookmark."""


def check_host(host: str, allowed: Sequence[str]) -> None:
    """The Host we are asked under is one of ours, when there is a list. Raises BadRequest."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if allowed and name.lower() not in allowed:
        raise BadRequest("BAD_REQUEST", "Host 不是本服务的域名")


def check_origin(request: HTTPConnection, allowed: Sequence[str]) -> None:
    """The request does not come from a page of another site. Raises BadRequest (403)."""
    headers = request.headers
    origin = headers.get("origin")
    if (site := headers.get("sec-fetch-site")) is not None:
        is_ours = site in OURS
    else:
        said = origin or headers.get("referer")
        is_ours = said is None or _host(said) == headers.get("host", "").lower()
    if not (is_ours or origin in allowed or any(name in headers for name in PREFLIGHT_HEADERS)):
        raise BadRequest(
            "CROSS_SITE_REFUSED",
            f"不接受其他网站页面发起的请求；确需跨站时由管理员列入允许的来源，或带上请求头 {PREFLIGHT_HEADERS[1]}",
        )


def cross_origin(allowed: Sequence[str]) -> Middleware:
    """What answers the preflights of browsers, and lets pages of these origins read our answers."""
    return Middleware(
        CORSMiddleware,
        allow_origins=allowed,
        allow_methods=["GET", "POST"],
        allow_headers=["content-type", "authorization", "x-explain", *PREFLIGHT_HEADERS],
        expose_headers=["etag"],
    )


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).netloc.lower() or None
    except ValueError:
        return None
