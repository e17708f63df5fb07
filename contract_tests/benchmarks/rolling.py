"""Rolling restarts under load: two workers behind one port, replaced again and again by SIGHUP, and no request may fail.

Half of the requests come on kept connections, half on new ones, each paced, so that both workers always have some. What fails
is told; the exit status is 1 when anything did. QUICK=1: 2 restarts instead of 20.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from contract_tests.benchmarks.overload import QUERY, Serving, serving
from contract_tests.benchmarks.targets import Target, conclude

RESTARTS = 2 if os.environ.get("QUICK") else 20  # noqa: TID251 - a benchmark's own switch
LEAST_REQUESTS = RESTARTS * 500
CLIENTS = 4
PAUSE = 0.02


@dataclass(slots=True)
class Tally:
    """What became of the requests."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


def main() -> None:
    """Restart, and tell."""
    with serving("--workers", "2", cores="0,1") as running:
        started = time.monotonic()
        tallies = asyncio.run(roll(running, RESTARTS))
        took = time.monotonic() - started
    figures = {"restarts": RESTARTS, "seconds": round(took, 1)} | {
        f"{name} {what}": value
        for name, tally in tallies.items()
        for what, value in (("requests", tally.answered + len(tally.failed)), ("failed", len(tally.failed)))
    }
    for name, tally in tallies.items():
        for failure in tally.failed[:20]:
            print(f"  {name}: {failure}")
    asked = sum(tally.answered + len(tally.failed) for tally in tallies.values())
    targets = [
        Target("failed", len(problems(tallies)), 0),
        Target("requests", asked, LEAST_REQUESTS, is_least=True),
    ]
    sys.exit(0 if conclude(figures, targets) else 1)


async def roll(running: Serving, restarts: int) -> Mapping[str, Tally]:
    """So many rolling restarts while requests come all the time on kept and on new connections."""
    tallies = {"kept": Tally(), "new": Tally()}
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name, tally in tallies.items():
            for _ in range(CLIENTS):
                group.create_task(_ask(running.port, tally, over, is_kept=name == "kept"))
        for number in range(1, restarts + 1):
            running.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(120):
                while running.told("workers.replaced") < number:  # noqa: ASYNC110 - what we wait for is in a file
                    await asyncio.sleep(0.05)
        over.set()
    return tallies


async def _ask(port: int, tally: Tally, over: asyncio.Event, is_kept: bool) -> None:
    connector = aiohttp.TCPConnector(force_close=not is_kept)
    async with aiohttp.ClientSession(connector=connector) as client:
        while not over.is_set():
            began = time.perf_counter()
            try:
                async with client.post(f"http://127.0.0.1:{port}/graphql", json={"query": QUERY}) as reply:
                    body = await reply.json()
                if reply.status == 200 and "errors" not in body:
                    tally.answered += 1
                else:
                    tally.failed.append(f"{reply.status} {str(body)[:200]}")
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                tally.failed.append(f"{type(error).__name__} {error}")
            tally.times.append(time.perf_counter() - began)
            await asyncio.sleep(PAUSE)


def problems(tallies: Mapping[str, Tally]) -> Sequence[str]:
    """Everything that failed."""
    return [failure for tally in tallies.values() for failure in tally.failed]


if __name__ == "__main__":
    main()
