"""What happens to the workers of one schedule: who is killed where, who is stopped for too long, what the source does wrong."""

import random
from dataclasses import dataclass
from typing import Literal

from contract_tests.crash.source import FAULTS
from contract_tests.crash.world import World, make_world

Task = Literal["changes", "reconcile", "refresh", "remap", "replay"]
TASKS: dict[Task, int] = {"changes": 6, "reconcile": 2, "refresh": 2, "remap": 2, "replay": 2}
"""What workers do, and how often."""
LANDING = (
    "landing.after",
    "upsert.before",
    "links.before",
    "links.after",
    "upsert.after",
    "issues.after",
    "quarantine.after",
    "current.after",
    "commit.before",
    "commit.after",
)
ENDING = ("finish.moved", "finish.recorded", "finish.due")
FAILING = ("fail.recorded", "fail.due")
RUN = ("lease.taken", "fetch.before", "fetch.after", "page.before", "page.done", *ENDING, *FAILING)
LEDGER = ("landing.before", "cursor.before", "fence.checked", "cursor.after", "ledger.after")
SHADOW = ("shadow.page", "compare.before", "swap.before", "swap.page", "swap.after", "swap.page", "swap.after")
POINTS: dict[Task, tuple[str, ...]] = {
    "changes": (*RUN, *LANDING, *LEDGER, "finish.before", "finish.after"),
    "reconcile": (*RUN, *SHADOW, "commit.before", "commit.after"),
    "refresh": (*RUN, *SHADOW, *LANDING, *LEDGER),
    "remap": ("remap.forgotten", "remap.page", "remap.settled", *LANDING),
    "replay": ("replay.resolved", "replay.page", "replay.resolved", "replay.page", "lease.taken", *LANDING, *LEDGER),
}
"""Where a worker may be killed at each of its tasks; a test proves that it is, at each of them."""
OUTSIDE: dict[Task, tuple[str, ...]] = {
    "changes": ("page.before", "page.done", "finish.before"),
    "reconcile": ("page.before", "page.done"),
    "refresh": ("page.before", "page.done"),
    "replay": ("replay.page",),
    "remap": (),
}
"""Where a worker may be stopped while another one goes on: where it holds no transaction."""


@dataclass(frozen=True, slots=True)
class Step:
    """One worker: minutes that go by before it, its faults by call, its end, and its task. `other`: what is done while it is
    stopped. `is_mended`: somebody has corrected the mapping by then."""

    minutes: int
    faults: tuple[tuple[int, str], ...]
    end: Literal["kill", "stop", "none"]
    point: str = ""
    times: int = 1
    task: Task = "changes"
    other: Task = "changes"
    is_mended: bool = False

    def __str__(self) -> str:
        ends = f"{self.end} {self.point}×{self.times}" if self.point else "runs to its end"
        mended = ", mapping mended" if self.is_mended else ""
        beside = f" while another does {self.other}" if self.end == "stop" else ""
        return f"+{self.minutes}min {self.task}{mended}: {ends}{beside} faults={dict(self.faults)}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A world and the workers that read it, one after the other."""

    seed: int
    world: World
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.world.kind} overlap={self.world.overlap} shuffled={self.world.is_shuffled}"]
        return "\n".join([*lines, *(f"  {number}. {step}" for number, step in enumerate(self.steps, 1))])


def make_schedule(seed: int) -> Schedule:
    """The schedule of a seed, always the same."""
    chance = random.Random(seed)
    world = make_world(chance)
    number = chance.randint(1, 5)
    mended_from = chance.randint(0, 2 * number)
    return Schedule(seed, world, tuple(_step(chance, at, at >= mended_from) for at in range(number)))


def _step(chance: random.Random, at: int, is_mended: bool) -> Step:
    task, other = chance.choices(list(TASKS), list(TASKS.values()), k=2)
    if at == 0 and task in ("remap", "replay"):
        task = "changes"  # there is nothing yet
    faults = tuple(
        (call, chance.choice(FAULTS)) for call in sorted(chance.sample(range(1, 12), chance.choice((0, 0, 1, 2))))
    )
    end: Literal["kill", "stop", "none"] = chance.choices(("kill", "stop", "none"), (7, 2, 2))[0]
    end = "kill" if end == "stop" and not OUTSIDE[task] else end
    point = chance.choice({"kill": POINTS[task], "stop": OUTSIDE[task], "none": ("",)}[end])
    is_once = task == "replay" or point == "remap.page" or point.startswith(("finish.", "fail."))
    minutes, times = chance.choice((0, 3, 10, 30)), chance.choice((1, 1, 2, 3, 4))
    times = 1 if is_once else times
    if point in FAILING:  # then it has to fail first
        faults = ((chance.choice((1, 2)), chance.choice(("drop", "throttle"))),)
    return Step(minutes, faults, end, point, times, task, other, is_mended)
