"""What a gateway does with more than it can take: goodput and refusals at several times its peak.

The server has core 0, the load core 1. The query is a list from the store, so that no source's own limits are measured. Peak
is what sixteen clients get that ask again as soon as they are answered, on kept connections or on a new one each time. Then
requests come at a rate of their own, each with a deadline of one second (`X-Request-Timeout: 1`). A machine is by a few percent
faster or slower from one minute to the next, so the peak is looked for before and after every step, whose goodput is a
share of the mean of the two. QUICK=1 makes short steps.
The last line is one JSON object, with what fails of what is promised.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from contract_tests.benchmarks.open_loop import Load, Seen, percentile
from contract_tests.benchmarks.targets import Target, conclude
from gateway.definitions import prove
from gateway.demo import simulators
from gateway.log import configure_logging
from gateway.returning import return_everything
from gateway.settings import PROJECT

DEADLINE = 1.0
QUERY = """query Cases { enforcementCases(first: 50, orderBy: [{field: FILED_DATE, direction: DESC}]) { totalCount nodes {
    id caseCode caseName causeOfAction caseStatus filedDate involvedAmount violationPlace isMajor
    provenance { source mode asOf } } } }"""
QUICK = bool(os.environ.get("QUICK"))  # noqa: TID251 - a benchmark's own switch


def main() -> None:
    """Measure and print."""
    step, rest, look = (4.0, 3.0, 2.0) if QUICK else (30.0, 6.0, 6.0)
    figures: dict[str, object] = {}
    steps: dict[str, dict[str, float]] = {}
    targets: list[Target] = []
    go_first()
    with serving() as running:
        port = running.port
        os.sched_setaffinity(0, {1})
        request = post(QUERY)
        assert "errors" not in (told_once := ask_once(port, QUERY)), told_once
        for is_kept in (True, False):
            name = "kept" if is_kept else "new"
            closed_loop(port, request, look, is_kept)  # to warm up
            peaks = [closed_loop(port, request, look, is_kept)]
            rate = peaks[0]
            print(f"overload: peak on {name} connections {rate:.0f} requests a second; steps of {step:g} s", flush=True)
            for factor in (0.8, 5.0, 10.0):
                seen, lateness = _open_loop(port, request, is_kept, rate * factor, step)
                after, _ = _open_loop(port, request, is_kept, rate / 2, rest) if factor == 10.0 else ([], [])
                peaks.append(closed_loop(port, request, look, is_kept))
                at, peak = f"{name} {factor:g}x", statistics.mean(peaks[-2:])
                steps[at] = told(at, seen, step, peak, lateness)
            figures[f"{name} peaks"] = [round(one, 1) for one in peaks]
            bad = max((seen.due for seen in after if seen.status != 200), default=0.0)
            figures[f"{name} normal after, s"] = round(bad, 2)
            print(f"  {name:<5} normal again after {bad:.2f} s of half load")
            targets += [*_targets(name, steps), Target(f"{name}: seconds until normal again", bad, 2.0)]
    conclude({**figures, **steps}, targets)


def _open_loop(
    port: int, request: bytes, is_kept: bool, rate: float, seconds: float
) -> tuple[Sequence[Seen], Sequence[float]]:
    """What became of requests at this rate, and how late each was sent."""
    load = Load(port, request, DEADLINE, is_kept)
    try:
        return load.run(rate, seconds), load.lateness
    finally:
        load.close()


def _targets(name: str, steps: Mapping[str, Mapping[str, float]]) -> list[Target]:
    """Refusals count from when they were sent: the generator has a core to itself, and still is late at ten times the peak."""
    found: list[Target] = []
    for factor in ("5x", "10x"):
        at, step = f"{name} {factor}", steps[f"{name} {factor}"]
        found += [
            Target(f"{at}: goodput of peak", step["of peak"], 0.9, is_least=True),
            Target(f"{at}: ms p99 of refusals", step["from sent ms"], 20.0),
            Target(f"{at}: refusals without Retry-After, and failures", step["failed"] + step["other"], 0),
        ]
    return found


def told(name: str, seen: Sequence[Seen], seconds: float, peak: float, lateness: Sequence[float]) -> dict[str, float]:
    """One line of the table. What was in when a step was over is answered later, and is no goodput of it."""
    good = [one.took for one in seen if one.status == 200 and one.took <= DEADLINE and one.due + one.took <= seconds]
    refused = [one.took for one in seen if one.status == 503]
    sent = [one.took - one.late for one in seen if one.status == 503]
    figures = {
        "asked": len(seen) / seconds,
        "goodput": len(good) / seconds,
        "peak": peak,
        "of peak": len(good) / seconds / peak,
        "p50 ms": percentile(good, 0.5) * 1000,
        "p99 ms": percentile(good, 0.99) * 1000,
        "refused": len(refused) / seconds,
        "refused p50 ms": percentile(refused, 0.5) * 1000,
        "refused p99 ms": percentile(refused, 0.99) * 1000,
        "from sent ms": percentile(sent, 0.99) * 1000,
        "late": sum(one.status == 0 for one in seen) / seconds,
        "failed": sum(one.status == -1 for one in seen) / seconds,
        "other": sum(one.status not in (200, 503, 0, -1) for one in seen) / seconds,
        "sender late p99 ms": percentile(lateness, 0.99) * 1000,
    }
    print(f"  {name:<10} " + "  ".join(f"{key} {value:.2f}" for key, value in figures.items()), flush=True)
    return {key: round(value, 3) for key, value in figures.items()}


def closed_loop(port: int, request: bytes, seconds: float, is_kept: bool = True, clients: int = 16) -> float:
    """Answers a second to clients that each ask again as soon as they are answered, on one connection each or on a new one."""
    load = Load(port, request, DEADLINE, is_kept)
    try:
        return load.peak(clients, seconds)
    finally:
        load.close()


def ask_once(port: int, query: str) -> dict[str, object]:
    """The body of one answer."""
    answer = httpx.post(f"http://127.0.0.1:{port}/graphql", json={"query": query}, trust_env=False)
    return dict(answer.json())


def post(query: str) -> bytes:
    """The bytes of a POST."""
    body = json.dumps({"query": query}).encode()
    head = (
        "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"x-request-timeout: {DEADLINE:g}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def go_first() -> None:
    """Before other work of this machine, as far as we may: what is measured is the gateway, not who else is here."""
    with suppress(PermissionError):
        os.nice(-15)


@dataclass(frozen=True, slots=True)
class Serving:
    """A gateway in processes of its own."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def told(self, event: str) -> int:
        """How many times its log names an event."""
        return self.log.read_text("utf-8").count(f'"{event}"')


