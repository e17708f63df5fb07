"""The garbage collector looks at what is new, and at everything only when there is time: no pause grows with what is remembered."""

import asyncio
import gc
import os
import sys
import weakref
from collections.abc import Iterator

import pytest

from contract_tests.benchmarks.engine_parts.processes import resident_mb
from gateway.garbage import MANY, SEVERAL, Garbage, NotLooking, give_holes_back
from gateway.returning import settled


class Node:
    """Something that may refer to itself."""

    def __init__(self) -> None:
        self.other: Node | None = None


def circle() -> "weakref.ref[Node]":
    """What refers to itself, and nobody else to it."""
    one = Node()
    one.other = one
    return weakref.ref(one)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


async def _started(garbage: Garbage) -> None:
    garbage.start()


@pytest.fixture
def garbage(loop: asyncio.AbstractEventLoop) -> Iterator[Garbage]:
    garbage = Garbage(lambda: True)
    loop.run_until_complete(_started(garbage))
    yield garbage
    garbage.stop()


def test_what_a_long_look_finds_in_use_is_not_looked_through_again(
    garbage: Garbage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.garbage.LONG", 0.0)
    before = gc.get_freeze_count()
    kept = [[number] for number in range(300_000)]
    gc.collect()
    assert garbage.portions > 0
    assert gc.get_freeze_count() > before + len(kept) / 2
    assert len(gc.get_objects(generation=2)) < len(kept) / 10


def test_a_short_look_sets_nothing_aside_so_that_circles_go_at_once(
    garbage: Garbage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.garbage.LONG", 60.0)
    gone = circle()
    gc.collect()
    assert gone() is None
    assert garbage.portions == 0


def test_circles_that_were_set_aside_go_when_nothing_is_going_on_or_when_it_has_to_be(garbage: Garbage) -> None:
    for portions, idle in ((SEVERAL, True), (MANY, False)):
        gone = circle()
        gc.freeze()
        gc.collect()
        assert gone() is not None
        garbage.portions, garbage.is_idle = portions - 1, lambda idle=idle: idle  # type: ignore[misc]
        garbage.tidy()
        assert gone() is not None
        garbage.portions = portions
        garbage.tidy()
        assert gone() is None
        assert garbage.portions == 0


def test_whoever_is_being_answered_is_not_made_to_wait(garbage: Garbage) -> None:
    garbage.portions, garbage.is_idle = MANY - 1, lambda: False
    gone = circle()
    gc.freeze()
    garbage.tidy()
    assert gone() is not None


def test_the_collector_is_left_as_it_was(loop: asyncio.AbstractEventLoop) -> None:
    before = gc.get_threshold(), list(gc.callbacks)
    garbage = Garbage(lambda: True)
    loop.run_until_complete(_started(garbage))
    assert gc.get_freeze_count() > 0
    garbage.stop()
    assert (gc.get_threshold(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0


def test_data_return_looks_rarely_and_leaves_collector_and_turns_as_they_were() -> None:
    """A demo returns data first and serves then, in one process."""
    before = gc.get_threshold(), gc.get_freeze_count(), sys.getswitchinterval()

    def fail() -> None:
        with settled():
            assert gc.get_threshold()[0] > 10 * before[0][0]
            assert gc.get_freeze_count() > 0
            assert sys.getswitchinterval() < before[2]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (gc.get_threshold(), gc.get_freeze_count(), sys.getswitchinterval()) == before


def test_holes_between_what_is_in_use_are_given_back_to_the_system() -> None:
    bodies = [bytes(20_000) for _ in range(4000)]
    del bodies[::2]
    before = resident_mb(os.getpid())
    give_holes_back()
    assert resident_mb(os.getpid()) < before - 10
    assert len(bodies) == 2000


def test_nobody_looks_until_the_last_is_outside() -> None:
    not_looking = NotLooking()
    looks: list[object] = []

    def note(phase: str, _info: object) -> None:
        looks.append(phase)

    gc.callbacks.append(note)
    try:
        with not_looking, not_looking:
            kept = [[number] for number in range(300_000)]
            first, looks[:] = len(looks), []
            del kept
        made = [[number] for number in range(300_000)]
    finally:
        gc.callbacks.remove(note)
    assert (first, len(made), len(looks) > 0, gc.isenabled()) == (0, 300_000, True, True)


def test_who_never_looked_does_not_begin_to() -> None:
    gc.disable()
    try:
        with NotLooking():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
