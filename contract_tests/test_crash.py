"""Workers killed at every named point, stopped beyond their lease, fed by faulty sources: 200 schedules, on both databases."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract_tests.crash.bugs import BUGS
from contract_tests.crash.schedule import POINTS, make_schedule

ROOT = Path(__file__).parents[1]
SOON = 29
"""A seed soon after which there is a schedule for each of the bugs: of all schedules one in ten to twenty meets some of them."""


Played = dict[str, tuple[int, dict[str, int], str]]
"""What was played -> the status, the last line and everything that the harness printed."""


@pytest.fixture(scope="module")
def played() -> Played:
    """Schedules on both databases, and planted bugs: side by side, so that no processor waits for one that works."""
    asked = {
        "sqlite": (150, "sqlite", 1, ""),
        "postgresql": (50, "postgresql", 1440, ""),
        "bugs": (1, "sqlite", SOON, ",".join(BUGS)),
    }
    with ThreadPoolExecutor(len(asked)) as pool:
        return dict(zip(asked, pool.map(lambda one: crash(*one), asked.values()), strict=True))


def crash(schedules: int, databases: str, seed: int, bugs: str) -> tuple[int, dict[str, int], str]:
    """The status, the last line and everything that the harness printed."""
    words = {"schedules": schedules, "databases": databases, "seed": seed, "bugs": bugs}
    asked = [f"--{name}={value}" for name, value in words.items()]
    command = [sys.executable, "-m", "contract_tests.crash", *asked]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout


def test_two_hundred_schedules_lose_nothing_and_kill_workers_at_every_named_point(played: Played) -> None:
    killed_at: set[str] = set()
    for database, number in (("sqlite", 150), ("postgresql", 50)):
        status, told, printed = played[database]
        assert (status, told) == (0, {"schedules": number, "lost": 0, "duplicated": 0, "planted_bugs_caught": 0}), (
            printed
        )
        killed_at |= {place.split("/")[1] for place in printed.splitlines()[-2].removeprefix("killed at: ").split()}
    named = {point for points in POINTS.values() for point in points}
    assert killed_at == named
    assert killed_at == _named_in_the_code()
    assert len(killed_at) >= 20


def test_planted_bugs_are_caught(played: Played) -> None:
    status, told, printed = played["bugs"]
    assert (status, told["planted_bugs_caught"]) == (0, len(BUGS)), printed
    assert len(BUGS) == 6


def test_a_schedule_is_always_the_same_for_its_seed() -> None:
    assert str(make_schedule(7)) == str(make_schedule(7))
    assert make_schedule(7).world.events == make_schedule(7).world.events


def _named_in_the_code() -> set[str]:
    """The points that the program names, wherever it does."""
    calls = re.compile(r"""(?:reach\(connection, |_reach\(|\.points\()"([a-z.]+)"\)""")
    return {name for file in (ROOT / "gateway").rglob("*.py") for name in calls.findall(file.read_text("utf-8"))}
