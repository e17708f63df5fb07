"""What calls cost and how they end, for Prometheus. Names of sources and operations only: no keys, no addresses.

Counted in plain numbers by the one thread that makes calls, and put into families when somebody looks: counting is part of
every call, and the client library's own counters cost more than everything else that is done for one.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.engine.calls.health import SourceHealth

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}
OPERATION = ("source", "operation")
COUNTERS = {
    "calls": ("对来源的调用，按结果", "outcome"),
    "refused": ("没有发出的调用，按原因", "reason"),
    "cache_keys": ("键在短缓存中的结果", "result"),
    "hedges": ("对冲调用，按是否先答", "result"),
    "shared": ("搭乘同一次调用的请求", ""),
    "retries": ("重试", ""),
    "deviations": ("读得出但与映射、WSDL 或表结构不同的答复", ""),
}
"""Each is `gateway_source_<name>_total`: what it says, and by which label it is counted beside source and operation."""


class OperationMetrics:
    """The counts of one operation."""

    __slots__ = ("buckets", "counts", "total")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def called(self, outcome: str, seconds: float) -> None:
        """A call that was sent has ended."""
        self._count("calls", outcome)
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds

    def refused(self, reason: str) -> None:
        """A call that was not sent: `breaker`, `queue`, `budget`, `deadline`, `throttled`."""
        self._count("refused", reason)

    def cached(self, result: str, keys: int) -> None:
        """Keys that were looked for in the cache: `hit`, `stale`, `miss`."""
        self._count("cache_keys", result, keys)

    def hedged(self, result: str) -> None:
        """A second call was `sent`, or `won`."""
        self._count("hedges", result)

    def shared(self) -> None:
        """Somebody waits for a call that was under way."""
        self._count("shared", "")

    def retried(self) -> None:
        """A failed call is made again."""
        self._count("retries", "")

    def deviated(self) -> None:
        """An answer could be read, and was not as it was promised."""
        self._count("deviations", "")

    def _count(self, counter: str, label: str, by: int = 1) -> None:
        key = (counter, label)
        self.counts[key] = self.counts.get(key, 0) + by


class CallMetrics(Collector):
    """The metrics of one `Calls`, told to a registry that may hold those of others too."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._operations: dict[tuple[str, str], OperationMetrics] = {}
        self._health: Callable[[], Mapping[str, SourceHealth]] = dict
        self._redis_is_up: Callable[[], bool | None] = lambda: None

    def of(self, source: str, operation: str) -> OperationMetrics:
        """The metrics of one operation."""
        return self._operations.setdefault((source, operation), OperationMetrics())

    def show(self, health: Callable[[], Mapping[str, SourceHealth]], redis_is_up: Callable[[], bool | None]) -> None:
        """Tell all of it from now on, with the state of every source, and of Redis if there is one, as gauges."""
        self._health, self._redis_is_up = health, redis_is_up
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        yield from self._counters()
        yield self._durations()
        yield from self._gauges()

    def _counters(self) -> Iterator[Metric]:
        for name, (told, label) in COUNTERS.items():
            labels = [*OPERATION, label] if label else list(OPERATION)
            family = CounterMetricFamily(f"gateway_source_{name}", told, labels=labels)
            for operation, metrics in self._operations.items():
                for (counter, word), count in metrics.counts.items():
                    if counter == name:
                        family.add_metric([*operation, word] if label else list(operation), count)
            yield family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily("gateway_source_call_seconds", "一次调用的秒数", labels=list(OPERATION))
        for operation, metrics in self._operations.items():
            count, buckets = 0, []
            for bound, inside in zip([*map(str, SECONDS), "+Inf"], metrics.buckets, strict=True):
                count += inside
                buckets.append((bound, float(count)))
            family.add_metric(list(operation), buckets, metrics.total)
        return family

    def _gauges(self) -> Iterator[Metric]:
        in_flight = GaugeMetricFamily("gateway_source_in_flight", "正在进行的调用", labels=["source"])
        queued = GaugeMetricFamily("gateway_source_queued", "排队的调用", labels=["source"])
        breaker = GaugeMetricFamily(
            "gateway_source_breaker_state", "熔断器：0 闭合，1 半开，2 断开", labels=list(OPERATION)
        )
        for source, health in self._health().items():
            in_flight.add_metric([source], health.in_flight)
            queued.add_metric([source], health.queued)
            for operation, state in health.breakers.items():
                breaker.add_metric([source, operation], BREAKER_STATES[state])
        yield from (in_flight, queued, breaker)
        if (is_up := self._redis_is_up()) is not None:
            yield GaugeMetricFamily("gateway_redis_up", "Redis 是否可用", value=float(is_up))
