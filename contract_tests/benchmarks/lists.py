"""Pages and counts of stored cases beside PostGraphile over the same tables: milliseconds of 95 of 100 requests.

A PostgreSQL of its own, with the tables and indexes the gateway makes, filled with ROWS cases of 300 agencies, 84 counties and
seven years, each with one to three of ROWS / 7 parties. `ours` is `gateway serve` with default settings, `postgraphile` is
PostGraphile 5 with its filter and aggregate plugins; both over HTTP, one request at a time, round about, variables drawn anew.
First it is shown that rows filled are those that a data return lands, and that both servers answer the same.

`page` of the last line is over all kinds of pages together, `count` over counts by month and division of all cases.
QUICK=1: few rows, one round. ROWS=…, ROUNDS=…, EACH=… (requests of a kind in a round). BUFFERS=… (PostgreSQL's shared_buffers).
"""

import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from contract_tests.benchmarks.lists_parts import made
from contract_tests.benchmarks.lists_parts.measure import Times, compare, draw, line, measure
from contract_tests.benchmarks.lists_parts.queries import OURS, PEER, Drawn, Place, Query, queries
from contract_tests.benchmarks.lists_parts.servers import PEER_FOLDER, Server, servers
from contract_tests.benchmarks.lists_parts.store import differences, fill, land, plain
from contract_tests.servers import PostgresServer, own_postgres
from schema.load import load_registry

SAMPLE_CASES, SAMPLE_PARTIES = 2_000, 1_500
COUNTS_FOR = 5
"""A count takes as long as many pages, so it is asked so many times as seldom."""


def main() -> None:
    """Measure and print."""
    given = os.environ  # noqa: TID251 - a benchmark's own switches
    is_quick = bool(given.get("QUICK"))
    rows = int(given.get("ROWS", 60_000 if is_quick else 2_000_000))
    rounds, each = int(given.get("ROUNDS", 2 if is_quick else 10)), int(given.get("EACH", 10 if is_quick else 25))
    with own_postgres() as server, tempfile.TemporaryDirectory(prefix="lists-") as folder:
        _prepare(server, given.get("BUFFERS", "256MB" if is_quick else "2GB"))
        _prove_filling(server.url, Path(folder))
        target, parties = _at(server.url, "cases"), rows // 7
        started = time.perf_counter()
        fill(target, rows, parties)
        _tell_peer(target)
        print(f"lists: {rows} cases, {parties} parties, filled in {time.perf_counter() - started:.0f} s", flush=True)
        with servers(target, Path(folder)) as running:
            _measure(running, target, parties, rounds, each)


def _prepare(server: PostgresServer, buffers: str) -> None:
    with psycopg.connect(plain(server.url), autocommit=True) as connection:
        for name in ("feed", "landed", "filled", "cases"):
            connection.execute(f"CREATE DATABASE {name}".encode())
        for setting in (f"shared_buffers = '{buffers}'", "max_wal_size = '8GB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
    server.stop()
    server.start()


def _prove_filling(url: str, folder: Path) -> None:
    """Landed by a real data return, and filled: the same rows, and the same answers of the gateway. Raises SystemExit."""
    both = {"landed": _at(url, "landed"), "filled": _at(url, "filled")}
    land(both["landed"], _at(url, "feed"), SAMPLE_CASES, SAMPLE_PARTIES)
    fill(both["filled"], SAMPLE_CASES, SAMPLE_PARTIES)
    if apart := differences(*both.values()):
        raise SystemExit("what is filled is not what is landed:\n" + "\n".join(apart))
    told: dict[str, list[Any]] = {}
    for name, address in both.items():
        with servers(address, folder, (OURS,)) as running:
            told[name] = _asked(running[OURS], _kinds(address, SAMPLE_PARTIES))
    assert told["landed"] == told["filled"], "the gateway does not read the same from what is filled"
    print(f"filled = landed: {SAMPLE_CASES} cases, {len(told['filled'])} answers of the gateway", flush=True)


def _asked(server: Server, kinds: Sequence[Query]) -> list[Any]:
    rng = random.Random(7)
    return [server.data(kind.draw(rng).body(OURS, kind.is_page)) for kind in kinds for _ in range(8)]


def _kinds(url: str, parties: int) -> list[Query]:
    deep: list[tuple[str, Place]] = []
    below = "SELECT filed_date, key FROM current_enforcement_case WHERE agency_code = %s ORDER BY filed_date DESC, key OFFSET %s LIMIT 1"
    with psycopg.connect(plain(url)) as connection:
        for number in range(made.AGENCIES):
            place = connection.execute(below, (made.agency(number), 60 + number * 37 % 3000)).fetchone()
            if place is not None:
                deep.append((made.agency(number), place))
    return queries(load_registry(), parties, deep)


def _measure(running: dict[str, Server], url: str, parties: int, rounds: int, each: int) -> None:
    kinds, rng = _kinds(url, parties), random.Random(1)
    pages = [kind for kind in kinds if kind.is_page]
    database, sample = _postmaster(url), _sample_cursor(running[PEER], rng)
    for kind in kinds:
        answered = [compare(running, kind, draw(kind, rng, sample)) for _ in range(each if kind.is_page else 2)]
        print(f"  the same answers to {kind.name}: {min(answered)} to {max(answered)} entries", flush=True)
        assert max(answered) > 0, kind.name
    times = {kind.name: {name: Times() for name in running} for kind in kinds}
    last: dict[str, Drawn] = {}
    for number in range(rounds):
        order = dict(sorted(running.items(), reverse=bool(number % 2)))
        for kind in kinds:
            questions = []
            for _ in range(each if kind.is_page else max(1, each // COUNTS_FOR)):
                last[kind.name] = draw(kind, rng, sample, last.get(kind.name))
                questions.append(last[kind.name])
            measure(order, database, kind, questions, times[kind.name])
    for kind in kinds:
        print(line(kind.name, times[kind.name]))
    all_pages = {name: Times() for name in running}
    for kind in pages:
        for name, of in times[kind.name].items():
            all_pages[name].seconds += of.seconds
            all_pages[name].own += of.own
            all_pages[name].database += of.database
    print(line("all pages", all_pages))
    figures = {"page": all_pages, "count": times["count"]}
    print(json.dumps({what: {n: round(t.percentile(0.95), 1) for n, t in of.items()} for what, of in figures.items()}))


def _sample_cursor(peer: Server, rng: random.Random) -> str:
    """Any cursor the peer gives, so that others can be made after it."""
    query = b'{"query": "{ allCurrentEnforcementCases(orderBy: [FILED_DATE_DESC, KEY_ASC], first: 1) { pageInfo { endCursor } } }"}'
    del rng
    cursor: str = peer.data(query)["allCurrentEnforcementCases"]["pageInfo"]["endCursor"]
    return cursor


def _tell_peer(url: str) -> None:
    with psycopg.connect(plain(url)) as connection:
        connection.execute((PEER_FOLDER / "tags.sql").read_bytes())


def _postmaster(url: str) -> int:
    with psycopg.connect(plain(url)) as connection:
        found = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    assert found is not None
    return int(found[0].split()[0])


def _at(url: str, name: str) -> str:
    return f"{url.rpartition('/')[0]}/{name}"


if __name__ == "__main__":
    main()
