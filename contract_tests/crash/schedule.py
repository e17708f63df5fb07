"""What happens to the workers of one schedule: who is killed where, who is stopped for too long, what the source does wrong."""

import random
from dataclasses import dataclass
from typing import Literal

from contract_tests.crash.source import FAULTS
from contract_tests.crash.world import World, make_world

POINTS = (
    "lease.taken",
    "fetch.before",
    "fetch.after",
    "page.before",
    "landing.before",
    "landing.after",
    "upsert.before",
    "links.before",
    "links.after",
    "upsert.after",
    "issues.after",
    "quarantine.after",
    "cursor.before",
    "fence.checked",
    "cursor.after",
    "ledger.after",
    "current.after",
    "commit.before",
    "commit.after",
    "page.done",
    "finish.before",
    "finish.moved",
    "finish.recorded",
    "finish.after",
)
"""Where a worker may be killed; a test proves that each of them is come to."""
OUTSIDE = ("page.before", "page.done", "finish.before")
"""Where a worker may be stopped while another one goes on: where it holds no transaction."""


@dataclass(frozen=True, slots=True)
class Step:
    """One worker: minutes that go by before it, its faults by call, and its end."""

    minutes: int
    faults: tuple[tuple[int, str], ...]
    end: Literal["kill", "stop", "none"]
    point: str = ""
    times: int = 1

    def __str__(self) -> str:
        ends = f"{self.end} {self.point}×{self.times}" if self.point else "runs to its end"
        return f"+{self.minutes}min {ends} faults={dict(self.faults)}"


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
    return Schedule(seed, world, tuple(_step(chance) for _ in range(chance.randint(1, 4))))


def _step(chance: random.Random) -> Step:
    faults = tuple(
        (call, chance.choice(FAULTS)) for call in sorted(chance.sample(range(1, 12), chance.choice((0, 0, 1, 2))))
    )
    end: Literal["kill", "stop", "none"] = chance.choices(("kill", "stop", "none"), (7, 2, 2))[0]
    point = {"kill": POINTS, "stop": OUTSIDE, "none": ("",)}[end]
    return Step(chance.choice((0, 3, 10, 30)), faults, end, chance.choice(point), chance.choice((1, 1, 2, 3, 4)))
