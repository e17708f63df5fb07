"""A connection to PostgreSQL that is cut costs no reader anything, and no writer as long as nothing may have been committed."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from contract_tests.stores import case, empty_database, names, opened, page, postgres
from gateway.store import database as module
from gateway.store.store import Store

__all__ = ["postgres"]


@pytest.fixture
def cut_off(postgres: str) -> Iterator[tuple[Store, Callable[[], int]]]:
    """A store, and what ends all its connections from the server's side; it tells how many."""
    with empty_database(postgres) as url, opened(url) as store:
        pids: list[int] = []
        event.listen(store.database.engine, "connect", lambda raw, _: pids.append(raw.info.backend_pid))
        store.database.engine.dispose()
        store.land(page(case("1", case_name="甲")))

        def cut() -> int:
            with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as connection:
                ended = [connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,)).fetchone() for pid in pids]
            pids.clear()
            return len(ended)

        yield store, cut


@pytest.mark.parametrize("idle", [0.0, 1000.0], ids=["asked before", "taken at its word"])
def test_readers_and_writers_go_on_after_every_connection_was_cut(cut_off, monkeypatch, idle):
    store, cut = cut_off
    monkeypatch.setattr(module, "IDLE", idle)
    assert cut() == 1
    assert names(store, "1") == {"1": "甲"}
    assert cut() == 1
    assert store.land(page(case("2", case_name="乙"))).applied == 1
    assert names(store, "1", "2") == {"1": "甲", "2": "乙"}


def test_a_writer_that_is_cut_off_before_the_end_begins_again(cut_off):
    store, cut = cut_off
    told = store.tables.run
    ran = []

    def work(connection: Connection) -> None:
        connection.execute(told.select())
        ran.append(cut() if not ran else 0)
        connection.execute(told.select())

    store.database.write(work)
    assert ran == [1, 0]


def test_a_writer_that_is_cut_off_at_the_end_does_not_guess(cut_off):
    store, cut = cut_off
    ran = []

    def work(connection: Connection) -> None:
        connection.execute(store.tables.run.select())
        ran.append(1)

    store.database.points = lambda point: cut() if point == "commit.before" else None
    with pytest.raises(DBAPIError):
        store.database.write(work)
    assert ran == [1]
