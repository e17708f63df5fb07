"""Requests a second of four servers over the same upstream systems, for five queries, side by side in one run.

`stock`: Strawberry, httpx and zeep, written by hand. `floor`: a bare ASGI handler with the gateway's HTTP client that makes
the same calls. `jit`: mercurius with graphql-jit on Node. `ours`: the gateway as it is served, store and write-back included.
`anew`: the same with GATEWAY_REUSED_BYTES=0. The upstream systems say the same to the same question throughout, so `ours` gives
most answers again without reading what it heard; what it costs when everything changes all the time is what `anew` shows.
Each is one process on a core of its own; nginx (the upstream systems) and wrk (the load) share the other. Every request
asks for another key than those under way beside it, and nginx's own count proves that each made its calls.
Behind its slot, floor and ours are asked at half of what they reach, by an open loop: that is where p50 and p99 are from.
QUICK=1 takes under a minute, without `anew`. TAILS=1 runs floor and ours only. STOCK_CACHES=1 lets the stock server remember
documents. ROUNDS and SECONDS as you like.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from contract_tests.benchmarks.engine_parts.load import (
    CONCURRENCY,
    PATIENCE,
    Measured,
    put_load_on,
    run_wrk,
    write_bodies,
)
from contract_tests.benchmarks.engine_parts.paced import ARRIVALS, Arrivals
from contract_tests.benchmarks.engine_parts.processes import held, wait_until_quiet
from contract_tests.benchmarks.engine_parts.queries import QUERIES, Query
from contract_tests.benchmarks.engine_parts.servers import ANEW, GATEWAYS, NAMES, Server, servers
from contract_tests.benchmarks.engine_parts.tails import TAILED, Tails
from contract_tests.benchmarks.engine_parts.upstreams import Upstreams, upstreams

OPTIONS = os.environ  # noqa: TID251 - a benchmark's own switches
QUICK = bool(OPTIONS.get("QUICK"))
ROUNDS = int(OPTIONS.get("ROUNDS", "2" if QUICK else "9"))
SECONDS = float(OPTIONS.get("SECONDS", "0.3" if QUICK else "3"))
ONLY_TAILS = bool(OPTIONS.get("TAILS"))
RUNNING = TAILED if ONLY_TAILS else NAMES if QUICK else (*NAMES, ANEW)
WARMING = 0 if QUICK else SECONDS / 6
"""Seconds of load before each slot, which count for nobody: while others had their slots a server was idle for a minute, its memory
out of the caches and some of it taken back by the system. The larger a process the more it slowed down: without this jit and
ours did 11,800 and 5,700 in a run in which they alternate with all others, 18,000 and 7,100 when they did not."""
AT_LEAST = 8 if QUICK else 48
"""Requests in a slot, however slow the server."""
REST = 0.3 if QUICK else 3.0
"""Seconds for what a server does behind its answers to come to an end, after a slot."""
FIRST_REST, STORED_BY = 180.0, 15.0
"""The same before the first slot; QUICK=1 begins so many seconds after its start, even if ours still stores."""
CALLS_TOLERANCE = 0.02
BYTES_TOLERANCE = 0.01
Figures = dict[str, dict[str, list[Measured]]]


def main() -> None:
    """Measure and print."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-engine-") as name, upstreams() as nginx:
        folder = Path(name)
        with servers(nginx, folder, RUNNING) as running:
            _tell(started, "started")
            seconds = {query.name: _check(query, running, nginx) for query in QUERIES}
            _tell(started, "all answers are equal")
            gateways = [server for server in running.values() if server.name in GATEWAYS]
            first_rest = max(STORED_BY - (time.monotonic() - started), REST) if QUICK else FIRST_REST
            is_quiet = all(wait_until_quiet(server.pid, first_rest) for server in gateways)
            if not QUICK:  # what has been stored is told once more, after which it is known to be the last word
                for server in gateways:
                    for query in QUERIES:
                        for body in query.bodies():
                            server.ask(body)
                is_quiet = all(wait_until_quiet(server.pid, FIRST_REST) for server in gateways)
            _tell(started, "ours has stored them" if is_quiet else "ours is still storing them")
            bodies = {query.name: write_bodies(folder / f"{query.name}.jsonl", query.bodies()) for query in QUERIES}
            tails = Tails(SECONDS * (1 if QUICK else 2))
            figures = _measure(running, nginx, bodies, seconds, started, tails)
    if not ONLY_TAILS:
        _print_table(figures)
    _print_refusals(figures)
    tails.print()
    print(f"{time.monotonic() - started:.0f} s in all")
    print(
        json.dumps(
            {query: {name: round(rate(of[name]), 1) for name in NAMES if name in of} for query, of in figures.items()}
        )
    )


