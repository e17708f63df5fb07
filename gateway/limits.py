"""Limits at the door: what is too much, or no GraphQL request, is refused before any work is done for it."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from adapters.json_keys import DoubledKey
from gateway.strict_json import NotTaken, plain_object, read_json

SHORTEST_TIMEOUT = 0.01
TIMEOUT = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(s|ms)?", re.ASCII)

STATUS: Mapping[str, int] = {
    "BAD_REQUEST": 400,
    "BATCHING_NOT_SUPPORTED": 400,
    "WEBSOCKET_NOT_SUPPORTED": 400,
    "PERSISTED_QUERY_INVALID": 400,
    "TOO_MANY_CONNECTIONS": 503,
    "INTERNAL": 500,
    "PERSISTED_QUERY_NOT_FOUND": 400,
    "DOCUMENT_NOT_TRUSTED": 403,
    "CROSS_SITE_REFUSED": 403,
    "METHOD_NOT_ALLOWED": 405,
    "NOT_ACCEPTABLE": 406,
    "REQUEST_TIMEOUT": 408,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "HEADERS_TOO_LARGE": 431,
    "INVALID_REQUEST_TIMEOUT": 400,
    # Operations that never run. The newest draft of GraphQL over HTTP says 422 for the two that follow; its audit suite
    # (graphql-http 1.23.1) still asks 400. Change it here once the suite does.
    "GRAPHQL_VALIDATION_FAILED": 400,
    "BAD_USER_INPUT": 400,
    "GRAPHQL_PARSE_FAILED": 400,
    "OPERATION_RESOLUTION_FAILURE": 400,
    "QUERY_TOO_LARGE": 400,
    "INTROSPECTION_DISABLED": 400,
    "SUBSCRIPTION_NOT_SUPPORTED": 400,
}
"""The HTTP status of every code under which a request or an operation is refused; 400 for any other."""


class BadRequest(Exception):
    """A request that is refused under a code of STATUS.

    `is_operation`: it was a well-formed request whose operation is refused, which `application/json` answers with 200.
    """

    def __init__(self, code: str, message: str, is_operation: bool = False) -> None:
        super().__init__(message)
        self.code, self.status, self.is_operation = code, STATUS[code], is_operation

    def body(self) -> dict[str, Any]:
        """The GraphQL response that says it."""
        return {"errors": [{"message": str(self), "extensions": {"code": self.code}}]}


class Overloaded(BadRequest):
    """A request that is refused because there is no room for it now: the only refusal that is no fault of the client, 503."""

    def __init__(self) -> None:
        Exception.__init__(self, "服务繁忙，请稍后重试")
        self.code, self.status, self.is_operation = "OVERLOADED", 503, False

    def body(self) -> dict[str, Any]:
        """The GraphQL response that says it."""
        error = {"message": str(self), "extensions": {"code": self.code, "retryable": True}}
        return {"errors": [error]}


class GraphQLRequest(NamedTuple):
    """The parameters of a GraphQL request: a text, the identifier of one (`documentId`, or Apollo's hash as `sha256:…`), or both."""

    query: str | None
    document_id: str | None
    variables: Mapping[str, Any] | None
    operation_name: str | None


def parse_timeout(text: str | None, default: float, longest: float) -> float:
    """The seconds that `X-Request-Timeout` gives: `2`, `2.5`, `2.5s` or `2500ms`. Raises BadRequest unless it is one of these."""
    if text is None:
        return default
    if found := TIMEOUT.fullmatch(text.strip()):
        seconds = float(found[1]) * (0.001 if found[2] == "ms" else 1.0)
        if SHORTEST_TIMEOUT <= seconds <= longest:
            return seconds
    raise BadRequest(
        "INVALID_REQUEST_TIMEOUT",
        f"X-Request-Timeout 应为 {SHORTEST_TIMEOUT:g} 至 {longest:g} 秒，写作 2、2.5、2.5s 或 2500ms",
    )


async def read_body(stream: AsyncIterator[bytes], length: str | None, largest: int, seconds: float) -> bytes:
    """The body, refused with 413 as soon as it grows past `largest` bytes or says that it will, with 408 after `seconds`."""
    body = bytearray()
    if length and length.isdecimal() and (len(length) > 15 or int(length) > largest):
        raise _too_large(largest)
    try:
        async with asyncio.timeout(seconds):
            async for chunk in stream:
                body += chunk
                if len(body) > largest:
                    raise _too_large(largest)
    except TimeoutError:
        raise BadRequest("REQUEST_TIMEOUT", f"请求体应在 {seconds:g} 秒内发完") from None
    return bytes(body)


def _too_large(largest: int) -> BadRequest:
    return BadRequest("BODY_TOO_LARGE", f"请求体超过 {largest} 字节")


def check_content_type(headers: list[str], encoding: str | None) -> None:
    """Only application/json in UTF-8, not compressed; anything else is 415."""
    if headers == ["application/json"] and encoding is None:
        return
    media_type, *parameters = [part.strip().lower() for part in (headers[0] if len(headers) == 1 else "").split(";")]
    if media_type != "application/json":
        raise BadRequest("UNSUPPORTED_MEDIA_TYPE", "Content-Type 应为 application/json")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip(' "') not in ("utf-8", "utf8"):
            raise BadRequest("UNSUPPORTED_MEDIA_TYPE", "请求体只能是 UTF-8")
    if encoding and encoding.strip().lower() != "identity":
        raise BadRequest("UNSUPPORTED_MEDIA_TYPE", "不接受压缩的请求体")


def parse_request(body: bytes) -> GraphQLRequest:
    """The parameters in a JSON body; a byte order mark is allowed. Raises BadRequest for anything that is not exactly that."""
    if (tree := plain_object(body)) is not None:
        return request_of(tree)
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("BAD_REQUEST", "请求体必须是 UTF-8 编码") from None
    tree = parse_json("请求体", text)
    if isinstance(tree, list):
        raise BadRequest("BATCHING_NOT_SUPPORTED", "不支持批量请求（JSON 数组），请逐个发送")
    if not isinstance(tree, dict):
        raise BadRequest("BAD_REQUEST", "请求体应为 JSON 对象")
    return request_of(tree)


def parse_query_string(query_string: bytes) -> GraphQLRequest:
    """The parameters in the query component of a URL. Raises BadRequest."""
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except UnicodeDecodeError:
        raise BadRequest("BAD_REQUEST", "URL 参数必须是 UTF-8 编码") from None
    except ValueError:
        raise BadRequest("BAD_REQUEST", "URL 参数过多") from None
    tree: dict[str, Any] = dict(pairs)
    if len(tree) != len(pairs):
        raise BadRequest("BAD_REQUEST", "URL 中有重复的参数")
    if any("\0" in value for value in tree.values()):
        raise BadRequest("BAD_REQUEST", "URL 参数中有 NUL 字符")
    for name in ("variables", "extensions"):
        if tree.get(name):
            tree[name] = parse_json(name, tree[name])
        else:
            tree.pop(name, None)
    return request_of(tree)


def request_of(tree: Mapping[str, Any]) -> GraphQLRequest:
    """The parameters in a mapping. Raises BadRequest for wrong types, and when there is neither a text nor an identifier."""
    query, variables = tree.get("query"), tree.get("variables")
    name, extensions = tree.get("operationName"), tree.get("extensions")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest("BAD_REQUEST", "variables 应为对象")
    if extensions is not None and not isinstance(extensions, dict):
        raise BadRequest("BAD_REQUEST", "extensions 应为对象")
    if name is not None and not isinstance(name, str):
        raise BadRequest("BAD_REQUEST", "operationName 应为字符串")
    identifier = _identifier(tree.get("documentId"), extensions.get("persistedQuery") if extensions else None)
    is_blank = query.isspace() if isinstance(query, str) else query is not None
    if is_blank or not (query or identifier):
        raise BadRequest("BAD_REQUEST", "query 应为非空字符串")
    return GraphQLRequest(query or None, identifier, variables, name or None)


def _identifier(document_id: Any, persisted: Any) -> str | None:
    """The identifier of the wanted document: of the appendix on persisted documents, or of Apollo's protocol."""
    if document_id is not None:
        if not isinstance(document_id, str) or not is_document_id(document_id):
            raise BadRequest("PERSISTED_QUERY_INVALID", "documentId 应为文档标识符，如 sha256: 加 64 位小写十六进制")
        if persisted is not None:
            raise BadRequest("PERSISTED_QUERY_INVALID", "documentId 与 extensions.persistedQuery 只能有一个")
        return document_id
    if persisted is None:
        return None
    if not isinstance(persisted, dict) or persisted.get("version") != 1:
        raise BadRequest("PERSISTED_QUERY_INVALID", "persistedQuery 应为 {version: 1, sha256Hash}")
    digest = persisted.get("sha256Hash")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise BadRequest("PERSISTED_QUERY_INVALID", "sha256Hash 应为 64 位小写十六进制")
    return f"sha256:{digest}"


def is_document_id(text: str) -> bool:
    """Whether this may name a document: `sha256:` with 64 digits, or a name of one's own (`x-…:` may stand before it)."""
    return _DOCUMENT_ID.fullmatch(text) is not None


_SHA256 = re.compile("[0-9a-f]{64}")
_DOCUMENT_ID = re.compile(r"sha256:[0-9a-f]{64}|(?:x-[\w.~-]{1,50}:)?[\w.~-]{1,200}", re.ASCII)


def parse_json(what: str, text: str) -> Any:
    """JSON as `strict_json` takes it. Raises BadRequest."""
    try:
        return read_json(text)
    except (NotTaken, DoubledKey) as error:
        raise BadRequest("BAD_REQUEST", f"{what}：{error}") from None
    except (ValueError, RecursionError):
        raise BadRequest("BAD_REQUEST", f"{what}不是合法的 JSON") from None
