"""Who lands goes first: the making ready of the next page stands back while a landing has something to do."""

import threading

from gateway.store.turns import Turns

LONG = 10.0


def gives_way(turns: Turns) -> threading.Event:
    """Set once another thread that gives way has gone on."""
    went_on = threading.Event()

    def work() -> None:
        while turns.is_busy:
            turns.give_way()
        went_on.set()

    threading.Thread(target=work, daemon=True).start()
    return went_on


def test_nobody_stands_back_while_nothing_lands():
    turns = Turns()
    assert gives_way(turns).wait(LONG)
    with turns.landing():
        assert turns.is_busy
    assert gives_way(turns).wait(LONG)


def test_one_goes_on_while_the_landing_waits_for_its_database_and_when_it_is_over():
    turns = Turns()
    with turns.landing():
        waits = gives_way(turns)
        assert not waits.wait(0.1)
        with turns.waiting():
            assert waits.wait(LONG)
        again = gives_way(turns)
        assert not again.wait(0.1)
    assert again.wait(LONG)


def test_of_two_landings_both_have_to_wait():
    turns = Turns()
    with turns.landing(), turns.landing():
        with turns.waiting():
            assert turns.is_busy
        with turns.waiting(), turns.waiting():
            assert not turns.is_busy


def test_a_landing_that_fails_is_over():
    turns = Turns()
    try:
        with turns.landing(), turns.waiting():
            raise ValueError
    except ValueError:
        pass
    assert not turns.is_busy


def test_one_look_stands_back_for_a_moment_only():
    turns = Turns()
    went_on = threading.Event()
    with turns.landing():
        threading.Thread(target=lambda: (turns.give_way(), went_on.set()), daemon=True).start()
        assert went_on.wait(LONG)
