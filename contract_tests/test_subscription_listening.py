"""Those who listen to the store: told at once by whoever writes in the same process, cut off when they are too slow, never in silence."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from contract_tests.serving import PATIENCE
from contract_tests.stores import empty_database, opened, page, party
from gateway.engine import listening
from gateway.engine.listening import Feed, FeedBroken, Listener, TooSlow
from gateway.store.feed import Change
from gateway.store.store import Store

pytestmark = pytest.mark.anyio
LONG = 3600.0


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    with empty_database("sqlite") as url, opened(url) as made:
        yield made


def everything(_event: object) -> bool:
    return True


def land(store: Store, *keys: str) -> None:
    store.land(page(*(party(key) for key in keys)))


async def told(listener: Listener[Change], count: int) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [(await anext(listener)).key for _ in range(count)]


async def until_it_ends(listener: Listener[Change]) -> list[str]:
    async with asyncio.timeout(PATIENCE):
        return [change.key async for change in listener]


async def test_what_this_process_writes_is_told_at_once_and_the_rest_in_its_time(store: Store) -> None:
    feed = Feed(store, LONG, 100)
    async with feed.listen(feed.changes, everything) as listener:
        await asyncio.to_thread(land, store, "a", "b")
        assert await told(listener, 2) == ["a", "b"]
        await asyncio.to_thread(land, store, "a", "c")
        assert await told(listener, 1) == ["c"]
    feed = Feed(store, 0.01, 100)
    with opened(str(store.database.engine.url)) as elsewhere:
        async with feed.listen(feed.changes, everything) as listener:
            await asyncio.to_thread(land, elsewhere, "d")
            assert await told(listener, 1) == ["d"]


async def test_nobody_reads_while_nobody_listens_and_who_comes_again_is_not_told_what_was(store: Store) -> None:
    feed = Feed(store, LONG, 100)
    async with feed.listen(feed.changes, everything), feed.listen(feed.run_updates, everything):
        assert (feed.listening, len(store.on_change)) == (2, 1)
    await asyncio.sleep(0)
    assert (feed.listening, store.on_change) == (0, [])
    await asyncio.to_thread(land, store, "missed")
    async with feed.listen(feed.changes, everything) as listener:
        await asyncio.to_thread(land, store, "a")
        assert await told(listener, 1) == ["a"]


async def test_a_burst_larger_than_the_queue_is_no_fault_of_who_keeps_up(store: Store) -> None:
    feed = Feed(store, 1.0, 4)
    keys = [f"{number:02d}" for number in range(40)]
    async with feed.listen(feed.changes, everything) as listener:
        await asyncio.to_thread(land, store, *keys)
        assert await told(listener, 40) == keys


async def test_who_takes_nothing_is_told_so_and_the_others_everything(store: Store) -> None:
    feed = Feed(store, 0.02, 4)
    keys = [f"{number:02d}" for number in range(12)]
    async with (
        feed.listen(feed.changes, everything) as quick,
        feed.listen(feed.changes, everything) as slow,
        feed.listen(feed.changes, lambda change: change.key == "07") as choosy,
    ):
        await asyncio.to_thread(land, store, *keys)
        assert await told(quick, 12) == keys
        assert await told(choosy, 1) == ["07"]
        with pytest.raises(TooSlow):
            await until_it_ends(slow)
        assert len(slow.waiting) == 0
        await asyncio.to_thread(land, store, "13")
        assert await told(quick, 1) == ["13"]


async def test_at_the_end_what_waits_is_told_and_nobody_begins(store: Store) -> None:
    feed = Feed(store, LONG, 100)
    async with feed.listen(feed.changes, everything) as listener:
        await asyncio.to_thread(land, store, "a", "b")
        assert await told(listener, 1) == ["a"]
        feed.close()
        assert await until_it_ends(listener) == ["b"]
        async with feed.listen(feed.changes, everything) as late:
            assert await until_it_ends(late) == []


async def test_a_store_that_fails_is_told_to_who_begins_and_read_again_when_it_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "SLOWEST_RETRY", 0.02)
    feed = Feed(store, 0.01, 100)

    def rename(before: str, after: str) -> None:
        store.database.write(lambda connection: connection.execute(text(f"ALTER TABLE {before} RENAME TO {after}")))

    async with feed.listen(feed.changes, everything) as listener:
        await asyncio.to_thread(rename, "changed", "gone")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(rename, "gone", "changed")
        await asyncio.to_thread(land, store, "a")
        assert await told(listener, 1) == ["a"]
    await asyncio.to_thread(rename, "changed", "gone")
    with pytest.raises(FeedBroken):
        async with feed.listen(feed.changes, everything):
            pass
    assert feed.listening == 0


async def test_a_store_that_fails_for_so_long_that_changes_may_be_dropped_ends_everybody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "FORGOTTEN", 0.0)
    feed = Feed(store, 0.01, 100)
    async with feed.listen(feed.changes, everything) as listener:
        store.database.write(lambda connection: connection.execute(text("ALTER TABLE changed RENAME TO gone")))
        with pytest.raises(FeedBroken):
            await until_it_ends(listener)
