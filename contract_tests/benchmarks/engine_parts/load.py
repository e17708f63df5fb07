"""Load: wrk in a closed loop on the core beside the server's, and what it costs the server."""

import json
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contract_tests.benchmarks.engine_parts.processes import LOAD_CORE, cpu_seconds, pinned, wait_until_quiet
from contract_tests.benchmarks.engine_parts.servers import GATEWAYS, Server
from contract_tests.benchmarks.engine_parts.upstreams import Upstreams, program

SCRIPT = Path(__file__).with_name("load.lua")
CONCURRENCY = 16
PATIENCE = 30
LONGEST = 60.0
"""Seconds of a slot at most."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One slot of load on one server. Only answers count; `refused` is the share of requests that were answered 503.

    `cpu_us` is of one answer, with write-back beside it but not after it; `calls` are all that nginx counted.
    """

    requests: int
    per_second: float
    cpu_us: float
    calls: int
    bytes_each: float
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: float


def put_load_on(
    server: Server, upstreams: Upstreams, bodies: Path, seconds: float, at_least: int, rest: float
) -> Measured:
    """A slot of load, longer when it has fewer requests than `at_least`, then at most `rest` seconds to come to rest.

    Raises AssertionError for any failed request.
    """
    while (found := _slot(server, upstreams, bodies, seconds, rest)).requests < at_least:
        assert seconds < LONGEST, f"{server.name}: {found.requests} requests in {seconds:.0f} s"
        seconds *= 3
    return found


def _slot(server: Server, upstreams: Upstreams, bodies: Path, seconds: float, rest: float) -> Measured:
    calls, cpu = upstreams.calls(), cpu_seconds(server.pid)
    told = run_wrk(server, bodies, seconds)
    cpu = cpu_seconds(server.pid) - cpu
    calls = upstreams.calls() - calls
    wait_until_quiet(server.pid, rest)
    assert told["errors"] == 0 and (server.name in GATEWAYS or not told["refused"]), f"{server.name}: {told}"  # noqa: PT018
    requests = told["requests"] - told["refused"]
    under_way = CONCURRENCY / 2  # what wrk left unread in the end was paid for too: half of each, on average
    return Measured(
        requests,
        requests / told["us"] * 1e6,
        cpu / (requests + under_way) * 1e6,
        calls,
        told["bytes"] / max(requests, 1),
        seconds,
        told["p50"] / 1000,
        told["p99"] / 1000,
        told["refused"] / told["requests"] if told["requests"] else 0.0,
    )


def run_wrk(server: Server, bodies: Path, seconds: float) -> dict[str, int]:
    """What wrk tells of a closed loop over so many connections for so long."""
    address = f"http://127.0.0.1:{server.port}"
    most = f"{int(seconds) + PATIENCE}s"
    command = [program("wrk", "wrk"), "-t1", f"-c{CONCURRENCY}", f"-d{most}", f"--timeout={PATIENCE}s"]
    command += ["-s", str(SCRIPT), address, "--", str(bodies)]
    while True:
        wrk = subprocess.Popen(pinned(LOAD_CORE, command), stdout=subprocess.PIPE, text=True)
        try:
            time.sleep(seconds)
        finally:
            wrk.send_signal(signal.SIGINT)  # it counts whole seconds only, and tells its figures when interrupted
        output, _ = wrk.communicate(timeout=PATIENCE)
        if lines := output.strip().splitlines():
            told: dict[str, int] = json.loads(lines[-1])
            return told
        assert seconds < LONGEST, "wrk tells nothing"
        seconds *= 2  # interrupted before it had begun


def write_bodies(file: Path, bodies: Sequence[bytes]) -> Path:
    """The bodies as wrk's script reads them."""
    file.write_bytes(b"\n".join(bodies) + b"\n")
    return file
