"""Hostile bodies of up to 256 KB (group G): what each costs the gateway, and how late its event loop is under twenty a second.

The server has core 0. First every body of `contract_tests/hostile_bodies.py` is sent alone, each time as one never seen
before; its cost is the processor time that the whole process took for it, the least of some, less what the same text takes
when it is known and no longer has to be planned (what is refused counts in full). Then bodies come at twenty a second while
others ask ordinary questions; how late the loop was is read from the gateway's own histogram in `/metrics`.
QUICK=1 takes a minute. The last line is one JSON object, with what fails of what is promised.
"""

import itertools
import os
import re
import threading
import time
from pathlib import Path

import httpx

from contract_tests.benchmarks.open_loop import percentile
from contract_tests.benchmarks.overload import QUERY, go_first, post, serving
from contract_tests.benchmarks.targets import Target, conclude
from contract_tests.hostile_bodies import hostile_bodies

QUICK = bool(os.environ.get("QUICK"))  # noqa: TID251 - a benchmark's own switch
TIMES, SECONDS = (3, 20.0) if QUICK else (7, 60.0)
RATE = 20.0
MOST_MS = 20.0
LAG = re.compile(r'^gateway_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.e+]+)$', re.MULTILINE)
NEW = itertools.count()


def main() -> None:
    """Measure and print."""
    bodies = hostile_bodies()
    go_first()
    with serving() as running:
        os.sched_setaffinity(0, {1})
        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", trust_env=False, timeout=30) as client:
            client.post("/graphql", content=b'{"query":"{ __typename }"}', headers={"content-type": "application/json"})
            costs = {name: _cost(client, running.process.pid, body) for name, body in bodies.items()}
            calm = _under_fire(client, running.port, [])
            lags = _under_fire(client, running.port, list(bodies.values()))
    worst = sorted(costs.items(), key=lambda one: -one[1][0])
    for name, (cost, whole) in worst[:10]:
        print(f"  {cost:6.2f} ms of CPU ({whole:5.2f} with its answer)  {len(bodies[name]):>7} bytes  {name}")
    print(
        f"  {len(costs)} bodies, {sum(cost > MOST_MS for cost, _ in costs.values())} of them dearer than {MOST_MS:g} ms"
    )
    for what, told in (("without", calm), ("with", lags)):
        print(f"  {what:<8}" + "  ".join(f"{name} {value}" for name, value in told.items()))
    found = {
        "worst_ms": {name: [round(one, 2) for one in cost] for name, cost in worst[:10]},
        "without": calm,
        "with": lags,
    }
    conclude(
        found,
        [
            Target("ms of CPU to refuse or plan the dearest body", worst[0][1][0], MOST_MS),
            Target("ms of loop lag p99 under fire", lags["loop lag p99 at most, ms"], MOST_MS),
            Target("bodies a second", lags["bodies a second"], RATE * 0.9, is_least=True),
        ],
    )


def unseen(body: bytes) -> bytes:
    """The body with a text that was never asked before, where it has one."""
    return body.replace(b'"query":"', b'"query":"#%d\\n' % next(NEW), 1)


def _cost(client: httpx.Client, pid: int, body: bytes) -> tuple[float, float]:
    """Milliseconds of processor time to refuse or plan it, and with its answer."""
    wholes, answers = [], []
    for _ in range(TIMES):
        asked = unseen(body)
        whole, answer = _timed(client, pid, asked)
        assert answer.status_code in (200, 400, 413), answer.text
        wholes.append(whole)
        is_executed = answer.status_code == 200 and answer.json().get("data") is not None
        answers.append(_timed(client, pid, asked)[0] if is_executed else 0.0)
    return min(wholes) - min(answers), min(wholes)


def _timed(client: httpx.Client, pid: int, body: bytes) -> tuple[float, httpx.Response]:
    time.sleep(0.01)
    before = _cpu(pid)
    answer = client.post("/graphql", content=body, headers={"content-type": "application/json"})
    return (_cpu(pid) - before) * 1000, answer


def _cpu(pid: int) -> float:
    """Seconds that all threads of the process ran, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def _under_fire(client: httpx.Client, port: int, bodies: list[bytes]) -> dict[str, float]:
    """How late the loop was, and how long ordinary questions took, while these bodies came at RATE."""
    ordinary: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        body = post(QUERY).partition(b"\r\n\r\n")[2]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as asking:
            while not is_over.wait(0.05):
                began = time.perf_counter()
                asking.post("/graphql", content=body, headers={"content-type": "application/json"})
                ordinary.append(time.perf_counter() - began)

    before = _lags(client)
    asking = threading.Thread(target=ask)
    asking.start()
    began, statuses = time.perf_counter(), []
    for number in range(int(SECONDS * RATE)):
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        if not bodies:
            continue
        answer = client.post(
            "/graphql", content=unseen(bodies[number % len(bodies)]), headers={"content-type": "application/json"}
        )
        statuses.append(answer.status_code)
    rate = len(statuses) / (time.perf_counter() - began)
    is_over.set()
    asking.join()
    after = _lags(client)
    seen = {bound: after[bound] - before[bound] for bound in after}
    total = seen.pop(float("inf"))
    p99 = min((bound for bound, count in seen.items() if count >= 0.99 * total), default=float("inf"))
    return {
        "bodies a second": round(rate, 1),
        "loop lag p99 at most, ms": p99 * 1000,
        "looks at it": total,
        "within 20 ms, %": round(100 * seen[0.02] / total, 2),
        "ordinary p50 ms": round(percentile(ordinary, 0.5) * 1000, 1),
        "ordinary p99 ms": round(percentile(ordinary, 0.99) * 1000, 1),
        "503": statuses.count(503),
    }


def _lags(client: httpx.Client) -> dict[float, float]:
    return {float(bound): float(count) for bound, count in LAG.findall(client.get("/metrics").text)}


if __name__ == "__main__":
    main()
