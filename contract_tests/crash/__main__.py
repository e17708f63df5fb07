"""`make crash`: schedules by the thousand, then planted bugs; the last line says what came of it."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from contract_tests.crash.bugs import BUGS
from contract_tests.crash.harness import can_plant, play, warm_up
from contract_tests.crash.looking import Outcome
from contract_tests.crash.places import Place, place
from contract_tests.crash.schedule import make_schedule
from contract_tests.servers import postgres_server

MOST_SEEDS = 60
"""Schedules that a planted bug may live through."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Play schedules until the time is up; 1 when one of them ends badly, or a bug is not caught."""
    parser = argparse.ArgumentParser(prog="crash", description=__doc__)
    parser.add_argument("--duration", type=float, default=600, help="seconds")
    parser.add_argument("--schedules", type=int, default=0, help="so many, instead of a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--bugs", default=",".join(BUGS))
    asked = parser.parse_args(arguments)
    told = {"schedules": 0, "lost": 0, "duplicated": 0, "planted_bugs_caught": 0}
    failed, killed_at = 0, set[tuple[str, str]]()
    with ExitStack() as stack:
        places = [_open(stack, name) for name in asked.databases.split(",")]
        for each in places:
            warm_up(each)
        until, seed = time.monotonic() + asked.duration, asked.seed
        while told["schedules"] < asked.schedules if asked.schedules else time.monotonic() < until:
            where = places[told["schedules"] % len(places)]
            outcome = _play(seed, where)
            failed += not outcome.is_well
            killed_at |= outcome.killed_at
            told["schedules"] += 1
            told["lost"] += len(outcome.lost)
            told["duplicated"] += len(outcome.twice)
            seed += 1
        bugs = [bug for bug in asked.bugs.split(",") if bug]
        for number, bug in enumerate(bugs):
            caught = _catch(bug, asked.seed, places[number % len(places)])
            told["planted_bugs_caught"] += caught
            failed += not caught
    print("killed at:", " ".join(f"{task}/{point}" for task, point in sorted(killed_at)))
    print(json.dumps(told))
    return 1 if failed else 0


def _open(stack: ExitStack, name: str) -> Place:
    return stack.enter_context(place(name if name == "sqlite" else stack.enter_context(postgres_server())))


def _play(seed: int, where: Place) -> Outcome:
    schedule = make_schedule(seed)
    outcome = play(schedule, where)
    if not outcome.is_well:
        print(
            f"{schedule}\n  on {where.engine.dialect.name}: lost {outcome.lost[:5]}, twice {outcome.twice[:5]}, {outcome.other[:5]}"
        )
    return outcome


def _catch(bug: str, seed: int, where: Place) -> bool:
    """Whether a schedule ends badly because of the bug."""
    if not can_plant(bug, where):
        print(f"planted: {bug}: the program has changed, nothing to plant it in")
        return False
    for tried in range(seed, seed + MOST_SEEDS):
        schedule = make_schedule(tried)
        outcome = play(schedule, where, bug)
        if not outcome.is_well:
            found = (outcome.lost + outcome.twice + outcome.other)[0]
            print(f"planted: {bug}: caught by seed {tried}, schedule {tried - seed + 1} ({found})")
            return True
    print(f"planted: {bug}: not caught in {MOST_SEEDS} schedules")
    return False


if __name__ == "__main__":
    sys.exit(main())
