"""What a source says around its records: its success code, its message, its total, and what its family adds."""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from adapters.mapping.delivered import FileConnect
from adapters.mapping.model import SourceMapping
from adapters.mapping.paths import parse_path
from adapters.mapping.written import Outcome, PlatformConnect, SqlConnect
from adapters.simulator.answering import Answer
from adapters.simulator.binding import Asked
from adapters.simulator.trees import assemble

Verdict = Literal["ok", "empty", "retry", "throttled", "denied", "rejected"]
REJECTIONS = ("400", "E-400", "-400", "9400")
MESSAGES: dict[Verdict, str] = {
    "ok": "成功",
    "empty": "未查询到数据",
    "retry": "系统繁忙，请稍后再试",
    "throttled": "访问过于频繁",
    "denied": "无权访问",
    "rejected": "请求不合规定",
}


def code_of(outcome: Outcome | None, verdict: Verdict) -> str | None:
    """The source's code for a verdict; None when it has none. A rejection is any code that means nothing else."""
    if outcome is None:
        return None
    if verdict == "rejected":
        known = {*outcome.ok, *outcome.empty, *outcome.retry, *outcome.throttled, *outcome.exhausted}
        known |= {*outcome.denied}
        return next(code for code in REJECTIONS if code not in known)
    codes: Sequence[str] = getattr(outcome, verdict)
    return codes[0] if codes else None


def outcome_of(mapping: SourceMapping) -> Outcome | None:
    """How this source says whether it succeeded; None when HTTP or SOAP says it."""
    return None if isinstance(mapping.connect, (SqlConnect, FileConnect)) else mapping.connect.outcome


def answered(mapping: SourceMapping, asked: Asked, answer: Answer) -> Any:
    """The tree of a successful answer; nothing found has the source's own code for that, if there is one."""
    verdict: Verdict = "ok"
    if not answer.total and code_of(outcome_of(mapping), "empty"):
        verdict = "empty"
    return _tree(mapping, verdict, "", asked, answer)


def said(mapping: SourceMapping, verdict: Verdict, message: str = "", code: str | None = None) -> Any:
    """The tree of an answer without records."""
    if outcome_of(mapping) is None:
        return {"message": message or MESSAGES[verdict]}
    return _tree(mapping, verdict, message, None, Answer([], 0), code)


def _tree(
    mapping: SourceMapping,
    verdict: Verdict,
    message: str,
    asked: Asked | None,
    answer: Answer,
    code: str | None = None,
) -> Any:
    outcome = outcome_of(mapping)
    places: list[tuple[Any, Any]] = []
    if outcome is not None:
        places.append((parse_path(outcome.path), code or code_of(outcome, verdict)))
        if mapping.connect.kind == "rest" and "." not in outcome.path:
            places.append((parse_path("success"), verdict in ("ok", "empty")))
        if outcome.message:
            places.append((parse_path(outcome.message), message or MESSAGES[verdict]))
    if _is_zhejiang(mapping):
        places += [(parse_path(name), value) for name, value in _zhejiang(answer).items()]
    if asked is None:
        return assemble(places)
    if total := _total_path(mapping, asked):
        is_xml = mapping.connect.kind == "soap"
        places.append((parse_path(total), str(answer.total) if is_xml else answer.total))
    if (page := asked.operation.written.page) and page.next and answer.following:
        places.append((parse_path(page.next), answer.following))
    places.append((asked.operation.records, list(answer.records)))
    return assemble(places)


def _total_path(mapping: SourceMapping, asked: Asked) -> str | None:
    """Where the total stands: where this operation reads it, else where the source's other answers have it."""
    operations = (asked.operation, *mapping.operations.values())
    return next((op.written.page.total for op in operations if op.written.page and op.written.page.total), None)


def _is_zhejiang(mapping: SourceMapping) -> bool:
    return isinstance(mapping.connect, PlatformConnect) and mapping.connect.signing.scheme == "zhejiang"


def _zhejiang(answer: Answer) -> dict[str, Any]:
    """`data` is an empty text and `datas` has the data; so it is there (domain.md §4.2)."""
    size = answer.size or 1
    return {
        "data": "",
        "datas": [],
        "dataCount": len(answer.records),
        "totalDataCount": answer.total,
        "totalPage": -(-answer.total // size),
        "requestId": uuid.uuid4().hex,
    }
