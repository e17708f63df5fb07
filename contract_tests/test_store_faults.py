"""The database fails: the error says what to mend and nothing of where it is, nothing is lost, and mended is enough."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier, Thread

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError

from contract_tests.stores import REGISTRY, case, database, names, opened, page, postgres, store, url
from contract_tests.test_drop import environment
from gateway.cli import main
from gateway.store.faults import READ_ONLY, WRONG_ACCOUNT, store_fault
from gateway.store.runs import Landed, Progress
from gateway.store.store import Store
from schema.problems import Problems

__all__ = ["database", "environment", "postgres", "store", "url"]
LEAKS = ("127.0.0.1", "tester", "gateway.db", "INSERT", "COPY", "store_", "password", "甲")


@contextmanager
def read_only(store: Store) -> Iterator[None]:
    is_postgresql = store.database.engine.dialect.name == "postgresql"
    with on_each_connection(
        store, "SET default_transaction_read_only = on" if is_postgresql else "PRAGMA query_only = ON"
    ):
        yield


@contextmanager
def table_gone(store: Store) -> Iterator[None]:
    run(store, "ALTER TABLE link RENAME TO elsewhere")
    yield
    run(store, "ALTER TABLE elsewhere RENAME TO link")


@contextmanager
def on_each_connection(store: Store, statement: str) -> Iterator[None]:
    def listener(connection: object, _record: object) -> None:
        connection.execute(statement)  # type: ignore[attr-defined]
        getattr(connection, "commit", lambda: None)()

    engine = store.database.engine
    engine.dispose()
    event.listen(engine, "connect", listener)
    yield
    event.remove(engine, "connect", listener)
    engine.dispose()


def run(store: Store, *statements: str) -> None:
    store.database.write(lambda c: [c.execute(text(statement)) for statement in statements])


@pytest.mark.parametrize(("fault", "said"), [(read_only, READ_ONLY), (table_gone, "数据库里少了一张表：请从备份恢复")])
def test_a_page_that_could_not_be_written_is_told_of_and_goes_in_when_that_is_mended(store, fault, said):
    store.land(page(case("1")))
    begun = store.begin_run("market", "cases")
    told = replace(page(case("1", 2, case_name="改"), case("2"), received=101), raw=os.urandom(300_000))
    progress = Progress(begun.run_id, 1, "c")
    with fault(store):
        with pytest.raises(DBAPIError) as failed:
            store.land(told, progress)
        assert store_fault(failed.value) == said
        assert not [leak for leak in LEAKS if leak in store_fault(failed.value)]
    assert names(store, "1", "2") == {"1": "甲"}
    assert store.land(told, progress) == Landed(applied=2)
    assert names(store, "1", "2") == {"1": "改", "2": "甲"}


@pytest.mark.parametrize(
    "command",
    [["worker", "--once"], ["sync", "linxi_ledger"], ["remap"], ["quarantine", "list"], ["receipts"]],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("changed", "said"), [({"password": "not the one"}, WRONG_ACCOUNT), ({"port": 1}, "数据库连不上")]
)
@pytest.mark.usefixtures("environment")
def test_commands_say_what_is_wrong_with_the_database_and_end(postgres, monkeypatch, capsys, command, changed, said):
    wrong = make_url(postgres).set(**changed).render_as_string(hide_password=False)
    monkeypatch.setenv("GATEWAY_DATABASE_URL", wrong)
    assert main(command) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert not [leak for leak in (*LEAKS, "not the one", "Traceback") if leak in printed.err + printed.out]


def test_a_lost_table_does_not_come_back_empty_but_what_is_made_from_others_does(store, url):
    store.land(page(case("1")))
    run(store, "DROP TABLE current_enforcement_case")
    store.create()
    assert (
        store.database.read(lambda c: c.execute(text("SELECT case_name FROM current_enforcement_case")).scalar())
        == "甲"
    )
    run(store, "ALTER TABLE enforcement_case RENAME TO elsewhere")
    with pytest.raises(Problems, match="enforcement_case: 这张表不见了"):
        store.create()
    run(store, "ALTER TABLE elsewhere RENAME TO enforcement_case")
    with opened(url) as again:
        assert names(again, "1") == {"1": "甲"}


# Collisions


def failing(state: str, times: int) -> tuple[Callable[..., str], list[int]]:
    """Work that the server refuses so many times, and a count of how often it was tried."""
    tries: list[int] = []

    def work(connection: object) -> str:
        tries.append(1)
        if len(tries) <= times:
            raising = f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$"
            connection.execute(text(raising))  # type: ignore[attr-defined]
        return "done"

    return work, tries


@pytest.mark.parametrize("state", ["40001", "40P01"])
def test_what_collides_is_tried_again_three_times(postgres, state):
    store = Store(postgres, REGISTRY)
    work, tries = failing(state, 3)
    assert (store.database.write(work), len(tries)) == ("done", 4)
    work, tries = failing(state, 9)
    with pytest.raises(DBAPIError) as failed:
        store.database.write(work)
    assert (len(tries), "重试" in store_fault(failed.value)) == (4, True)
    work, tries = failing("22012", 1)
    with pytest.raises(DBAPIError):
        store.database.write(work)
    assert len(tries) == 1
    store.close()


def test_two_that_wait_for_each_other_both_get_done(postgres):
    store, met = Store(postgres, REGISTRY), Barrier(2)
    store.database.write(
        lambda c: [c.execute(text(s)) for s in ("DROP TABLE IF EXISTS d", "CREATE TABLE d (n int, m int)")]
    )
    run(store, "INSERT INTO d VALUES (1, 0), (2, 0)")

    def cross(first: int, second: int) -> None:
        tries: list[int] = []

        def work(connection: object) -> None:
            tries.append(1)
            add = text("UPDATE d SET m = m + 1 WHERE n = :n")
            connection.execute(add, {"n": first})  # type: ignore[attr-defined]
            if len(tries) == 1:
                met.wait(10)
            connection.execute(add, {"n": second})  # type: ignore[attr-defined]

        store.database.write(work)

    threads = [Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    [thread.start() for thread in threads]
    [thread.join(30) for thread in threads]
    assert store.database.read(lambda c: c.execute(text("SELECT m FROM d")).scalars().all()) == [2, 2]
    run(store, "DROP TABLE d")
    store.close()


def test_a_file_that_somebody_else_writes_is_waited_for_and_then_told_of(tmp_path):
    with opened(f"sqlite:///{tmp_path / 'gateway.db'}") as store:
        other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
        with on_each_connection(store, "PRAGMA busy_timeout = 1"):
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DBAPIError) as failed:
                store.land(page(case("1")))
            assert store_fault(failed.value) == "数据库正被别的程序占用，重试后仍未成功"
            other.execute("ROLLBACK")
            assert store.land(page(case("1"))) == Landed(applied=1)
        other.close()
