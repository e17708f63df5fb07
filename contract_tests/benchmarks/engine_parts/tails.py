"""Tails at half of the rate that a server was just seen to reach, slot by slot: one pause of the machine decides a slot, not the median.

What is to be seen is the server and not the machine, so processors are kept awake, for that rate as well.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from contract_tests.benchmarks.engine_parts.load import run_wrk
from contract_tests.benchmarks.engine_parts.paced import Arrivals, Latency, latencies
from contract_tests.benchmarks.engine_parts.processes import awake, wait_until_quiet
from contract_tests.benchmarks.engine_parts.servers import Server
from contract_tests.benchmarks.engine_parts.upstreams import Upstreams

TAILED = ("floor", "ours")
MOST_REST = 3.0


@dataclass(frozen=True, slots=True)
class Slot:
    """What was reached, and the latency at half of it. `is_awake`: processors were kept awake."""

    reached: float
    latency: Latency
    is_awake: bool

    @property
    def ratio(self) -> float:
        """p99 as a multiple of p50."""
        return self.latency.p99_ms / self.latency.p50_ms


class Tails:
    """What was measured so far, by arrivals, server and query."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.found: dict[tuple[Arrivals, str, str], list[Slot]] = {}

    def measure(self, query: str, server: Server, nginx: Upstreams, bodies: Path, several: Sequence[Arrivals]) -> None:
        """A slot for each kind of arrivals."""
        if not several:
            return
        with awake() as is_awake:
            told = run_wrk(server, bodies, self.seconds / 2)
            reached = (told["requests"] - told["refused"]) / told["us"] * 1e6
            for arrivals in several:
                wait_until_quiet(server.pid, MOST_REST)
                latency = latencies(server, nginx, bodies, reached / 2, self.seconds, arrivals)
                self.found.setdefault((arrivals, server.name, query), []).append(Slot(reached, latency, is_awake))
            wait_until_quiet(server.pid, MOST_REST)

    def print(self) -> None:
        """A line for each, medians, and the ratios of all slots."""
        print(
            "at half of the saturation just seen, from when a request was due to its answer, medians; p99 / p50 slot by slot:"
        )
        if not all(one.is_awake and one.latency.is_first for slots in self.found.values() for one in slots):
            print("  the machine has its part in these: processors could be halted, or taken by others")
        for (arrivals, name, query), slots in sorted(self.found.items()):

            def of(what: Callable[[Slot], float], slots: list[Slot] = slots) -> float:
                return statistics.median(what(one) for one in slots)

            refused = sum(one.latency.refused for one in slots) / sum(one.latency.requests for one in slots)
            print(
                f"  {arrivals:<8}{name:<6}{query:<8}{of(lambda one: one.reached / 2):>6.0f}/s"
                f"  p50 {of(lambda one: one.latency.p50_ms):6.2f}  p99 {of(lambda one: one.latency.p99_ms):6.2f} ms"
                f"  {of(lambda one: one.ratio):5.1f}x  ({', '.join(f'{one.ratio:.1f}' for one in slots)};"
                f" busy {of(lambda one: one.latency.busy):.2f}, sent late {of(lambda one: one.latency.late_ms):.2f} ms"
                f"{f', {refused:.1%} refused' if refused else ''})",
                flush=True,
            )
