"""Limits at the door: what is too much is refused before any work is done for it."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any


class BadRequest(Exception):
    """A request that never becomes an operation; `status` is its HTTP status."""

    def __init__(self, status: int, message: str, code: str = "BAD_REQUEST") -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """The parameters of a GraphQL request."""

    query: str
    variables: Mapping[str, Any] | None
    operation_name: str | None


async def read_body(stream: AsyncIterator[bytes], largest: int) -> bytes:
    """The body, refused with 413 as soon as it grows past `largest` bytes."""
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > largest:
            raise BadRequest(413, f"请求体超过 {largest} 字节", "BODY_TOO_LARGE")
    return bytes(body)


def check_content_type(header: str | None, encoding: str | None) -> None:
    """Only application/json in UTF-8, not compressed; anything else is 415."""
    media_type, *parameters = [part.strip().lower() for part in (header or "").split(";")]
    if media_type != "application/json":
        raise BadRequest(415, "Content-Type 应为 application/json", "UNSUPPORTED_MEDIA_TYPE")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8"):
            raise BadRequest(415, "请求体只能是 UTF-8", "UNSUPPORTED_MEDIA_TYPE")
    if encoding and encoding.lower() != "identity":
        raise BadRequest(415, "不接受压缩的请求体", "UNSUPPORTED_MEDIA_TYPE")


def parse_request(body: bytes) -> GraphQLRequest:
    """The parameters in a JSON body. Raises BadRequest (400) for anything that is not exactly that."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest(400, "请求体必须是 UTF-8 编码") from None
    try:
        tree = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        what = str(error) if isinstance(error, _Repeated) else "请求体不是合法的 JSON"
        raise BadRequest(400, what) from None
    if not isinstance(tree, dict):
        raise BadRequest(400, "请求体应为 JSON 对象")
    return request_of(tree)


def request_of(tree: Mapping[str, Any]) -> GraphQLRequest:
    """The parameters in a mapping. Raises BadRequest (400) for wrong types."""
    query, variables = tree.get("query"), tree.get("variables")
    name, extensions = tree.get("operationName"), tree.get("extensions")
    if not isinstance(query, str) or not query.strip():
        raise BadRequest(400, "query 应为非空字符串")
    for parameter, value in (("variables", variables), ("extensions", extensions)):
        if value is not None and not isinstance(value, dict):
            raise BadRequest(400, f"{parameter} 应为对象")
    if name is not None and not isinstance(name, str):
        raise BadRequest(400, "operationName 应为字符串")
    return GraphQLRequest(query, variables, name or None)


class _Repeated(ValueError):
    """A key that stands twice in one JSON object."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated("请求体的 JSON 对象中有重复的键")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} 不是 JSON")
