"""`make chaos`: two, then eight workers over one PostgreSQL that restarts under them, killed, stopped and woken by chance.

The workers are what `gateway worker` runs: the loop over what is due, PgQueuer, leases and heartbeats, each in a process of
its own. In the end every stream has come to its end, and the store says what the sources say.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, NullPool, create_engine, func, select
from sqlalchemy.exc import DBAPIError

from adapters.mapping.model import SourceMapping
from adapters.source import Call, Page
from contract_tests.changing import MAPPINGS, Changing, with_changes, with_page_size
from contract_tests.servers import PostgresServer, RedisServer, own_postgres, redis_server
from contract_tests.stores import REGISTRY
from gateway.store.store import Store
from gateway.store.tables import Tables
from gateway.sync.queue import PgQueue
from gateway.sync.run import Manner
from gateway.sync.schedule import LEASE_PER_HEARTBEAT, Loop
from gateway.sync.stream import Streams
from schema.formats import CHINA_TIME

HEARTBEAT = 3.0
STREAMS = 6
PER_SECOND = 3
SETTLING = 60.0
"""Seconds without anything new in the store once all is calm, after which a stream that is not at its end is stuck."""


@dataclass(frozen=True, slots=True)
class World:
    """Sources in which something happens for so many seconds from `began` on; all processes see the same."""

    url: str
    mappings: dict[str, SourceMapping]
    began: float
    seconds: float

    def records(self, name: str, now: float) -> list[dict[str, Any]]:
        """What a source tells at a time: two of three events are new records, the third changes an earlier one."""
        offset = int(name.removeprefix("source_"))
        latest: dict[int, dict[str, Any]] = {}
        for event in range(int(min(max(now - self.began, 0.0), self.seconds) * PER_SECOND)):
            key = (event * 31 + offset) % (event // 2 + 1) if event % 3 == 2 else event
            latest[key] = self._record(key, event)
        return list(latest.values())

    def _record(self, key: int, event: int) -> dict[str, Any]:
        at = datetime.fromtimestamp(self.began, CHINA_TIME) + timedelta(seconds=event / PER_SECOND)
        told = {"AJBH": f"{key:05d}", "AJMC": f"v{event}", "SCBZ": "0"}
        return {**told, "GXSJ": at.strftime("%Y-%m-%d %H:%M:%S")}


class Live(Changing):
    """One of the sources, as it is now."""

    world: World
    name: str

    async def call(self, call: Call) -> Page:
        """A page of what it is now."""
        self.records = self.world.records(self.name, time.time())
        page = await super().call(call)
        return replace(page, received_at=datetime.now(CHINA_TIME))


@dataclass
class Workers:
    """Processes, and whether each is stopped."""

    world: World
    stopped: dict[int, bool] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=lambda: {"kills": 0, "stops": 0, "restarts": 0, "flushes": 0})

    def fork(self) -> None:
        """One more."""
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
                asyncio.run(_work(self.world))
            except BaseException:
                traceback.print_exc()
            os._exit(3)
        self.stopped[pid] = False

    def disturb(self, chance: random.Random) -> None:
        """Kill one and put another in its place, stop one, or wake one."""
        pid = chance.choice(sorted(self.stopped))
        if self.stopped[pid]:
            os.kill(pid, signal.SIGCONT)
            self.stopped[pid] = False
        elif chance.random() < 0.5:
            os.kill(pid, signal.SIGSTOP)
            self.stopped[pid] = True
            self.told["stops"] += 1
        else:
            self.end(pid)
            self.fork()
            self.told["kills"] += 1

    def end(self, pid: int) -> None:
        """Kill it."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        del self.stopped[pid]


