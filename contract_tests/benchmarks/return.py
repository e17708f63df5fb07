"""Data return beside dlt doing the same merge, and beside a plain merge of rows that are ready: rows a second.

`exchange`: 100,000 rows of 30 text columns in an exchange database (PostgreSQL). `paged`: the same as JSON, 5,000 a page.
`ours`: mapped, checked, landed with payload, links, changes and ledger, page by page. `dlt`: its default pipeline in a virtual
environment of its own, the thirty fields converted with ten checks in one `add_map`, merged by the case number. `copy`: see
`return_parts/plain.py`. Every run has a process and an empty database of its own; only the run itself is timed, and rounds go
round all of them. `ours` and `dlt` of the last line are over both feeds together. Beside rows a second stands the processor
time of a row, the database's own included (the exchange's too, which is the same server): on a busy machine that is what
can be compared.

QUICK=1: few rows, one round. ROWS=…, ROUNDS=…. ROWS=2000000 MEMORY=1: only ours, and its resident memory (FEED, TARGET to pick).
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from contract_tests.benchmarks.return_parts.feeds import fill_exchange, paged_interface
from contract_tests.servers import postgres_server

PARTS = Path(__file__).parent / "return_parts"
PINNED = PARTS / "dlt.txt"
FEEDS, TARGETS = ("exchange", "paged"), ("postgres", "sqlite")
NUMBERS = count(1)


def main() -> None:
    """Measure and print."""
    given = os.environ  # noqa: TID251 - a benchmark's own switches
    is_quick, rows = bool(given.get("QUICK")), int(given.get("ROWS", 4_000 if given.get("QUICK") else 100_000))
    rounds = int(given.get("ROUNDS", 1 if is_quick else 3))
    feeds = [given["FEED"]] if "FEED" in given else list(FEEDS)
    targets = [given["TARGET"]] if "TARGET" in given else list(TARGETS)
    with postgres_server() as url, paged_interface(rows) as paged:
        plain_url = url.replace("+psycopg", "")
        fill_exchange(plain_url, rows)
        given["BENCH_SERVER"] = _first_process(plain_url)
        sources = {"exchange": plain_url, "paged": paged}
        if given.get("MEMORY"):
            _measure_memory(plain_url, sources, feeds, targets)
        else:
            _measure(plain_url, sources, feeds, targets, rows, rounds, dlt_python())


def _measure(
    server: str, sources: dict[str, str], feeds: list[str], targets: list[str], rows: int, rounds: int, dlt: str
) -> None:
    ours = "contract_tests.benchmarks.return_parts.ours"
    plain = "contract_tests.benchmarks.return_parts.plain"
    seconds: dict[tuple[str, str, str], list[float]] = {}
    busy: dict[tuple[str, str, str], list[float]] = {}

    def take(target: str, who: str, feed: str, command: Callable[[str], list[str]]) -> None:
        with _empty(server, target) as url:
            os.sync()  # what the run before left for the disk is not this one's to wait for
            told = _run(command(url))
        assert told["rows"] == rows, told
        seconds.setdefault((target, who, feed), []).append(told["seconds"])
        busy.setdefault((target, who, feed), []).append(told["cpu"])

    for _ in range(rounds):
        for target in targets:
            take(target, "copy", "", lambda url: [sys.executable, "-m", plain, url, str(rows)])
            for feed in feeds:
                told = (feed, sources[feed])
                take(target, "ours", feed, lambda url, t=told: [sys.executable, "-m", ours, t[0], url, t[1]])
                merge = [dlt, str(PARTS / "dlt_merge.py"), feed]
                take(target, "dlt", feed, lambda url, m=merge, t=told: [*m, url.replace("+psycopg", ""), t[1]])
    median = {name: statistics.median(times) for name, times in seconds.items()}
    cpu = {name: 1e6 * statistics.median(times) / rows for name, times in busy.items()}
    print(f"return: {rows} rows of 30 fields, rows a second, medians of {rounds} rounds")
    figures: dict[str, dict[str, int]] = {}
    for target in targets:
        copy = rows / median[target, "copy", ""]
        for feed in feeds:
            mine, theirs = rows / median[target, "ours", feed], rows / median[target, "dlt", feed]
            used = [cpu[target, who, feed if who != "copy" else ""] for who in ("ours", "dlt", "copy")]
            print(
                f"  {target:<9}{feed:<9} ours {mine:8.0f}   dlt {theirs:8.0f} ({mine / theirs:.1f}x)   copy {copy:8.0f} ({mine / copy:.2f})"
                f"   µs of CPU a row: ours {used[0]:.0f}, dlt {used[1]:.0f}, copy {used[2]:.0f}"
            )
        figures[target] = {
            **{
                who: round(len(feeds) * rows / sum(median[target, who, feed] for feed in feeds))
                for who in ("ours", "dlt")
            },
            "copy": round(copy),
        }
    print(json.dumps(figures))


def _measure_memory(server: str, sources: dict[str, str], feeds: list[str], targets: list[str]) -> None:
    figures: dict[str, dict[str, float]] = {}
    for target in targets:
        for feed in feeds:
            with _empty(server, target) as url:
                told = _run(
                    [sys.executable, "-m", "contract_tests.benchmarks.return_parts.ours", feed, url, sources[feed]]
                )
            print(
                f"  {target:<9}{feed:<9} {told['rows']} rows, {told['rows'] / told['seconds']:.0f} a second, {told['rss']:.0f} MB at most"
            )
            figures.setdefault(target, {})[feed] = round(told["rss"])
    print(json.dumps(figures))


def _first_process(server: str) -> str:
    with psycopg.connect(server) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return (Path(row[0]) / "postmaster.pid").read_text().split()[0]


@contextmanager
def _empty(server: str, target: str) -> Iterator[str]:
    """The address of an empty database, gone afterwards."""
    if target == "sqlite":
        with tempfile.TemporaryDirectory(prefix="return-") as folder:
            yield f"sqlite:///{folder}/gateway.db"
        return
    name = f"target_{next(NUMBERS)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield f"{server.rpartition('/')[0]}/{name}".replace("postgresql:", "postgresql+psycopg:")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:3])} failed:\n{done.stderr[-4000:]}")
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def dlt_python() -> str:
    """The Python of a virtual environment that has dlt, as pinned; made on first use, in the folder for caches."""
    digest = sha256(PINNED.read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"gateway-benchmark-dlt-{digest}"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [python, "-m", "pip", "install", "-q", "--require-hashes", "--no-deps", "-r", PINNED]
        subprocess.run(install, check=True, stderr=subprocess.DEVNULL)
        (folder / "complete").touch()
    return str(python)


if __name__ == "__main__":
    main()
