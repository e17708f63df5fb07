"""Runs schedules: workers are forked from this process and killed by SIGKILL; what is left is compared with the world."""

import asyncio
import gc
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from adapters.errors import SourceError
from contract_tests.crash.bugs import BUGS
from contract_tests.crash.places import Place
from contract_tests.crash.schedule import Schedule, Step
from contract_tests.crash.source import Clock, Faulty
from contract_tests.crash.world import World, make_world, moment
from gateway.store.leases import RunSuperseded, StreamBusy
from gateway.sync.cursor import CannotAdvance
from gateway.sync.run import Manner, run_changes
from schema.formats import CHINA_TIME

LEASE = 60.0
LONGEST = 20
"""Seconds for one worker."""
FINALLY = 6
"""Undisturbed workers that are granted to bring a stream to its end."""


@dataclass
class Outcome:
    """What was found wrong; nothing, if all is well."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    points: set[str] = field(default_factory=set)

    @property
    def is_well(self) -> bool:
        """Whether the store says exactly what the world says."""
        return not (self.lost or self.twice or self.other)


def play(schedule: Schedule, place: Place, bug: str = "") -> Outcome:
    """Play a schedule to its end, on an empty store. `bug`: with this one planted in every worker."""
    place.reset()
    clock, world, outcome = Clock(), schedule.world, Outcome()
    for step in schedule.steps:
        clock.minute += step.minutes
        pid = _fork(lambda step=step: _work(world, clock, place, step, bug))
        _, status = os.waitpid(pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            _expire(place)
            other = _fork(lambda: _work(world, clock, place, Step(0, (), "none"), bug))
            _judge_end(os.waitpid(other, 0)[1], outcome)
            os.kill(pid, signal.SIGCONT)
            _, status = os.waitpid(pid, 0)
        _judge_end(status, outcome)
        with place.connected():
            _expire(place)
            _look(world, clock.minute, place, outcome)
    clock.minute = max(clock.minute, world.events[-1].visible) + 60
    for _ in range(FINALLY):
        pid = _fork(lambda: _work(world, clock, place, Step(0, (), "none"), bug))
        _, status = os.waitpid(pid, 0)
        _expire(place)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            break
    else:
        outcome.other.append("the stream is stuck: no run comes to its end")
    with place.connected():
        _look(world, clock.minute, place, outcome, at_end=True)
    return outcome


def warm_up(place: Place) -> None:
    """Let workers begin with what every worker would have to work out first: statements and code of mappings."""
    for world in (make_world(random.Random(seed)) for seed in range(12)):
        place.reset()
        clock = Clock()
        clock.minute = world.events[-1].visible
        _work(world, clock, place, Step(0, (), "none"), "")
    place.store.close()
    signal.alarm(0)
    gc.collect()
    gc.freeze()


def _fork(work: Callable[[], int]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    try:
        os._exit(work())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(3)


def _work(world: World, clock: Clock, place: Place, step: Step, bug: str) -> int:
    """In a process of its own: 0 when the run came to its end, 1 when it failed as it may. One that hangs is ended."""
    signal.alarm(LONGEST)

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    store = place.store
    store.database.points = _ending(step)
    if bug:
        BUGS[bug](store)
    source, way = Faulty(world, clock, dict(step.faults)), world.way
    manner = Manner(str(os.getpid()), LEASE)
    try:
        asyncio.run(run_changes(source, way.mapping, way.operation, store, str, lambda _: None, manner))
    except (SourceError, StreamBusy, RunSuperseded, CannotAdvance):
        return 1
    except IntegrityError:  # the ledger does not account for what was fetched: as it should be, with a bug
        return 1 if bug else 2
    except Exception:
        if bug:
            return 1
        raise
    return 0


def _ending(step: Step) -> Callable[[str], None]:
    left = step.times

    def reach(name: str) -> None:
        nonlocal left
        if step.end == "none" or name != step.point:
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL if step.end == "kill" else signal.SIGSTOP)

    return reach


def _judge_end(status: int, outcome: Outcome) -> None:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) != signal.SIGKILL:
        outcome.other.append(f"a worker was ended by signal {os.WTERMSIG(status)}")
    elif os.WIFEXITED(status) and os.WEXITSTATUS(status) not in (0, 1):
        outcome.other.append(f"a worker ended with {os.WEXITSTATUS(status)}")


def _expire(place: Place) -> None:
    """As if the lease had run out."""
    lease = place.store.tables.lease
    place.write(update(lease).values(expires_at=moment(0)))


def _look(world: World, minute: int, place: Place, outcome: Outcome, at_end: bool = False) -> None:
    tables, way = place.store.tables, world.way
    entity = tables.entities[way.entity]
    told = place.read(select(entity.c.key, entity.c[way.element], entity.c.deleted_at))
    ours = {key: name for key, name, deleted_at in told if deleted_at is None}
    settled = None if at_end else _settled(world, place)
    wanted = world.wanted(minute)
    for event in world.at(minute).values():
        key = way.key_of(event.key)
        stands = event.number if world.kind == "since" else event.stamp
        if event.is_bad or (settled is not None and stands >= settled):
            continue
        if ours.get(key) != wanted.get(key):
            outcome.lost.append(
                f"{key}: {ours.get(key)} instead of {wanted.get(key)}{'' if at_end else ', behind the cursor'}"
            )
    if at_end:
        outcome.twice += [f"{key}: is there and should not" for key in ours if key not in wanted]
        _look_around(world, minute, place, outcome, ours)


def _settled(world: World, place: Place) -> int:
    """What is before this the stream has passed for good."""
    stream = place.store.tables.stream
    cursor = next((row[0] for row in place.read(select(stream.c.cursor))), None)
    if cursor is None:
        return 0
    if world.kind == "since":
        return int(cursor) - world.overlap
    at = datetime.fromisoformat(cursor).astimezone(CHINA_TIME)
    return int((at - moment(0)).total_seconds() // 60) - world.overlap


def _look_around(world: World, minute: int, place: Place, outcome: Outcome, ours: dict[str, str]) -> None:
    """What goes with the records: what holds now, links, the ledger, what changed, what was refused, who wrote when."""
    tables, way = place.store.tables, world.way
    current = tables.current[way.entity]
    holds = dict(place.read(select(current.c.key, current.c[way.element])))
    if holds != ours:
        outcome.other.append(
            f"what holds now differs from what was told: {sorted(set(holds.items()) ^ set(ours.items()))}"
        )
    if way.has_links:
        link = tables.link
        linked = {row[0] for row in place.read(select(link.c.key).where(link.c.entity == way.entity))}
        outcome.lost += [f"{key}: its link" for key in ours if key not in linked]
        outcome.twice += [f"{key}: a link though it is gone" for key in linked - set(ours)]
    change = tables.change
    counted = select(change.c.key, func.count()).where(change.c.entity == way.entity).group_by(change.c.key)
    versions = world.versions(minute)
    outcome.twice += [f"{k}: changed {n} times" for k, n in place.read(counted) if n > versions.get(k, 0)]
    quarantine = tables.quarantine
    refused = len(place.read(select(quarantine.c.record_digest)))
    if (missing := len(world.refused(minute)) - refused) > 0:
        outcome.lost.append(f"{missing} records that were refused are not kept")
    if missing < 0:
        outcome.twice.append(f"{-missing} records were kept as refused more than once")
    _look_at_runs(place, outcome)


def _look_at_runs(place: Place, outcome: Outcome) -> None:
    run, ledger = place.store.tables.run, place.store.tables.ledger
    late = select(ledger.c.run_id).where(run.c.id > ledger.c.run_id, ledger.c.at > run.c.started_at).distinct()
    outcome.other += [f"run {row[0]} wrote when another had the stream" for row in place.read(late)]
    parts = ledger.c.applied + ledger.c.unchanged + ledger.c.duplicate + ledger.c.quarantined
    unbalanced = place.read(select(ledger.c.run_id).where(ledger.c.fetched != parts))
    outcome.other += [f"the ledger of run {row[0]} does not balance" for row in unbalanced]
    sums = select(func.sum(ledger.c.fetched), func.max(ledger.c.page), func.count()).where(ledger.c.run_id == run.c.id)
    for run_id, fetched in place.read(select(run.c.id, run.c.fetched).where(run.c.status == "succeeded")):
        total, last, pages = place.read(sums.where(run.c.id == run_id))[0]
        if (total or 0) != fetched or (last or 0) != pages:
            outcome.other.append(f"run {run_id} fetched {fetched}, its ledger says {total} on {pages} pages to {last}")
