"""Runs schedules: workers are forked from this process and killed by SIGKILL; what is left is compared with the world."""

import asyncio
import gc
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable

import structlog
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from adapters.errors import SourceError
from contract_tests.crash.bugs import BUGS
from contract_tests.crash.looking import Outcome, look, look_at_end
from contract_tests.crash.places import Place
from contract_tests.crash.schedule import TASKS, Schedule, Step, Task
from contract_tests.crash.source import Clock, Faulty
from contract_tests.crash.world import Way, World, make_world, moment
from gateway.store.leases import RunSuperseded, StreamBusy
from gateway.store.store import Store
from gateway.sync.cursor import CannotAdvance
from gateway.sync.remap import remap
from gateway.sync.replay import replay
from gateway.sync.run import Manner, run_changes
from gateway.sync.shadow import Shadowing, shadow_stream

LEASE = 60.0
LONGEST = 20
"""Seconds for one worker."""
FINALLY = 6
"""Undisturbed workers that are granted to bring a stream to its end."""


def play(schedule: Schedule, place: Place, bug: str = "") -> Outcome:
    """Play a schedule to its end, on an empty store. `bug`: with this one planted in every worker."""
    place.reset()
    clock, world, outcome = Clock(), schedule.world, Outcome()
    for step in schedule.steps:
        clock.minute += step.minutes
        ended = _worker(world, clock, place, step, bug, outcome)
        _judge_end(ended, outcome)
        if ended == -signal.SIGKILL:
            outcome.killed_at.add((step.task, step.point))
        with place.connected():
            _expire(place)
            look(world, clock.minute, place, outcome)
    clock.minute = max(clock.minute, world.events[-1].visible) + 60
    is_mended = schedule.steps[-1].is_mended
    reads_whole = any(task in ("reconcile", "refresh") for step in schedule.steps for task in (step.task, step.other))
    tasks: list[Task] = [
        "changes",
        *(["reconcile"] if world.vanished or reads_whole else []),
        *(["replay"] if is_mended else []),
    ]
    for task in tasks:
        if not _finish(lambda task=task: _run(world, clock, place, _calm(task, is_mended), bug), place):
            outcome.other.append(f"the stream is stuck: no {task} comes to its end")
    with place.connected():
        look(world, clock.minute, place, outcome)
        look_at_end(world, clock.minute, place, outcome, is_mended)
    return outcome


def _worker(world: World, clock: Clock, place: Place, step: Step, bug: str, outcome: Outcome) -> int:
    """How a worker ends; while it is stopped another one goes on, and then it is woken."""
    if step.end == "none":
        return _run(world, clock, place, step, bug)
    pid = _fork(place, lambda: _work(world, clock, place, step, bug))
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        _expire(place)
        _judge_end(_run(world, clock, place, _calm(step.other, step.is_mended), bug), outcome)
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _run(world: World, clock: Clock, place: Place, step: Step, bug: str) -> int:
    """How a worker ends whom nobody kills or stops: it needs no process of its own, unless a bug is planted in it."""
    if bug:
        return os.waitstatus_to_exitcode(os.waitpid(_fork(place, lambda: _work(world, clock, place, step, bug)), 0)[1])
    signal.signal(signal.SIGALRM, _too_long)
    try:
        return _work(world, clock, place, step, bug)
    except Exception:
        traceback.print_exc()
        return 3
    finally:
        signal.alarm(0)
        place.pause()


def _too_long(*_: object) -> None:
    raise TimeoutError(f"a worker took more than {LONGEST} s")


def _calm(task: Task, is_mended: bool) -> Step:
    """A worker to which nothing happens."""
    return Step(0, (), "none", task=task, is_mended=is_mended)


def _finish(work: Callable[[], int], place: Place) -> bool:
    """Whether some worker in a row comes to its end."""
    for _ in range(FINALLY):
        ended = work()
        _expire(place)
        if ended == 0:
            return True
    return False


def warm_up(place: Place) -> None:
    """Let workers begin with what every worker would have to work out first: statements and code of mappings."""
    of_each_kind = {world.kind: world for world in (make_world(random.Random(seed)) for seed in range(12))}
    for world in of_each_kind.values():
        place.reset()
        clock = Clock()
        clock.minute = world.events[-1].visible
        for task in TASKS:
            _run(world, clock, place, _calm(task, is_mended=True), "")
    gc.collect()
    gc.freeze()


def can_plant(bug: str, place: Place) -> bool:
    """Whether a worker takes a bug at all: one that ends for want of what the bug changes would pass for caught."""
    return os.waitpid(_fork(place, lambda: BUGS[bug](place.store) or 0), 0)[1] == 0


def _fork(place: Place, work: Callable[[], int]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    try:
        place.leave()
        os._exit(work())
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(3)


def _work(world: World, clock: Clock, place: Place, step: Step, bug: str) -> int:
    """0 when the run came to its end, 1 when it failed as it may. One that hangs is ended."""
    signal.alarm(LONGEST)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    store = place.store
    store.database.points = _ending(step)
    if bug:
        BUGS[bug](store)
    try:
        _do(step, Faulty(world, clock, dict(step.faults)), world.way, store)
    except (SourceError, StreamBusy, RunSuperseded, CannotAdvance):
        return 1
    except IntegrityError:  # the ledger does not account for what was fetched: as it should be, with a bug
        return 1 if bug else 2
    except Exception:
        if bug:
            return 1
        raise
    return 0


def _do(step: Step, source: Faulty, way: Way, store: Store) -> None:
    """The task of the worker, as the commands and the loop do it."""
    manner = Manner(str(os.getpid()), LEASE)
    mapping = way.mended if step.is_mended and way.mended is not None else way.mapping
    match step.task:
        case "changes":
            asyncio.run(run_changes(source, mapping, way.operation, store, str, lambda _: None, manner))
        case "reconcile" | "refresh":
            what = Shadowing(source, mapping, way.operation, store, str, step.task, lets_delete=True)
            asyncio.run(shadow_stream(what, lambda _: None, manner))
        case "remap":
            remap(source, mapping, store, str)
        case "replay":
            replay(store, mapping, str, holder=manner.holder)


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


def _judge_end(ended: int, outcome: Outcome) -> None:
    if ended < 0 and ended != -signal.SIGKILL:
        outcome.other.append(f"a worker was ended by signal {-ended}")
    elif ended > 1:
        outcome.other.append(f"a worker ended with {ended}")


def _expire(place: Place) -> None:
    """As if the lease had run out."""
    lease = place.store.tables.lease
    place.write(update(lease).values(expires_at=moment(0)))