def _tell(started: float, what: str) -> None:
    print(f"{time.monotonic() - started:6.1f} s  {what}", file=sys.stderr, flush=True)


def _check(query: Query, running: Mapping[str, Server], nginx: Upstreams) -> dict[str, float]:
    """That all answer all keys alike and make the calls they should; returns the seconds a request takes each, alone."""
    bodies = query.bodies()
    answers: dict[str, list[object]] = {}
    alone: dict[str, float] = {}
    for name, server in running.items():
        some = bodies if name in GATEWAYS else bodies[:: len(bodies) // 4]
        calls = nginx.calls()
        took = []
        answers[name] = []
        for body in some:
            started = time.perf_counter()
            answers[name].append(server.ask(body))
            took.append(time.perf_counter() - started)
        calls = nginx.calls() - calls
        assert calls == query.calls * len(some), f"{name}: {calls} calls for {len(some)} answers to {query.name}"
        alone[name] = min(took)
    for name in answers.keys() & set(GATEWAYS):
        answers[name] = answers[name][:: len(bodies) // 4]
    for name in running:
        for mine, floor in zip(answers[name], answers["floor"], strict=True):
            assert mine == floor, f"{query.name}: {name} and floor differ:\n{_difference(mine, floor)}"
    (root,) = answers["floor"][0].values()  # type: ignore[attr-defined]
    rows = len(root.get("enforcementCases", [root]))
    assert rows == query.rows, f"{query.name}: {rows} rows"
    return alone


def _difference(mine: object, other: object) -> str:
    """The beginning of what two answers do not have in common."""
    one, two = (json.dumps(answer, ensure_ascii=False, sort_keys=True) for answer in (mine, other))
    at = next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), 0)
    return f"{one[max(at - 100, 0) : at + 100]}\n{two[max(at - 100, 0) : at + 100]}"


