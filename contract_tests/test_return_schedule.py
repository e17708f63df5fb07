"""Streams run when they are due, each once, in any number of processes; what is due is kept with them and in no queue."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from time import sleep
from typing import Any

import pytest
from sqlalchemy import Connection, func, select, text, update

from contract_tests.changing import Changing, with_changes, with_page_size
from contract_tests.stores import database, empty_database, opened, postgres, store, url
from contract_tests.test_sync_run import MARKET, cases, names
from gateway.progress import line
from gateway.store.due import Due
from gateway.store.leases import RunSuperseded, StreamBusy, database_now, release
from gateway.store.runs import CursorLost
from gateway.store.store import Store
from gateway.sync.queue import PgQueue
from gateway.sync.run import Manner
from gateway.sync.schedule import LEASE_PER_HEARTBEAT, Loop, is_paused
from gateway.sync.stream import Streams
from schema.formats import CHINA_TIME

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio
STREAM = ("binhai_market", "cases_changed")
ONLY = {"binhai_market": MARKET}


def running(source: Any, store: Store, mapping: Any = MARKET, lease: float = 30.0) -> Streams:
    return Streams(store, {mapping.name: mapping}, lambda _: source, str, Manner("me", lease), lambda _: None)


def loop(streams: Streams, store: Store, mapping: Any = MARKET, **words: Any) -> Loop:
    return Loop(store, {mapping.name: mapping}, streams.run_due, 0.2, **words)


def stream_row(store: Store) -> Any:
    return store.database.read(lambda c: c.execute(select(store.tables.stream)).one())


def now(store: Store) -> datetime:
    return store.database.read(database_now)


def change(store: Store, table: Any, **values: Any) -> None:
    store.database.write(lambda c: c.execute(update(table).values(**values)))


async def test_a_stream_is_due_at_first_then_after_its_interval_and_soon_after_a_failure(store):
    source = Changing("GXSJ", cases(3))
    found = loop(running(source, store), store)
    assert found.find() == [Due(*STREAM)]
    await found.until_nothing_is_due()
    assert len(names(store)) == 3
    assert found.find() == []
    assert timedelta(seconds=590) < stream_row(store).due_at - now(store) < timedelta(seconds=601)
    change(store, store.tables.stream, due_at=now(store))
    source.fails_at = {len(source.calls) + 1, len(source.calls) + 2}
    for failures, pause in ((1, 15), (2, 30)):
        change(store, store.tables.stream, due_at=now(store))
        await found.until_nothing_is_due()
        row = stream_row(store)
        assert row.failures == failures
        assert timedelta(seconds=pause - 5) < row.due_at - now(store) < timedelta(seconds=pause + 1)


async def test_what_another_process_has_done_while_a_stream_was_handed_out_is_not_done_again(store):
    other = loop(running(Changing("GXSJ", cases(3)), store), store)

    class Slow:
        async def dispatch(self, due: Sequence[Due]) -> Sequence[Due]:
            await other.until_nothing_is_due()
            return due

    source = Changing("GXSJ", cases(3))
    assert await loop(running(source, store), store, dispatcher=Slow()).look() == 0
    assert (source.calls, len(names(store))) == ([], 3)


@pytest.mark.parametrize("end", ["succeeds", "fails", "halts"])
async def test_whoever_looks_the_moment_a_run_is_over_finds_nothing_due(store, end):
    source = Changing("GXSJ", cases(12), fails_at={1} if end == "fails" else set())
    if end == "halts":
        source.records = [case | {"MJ": "9"} for case in source.records]  # all of them bad
    mapping = with_page_size(MARKET, "cases_changed", 12)
    streams = running(source, store, mapping)
    other, found = loop(streams, store, mapping), list[Any]()

    def look() -> None:
        if store.database.read(lambda c: c.execute(select(store.tables.run.c.status)).scalar()) != "running":
            found.append(other.find())

    store.on_change.append(look)
    await streams.run_due(Due(*STREAM))
    assert found == [[]]
    assert (stream_row(store).halted_at is not None) is (end == "halts")


async def test_a_reconciliation_is_due_as_often_as_the_mapping_says(store):
    source = Changing("GXSJ", cases(3))
    found = loop(running(source, store), store)
    await found.until_nothing_is_due()
    change(store, store.tables.stream, reconcile_due_at=now(store))
    assert found.find() == [Due(*STREAM, True)]
    await found.until_nothing_is_due()
    assert found.find() == []
    run = store.tables.run
    assert store.database.read(lambda c: c.execute(select(run.c.kind).order_by(run.c.id)).scalars().all()) == [
        "changes",
        "reconcile",
    ]


@pytest.mark.parametrize(
    ("at", "pauses", "paused"),
    [
        ("03:00", [("02:00", "05:30")], True),
        ("05:30", [("02:00", "05:30")], False),
        ("23:30", [("23:00", "01:00")], True),
        ("00:59", [("23:00", "01:00")], True),
        ("12:00", [("23:00", "01:00"), ("11:59", "12:01")], True),
    ],
)
def test_sources_are_left_alone_in_their_pauses(at, pauses, paused):
    spans = tuple((time.fromisoformat(start), time.fromisoformat(end)) for start, end in pauses)
    role = with_changes(MARKET, "cases_changed", pauses=spans).operations["cases_changed"].changes
    assert is_paused(role, datetime.fromisoformat(f"2024-06-01T{at}:00").replace(tzinfo=CHINA_TIME)) is paused


async def test_a_worker_that_falls_silent_is_replaced_within_two_heartbeats(store):
    heartbeat = 1.0
    store.begin_run(*STREAM, holder="silent", seconds=LEASE_PER_HEARTBEAT * heartbeat)
    began = asyncio.get_running_loop().time()
    other = Loop(store, ONLY, running(Changing("GXSJ", cases(3)), store).run_due, heartbeat)
    assert other.find() == []
    landed, running_loop = asyncio.Event(), asyncio.get_running_loop()
    store.on_change.append(lambda: names(store) and running_loop.call_soon_threadsafe(landed.set))
    task = asyncio.create_task(other.forever())
    try:
        async with asyncio.timeout(10):
            await landed.wait()
        assert asyncio.get_running_loop().time() - began < 2 * heartbeat + 1.0  # and the run itself, on a busy machine
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_run_longer_than_its_lease_lives_by_its_heartbeats_and_one_without_them_is_ended(store):
    class Slow(Changing):
        async def call(self, call: Any) -> Any:
            await asyncio.sleep(0.5)
            if self.takes_away:
                change(store, store.tables.lease, fence=99)
            return await super().call(call)

    slow = Slow("GXSJ", cases(3))
    slow.takes_away = False
    await running(slow, store, lease=0.3).changes(*STREAM)
    assert len(names(store)) == 3
    slow.takes_away = True
    with pytest.raises(RunSuperseded):
        await running(slow, store, lease=0.3).changes(*STREAM)


async def test_a_heartbeat_that_comes_too_late_does_not_hold_what_is_released(store):
    """On SQLite nobody else writes meanwhile; on PostgreSQL it waits for the end of the run, with an old clock reading."""
    run, tables = store.begin_run(*STREAM), store.tables
    beating: list[asyncio.Future[None]] = []

    def end(connection: Connection) -> None:
        connection.execute(select(tables.lease).with_for_update())
        beating.append(asyncio.get_running_loop().run_in_executor(None, store.renew_run, run.run_id, 30.0))
        sleep(0.3)
        release(connection, tables, *STREAM, fence=1)

    store.database.write(end)
    with pytest.raises(RunSuperseded):
        await beating[0]
    store.begin_run(*STREAM)


async def test_one_stream_has_one_run_and_a_busy_one_says_whose(store):
    store.begin_run(*STREAM, holder="worker-1")
    with pytest.raises(StreamBusy, match="worker-1"):
        await running(Changing("GXSJ", []), store).changes(*STREAM)


@pytest.mark.parametrize("loss", ["null", "deleted"])
async def test_a_stream_that_lost_its_cursor_waits_for_a_person_to_say_from_where(store, loss):
    source = Changing("GXSJ", cases(12))
    streams = running(source, store)
    await streams.changes(*STREAM)
    if loss == "null":
        change(store, store.tables.stream, cursor=None)
    else:
        store.database.write(lambda c: c.execute(store.tables.stream.delete()))
    source.calls.clear()
    with pytest.raises(CursorLost, match="--from"):
        await streams.changes(*STREAM)
    assert source.calls == []
    store.set_cursor(*STREAM, "2024-06-01T10:11:00+08:00")
    await streams.changes(*STREAM)
    assert source.calls[0].since == "2024-06-01 10:01:00"
    store.set_cursor(*STREAM, None)
    source.calls.clear()
    await streams.changes(*STREAM)
    assert source.calls[0].since is None


async def test_two_processes_share_a_queue_and_do_without_it_when_it_is_lost(postgres):
    with empty_database(postgres) as address, opened(address) as store:
        due = [Due("binhai_market", "cases_changed"), Due("traffic_police", "violations_changed")]
        one, other = PgQueue(address), PgQueue(address)
        try:
            first = await one.dispatch(due)
            assert sorted(map(repr, first)) == sorted(map(repr, due))
            assert await other.dispatch([]) == []
            assert sorted(map(repr, await other.dispatch(due))) == sorted(map(repr, due))
            with store.database.engine.begin() as connection:
                for table in connection.execute(
                    text(
                        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'pgqueuer%'"
                    )
                ).scalars():
                    connection.execute(text(f'DROP TABLE "{table}" CASCADE'))
            assert sorted(map(repr, await one.dispatch(due))) == sorted(map(repr, due))
            source = Changing("GXSJ", cases(3))
            found = loop(running(source, store), store, dispatcher=one)
            await found.until_nothing_is_due()
            assert len(names(store)) == 3
            assert (
                store.database.read(lambda c: c.execute(select(func.count()).select_from(store.tables.run)).scalar())
                == 1
            )
        finally:
            await one.aclose()
            await other.aclose()


def test_progress_is_a_bar_where_the_source_says_how_many_there_are():
    assert line("m.c", 50, 100, 2.0) == "m.c ████████████············ 50/100 25/s"
    assert line("m.c", 50, None, 2.0) == "m.c 50 25/s"
