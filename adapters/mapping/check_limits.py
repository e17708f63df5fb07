"""Limits that contradict each other, or that could never take effect."""

from adapters.mapping.written import MappingForm, Operation
from schema.problems import Path
from schema.written import Document


def check_limits(document: Document, form: MappingForm) -> None:
    """Times within the timeout, budgets with a number, and what only look-ups can have."""
    connect = form.connect
    at: Path = ("connect",)
    for word, value in (("connect_timeout", connect.connect_timeout), ("read_timeout", connect.read_timeout)):
        if value is not None and connect.kind == "sql":
            document.problem((*at, word), f"{word} 只用于 HTTP（rest、soap、platform）")
        elif value is not None and not 0 < value <= connect.timeout:
            document.problem((*at, word), f"{word} 应大于 0，且不超过 timeout（{connect.timeout:g} 秒）")
    if (budget := connect.budget) and budget.per_second is budget.per_minute is budget.per_day is None:
        document.problem((*at, "budget"), "budget 至少写 per_second、per_minute、per_day 之一")
    if connect.retry.pause > connect.retry.longest:
        document.problem((*at, "retry", "pause"), "pause 不能超过 longest")
    breaker = connect.breaker
    if breaker.slow is not None and not 0 < breaker.slow < connect.timeout:
        document.problem((*at, "breaker", "slow"), f"slow 应大于 0，且短于 timeout（{connect.timeout:g} 秒）")
    if breaker.pause <= 0:
        document.problem((*at, "breaker", "pause"), "pause 应大于 0")
    for name, operation in form.operations.items():
        _check_operation(document, form, name, operation)


def _check_operation(document: Document, form: MappingForm, name: str, operation: Operation) -> None:
    connect = form.connect
    at: Path = ("operations", name)
    if operation.lookup is None:
        for word in ("cache", "hedge"):
            if word in operation.model_fields_set:
                document.problem((*at, word), f"{word} 只用于 lookup")
    if operation.at_least is not None and operation.at_least >= connect.timeout:
        document.problem((*at, "at_least"), f"at_least 应短于 timeout（{connect.timeout:g} 秒）")
    if operation.cache is not None and operation.cache.fresh <= 0:
        document.problem((*at, "cache", "fresh"), "fresh 应大于 0；不要短缓存就不写 cache")
    if (hedge := operation.hedge) is None:
        return
    if hedge.after != "p95" and not 0 < hedge.after < connect.timeout:
        document.problem((*at, "hedge", "after"), f"after 应大于 0，且短于 timeout（{connect.timeout:g} 秒）")
    if connect.retry.share == 0:
        document.problem((*at, "hedge"), "connect.retry.share 为 0 时不会有第二次调用")
