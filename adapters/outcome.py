"""What a source's own success code means: HTTP 200 around an error is the rule in this world, not the exception."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from adapters.mapping.paths import RecordPath, parse_path, plain
from adapters.mapping.written import Outcome
from schema.formats import CHINA_TIME

Kind = Literal["ok", "empty", "retry", "throttled", "exhausted", "denied", "rejected"]
ERRORS: dict[str, type[SourceError]] = {
    "retry": SourceUnavailable,
    "throttled": SourceThrottled,
    "exhausted": SourceThrottled,
    "denied": SourceDenied,
    "rejected": SourceRejected,
}
LONGEST_MESSAGE = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the source said, sorted; `retry_after` in seconds, when the answer around it said so."""

    kind: Kind
    code: str = ""
    message: str = ""
    retry_after: float | None = None


OK = Verdict("ok")
Judge = Callable[[Any], Verdict]
"""Reads the verdict in an answer's tree. Raises SourceContractBroken when there is none."""


def judge_for(outcome: Outcome | None) -> Judge:
    """What reads verdicts as the mapping says; without `outcome` every readable answer is a success."""
    if outcome is None:
        return lambda _tree: OK
    code_path = parse_path(outcome.path)
    message_path = parse_path(outcome.message) if outcome.message else None
    kinds: dict[str, Kind] = dict.fromkeys(outcome.denied, "denied")
    kinds |= dict.fromkeys(outcome.throttled, "throttled")
    kinds |= dict.fromkeys(outcome.exhausted, "exhausted")
    kinds |= dict.fromkeys(outcome.retry, "retry")
    kinds |= dict.fromkeys(outcome.empty, "empty")
    kinds |= dict.fromkeys(outcome.ok, "ok")

    def judge(tree: Any) -> Verdict:
        code = text_at(tree, code_path)
        if not code:
            raise SourceContractBroken(f"答复中没有 {code_path.text}")
        message = (text_at(tree, message_path) or "") if message_path else ""
        return Verdict(kinds.get(code, "rejected"), code, message[:LONGEST_MESSAGE])

    return judge


def raise_for(verdict: Verdict) -> None:
    """Raises the error that a verdict stands for; success and emptiness are none.

    What is exhausted comes back with the next day of the platform, which is a day in China.
    """
    if kind := ERRORS.get(verdict.kind):
        wait = verdict.retry_after
        if wait is None and verdict.kind == "exhausted":
            wait = until_tomorrow(datetime.now(CHINA_TIME))
        raise kind(f"{verdict.code} {verdict.message}".strip(), retry_after=wait)


def until_tomorrow(now: datetime) -> float:
    """Seconds until the next midnight in China."""
    here = now.astimezone(CHINA_TIME)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return (midnight - here).total_seconds()


def text_at(tree: Any, path: RecordPath) -> str | None:
    """The one text at a path, without blanks around it; None when it is absent. Raises SourceContractBroken."""
    try:
        found = [plain(value) for value in path.find(tree)]
    except ValueError as error:
        raise SourceContractBroken(str(error)) from None
    if not found or found[0] is None:
        return None
    if len(found) > 1 or not isinstance(found[0], str):
        raise SourceContractBroken(f"{path.text} 处应为单个值")
    return found[0].strip()
