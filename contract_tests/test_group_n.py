"""Group N of the faults, as far as it is about the store: migrations and collisions. One row, one test; some point to theirs."""

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url

from contract_tests.elsewhere import is_a_test
from contract_tests.stores import case, database, empty_database, names, opened, page, party, postgres, url
from contract_tests.test_migrations import without
from contract_tests.test_store_faults import on_each_connection
from gateway.store.store import Store

__all__ = ["database", "postgres", "url"]
ELSEWHERE = {
    "N1, fails half-way": "test_migrations.test_a_migration_that_fails_half_way_leaves_the_store_as_it_was",
    "N1, killed half-way": (
        "test_return_resumes.test_a_migration_killed_at_any_statement_leaves_a_store_that_old_code_can_use_and_new_code_bring_up"
    ),
    "N1, code older than the schema": "test_migrations.test_code_older_than_the_store_refuses_to_serve",
    "N2, deadlock": "test_store_faults.test_two_that_wait_for_each_other_both_get_done",
    "N2, serialization failure": "test_store_faults.test_what_collides_is_tried_again_three_times",
    "N2, busy": "test_store_faults.test_a_file_that_somebody_else_writes_is_waited_for_and_then_told_of",
    "N2, single writer": "test_store_order.test_pages_landed_by_many_at_once_end_in_the_same_state",
}


@pytest.mark.parametrize("row", ELSEWHERE)
def test_rows_that_have_a_test_of_their_own_have_it(row):
    assert is_a_test(ELSEWHERE[row])


def test_n1_processes_that_start_at_once_bring_an_older_store_up_once(url):
    older = Store(url, without("phone"))
    older.create()
    older.land(page(party("p1")))
    older.close()
    ready, go = os.pipe()
    started = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            try:
                os.close(go)
                os.read(ready, 1)  # ends when nobody can write any more: for all at once
                with opened(url) as mine:
                    mine.land(page(party("p2", phone="1"), received=101))
                os._exit(0)
            finally:
                os._exit(1)
        started.append(pid)
    os.close(go)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started] == [0, 0, 0, 0]
    os.close(ready)
    with opened(url) as store:
        told = {one.mapped.key: one.mapped.values.get("phone") for one in store.by_keys("Party", ["p1", "p2"])}
        assert told == {"p1": None, "p2": "1"}


def test_n2_a_reader_that_stays_lets_the_log_of_a_file_grow_and_once_it_is_gone_that_is_used_again():
    with empty_database("sqlite") as address, opened(address) as store:
        log = Path(f"{make_url(address).database}-wal")
        reader = sqlite3.connect(str(make_url(address).database), isolation_level=None)
        with on_each_connection(store, "PRAGMA wal_autocheckpoint = 20"):

            def grown(first: int) -> int:
                for number in range(first, first + 20):
                    store.land(page(case(str(number), case_name=os.urandom(40_000).hex()), received=number))
                return log.stat().st_size

            reader.execute("BEGIN")
            assert reader.execute("SELECT count(*) FROM enforcement_case").fetchone() == (0,)
            before, after = grown(0), grown(20)
            assert after > 1.8 * before
            assert reader.execute("SELECT count(*) FROM enforcement_case").fetchone() == (0,)
            reader.execute("ROLLBACK")
            assert grown(40) <= 1.1 * after
            assert grown(60) <= 1.1 * after
        reader.close()
        assert len(names(store, *map(str, range(80)))) == 80
