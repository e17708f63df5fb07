"""What calls cost and how they end, for Prometheus. Names of sources and operations only: no keys, no addresses."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from gateway.engine.calls.health import SourceHealth

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BREAKER_STATES = {"closed": 0, "half-open": 1, "open": 2}
OPERATION = ("source", "operation")


class CallMetrics:
    """The metrics of one `Calls`, in a registry that may hold those of others too."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.calls = Counter("gateway_source_calls", "对来源的调用", (*OPERATION, "outcome"), registry=registry)
        self.seconds = Histogram(
            "gateway_source_call_seconds", "一次调用的秒数", OPERATION, buckets=SECONDS, registry=registry
        )
        self.refused = Counter(
            "gateway_source_refused", "没有发出的调用，按原因", (*OPERATION, "reason"), registry=registry
        )
        self.cache = Counter(
            "gateway_source_cache_keys", "键在短缓存中的结果", (*OPERATION, "result"), registry=registry
        )
        self.shared = Counter("gateway_source_shared", "搭乘同一次调用的请求", OPERATION, registry=registry)
        self.retries = Counter("gateway_source_retries", "重试", OPERATION, registry=registry)
        self.hedges = Counter(
            "gateway_source_hedges", "对冲调用，按是否先答", (*OPERATION, "result"), registry=registry
        )

    def of(self, source: str, operation: str) -> "OperationMetrics":
        """The metrics of one operation."""
        return OperationMetrics(self, source, operation)

    def show_health(
        self, health: Callable[[], Mapping[str, SourceHealth]], redis_is_up: Callable[[], bool | None]
    ) -> None:
        """Tell the state of every source, and of Redis if there is one, as gauges, read when somebody looks and never before."""
        self.registry.register(_HealthCollector(health, redis_is_up))


class OperationMetrics:
    """Counters with their labels filled in once, since filling them in costs more than counting."""

    def __init__(self, metrics: CallMetrics, source: str, operation: str) -> None:
        labels = (source, operation)
        self._metrics, self._labels = metrics, labels
        self._children: dict[tuple[str, str], Counter] = {}
        self.seconds = metrics.seconds.labels(*labels)
        self.shared = metrics.shared.labels(*labels)
        self.retries = metrics.retries.labels(*labels)

    def called(self, outcome: str, seconds: float) -> None:
        """A call that was sent has ended."""
        self._child("calls", outcome).inc()
        self.seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        """A call that was not sent: `breaker`, `queue`, `budget`, `deadline`, `throttled`."""
        self._child("refused", reason).inc()

    def cached(self, result: str, keys: int) -> None:
        """Keys that were looked for in the cache: `hit`, `stale`, `miss`."""
        if keys:
            self._child("cache", result).inc(keys)

    def hedged(self, result: str) -> None:
        """A second call was `sent`, or `won`."""
        self._child("hedges", result).inc()

    def _child(self, family: str, word: str) -> Counter:
        child = self._children.get((family, word))
        if child is None:
            child = getattr(self._metrics, family).labels(*self._labels, word)
            self._children[family, word] = child
        return child


class _HealthCollector(Collector):
    def __init__(
        self, health: Callable[[], Mapping[str, SourceHealth]], redis_is_up: Callable[[], bool | None]
    ) -> None:
        self._health, self._redis_is_up = health, redis_is_up

    def collect(self) -> Iterator[GaugeMetricFamily]:
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