def main(arguments: Sequence[str] | None = None) -> int:
    """Two workers for half of the time, eight for the other half; 1 when something is lost, there twice, or stuck."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--duration", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments)
    with own_postgres() as server, redis_server() as redis:
        store = Store(server.url, REGISTRY)
        store.create()
        store.close()
        mappings = {f"source_{number}": _mapping(f"source_{number}") for number in range(STREAMS)}
        workers = Workers(World(server.url, mappings, time.time(), asked.duration))
        chance = random.Random(asked.seed)
        try:
            for number in (2, 8):
                _live(workers, chance, asked.duration / 2, number, server, redis)
            told = _settle(workers)
        finally:
            for pid in list(workers.stopped):
                workers.end(pid)
    print(json.dumps({**workers.told, **told}))
    return 1 if told["lost"] or told["duplicated"] or told["stuck"] else 0


def _live(
    workers: Workers,
    chance: random.Random,
    seconds: float,
    number: int,
    server: PostgresServer,
    redis: RedisServer,
) -> None:
    """So many workers for so long; in the middle PostgreSQL restarts, and Redis forgets everything."""
    while len(workers.stopped) < number:
        workers.fork()
    until, middle, has_restarted = time.monotonic() + seconds, time.monotonic() + seconds / 2, False
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.2, 1.5))
        workers.disturb(chance)
        if not has_restarted and time.monotonic() > middle:
            server.stop()
            server.start()
            redis.kill()
            redis.start()
            has_restarted = True
            workers.told["restarts"] += 1
            workers.told["flushes"] += 1


def _settle(workers: Workers) -> dict[str, int]:
    """Wake everybody, and wait until the store says what the sources say; workers that ended by themselves are stuck too."""
    for pid, is_stopped in workers.stopped.items():
        if is_stopped:
            os.kill(pid, signal.SIGCONT)
    engine, world = create_engine(workers.world.url, poolclass=NullPool), workers.world
    tables = Store(world.url, REGISTRY).tables
    table, run, ledger = tables.entities["EnforcementCase"], tables.run, tables.ledger
    wanted = {
        (name, f"{mapping.agency}/{record['AJBH']}"): record["AJMC"]
        for name, mapping in world.mappings.items()
        for record in world.records(name, world.began + world.seconds)
    }
    last = run.alias()
    wrote = (
        select(ledger.c.run_id, ledger.c.page, ledger.c.at, last.c.id, last.c.started_at)
        .select_from(ledger.join(run, run.c.id == ledger.c.run_id))
        .join(last, (last.c.source == run.c.source) & (last.c.operation == run.c.operation) & (last.c.id > run.c.id))
    )
    until, least = time.monotonic() + SETTLING, len(wanted)
    while True:
        lost, surplus = [f"{name} {key}" for name, key in wanted], list[str]()
        with suppress(DBAPIError), engine.connect() as connection:
            rows = connection.execute(select(table.c.source, table.c.key, table.c.case_name)).all()
            told = {(row.source, row.key): row.case_name for row in rows}
            lost = [
                f"{place}: {told.get(place)}, not {name}" for place, name in wanted.items() if told.get(place) != name
            ]
            surplus = [f"{place} is there and should not" for place in told.keys() - wanted.keys()]
            late = connection.execute(wrote.where(ledger.c.at > last.c.started_at)).all()
            surplus += [f"run {row[0]} wrote page {row[1]} at {row[2]}, run {row[3]} began at {row[4]}" for row in late]
            is_over = not lost or (len(lost) >= least and time.monotonic() > until)
            if is_over and (lost or surplus):
                _tell(connection, tables, [*lost[:5], *surplus[:20]])
            runs = connection.execute(select(func.count()).select_from(run)).scalar_one()
            if not lost:
                ended = sum(os.waitpid(pid, os.WNOHANG)[0] != 0 for pid in workers.stopped)
                return {"records": len(told), "runs": runs, "lost": 0, "duplicated": len(surplus), "stuck": ended}
        if len(lost) < least:
            until, least = time.monotonic() + SETTLING, len(lost)
        if time.monotonic() > until:
            return {"lost": len(lost), "duplicated": len(surplus), "stuck": 1}
        time.sleep(0.5)


def _tell(connection: Connection, tables: Tables, wrong: Sequence[str]) -> None:
    """Say what is wrong, and how every stream stands then: what was not said here nobody finds out later."""
    print("\n".join(wrong))
    stream, lease, run = tables.stream, tables.lease, tables.run
    for row in connection.execute(select(stream).order_by(stream.c.source)):
        mine = (lease.c.source == row.source, lease.c.operation == row.operation)
        held = connection.execute(select(lease.c.holder, lease.c.fence, lease.c.expires_at).where(*mine)).all()
        of_stream = (run.c.source == row.source, run.c.operation == row.operation)
        last = select(run.c.id, run.c.status, run.c.started_at, run.c.finished_at, run.c.error).where(*of_stream)
        runs = connection.execute(last.order_by(run.c.id.desc()).limit(3)).all()
        stands = [(row.cursor, row.due_at, row.failures, row.halt_reason), *held, *runs]
        print(f"{row.source}: stream, lease, last runs", *(" ".join(map(str, one)) for one in stands), sep=" | ")


async def _work(world: World) -> None:
    """What `gateway worker` does, over these sources."""
    store, queue = Store(world.url, REGISTRY), PgQueue(world.url)

    def source(name: str) -> Live:
        live = Live("GXSJ", [])
        live.world, live.name = world, name
        return live

    manner = Manner(str(os.getpid()), LEASE_PER_HEARTBEAT * HEARTBEAT)
    streams = Streams(store, world.mappings, source, str, manner, lambda _page: None)
    await Loop(store, world.mappings, streams.run_due, HEARTBEAT, most=4, dispatcher=queue).forever()


def _mapping(name: str) -> SourceMapping:
    number = int(name.removeprefix("source_"))
    changed = with_changes(MAPPINGS["binhai_market"], "cases_changed", ascending=number % 2 == 0, every=2.0)
    return replace(with_page_size(changed, "cases_changed", 50), name=name)


if __name__ == "__main__":
    sys.exit(main())
