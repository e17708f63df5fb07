"""Workers killed at every named point, stopped beyond their lease, fed by faulty sources: 200 schedules, on both databases."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from contract_tests.crash.bugs import BUGS
from contract_tests.crash.schedule import OUTSIDE, POINTS, make_schedule

ROOT = Path(__file__).parents[1]


def crash(*arguments: str) -> tuple[int, dict[str, int], str]:
    """The status, the last line and everything that the harness printed."""
    command = [sys.executable, "-m", "contract_tests.crash", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_two_hundred_schedules_lose_nothing_and_have_nothing_twice() -> None:
    halves = [("sqlite", "1"), ("postgresql", "1001")]
    with ThreadPoolExecutor(2) as pool:
        ended = list(
            pool.map(
                lambda half: crash("--schedules", "100", "--databases", half[0], "--seed", half[1], "--bugs", ""),
                halves,
            )
        )
    for status, told, printed in ended:
        assert (status, told) == (0, {"schedules": 100, "lost": 0, "duplicated": 0, "planted_bugs_caught": 0}), printed


def test_planted_bugs_are_caught() -> None:
    status, told, printed = crash("--schedules", "1", "--databases", "sqlite")
    assert (status, told["planted_bugs_caught"]) == (0, len(BUGS)), printed
    assert len(BUGS) == 5


def test_every_named_point_is_come_to_by_some_schedule() -> None:
    drawn = {
        step.point for seed in (*range(1, 101), *range(1001, 1101)) for step in make_schedule(seed).steps if step.point
    }
    assert drawn == {*POINTS, *OUTSIDE}
    assert len(POINTS) >= 20


def test_a_schedule_is_always_the_same_for_its_seed() -> None:
    assert str(make_schedule(7)) == str(make_schedule(7))
    assert make_schedule(7).world.events == make_schedule(7).world.events
