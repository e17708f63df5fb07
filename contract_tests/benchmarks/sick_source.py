"""One source sick in each of its ways: what that costs queries that do not touch it, and what those that do are told, and when.

The gateway is a process of its own over the shipped mappings; all six systems are simulated, `transport_licence` (SOAP) is
the sick one. The gateway has core 0, all else core 1. Short rounds with and without the fault are interleaved, so that a noisy
machine disturbs both alike. Printed for each fault: p99 of healthy queries in ms, the median of its ratios to the round before
without the fault, their errors, the slowest answer about the sick source
in seconds, how many calls reached it for each question, and when its breaker was first seen open, in seconds.
QUICK=1 takes a minute. The last line is one JSON object, with what fails of what is promised.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from adapters.simulator.faults import Fault
from contract_tests.benchmarks.engine_parts.processes import LOAD_CORE, SERVER_CORE, pinned
from contract_tests.benchmarks.targets import Target, conclude
from contract_tests.federation import Federation, federation

QUICK = bool(os.environ.get("QUICK"))  # noqa: TID251 - a benchmark's own switch
ROUNDS, SECONDS = (2, 2.0) if QUICK else (15, 3.0)
HEALTHY_EVERY, SICK_EVERY = 0.01, 0.1
SICK = "transport_licence"
FAULTS: Mapping[str, Fault] = {
    "silent": Fault("slow", seconds=30),
    "HTTP 500": Fault("fail"),
    "throttled": Fault("throttle"),
    "cut off": Fault("truncate"),
    "login page": Fault("garbage"),
    "closed": Fault("drop"),
    "SOAP Fault": Fault("fault"),
}
HEALTHY_QUERY = """{ enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "BHSJ-2024-0137") {
    caseName causeOfAction filedDate involvedAmount } }"""
SICK_QUERY = '{ party(uscc: "91350100MA0B00015H") { partyName licenses { certCode } } }'
LATE = 0.05
TIMEOUT = 2.0
"""Seconds that the client gives a question about the sick source."""


@dataclass
class Seen:
    """What was seen in the rounds of one kind."""

    healthy: list[float] = field(default_factory=list)
    healthy_errors: int = 0
    sick: list[float] = field(default_factory=list)
    untold: int = 0
    """Answers about the sick source that had neither data nor a typed error."""
    calls: int = 0
    opened: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="bench-sick-") as name, federation(Path(name)) as running:
        port = _free_port()
        environment = {**os.environ, **running.environment}  # noqa: TID251 - the child's
        environment["GATEWAY_DATABASE_URL"] = f"sqlite:///{name}/gateway.db"
        environment["GATEWAY_CACHE_ENTRIES"] = "0"  # every question reaches its source
        command = pinned(SERVER_CORE, [sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)])
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if (os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, {LOAD_CORE})  # simulators included, which are threads of this process
        try:
            found = asyncio.run(_compare_all(port, running))
        finally:
            process.terminate()
            process.wait(30)
    print(
        f"{'fault':12} {'p99 ms':>8} {'ratio':>6} {'errors':>6} {'slowest s':>9} {'untold':>6} {'calls/q':>7} {'open s':>6}"
    )
    for name, told in found.items():
        print(
            f"{name:12} {told['p99_ms']:8.1f} {told['ratio']:6.2f} {told['errors']:6d} {told['slowest_s']:9.2f} "
            f"{told['untold']:6d} {told['calls_per_question']:7.2f} {told['open_s']:6.2f}"
        )
    conclude(found, [target for name, told in found.items() for target in _targets(name, told)])


def _targets(fault: str, told: Mapping[str, Any]) -> list[Target]:
    return [
        Target(f"{fault}: ratio of p99 of those who do not touch it", told["ratio"], 1.1),
        Target(f"{fault}: errors of theirs", told["errors"], 0),
        Target(f"{fault}: seconds of the slowest answer about it", told["slowest_s"], TIMEOUT + LATE),
        Target(f"{fault}: answers about it that told nothing", told["untold"], 0),
        Target(f"{fault}: calls that reached it for each question", told["calls_per_question"], 1.1),
        Target(f"{fault}: seconds until its breaker is open", told["open_s"], 1.0),
    ]


async def _compare_all(port: int, running: Federation) -> dict[str, dict[str, Any]]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        await _wait(session)
        return {name: await _compare(session, running, fault) for name, fault in FAULTS.items()}


async def _compare(session: aiohttp.ClientSession, running: Federation, fault: Fault) -> dict[str, Any]:
    well, ill, ratios = Seen(), Seen(), []
    simulator = running.simulators[SICK]
    await _round(session, running, Seen(), 0.5)
    for _ in range(ROUNDS):
        before = len(well.healthy), len(ill.healthy)
        await _round(session, running, well, SECONDS)
        simulator.faults.add(fault)
        await _round(session, running, ill, SECONDS)
        simulator.faults.clear()
        await _recover(session)
        ratios.append(_p99(ill.healthy[before[1] :]) / _p99(well.healthy[before[0] :]))
    return {
        "p99_ms": _p99(ill.healthy) * 1000,
        "ratio": statistics.median(ratios),
        "errors": ill.healthy_errors,
        "slowest_s": max(ill.sick),
        "untold": ill.untold,
        "calls_per_question": ill.calls / len(ill.sick),
        "open_s": statistics.median(ill.opened) if ill.opened else float("nan"),
    }


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


async def _round(session: aiohttp.ClientSession, running: Federation, seen: Seen, seconds: float) -> None:
    """Both kinds of questions at their own pace; each is sent when its time has come."""
    running.forget_calls()
    loop = asyncio.get_running_loop()
    began, tasks = loop.time(), []
    watching = asyncio.create_task(_watch(session, began, seen))
    healthy_at = sick_at = began
    while loop.time() < began + seconds:
        now = loop.time()
        if now >= healthy_at:
            tasks.append(asyncio.create_task(_healthy(session, seen)))
            healthy_at += HEALTHY_EVERY
        if now >= sick_at:
            tasks.append(asyncio.create_task(_sick(session, seen)))
            sick_at += SICK_EVERY
        await asyncio.sleep(max(0.0, min(healthy_at, sick_at) - loop.time()))
    await asyncio.gather(*tasks)
    watching.cancel()
    seen.calls += len(running.simulators[SICK].calls.seen("licenses_of_holder"))


async def _healthy(session: aiohttp.ClientSession, seen: Seen) -> None:
    started = time.perf_counter()
    async with session.post("/graphql", json={"query": HEALTHY_QUERY}) as response:
        answer = await response.json()
    seen.healthy.append(time.perf_counter() - started)
    seen.healthy_errors += "errors" in answer or not answer["data"]["enforcementCase"]


async def _sick(session: aiohttp.ClientSession, seen: Seen) -> None:
    started = time.perf_counter()
    headers = {"x-request-timeout": str(TIMEOUT)}
    async with session.post("/graphql", json={"query": SICK_QUERY}, headers=headers) as response:
        answer = await response.json()
    seen.sick.append(time.perf_counter() - started)
    told = [error.get("extensions", {}).get("code") for error in answer.get("errors", ())]
    told += [error["code"] for error in answer.get("extensions", {}).get("sourceErrors", ())]
    party = (answer.get("data") or {}).get("party") or {}
    seen.untold += not party.get("partyName") or (party.get("licenses") is None and not any(told))


async def _watch(session: aiohttp.ClientSession, began: float, seen: Seen) -> None:
    """When the breaker is first seen open."""
    while True:
        if not await _is_closed(session):
            seen.opened.append(asyncio.get_running_loop().time() - began)
            return
        await asyncio.sleep(0.05)


async def _recover(session: aiohttp.ClientSession) -> None:
    """Wait until the breaker has tried the source and closed again."""
    while not await _is_closed(session):
        await _sick(session, Seen())
        await asyncio.sleep(0.2)


async def _is_closed(session: aiohttp.ClientSession) -> bool:
    async with session.get("/readyz") as response:
        told = await response.json()
    return all(state == "closed" for state in told["sources"][SICK]["breakers"].values())


async def _wait(session: aiohttp.ClientSession) -> None:
    for _ in range(300):
        try:
            async with session.get("/readyz") as response:
                if response.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit("the gateway did not start")


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


if __name__ == "__main__":
    main()
