"""What is counted and timed, for Prometheus. Labels come from what we know, never from what a client wrote."""

from bisect import bisect_left
from collections.abc import Iterator

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE_LATEST", "exposed"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Durations:
    """Durations under one set of labels, in plain numbers: counted by the event loop's thread alone."""

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(SECONDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.buckets[bisect_left(SECONDS, seconds)] += 1
        self.total += seconds


class Timed(Collector):
    """A histogram that is part of every request: the client library's own would take longer than what it measures."""

    def __init__(self, name: str, told: str, labels: tuple[str, ...]) -> None:
        self.name, self.told, self.labels = name, told, labels
        self.known: dict[tuple[str, ...], Durations] = {}
        REGISTRY.register(self)

    def of(self, *values: str) -> Durations:
        """The durations under these labels."""
        found = self.known.get(values)
        if found is None:
            found = self.known[values] = Durations()
        return found

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What was counted so far."""
        family = HistogramMetricFamily(self.name, self.told, labels=self.labels)
        for values, durations in list(self.known.items()):
            counts, sums = list(durations.buckets), 0
            buckets = []
            for bound, count in zip((*map(str, SECONDS), "+Inf"), counts, strict=True):
                sums += count
                buckets.append((bound, float(sums)))
            family.add_metric(values, buckets, durations.total)
        yield family


REQUESTS = Timed(
    "gateway_request_seconds", "A GraphQL request that was let in, until its answer is made", ("operation", "outcome")
)
REFUSED = Counter("gateway_refused_total", "GraphQL requests refused before any work was done for them", ["reason"])
BUSY = REFUSED.labels("busy")
STEPS = Timed("gateway_step_seconds", "A step of a plan", ("kind",))
PREPARING = Histogram(
    "gateway_preparing_seconds", "An operation never seen before: parse, validate, plan", buckets=SECONDS
)
LEARNING = Gauge("gateway_learning_waiting", "Operations never seen before that wait to be prepared")
LOOP_LAG = Histogram(
    "gateway_loop_lag_seconds", "How late the event loop calls back", buckets=(0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
)  # fmt: skip
IN_FLIGHT = Gauge("gateway_requests_in_flight", "GraphQL requests that were let in and are not over")
WAITING = Gauge("gateway_requests_waiting", "Those among them that wait for their turn")
LIMIT = Gauge("gateway_requests_limit", "How many of them are answered at once, as this process can keep up")
ROOM = Gauge("gateway_requests_room", "How many may be in, those who wait included")
BUSY_SHARE = Gauge("gateway_busy_share", "Of a core, what answering takes: the event loop and the store's threads")
REUSED = Gauge(
    "gateway_reused_answers", "Answers given again because every source said the same bytes, since the start"
)
REUSED_BYTES = Gauge("gateway_reused_bytes", "Memory of the answers kept for that")
THREAD_LAG = Gauge("gateway_thread_lag_seconds", "How long work waits for a thread")
SUBSCRIPTIONS = Gauge("gateway_subscriptions", "Subscriptions under way, over WebSocket and SSE")
SUBSCRIPTIONS_CUT = Counter("gateway_subscriptions_cut_total", "Subscriptions that ended with an error", ["reason"])
SOCKETS = Gauge("gateway_sockets", "WebSocket connections")
DELIVERED = Counter("gateway_delivered_records_total", "Records that agencies delivered", ["source", "outcome"])
DRAINING = Gauge("gateway_draining", "1 while this process finishes what it has and takes nothing new")

request, step = REQUESTS.of, STEPS.of
"""The durations of these labels."""


def exposed(*others: CollectorRegistry) -> bytes:
    """Everything, and what `others` have, in Prometheus' text format."""
    return b"".join(map(generate_latest, (REGISTRY, *others)))