@contextmanager
def serving(*options: str, cores: str = "0", **settings: str) -> Iterator[Serving]:
    """A gateway on cores of its own, its store filled by one data return."""
    with tempfile.TemporaryDirectory() as folder, (file := Path(folder) / "log").open("w", encoding="utf-8") as log:
        configure_logging(log)
        environment = {
            "GATEWAY_DATABASE_URL": f"sqlite:///{Path(folder) / 'gateway.db'}",
            "GATEWAY_PARTY_KEY_SECRET": "benchmark",
            "GATEWAY_SYNC_EMBEDDED": "false",
            **settings,
        }
        with simulators() as children:
            for child in children:
                environment |= child.environment
            return_everything(*prove(environment), lambda _line: None)
        with serving_process(environment, file, *options, cores=cores) as running:
            yield running


@contextmanager
def serving_process(environment: Mapping[str, str], file: Path, *options: str, cores: str) -> Iterator[Serving]:
    """`gateway serve` with this environment, logging to a file, once it is ready; ended by SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = ["taskset", "-c", cores, sys.executable, "-m", "gateway.cli", "serve", "--port", str(port), *options]
    with file.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=PROJECT,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until_ready(port)
        yield Serving(port, process, file)
    finally:
        process.terminate()
        process.wait(60)


def wait_until_ready(port: int, seconds: float = 60.0) -> None:
    """Until `/readyz` says so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the gateway did not become ready")


if __name__ == "__main__":
    main()
