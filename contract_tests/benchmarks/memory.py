"""Whether the gateway's memory stays flat: resident megabytes while it answers 200,000 requests of all five queries.

The mixture is what a province asks: mostly single cases, some lists, now and then a thousand cases at once. Each of them is
asked a few times before, so that caches that are bounded (answers that are given again, GATEWAY_REUSED_BYTES) are as full as
they get; the first fifth counts for nothing either. Flat is a slope of the rest that is lost in its own noise.
REQUESTS=20000 makes fewer, QUICK=1 makes 5,000.
"""

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from contract_tests.benchmarks.engine_parts.load import run_wrk, write_bodies
from contract_tests.benchmarks.engine_parts.processes import resident_mb, wait_until_quiet
from contract_tests.benchmarks.engine_parts.queries import QUERIES
from contract_tests.benchmarks.engine_parts.servers import servers
from contract_tests.benchmarks.engine_parts.upstreams import upstreams
from contract_tests.benchmarks.targets import Target, conclude

OPTIONS = os.environ  # noqa: TID251 - a benchmark's own switches
QUICK = bool(OPTIONS.get("QUICK"))
REQUESTS = int(OPTIONS.get("REQUESTS", "5000" if QUICK else "200000"))
SHARES = {"one": 60, "list": 20, "nested": 10, "soap": 9, "wide": 1}
"""Requests of each query in a hundred."""
INTERVAL = 2.0
WARMING, WARMING_ROUNDS = 0.2, 3
REST = 60.0
FLAT = 5.0
"""Megabytes in 100,000 requests."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-memory-") as name, upstreams() as nginx:
        folder = Path(name)
        bodies = write_bodies(folder / "mixed.jsonl", mixture())
        with servers(nginx, folder, ("ours",)) as running:
            ours = running["ours"]
            for body in [body for query in QUERIES for body in query.bodies()] * WARMING_ROUNDS:
                ours.ask(body)
            wait_until_quiet(ours.pid, REST)
            samples = [(0, resident_mb(ours.pid))]
            print(f"{0:>9} requests  {samples[0][1]:>7.1f} MB", flush=True)
            while samples[-1][0] < REQUESTS:
                told = run_wrk(ours, bodies, INTERVAL)
                assert told["errors"] == 0, told
                samples.append((samples[-1][0] + told["requests"] - told["refused"], resident_mb(ours.pid)))
                print(f"{samples[-1][0]:>9} requests  {samples[-1][1]:>7.1f} MB", flush=True)
            is_quiet = wait_until_quiet(ours.pid, REST)
            resting = resident_mb(ours.pid)
    grown = growth([sample for sample in samples if sample[0] >= WARMING * samples[-1][0]])
    state = "at rest" if is_quiet else "still storing"
    print(
        f"{state} in the end: {resting:.1f} MB; once warm it grew by {grown:+.1f} MB in 100,000 requests",
        file=sys.stderr,
    )
    figures = [[requests, round(size, 1)] for requests, size in samples]
    told = {"rss_mb": figures, "resting_mb": round(resting, 1), "mb_in_100000": round(grown, 1)}
    conclude(told, [Target("MB of growth in 100,000 requests", grown, FLAT)])


def mixture() -> list[bytes]:
    """The bodies of all queries in their shares, spread evenly."""
    placed: list[tuple[float, bytes]] = []
    for query in QUERIES:
        bodies, share = query.bodies(), SHARES[query.name]
        total = share * len(bodies)
        placed += [((n + 0.5) / total, bodies[n % len(bodies)]) for n in range(total)]
    return [body for _, body in sorted(placed, key=lambda one: one[0])]


def growth(samples: Sequence[tuple[int, float]]) -> float:
    """Megabytes in 100,000 requests: the slope through the samples; 0 for fewer than three."""
    if len(samples) < 3:
        return 0.0
    slope = statistics.linear_regression([n for n, _ in samples], [size for _, size in samples]).slope
    return slope * 100_000


if __name__ == "__main__":
    main()
