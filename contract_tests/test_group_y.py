"""Group Y of the faults: what goes wrong with data return, and what it must do to us. One row, one test; some point to theirs."""

import asyncio
import os
import signal
import socket
import struct
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import DBAPIError

from contract_tests.changing import TODAY, Changing
from contract_tests.deliveries import content_of, counts, csv, delivered, good_rows, ledger_sums, receiver
from contract_tests.delivering import LEDGER_PATH, NDJSON, agency, balance, records
from contract_tests.elsewhere import is_a_test
from contract_tests.files import file_mapping
from contract_tests.stores import case as told_case
from contract_tests.stores import database, empty_database, opened, page, postgres, store, url
from contract_tests.stores import names as stored_names
from contract_tests.test_receiving import Stopping, stopping_after
from contract_tests.test_sync_run import MARKET, ORDERED, case, cases, cursor, names, sync, told
from contract_tests.waiting import until
from gateway.store.leases import RunSuperseded, StreamBusy
from gateway.store.runs import Landed, Progress

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio

ELSEWHERE = {
    "Y1": "test_crash.test_two_hundred_schedules_lose_nothing_and_kill_workers_at_every_named_point",
    "Y3": "test_return_cursors.test_a_record_committed_late_is_found_by_the_overlap_however_long_the_run_took",
    "Y5": "test_return_mending.test_more_than_two_in_a_hundred_gone_stop_for_a_person_with_nothing_deleted",
    "Y6": "test_return_mending.test_a_page_with_too_many_bad_records_stops_the_stream_and_moves_no_cursor",
    "Y11": "test_return_schedule.test_a_stream_that_lost_its_cursor_waits_for_a_person_to_say_from_where",
}


@pytest.mark.parametrize("row", ELSEWHERE)
def test_rows_that_have_a_test_of_their_own_have_it(row):
    assert is_a_test(ELSEWHERE[row])


def test_y2_pages_twice_out_of_order_and_older_than_stored_change_nothing_and_are_counted(store):
    older, newer = (
        page(told_case("1", 1, case_name="旧"), received=1),
        page(told_case("1", 2, case_name="新"), received=2),
    )
    assert store.land(newer) == Landed(applied=1)
    assert store.land(older) == Landed(duplicate=1)
    assert store.land(newer) == Landed(unchanged=1)
    assert stored_names(store, "1") == {"1": "新"}


@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=15)])
async def test_y4_our_own_clock_moves_no_cursor(store, back):
    """The clock of this process says an earlier day: cursors come from the source's own words, leases from the database."""
    store.clock = lambda: TODAY - back
    source = Changing("GXSJ", cases(12))
    await sync(source, store, ORDERED)
    assert cursor(store) == "2024-06-01T10:11:00+08:00"
    source.records.append(case(99, 12))
    await sync(source, store, ORDERED)
    assert names(store) == told(source)


async def test_y4_a_leap_day_and_the_turn_of_a_year_are_times_like_others(store):
    days = [
        "2024-02-28 23:59:59",
        "2024-02-29 00:00:00",
        "2024-02-29 23:59:59",
        "2024-03-01 00:00:00",
        "2025-01-01 00:00:00",
    ]
    source = Changing("GXSJ", [case(n, 0, GXSJ=day) for n, day in enumerate(days * 3)][:5])
    for mapping in (ORDERED, MARKET):
        await sync(source, store, mapping)
        assert names(store) == told(source)
    assert cursor(store) == "2025-01-01T00:00:00+08:00"


async def test_y7_a_lost_connection_fails_the_run_and_the_next_goes_on(postgres):
    with empty_database(postgres) as address, opened(address) as store:
        pids: set[int] = set()
        event.listen(store.database.engine, "checkout", lambda raw, _record, _proxy: pids.add(raw.info.backend_pid))

        class Cutting(Changing):
            async def call(self, call: Any) -> Any:
                if len(self.calls) == 2:
                    with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as connection:
                        for pid in pids:
                            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
                return await super().call(call)

        source = Cutting("GXSJ", cases(12))
        for _ in range(3):
            try:
                await sync(source, store, ORDERED)
                break
            except DBAPIError:
                table = store.tables.lease
                store.database.write(
                    lambda c, t=table: c.execute(update(t).values(expires_at=TODAY.replace(year=2020)))
                )
        assert names(store) == told(source)


