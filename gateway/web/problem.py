"""Refusals of the delivery interface as problem details (RFC 9457), for programs by their code, for people in Chinese."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

PROBLEM_TYPE = "application/problem+json"
TITLES: Mapping[str, tuple[int, str]] = {
    "DELIVERY_CLOSED": (403, "交付入口没有开放"),
    "UNAUTHENTICATED": (401, "需要交付密钥"),
    "FORBIDDEN": (403, "这个密钥不能交付到这里"),
    "NOT_FOUND": (404, "没有这个来源、操作、上传或回执"),
    "METHOD_NOT_ALLOWED": (405, "不可用的方法"),
    "BAD_REQUEST": (400, "请求有误"),
    "CROSS_SITE_REFUSED": (403, "不接受网页发起的交付"),
    "KEY_MISSING": (400, "缺少 Idempotency-Key"),
    "KEY_REUSED": (422, "这个幂等键已用于另一份内容"),
    "OFFSET_CONFLICT": (409, "续传的位置不对"),
    "TUS_VERSION": (412, "不支持的 tus 版本"),
    "TOO_LARGE": (413, "交付的内容过大"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "不能接受的格式"),
    "UNREADABLE": (422, "文件整个不能收"),
    "BAD_ENCODING": (400, "压缩的内容已损坏或不完整"),
    "HALTED": (409, "这个操作已停下，等人处理"),
    "LOCKED": (423, "这次上传正由另一个请求写入"),
    "TOO_MANY_REQUESTS": (429, "请求过于频繁"),
    "OVERLOADED": (503, "服务繁忙，请稍后重试"),
    "STORE_UNAVAILABLE": (503, "存储暂不可用，内容已收下或可稍后重试"),
    "INTERNAL": (500, "内部错误"),
}
"""Code -> status and title. The code is the last part of `type`."""
RETRY_AFTER = {"TOO_MANY_REQUESTS": 5, "OVERLOADED": 1, "STORE_UNAVAILABLE": 5, "LOCKED": 1}


class Refusal(Exception):
    """A request that is refused under a code of TITLES; `more` are further members, `headers` further headers."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        more: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.code, self.detail, self.more, self.headers = code, detail, dict(more or {}), dict(headers or {})
        super().__init__(detail or code)


def problem(refusal: Refusal) -> Response:
    """The answer that says it."""
    status, title = TITLES[refusal.code]
    body = {"type": f"urn:minzhifa:problem:{refusal.code}", "title": title, "status": status, "code": refusal.code}
    if refusal.detail:
        body["detail"] = refusal.detail
    headers = {"cache-control": "no-store", "x-content-type-options": "nosniff", **refusal.headers}
    if refusal.code == "UNAUTHENTICATED":
        headers["www-authenticate"] = "Bearer"
    if refusal.code in RETRY_AFTER:
        headers["retry-after"] = str(RETRY_AFTER[refusal.code])
    return Response(msgspec.json.encode({**body, **refusal.more}), status, headers, media_type=PROBLEM_TYPE)
