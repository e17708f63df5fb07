"""A thousand half-open connections: what they cost those who ask, and when the last of them is closed.

The server has core 0, everything else core 1. Rounds with and without them are interleaved, in pairs of which every other
begins with them. In a round with them a process of its own opens 1,000 connections within five seconds: four hundred say
nothing, three hundred half a head, three hundred half a body; then it waits for each of them to be closed. Others ask for a
list from the store all the while, on kept connections, at a third of what the gateway can take, at the same moments in both
rounds of a pair. A p99 is made of ten answers of a round, so one pause of the machine decides it: processors are kept awake, as
where tails of the engine are measured, and the ratio is the median of the pairs. QUICK=1 takes a minute and a half. The last
line is one JSON object, with what fails of what is promised.
"""

import multiprocessing
import os
import select
import socket
import statistics
import time
from collections import Counter
from contextlib import ExitStack
from multiprocessing.connection import Connection

from contract_tests.benchmarks.engine_parts.processes import awake
from contract_tests.benchmarks.open_loop import Load, percentile
from contract_tests.benchmarks.overload import QUERY, closed_loop, go_first, post, serving
from contract_tests.benchmarks.targets import Target, conclude

QUICK = bool(os.environ.get("QUICK"))  # noqa: TID251 - a benchmark's own switch
ROUNDS, SECONDS = (3, 12.0) if QUICK else (11, 12.0)
COUNT = 1000
OPENING = 5.0
SHARE = 0.33
LONGEST = 20.0
HALF_HEAD = b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-le"
HALF_BODY = b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 90\r\n\r\n{"


def main() -> None:
    """Measure and print."""
    go_first()
    with serving() as running, ExitStack() as stack:
        os.sched_setaffinity(0, {1})
        request = post(QUERY)
        stack.enter_context(awake())
        peak = closed_loop(running.port, request, 3.0)
        rounds: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
        late: list[float] = []
        bad: Counter[int] = Counter()
        left, last = 0, 0.0
        for number in range(2 * ROUNDS):
            is_with = number % 4 in (1, 2)
            mine, theirs = multiprocessing.Pipe()
            holder = multiprocessing.get_context("fork").Process(target=_hold, args=(running.port, theirs))
            if is_with:
                holder.start()
            load = Load(running.port, request, 5.0, is_kept=True)
            seen = load.run(peak * SHARE, SECONDS, seed=number // 2)
            load.close()
            late += load.lateness
            bad.update(one.status for one in seen if one.status != 200)
            took = [one.took for one in seen]
            rounds[is_with].append((percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000))
            if is_with:
                closed, still_open = mine.recv()
                last, left = max(last, closed), left + still_open
                holder.join()
            name = "with" if is_with else "without"
            print(f"  {name:<8} p50 {rounds[is_with][-1][0]:.2f} ms  p99 {rounds[is_with][-1][1]:.2f} ms", flush=True)
    ratios = [with_[1] / without[1] for with_, without in zip(rounds[True], rounds[False], strict=True)]
    figures = {
        "rate": round(peak * SHARE, 1),
        "p99 without, ms": round(statistics.median(one[1] for one in rounds[False]), 2),
        "p99 with, ms": round(statistics.median(one[1] for one in rounds[True]), 2),
        "ratio of p99, median of rounds": round(statistics.median(ratios), 3),
        "not 200": dict(bad),
        "longest open, s": round(last, 2),
        "never closed": left,
        "sender late p99, ms": round(percentile(late, 0.99) * 1000, 2),
        "ratios": [round(one, 2) for one in ratios],
    }
    print("  " + "  ".join(f"{name} {value}" for name, value in figures.items()))
    conclude(
        figures,
        [
            Target("ratio of p99 of others", statistics.median(ratios), 1.1),
            Target("seconds the longest was open", last, 12.0),
            Target("never closed", left, 0),
            Target("questions of others that failed", sum(bad.values()), 0),
        ],
    )


def _hold(port: int, told: Connection) -> None:
    """Open them, and tell when the last was closed and how many never were."""
    poll, held = select.epoll(), {}
    began = time.perf_counter()
    opened: dict[int, float] = {}
    for number in range(COUNT):
        time.sleep(max(0.0, began + OPENING * number / COUNT - time.perf_counter()))
        one = socket.create_connection(("127.0.0.1", port))
        if said := b"" if number % 10 < 4 else HALF_HEAD if number % 10 < 7 else HALF_BODY:
            one.sendall(said)
        one.setblocking(False)
        held[one.fileno()] = one
        opened[one.fileno()] = time.perf_counter()
        poll.register(one.fileno(), select.EPOLLIN)
    last = 0.0
    while held and time.perf_counter() - began < OPENING + LONGEST:
        for descriptor, _ in poll.poll(0.1):
            try:
                is_open = bool(held[descriptor].recv(4096))
            except OSError:
                is_open = False
            if not is_open:
                poll.unregister(descriptor)
                held.pop(descriptor).close()
                last = max(last, time.perf_counter() - opened[descriptor])
    told.send((last, len(held)))


if __name__ == "__main__":
    main()