def test_y8_a_worker_stopped_in_the_middle_of_a_page_loses_it_and_the_lease(postgres):
    """A real process, stopped by SIGSTOP inside its transaction: the database ends that, another goes on, the old one may not."""
    with empty_database(postgres) as address, opened(address) as store:
        store.close()
        pid = os.fork()
        if pid == 0:
            try:
                store.database.points = lambda name: (
                    os.kill(os.getpid(), signal.SIGSTOP) if name == "ledger.after" else None
                )
                begun = store.begin_run("market", "cases", seconds=1.0)
                store.land(page(told_case("1", 1, case_name="旧")), Progress(begun.run_id, 1, "a"))
            except (DBAPIError, RunSuperseded):
                os._exit(7)
            finally:
                os._exit(1)
        os.waitpid(pid, os.WUNTRACED)
        later = _begin_when_free(store)
        assert store.land(page(told_case("1", 1, case_name="新")), Progress(later, 1, "b")) == Landed(applied=1)
        os.kill(pid, signal.SIGCONT)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert stored_names(store, "1") == {"1": "新"}
        stream = store.tables.stream
        assert store.database.read(lambda c: c.execute(select(stream.c.cursor)).scalar()) == "b"


@pytest.mark.parametrize("arrives", [True, False])
def test_y9_whose_answer_was_lost_asks_by_its_key_and_sending_again_takes_nothing_twice(url, tmp_path, arrives):
    """The connection is cut behind the last byte of a delivery, or in the middle of it."""
    body = records(*range(300)).encode()
    with agency(tmp_path, url) as ours, opened(url) as store:
        address = urlsplit(ours.served.address)
        head = (
            f"POST {LEDGER_PATH} HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {ours.key}\r\n"
            f"content-type: {NDJSON}\r\nidempotency-key: k1\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection((address.hostname, address.port)) as connection:
            connection.sendall(head + (body if arrives else body[:-100]))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if arrives:
                until(lambda: store.database.read(lambda c: c.execute(select(store.tables.delivery.c.id)).scalar()))
        if arrives:
            until(lambda: ours.ask("GET", LEDGER_PATH, idempotency_key="k1").json().get("status") == "done")
        else:
            assert ours.ask("GET", LEDGER_PATH, idempotency_key="k1").json()["code"] == "NOT_FOUND"
        for is_new in (not arrives, False):
            told = ours.post(body.decode(), "k1").json()
            assert (balance(told), told["isNew"]) == ((300, 300, 0, 0), is_new)
        assert ledger_sums(store) == {
            "fetched": 300,
            "applied": 300,
            "unchanged": 0,
            "duplicate": 0,
            "quarantined": 0,
        }


def test_y10_a_batch_acknowledged_at_once_and_rejected_by_half_later_balances_at_every_step(store, tmp_path):
    """Sent = accepted + rejected + pending: while somebody else has the stream, when it was cut short, and at the end."""
    mapping, door = file_mapping(tmp_path), receiver(store)
    rows = [
        row for n in range(300) for row in (*good_rows(1, first=n), f",案{n},查封,1,2024/01/02")
    ]  # no number, no record
    content = content_of(mapping, csv(tmp_path, *rows))

    def deliver() -> Any:
        return door.receive(mapping, delivered(mapping), content, "k1", patience=0)

    other = store.begin_run(mapping.name, "delivered", "deliver", "another")
    acknowledged = deliver()
    assert (acknowledged.status, counts(acknowledged)) == ("pending", (600, 0, 0, 0, 0, 600))
    assert door.records(acknowledged.id, 0, 1000) == []
    store.finish_run(other.run_id, None)
    mend = stopping_after(store, 1)
    with pytest.raises(Stopping):
        deliver()
    mend()
    half = door.read(acknowledged.id)
    assert (half.status, counts(half)) == ("pending", (600, 250, 0, 0, 250, 100))
    assert len(door.records(half.id, 0, 1000)) == 500
    for _ in range(2):
        told = deliver()
        assert (told.id, told.status, counts(told)) == (acknowledged.id, "done", (600, 300, 0, 0, 300, 0))
    outcomes = [(one.number, one.outcome) for one in door.records(told.id, 0, 1000)]
    assert outcomes == [(n, "applied" if n % 2 else "quarantined") for n in range(1, 601)]
    sums = {"fetched": 600, "applied": 300, "unchanged": 0, "duplicate": 0, "quarantined": 300}
    assert ledger_sums(store) == sums


def _begin_when_free(store: Any) -> int:
    async def wait() -> int:
        async with asyncio.timeout(30):
            while True:
                try:
                    return (await asyncio.to_thread(store.begin_run, "market", "cases")).run_id
                except StreamBusy:
                    await asyncio.sleep(0.1)

    return asyncio.run(wait())
