"""Interleaved rounds: on noisy machines only the ratio of medians of runs side by side means anything."""

import json
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping

Run = Callable[[], Awaitable[object]]


async def interleave(
    runs: Mapping[str, Run], rounds: int, each: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Milliseconds of one run of each, as the median over `rounds` of the mean of `each` runs; the first round warms up.

    `clock` gives seconds; `time.process_time` where nothing is waited for and the machine is busy with other work.
    """
    found: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            started = clock()
            for _ in range(each):
                await run()
            if number:
                found[name].append((clock() - started) * 1000 / each)
    return {name: statistics.median(times) for name, times in found.items()}


def report(title: str, figures: Mapping[str, Mapping[str, float]]) -> None:
    """A table of milliseconds and ratios to the floor, and the figures as the last line, one JSON object."""
    print(title)
    for query, times in figures.items():
        floor = times["floor"]
        cells = "   ".join(f"{name} {ms:8.2f} ms ({ms / floor:5.2f}x)" for name, ms in times.items())
        print(f"  {query:<12} {cells}")
    rounded = {query: {name: round(ms, 3) for name, ms in times.items()} for query, times in figures.items()}
    print(json.dumps(rounded))
