"""Which operation a request asks for, and with what: the mapping's request templates read backwards.

A request that fits no template is refused as the real system would refuse it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.paths import plain
from adapters.mapping.placeholders import FILTER, is_placeholder
from adapters.secrets import resolve
from adapters.simulator.json_text import Number
from adapters.simulator.trees import decode_text

ABSENT = object()
OPTIONAL = ("$since", "$until", "$cursor", "$order")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it arrived, in the shape of the templates. `json` is the decoded body; the others hold texts."""

    method: str = ""
    path: str = ""
    sid: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    json: Any = ABSENT
    form: Any = ABSENT
    operation: str | None = None
    message: Any = ABSENT


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one operation. `since` and `until` are None when left open; `filters` as a search sends them."""

    operation: OperationMapping
    keys: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    page: int | None = None
    size: int | None = None
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    order: str | None = None
    offset: int | None = None


class UnknownOperation(Exception):
    """没有这个服务"""


class Rejected(Exception):
    """A request to a known operation that breaks its rules; `operation` is the closest one."""

    def __init__(self, reason: str, operation: OperationMapping | None = None) -> None:
        super().__init__(reason)
        self.operation = operation


class _OtherConstant(Rejected):
    """A constant differs, so another operation is meant."""


def bind(mapping: SourceMapping, sent: Sent, secrets: Mapping[str, str]) -> Asked:
    """The operation that is meant and what it is asked. Raises UnknownOperation or Rejected."""
    candidates = [op for op in mapping.operations.values() if _is_addressed(op, sent)]
    if not candidates:
        raise UnknownOperation(sent.operation or sent.path)
    refusals: list[Rejected] = []
    for operation in candidates:
        try:
            return _asked(operation, sent, secrets)
        except Rejected as error:
            error.operation = operation
            refusals.append(error)
    raise next((error for error in refusals if not isinstance(error, _OtherConstant)), refusals[0])


def _is_addressed(operation: OperationMapping, sent: Sent) -> bool:
    request = operation.written.request
    if request.operation is not None:
        return request.operation == sent.operation
    return (request.method, request.path) == (sent.method, sent.path) and request.sid in (None, sent.sid)


def _asked(operation: OperationMapping, sent: Sent, secrets: Mapping[str, str]) -> Asked:
    request, found = operation.written.request, dict[str, Any]()
    for where, template, actual, is_typed in (
        ("query", request.query or None, sent.query, False),
        ("json", request.json_body, sent.json, True),
        ("form", request.form, sent.form, False),
        ("message", request.message, sent.message, False),
    ):
        if template is not None:
            _match(template, actual, _Match(found, secrets, is_typed), where)
    asked = Asked(
        operation,
        tuple(found.get("$keys", ())),
        found.get("$since"),
        found.get("$until"),
        _whole(found.get("$page"), operation.written.page.first if operation.written.page else 0, "页码"),
        _whole(found.get("$size"), 1, "每页条数"),
        {name.removeprefix("$"): _listed(value) for name, value in found.items() if FILTER.fullmatch(name)},
        found.get("$order"),
        _whole(found.get("$offset") or found.get("$cursor"), 0, "起始位置"),
    )
    if operation.lookup and not 1 <= len(asked.keys) <= operation.lookup.batch:
        raise Rejected(f"一次应查 1 至 {operation.lookup.batch} 个键，实有 {len(asked.keys)} 个")
    return asked


@dataclass(frozen=True, slots=True)
class _Match:
    """What matching needs and fills; `is_typed` where numbers and lists differ from texts (JSON)."""

    found: dict[str, Any]
    secrets: Mapping[str, str]
    is_typed: bool


def _match(template: Any, actual: Any, matching: _Match, where: str) -> None:
    match template:
        case str() if is_placeholder(template):
            _take(template, actual, matching, where)
        case {"join": str() as joined, "with": str() as separator}:
            if actual is not ABSENT or joined == "$keys":
                matching.found[joined] = _keys(_required(actual, where).split(separator), where)
        case {"text": list() as words, "of": inner}:
            try:
                tree = decode_text(words, _required(actual, where))
            except ValueError as error:
                raise Rejected(f"{where} 无法解读：{error}") from None
            _match(inner, tree, _Match(matching.found, matching.secrets, False), where)
        case Mapping():
            _match_mapping(template, actual, matching, where)
        case list():
            if not isinstance(actual, list) or len(actual) != len(template):
                raise Rejected(f"{where} 应为 {len(template)} 项的列表")
            for index, (inner, value) in enumerate(zip(template, actual, strict=True)):
                _match(inner, value, matching, f"{where}[{index}]")
        case str() if template.startswith("env:"):
            if _required(actual, where) != resolve(template, matching.secrets):
                raise Rejected(f"{where} 不正确")
        case _:
            _match_constant(template, actual, matching, where)


def _match_mapping(template: Mapping[str, Any], actual: Any, matching: _Match, where: str) -> None:
    if actual in (None, "") and not matching.is_typed:
        actual = {}
    if not isinstance(actual, Mapping):
        raise Rejected(f"缺少 {where}" if actual is ABSENT else f"{where} 应为结构")
    for name, inner in template.items():
        _match(inner, actual.get(name, ABSENT), matching, f"{where}.{name}")


def _match_constant(template: Any, actual: Any, matching: _Match, where: str) -> None:
    if actual is ABSENT:
        raise Rejected(f"缺少 {where}")
    is_number = isinstance(template, int | float) and not isinstance(template, bool)
    same_type = isinstance(actual, bool) == isinstance(template, bool) and is_number == _is_number(actual)
    if _constant(actual, template, where) != _text(template, where) or (matching.is_typed and not same_type):
        raise _OtherConstant(f"{where} 应为 {template!r}，实为 {actual!r}")


def _take(placeholder: str, actual: Any, matching: _Match, where: str) -> None:
    if placeholder in ("$keys", "$key"):
        is_list = isinstance(actual, list)
        if actual is ABSENT or (is_list != (placeholder == "$keys") and (matching.is_typed or is_list)):
            raise Rejected(f"{where} 应为{'列表' if placeholder == '$keys' else '一个值'}")
        matching.found["$keys"] = _keys(actual if is_list else [actual], where)
    elif actual is ABSENT or plain(actual) in (None, ""):
        if placeholder not in OPTIONAL and not FILTER.fullmatch(placeholder):
            raise Rejected(f"缺少 {where}")
    elif isinstance(actual, list) and placeholder.endswith(".in"):
        matching.found[placeholder] = _keys(actual, where)
    else:
        matching.found[placeholder] = _text(actual, where)


def _listed(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def _keys(values: list[Any], where: str) -> list[str]:
    keys = [_text(value, where).strip() for value in values]
    if not all(keys):
        raise Rejected(f"{where} 中有空的键")
    return keys


def _required(actual: Any, where: str) -> str:
    if actual is ABSENT or plain(actual) in (None, ""):
        raise Rejected(f"缺少 {where}")
    return _text(actual, where)


def _text(value: Any, where: str) -> str:
    value = plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise Rejected(f"{where} 应为单个值")


def _constant(actual: Any, template: Any, where: str) -> str:
    """The text of a value; where a claim is meant, XML may also write 1 and 0."""
    text = _text(actual, where)
    return {"1": "true", "0": "false"}.get(text, text) if isinstance(template, bool) else text


def _is_number(value: Any) -> bool:
    return isinstance(value, Number | int | float) and not isinstance(value, bool)


def _whole(text: str | None, least: int, what: str) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < least or len(text) > 9:
        raise Rejected(f"{what} “{text}” 应是不小于 {least} 的整数")
    return int(text)
