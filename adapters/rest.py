"""REST systems: one request, one answer, any charset, the success code wherever they keep it."""

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from adapters.charset import charset_in, charset_in_xml, is_utf8_first, to_text
from adapters.decode import decode, print_json
from adapters.http import HttpAnswer, HttpClient, raise_for_status, retry_after, within
from adapters.json_tree import parse_json
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.written import (
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    HttpAuth,
    NoAuth,
    PlatformConnect,
    Request,
    RestConnect,
)
from adapters.outcome import Verdict, judge_for
from adapters.page import off_loop, operation_of, page_of, page_read, told_by
from adapters.request import fill, keyed_query, query_string
from adapters.secrets import Secrets, resolve, resolve_address
from adapters.source import Call, Page

OK = 200
MOST_TYPES = 32
"""Values of Content-Type whose meaning is remembered."""
UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+", re.ASCII)
"""What stands in an address as it is (RFC 3986)."""
IN_PATHS = "/%:@!$&'()*+,;=~"
"""What may stand in the path of an address as it is."""


class RestSource:
    """A source that is asked with plain HTTP requests."""

    def __init__(self, mapping: SourceMapping, connect: RestConnect, secrets: Secrets, http: HttpClient) -> None:
        self.mapping, self.connect, self.secrets, self.http = mapping, connect, secrets, http
        self.base = resolve_address(connect.base_url, secrets)
        self.headers = auth_headers(connect.auth, secrets)
        self.judge = judge_for(connect.outcome)
        self.keyed = {
            name: _keyed(self.base, operation.written.request) for name, operation in mapping.operations.items()
        }
        self.plain: dict[str | None, bool] = {}

    async def call(self, call: Call) -> Page:
        """Make one request."""
        with told_by(self.mapping, call):
            answer = await self._ask(call)
            reader = call.reader
            if answer.status != OK or not self._is_plain(answer.headers.get("content-type")):
                reader = None

            def whole() -> Page:
                return self._page(operation_of(self.mapping, call), answer)

            if (page := page_read(answer, reader, whole)) is not None:
                return page
            page = await off_loop(len(answer.body), whole)
            if reader is not None and reader.is_learning:
                reader.learn(answer.body)
            return page

    def reread(self, operation: OperationMapping, raw: bytes, media_type: str) -> Page:
        """The page that an answer was, from what was kept of it."""
        return self._page(operation, HttpAnswer(OK, {"content-type": media_type}, raw))

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        await self.http.aclose()

    async def _ask(self, call: Call) -> HttpAnswer:
        deadline = within(call.timeout)
        if (url := self._address_of_keys(call)) is not None:
            return await self.http.send("GET", url, self.headers, None, deadline)
        request = operation_of(self.mapping, call).written.request
        method, url, headers, body = http_request(self.base, request, call, self.secrets)
        return await self.http.send(method, url, {**headers, **self.headers}, body, deadline)

    def _is_plain(self, content_type: str | None) -> bool:
        """Whether an answer that says this of itself is JSON in UTF-8 and nothing around it."""
        known = self.plain.get(content_type)
        if known is None:
            declared = charset_in(content_type)
            known = self.connect.answer == ["json"] and is_utf8_first(declared, self.connect.charset)
            if len(self.plain) < MOST_TYPES:
                self.plain[content_type] = known
        return known

    def _address_of_keys(self, call: Call) -> str | None:
        """The address of a call that is told by its keys alone, where these need no second look."""
        keyed, keys = self.keyed.get(call.operation), call.keys
        if keyed is None or not keys or (len(keys) > 1 and not keyed[1]):
            return None
        front, separator = keyed
        plain = "".join(keys)
        if not UNRESERVED.fullmatch(plain) or (separator and any(separator in key for key in keys)):
            return None
        return front + (quote(separator, safe="").join(keys) if separator else plain)

    def _page(self, operation: OperationMapping, answer: HttpAnswer) -> Page:
        raise_for_status(answer)
        tree = tree_in(answer, self.connect)
        verdict = timed(self.judge(tree), answer)
        return page_of(operation, tree, verdict, answer.body, answer.content_type)


def _keyed(base: str, request: Request) -> tuple[str, str] | None:
    """The address of an operation up to its keys, and what parts them, where a GET says nothing else."""
    if request.json_body is not None or request.form is not None or request.method not in (None, "GET"):
        return None
    found = keyed_query(request.query)
    return found and (f"{address(base, request.path or '')}?{found[0]}", found[1])


def timed(verdict: Verdict, answer: HttpAnswer) -> Verdict:
    """The verdict with how long the source wants to be left alone, if that is what it says."""
    if verdict.kind not in ("throttled", "exhausted", "retry"):
        return verdict
    return replace(verdict, retry_after=retry_after(answer.headers))


def http_request(
    base: str, request: Request, call: Call, secrets: Secrets, extra_query: Mapping[str, str] | None = None
) -> tuple[str, str, dict[str, str], bytes | None]:
    """Method, address, headers and body of a request, filled in for one call. Raises SourceRejected."""
    query = query_string({**fill(request.query, call, secrets), **(extra_query or {})})
    url = address(base, request.path or "") + (f"?{query}" if query else "")
    headers: dict[str, str] = {}
    body: bytes | None = None
    if request.json_body is not None:
        headers["Content-Type"] = "application/json; charset=utf-8"
        body = print_json(fill(request.json_body, call, secrets)).encode()
    elif request.form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        body = query_string(fill(request.form, call, secrets)).encode()
    method = request.method or ("GET" if body is None else "POST")
    return method, url, headers, b"" if body is None and method == "POST" else body


def address(base: str, path: str) -> str:
    """The address of a path below `base`."""
    return f"{base}/{quote(path.lstrip('/'), safe=IN_PATHS)}"


def tree_in(answer: HttpAnswer, connect: RestConnect | PlatformConnect) -> Any:
    """The decoded tree of an answer. Raises SourceContractBroken."""
    declared = charset_in(answer.headers.get("content-type"))
    if connect.answer == ["json"] and is_utf8_first(declared, connect.charset):
        with suppress(UnicodeDecodeError):
            return parse_json(answer.body)
    in_xml = charset_in_xml(answer.body) if connect.answer[:1] == ["xml"] else None
    return decode(connect.answer, to_text(answer.body, declared, in_xml, connect.charset))


def auth_headers(auth: HttpAuth, secrets: Secrets) -> dict[str, str]:
    """The headers that prove who we are."""
    match auth:
        case NoAuth():
            return {}
        case BearerAuth(token=token):
            return {"Authorization": f"Bearer {resolve(token, secrets)}"}
        case BasicAuth():
            return {"Authorization": basic(resolve(auth.username, secrets), resolve(auth.password, secrets))}
        case HeaderAuth():
            return {auth.name: resolve(auth.value, secrets)}


def basic(username: str, password: str) -> str:
    """The value of `Authorization` for HTTP basic authentication."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
