"""What is told of calls: metrics, health, spans and the plan; and what may be written about them in a mapping."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from adapters.errors import SourceUnavailable
from adapters.mapping.load import load_mapping
from contract_tests.calling import CASES, DOWN, MARKET, SOURCE, Breaker, Cache, always, calling, market
from contract_tests.federation import copy_mappings
from contract_tests.stores import REGISTRY
from contract_tests.waiting import until_at_last
from gateway import tracing
from gateway.context import Deadline
from gateway.engine.calls import sending
from schema.problems import Problems

pytestmark = pytest.mark.anyio
PERSON = "350102199001011234"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(sending, "TRACER", provider.get_tracer("tests"))
    monkeypatch.setattr(tracing, "is_exporting", True)
    yield exporter
    provider.shutdown()


async def test_each_call_is_a_span_that_counts_keys_and_names_none(spans: InMemorySpanExporter) -> None:
    async with calling(market()) as asked:
        asked.upstream.has(PERSON, "b")
        await asked.ask(PERSON, "b")
        asked.upstream.behave = lambda _number: always(DOWN)
        with pytest.raises(SourceUnavailable):
            await asked.ask(PERSON)
    words = {"source": SOURCE, "operation": CASES, "attempt": 0, "hedge": False}
    assert [(span.name, dict(span.attributes or {})) for span in spans.get_finished_spans()] == [
        ("source.call", {**words, "keys": 2, "outcome": "OK", "records": 2}),
        ("source.call", {**words, "keys": 1, "outcome": "SOURCE_UNAVAILABLE", "records": 0}),
    ]


async def test_metrics_count_calls_by_their_outcome_and_show_what_is_under_way() -> None:
    async with calling(market({"cache": Cache(fresh="60s")}, breaker=Breaker(failures=1, pause="60s"))) as asked:
        asked.upstream.has(PERSON)
        await asked.ask(PERSON)
        await asked.ask(PERSON)
        go = asyncio.Event()

        async def fail(_number: int) -> object:
            await go.wait()
            return DOWN

        asked.upstream.behave = fail
        waiting = asyncio.create_task(asked.ask("b"))
        await until_at_last(lambda: asked.upstream.in_flight == 1)
        sample = asked.calls.metrics.registry.get_sample_value
        assert sample("gateway_source_in_flight", {"source": SOURCE}) == 1
        go.set()
        await asyncio.gather(waiting, return_exceptions=True)
        assert sample("gateway_source_in_flight", {"source": SOURCE}) == 0
        assert sample("gateway_source_queued", {"source": SOURCE}) == 0
        assert sample("gateway_source_breaker_state", {"source": SOURCE, "operation": CASES}) == 2
        assert asked.counted("gateway_source_calls_total", outcome="OK") == 1
        assert asked.counted("gateway_source_calls_total", outcome="SOURCE_UNAVAILABLE") == 1
        assert asked.counted("gateway_source_call_seconds_count") == 2
        assert asked.counted("gateway_source_cache_keys_total", result="hit") == 1
        text = generate_latest(asked.calls.metrics.registry).decode()
        assert PERSON not in text
        assert asked.upstream.url not in text


async def test_an_answer_that_is_not_as_promised_is_counted_and_told_of_when_that_changes(capsys) -> None:
    async with calling(market()) as asked:

        async def read(total: object) -> None:
            content = json.dumps({"code": "0", "data": {"list": [], "total": total}})
            asked.upstream.behave = lambda _number: always((200, content, {}))
            await asked.calls.make(SOURCE, "cases_changed", Deadline.after(60), page=1, size=5)

        for total in (0, "many", "many", 0):
            await read(total)
        counted = asked.counted("gateway_source_deviations_total", operation="cases_changed")
    told = [line for line in "".join(capsys.readouterr()).splitlines() if "source.deviates" in line]
    assert (counted, len(told)) == (2, 2)
    assert "data.total 不是整数" in told[0]
    assert "不是整数" not in told[1]


async def test_health_tells_what_calls_have_shown() -> None:
    async with calling(market(breaker=Breaker(failures=2, pause="60s"))) as asked:

        def told() -> tuple[str, str | None, bool, bool]:
            health = asked.calls.health()[SOURCE]
            return health.state, health.last_failure_code, health.last_success is None, health.last_failure is None

        assert told() == ("unknown", None, True, True)
        await asked.ask("a")
        assert told() == ("up", None, False, True)
        asked.upstream.behave = lambda _number: always(DOWN)
        await asyncio.gather(asked.ask("a"), return_exceptions=True)
        assert told() == ("degraded", "SOURCE_UNAVAILABLE", False, False)
        await asyncio.gather(asked.ask("a"), return_exceptions=True)
        assert told() == ("down", "SOURCE_UNAVAILABLE", False, False)


def limits_of(tmp_path: Path, connect: str = "", operation: str = "") -> list[str]:
    """What is wrong with the market's mapping when this is added to it."""
    file = copy_mappings(tmp_path, SOURCE) / SOURCE / "mapping.yaml"
    lines = []
    for line in file.read_text("utf-8").splitlines():
        if not line.strip().startswith(("retry:", "breaker:", "connect_timeout:", "cache:", "queue:")):
            lines.append(line)
        if line.startswith("  concurrency:") and connect:
            lines += [f"  {word}" for word in connect.split("\n")]
        if line.startswith("  cases_changed:") and operation:
            lines += [f"    {operation}"]
    file.write_text("\n".join(lines), "utf-8")
    try:
        load_mapping(REGISTRY, file.parent)
    except Problems as error:
        return [f"{problem.path}: {problem.what}" for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("connect", "problem"),
    [
        ("budget: {otherwise: closed}", "connect.budget: budget 至少写 per_second、per_minute、per_day 之一"),
        ("connect_timeout: 9s", "connect.connect_timeout: connect_timeout 应大于 0，且不超过 timeout（8 秒）"),
        ("read_timeout: 0s", "connect.read_timeout: read_timeout 应大于 0，且不超过 timeout（8 秒）"),
        ("retry: {times: 1, pause: 3s}", "connect.retry.pause: pause 不能超过 longest"),
        ("breaker: {slow: 8s}", "connect.breaker.slow: slow 应大于 0，且短于 timeout（8 秒）"),
        ("breaker: {pause: 0s}", "connect.breaker.pause: pause 应大于 0"),
        ("queue: many", "connect.queue: 应为整数，而不是 “many”"),
        ("budget: {per_hour: 5}", "connect.budget.per_hour: 不认识的词 “per_hour”"),
        ("retry: {times: 2}\nbudget: {per_day: 1000, otherwise: closed}", None),
    ],
)
def test_limits_that_contradict_each_other_are_told(tmp_path: Path, connect: str, problem: str | None) -> None:
    assert limits_of(tmp_path, connect)[:1] == ([] if problem is None else [problem])


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ("cache: {fresh: 5s}", "operations.cases_changed.cache: cache 只用于 lookup"),
        ("hedge: {after: p95}", "operations.cases_changed.hedge: hedge 只用于 lookup"),
        ("at_least: 8s", "operations.cases_changed.at_least: at_least 应短于 timeout（8 秒）"),
        ("at_least: 50ms", None),
    ],
)
def test_what_only_a_lookup_may_have_is_told(tmp_path: Path, operation: str, problem: str | None) -> None:
    assert limits_of(tmp_path, operation=operation) == ([] if problem is None else [problem])


def test_a_mapping_that_says_nothing_has_sensible_limits(tmp_path: Path) -> None:
    assert limits_of(tmp_path) == []
    connect = load_mapping(REGISTRY, tmp_path / "mappings" / SOURCE).connect
    told = (connect.queue, connect.budget, connect.retry.times, connect.breaker.failures, connect.breaker.slow)
    assert told == (256, None, 0, 5, None)
    assert MARKET.connect.retry.times == 1