def _measure(
    running: Mapping[str, Server],
    nginx: Upstreams,
    bodies: Mapping[str, Path],
    seconds: Mapping[str, Mapping[str, float]],
    started: float,
    tails: Tails,
) -> Figures:
    """Every server in turn, query by query, round by round, once all are warm; the tails of some behind their slot."""
    figures: Figures = {query.name: {name: [] for name in RUNNING} for query in QUERIES}
    for query in QUERIES:
        for name, server in running.items():
            if QUICK and name in ("stock", "floor"):
                continue
            with _alone(server, running):
                run_wrk(server, bodies[query.name], SECONDS)
                wait_until_quiet(server.pid, _rest(server))
    slots = {
        (query.name, name): max(SECONDS, AT_LEAST * took)
        for query in QUERIES
        for name, took in seconds[query.name].items()
    }
    for number in range(ROUNDS):
        for query in QUERIES:
            for name, server in running.items():
                slot, had = slots[query.name, name], figures[query.name][name]
                if QUICK and number and slot > 2 * SECONDS:
                    continue
                with _alone(server, running):
                    if WARMING:
                        run_wrk(server, bodies[query.name], WARMING)
                        wait_until_quiet(server.pid, _rest(server))
                    had.append(put_load_on(server, nginx, bodies[query.name], slot, AT_LEAST // 2, _rest(server)))
                    tails.measure(query.name, server, nginx, bodies[query.name], _tails_due(query, name, number))
                slots[query.name, name] = had[-1].seconds
                _check_calls(query, name, had[-1])
        _tell(started, f"round {number + 1} of {ROUNDS}")
    for query in QUERIES:
        sizes = {name: statistics.median(m.bytes_each for m in figures[query.name][name]) for name in RUNNING}
        for name, measured in figures[query.name].items():
            for one in measured:
                away = abs(one.bytes_each / sizes[name] - 1)
                edge = CONCURRENCY / one.requests  # of which wrk may have read a part
                assert away < BYTES_TOLERANCE + edge, f"{query.name}: answers of {name} changed size: {one}"
    return figures


def _tails_due(query: Query, name: str, number: int) -> tuple[Arrivals, ...]:
    """By which arrivals a server is asked at half of what it just reached; at random ones only in the first round."""
    if name not in TAILED or (QUICK and (number or query != QUERIES[0])):
        return ()
    return ARRIVALS[:1] if number else ARRIVALS


def _alone(server: Server, running: Mapping[str, Server]) -> AbstractContextManager[None]:
    """Keeps what ours still stores from taking time of the others."""
    stack = ExitStack()
    for name in running.keys() & set(GATEWAYS) - {server.name}:
        stack.enter_context(held(running[name].pid))
    return stack


def _rest(server: Server) -> float:
    """Seconds that a server may go on after a slot: what others began they finish, what ours stores behind may wait."""
    return REST if server.name in GATEWAYS else PATIENCE


def _check_calls(query: Query, name: str, found: Measured) -> None:
    """That every answer was paid for with all of its calls; those under way in the end may have made theirs or not."""
    least, most = found.requests * query.calls, (found.requests + CONCURRENCY) * query.calls
    is_paid = least * (1 - CALLS_TOLERANCE) <= found.calls <= most * (1 + CALLS_TOLERANCE)
    assert is_paid, f"{query.name}: {name} should have made {least} to {most} calls: {found}"


def rate(measured: Sequence[Measured]) -> float:
    """Requests a second: the median of the rounds."""
    return statistics.median(one.per_second for one in measured)


def cpu(measured: Sequence[Measured]) -> float:
    """Processor time of a request in µs: the median of the rounds."""
    return statistics.median(one.cpu_us for one in measured)


def _print_table(figures: Figures) -> None:
    print(
        f"engine: requests a second, {CONCURRENCY} at a time, medians of {ROUNDS} rounds of {SECONDS:g} s; CPU µs a request"
    )
    print(
        f"  {'query':<8}"
        + "".join(f"{name + ' rps':>12}{'CPU µs':>10}" for name in RUNNING)
        + f"{'of floor':>10}{'x stock':>9}{'x jit':>7}{'CPU of floor':>14}"
    )
    for query, of in figures.items():
        cells = "".join(f"{rate(of[name]):>12.1f}{cpu(of[name]):>10.0f}" for name in RUNNING)
        ours, by_cpu = rate(of["ours"]), cpu(of["floor"]) / cpu(of["ours"])
        ratios = f"{ours / rate(of['floor']):>10.2f}{ours / rate(of['stock']):>9.1f}{ours / rate(of['jit']):>7.2f}{by_cpu:>14.2f}"
        print(f"  {query:<8}{cells}{ratios}", flush=True)
    if ANEW in RUNNING:
        print("  with nothing given again, of floor / x stock / x jit / CPU of floor:")
        for query, of in figures.items():
            anew = rate(of[ANEW])
            print(
                f"  {query:<8}{anew / rate(of['floor']):>6.2f}{anew / rate(of['stock']):>8.1f}{anew / rate(of['jit']):>7.2f}"
                f"{cpu(of['floor']) / cpu(of[ANEW]):>7.2f}",
                flush=True,
            )


def _print_refusals(figures: Figures) -> None:
    """Ours refuses when it is kept from its core; where that happened, the figures of this run are worth little."""
    for query, of in figures.items():
        if refused := statistics.mean(one.refused for one in of["ours"]):
            print(
                f"  ours refused {refused:.1%} of {query}: its event loop was late; is this machine busy?", flush=True
            )


if __name__ == "__main__":
    main()
