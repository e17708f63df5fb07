"""Tails at half of the rate that a server was just seen to reach, slot by slot: one pause of the machine decides a slot, not the median."""

import statistics
from collections.abc import Callable
from pathlib import Path

from contract_tests.benchmarks.engine_parts.paced import Arrivals, Latency, latencies
from contract_tests.benchmarks.engine_parts.servers import Server
from contract_tests.benchmarks.engine_parts.upstreams import Upstreams

TAILED = ("floor", "ours")


class Tails:
    """What was measured so far, by query, server and arrivals."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str, Arrivals], list[Latency]] = {}

    def measure(
        self,
        query: str,
        server: Server,
        nginx: Upstreams,
        bodies: Path,
        reached: float,
        seconds: float,
        arrivals: Arrivals,
    ) -> None:
        """One slot at half of what was reached."""
        latency = latencies(server, nginx, bodies, reached / 2, seconds, arrivals)
        self.found.setdefault((query, server.name, arrivals), []).append(latency)

    def ratio(self, query: str, name: str, arrivals: Arrivals) -> float:
        """p99 as a multiple of p50: the median of the slots."""
        return statistics.median(one.p99_ms / one.p50_ms for one in self.found[query, name, arrivals])

    def print(self) -> None:
        """A line for each, medians, and the ratios of all slots."""
        print(
            "at half of the saturation just seen, from when a request was due to its answer, medians; p99 / p50 of each slot:"
        )
        for (query, name, arrivals), slots in sorted(self.found.items(), key=lambda item: item[0][::-1]):

            def of(what: Callable[[Latency], float], slots: list[Latency] = slots) -> float:
                return statistics.median(what(one) for one in slots)

            if not all(one.is_first for one in slots):
                print("  here others could take the cores:")
            refused = sum(one.refused for one in slots) / sum(one.requests for one in slots)
            print(
                f"  {arrivals:<8}{name:<6}{query:<8}{of(lambda one: one.requests):>6.0f} requests  p50 {of(lambda one: one.p50_ms):6.2f}"
                f"  p99 {of(lambda one: one.p99_ms):6.2f} ms  {self.ratio(query, name, arrivals):5.1f}x"
                f"  ({', '.join(f'{one.p99_ms / one.p50_ms:.1f}' for one in slots)}; busy {of(lambda one: one.busy):.2f},"
                f" sent late {of(lambda one: one.late_ms):.2f} ms{f', {refused:.1%} refused' if refused else ''})",
                flush=True,
            )
