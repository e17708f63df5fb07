"""A stream is read to its end: nothing lost, nothing twice, whatever fails, repeats or comes out of order."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from adapters.errors import SourceUnavailable
from contract_tests.changing import MAPPINGS, TODAY, Changing, with_changes, with_page_size
from contract_tests.stores import database, listed, new_store, postgres, store, url
from gateway.store.runs import INTERRUPTED, RunSuperseded, StreamBusy
from gateway.store.store import Landed, Store
from gateway.sync.cursor import CannotAdvance
from gateway.sync.run import PageReport, RunResult, run_changes
from gateway.sync.walks import REPEATED

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio

ORDERED, EXCHANGE, LICENCE = (MAPPINGS[name] for name in ("binhai_market", "binhai_exchange", "transport_licence"))
MARKET = with_changes(ORDERED, "cases_changed", ascending=False)
AGENCY = MARKET.agency


def case(number: int, minute: int, name: str = "甲", **values: Any) -> dict[str, Any]:
    """A record of the market system, changed in the given minute."""
    time = f"2024-06-01 {10 + minute // 60}:{minute % 60:02d}:00"
    return {"AJBH": f"{number:03d}", "AJMC": name, "GXSJ": time, "SCBZ": "0", **values}


def cases(count: int) -> list[dict[str, Any]]:
    return [case(number, number) for number in range(count)]


def licence(number: int, change: int, name: str = "甲") -> dict[str, Any]:
    return {"licNo": f"L{number}", "licName": name, "seqNo": str(change)}


def decision(number: int, minute: int, operation: str, content: str = "罚款") -> dict[str, Any]:
    """A row of the exchange database."""
    row = {"cf_wsh": f"闽滨市监罚〔2024〕{number}号", "cf_nr": content, "cd_operation": operation}
    return {**row, "cd_id": str(number), "cd_time": f"2024-06-01 10:{minute:02d}:00", "cd_batch": str(minute)}


async def sync(
    source: Changing, store: Store, mapping: Any = MARKET, operation: str = "cases_changed", reports: Any = None
) -> RunResult:
    return await run_changes(source, mapping, operation, store, str, ([] if reports is None else reports).append)


def names(store: Store, entity: str = "EnforcementCase", element: str = "case_name") -> dict[str, str]:
    """Last part of the key -> one element, of everything in the store."""
    keys, _, _ = listed(store, entity, 1000)
    return {s.mapped.key.split("/")[-1]: s.mapped.values[element] for s in store.by_keys(entity, keys)}


def told(source: Changing) -> dict[str, str]:
    return {record["AJBH"]: record["AJMC"] for record in source.records if record["SCBZ"] == "0"}


def runs(store: Store) -> list[tuple[str, str | None]]:
    table = store.tables.run
    query = select(table.c.status, table.c.error).order_by(table.c.id)
    return [tuple(row) for row in store.database.read(lambda c: c.execute(query).all())]


def ledger(store: Store) -> list[tuple[int, ...]]:
    table = store.tables.ledger
    query = select(table.c.run_id, table.c.page, table.c.fetched, table.c.applied, table.c.unchanged)
    return [tuple(row) for row in store.database.read(lambda c: c.execute(query.order_by(*table.primary_key)).all())]


def cursor(store: Store) -> str | None:
    table = store.tables.stream
    return store.database.read(lambda c: c.execute(select(table.c.cursor)).scalar_one())


def lease_is_over(store: Store) -> None:
    table = store.tables.lease
    store.database.write(lambda c: c.execute(update(table).values(expires_at=TODAY.replace(year=2020))))


# Pages by number


async def test_pages_are_read_by_number_to_the_total(store):
    source = Changing("GXSJ", cases(12))
    reports: list[PageReport] = []
    result = await sync(source, store, reports=reports)
    assert result == RunResult(fetched=12, applied=12, pages=3, cursor="2024-06-01T10:11:00+08:00")
    assert str(result) == "3 页 12 条：写入 12，未变 0，重复 0，隔离 0；游标 2024-06-01T10:11:00+08:00"
    assert [(call.page, call.size, call.since) for call in source.calls] == [(1, 5, None), (2, 5, None), (3, 5, None)]
    assert [(r.page, r.landed, r.note) for r in reports] == [
        (n, Landed(applied=c), "") for n, c in ((1, 5), (2, 5), (3, 2))
    ]
    assert names(store) == told(source)
    assert ledger(store) == [(1, 1, 5, 5, 0), (1, 2, 5, 5, 0), (1, 3, 2, 2, 0)]
    assert runs(store) == [("succeeded", None)]


async def test_the_next_run_reads_from_the_cursor_less_the_overlap(store):
    source = Changing("GXSJ", cases(12))
    await sync(source, store)
    source.records[0] = case(0, 12, "改")
    source.records.append(case(99, 8, "迟到"))
    source.calls.clear()
    assert await sync(source, store) == RunResult(13, 2, 11, pages=3, cursor="2024-06-01T10:12:00+08:00")
    assert source.calls[0].since == "2024-06-01 10:01:00"
    assert names(store) == told(source)


async def test_without_a_total_a_short_page_is_the_last(store):
    source = Changing("GXSJ", cases(10), counts=False)
    assert (await sync(source, store)).pages == 3
    assert len(source.calls) == 3


async def test_a_source_with_nothing_to_tell_is_asked_once(store):
    assert await sync(Changing("GXSJ", []), store) == RunResult(pages=1)
    assert runs(store) == [("succeeded", None)]


async def test_a_page_that_comes_again_ends_the_run_with_a_word(store):
    source = Changing("GXSJ", cases(5), counts=False, order=lambda records: records * 3)
    reports: list[PageReport] = []
    assert await sync(source, store, reports=reports) == RunResult(5, 5, pages=1)
    assert [report.note for report in reports] == ["", REPEATED]


LATER = "2024-06-01 11:00:00"


@pytest.mark.parametrize("later", [{"SCBZ": "1", "GXSJ": LATER}, {"GXSJ": LATER}, {"NOBODY": "改"}], ids=str)
async def test_a_page_that_tells_the_same_of_the_same_in_other_records_is_another_page(store, later):
    """Gone, told again later, or different in what nobody maps: there is more to read behind it."""
    records = [*cases(5), *({**one, **later} for one in cases(5)), case(9, 9)]
    await sync(Changing("GXSJ", records, counts=False, order=list), store)
    assert set(names(store)) == ({"009"} if "SCBZ" in later else {"009", *(f"{n:03d}" for n in range(5))})


async def test_a_total_that_is_not_so_is_reported(store):
    class Boasting(Changing):
        async def call(self, call: Any) -> Any:
            page = await super().call(call)
            return type(page)(page.records, page.raw, page.media_type, page.received_at, total=7)

    reports: list[PageReport] = []
    await sync(Boasting("GXSJ", cases(6)), store, reports=reports)
    assert [report.note for report in reports] == ["", "来源说共 7 条，实得 6 条", ""]


async def test_a_record_told_twice_is_there_once_as_told_last(store):
    source = Changing("GXSJ", [*cases(5), case(2, 2), case(3, 9, "改")])
    result = await sync(source, store)
    assert result == RunResult(14, 6, 5, 3, pages=4, cursor="2024-06-01T10:09:00+08:00")
    assert [call.page for call in source.calls] == [1, 2, 1, 2]
    assert names(store)["003"] == "改"


# Databases


async def test_a_database_is_paged_from_the_last_row_and_its_operations_are_followed(store):
    mapping = with_page_size(EXCHANGE, "penalties_changed", 2)
    rows = [
        decision(1, 1, "i"),
        decision(2, 2, "i"),
        decision(1, 3, "u", "改"),
        decision(2, 4, "d"),
        decision(3, 5, "d"),
    ]
    source = Changing("cd_time", rows, ties=("cd_id", "cd_batch"))
    assert await sync(source, store, mapping, "penalties_changed") == RunResult(
        9, applied=5, unchanged=4, pages=5, cursor="2024-06-01T10:05:00+08:00"
    )
    assert [(call.page, call.cursor is None) for call in source.calls] == [(None, True), *[(None, False)] * 4]
    assert names(store, "PenaltyDecision", "decision_content") == {"闽滨市监罚〔2024〕1号": "改"}


# Pages by cursor


async def test_pages_start_at_the_last_value_of_the_page_before(store):
    source = Changing("seqNo", [licence(number, number) for number in range(1, 12)], counts=False)
    result = await sync(source, store, LICENCE, "licenses_changed")
    assert result == RunResult(13, applied=11, unchanged=2, pages=3, cursor="11")
    assert [call.since for call in source.calls] == [None, "5", "9"]
    source.calls.clear()
    assert await sync(source, store, LICENCE, "licenses_changed") == RunResult(1, unchanged=1, pages=1, cursor="11")
    assert [call.since for call in source.calls] == ["11"]


async def test_ties_over_the_edge_of_a_page_are_read_again_and_not_lost(store):
    changes = [licence(number, change) for number, change in enumerate([1, 2, 3, 4, 4, 4, 4, 5, 6])]
    await sync(Changing("seqNo", changes, counts=False), store, LICENCE, "licenses_changed")
    assert len(names(store, "License", "cert_name")) == 9


@pytest.mark.parametrize("changes", [[7] * 6, [7] * 5, [3, 9, 8, 7, 3, 3], [5, 4, 3, 2, 1, 1, 1]])
async def test_ties_and_disorder_larger_than_a_page_are_got_over_by_larger_pages(store, changes):
    records = [licence(number, change) for number, change in enumerate(changes)]
    source = Changing("seqNo", records, counts=False, order=list)
    assert (await sync(source, store, LICENCE, "licenses_changed")).cursor == str(max(changes))
    assert len(names(store, "License", "cert_name")) == len(changes)
    assert runs(store) == [("succeeded", None)]


async def test_a_source_that_gives_no_larger_pages_is_told_of_when_something_is_behind_them(store):
    class Clamped(Changing):
        async def call(self, call: Any) -> Any:
            return await super().call(replace(call, size=min(call.size, 5)))

    source = Clamped("seqNo", [licence(number, 7) for number in range(6)] + [licence(9, 9)], counts=False)
    with pytest.raises(CannotAdvance, match=r"每页最多给 5 条，其 change_no 都是一个值，无法越过；请在请求中写 \$page"):
        await sync(source, store, LICENCE, "licenses_changed")
    ((status, error),) = runs(store)
    assert (status, "每页最多给 5 条" in str(error)) == ("failed", True)


async def test_a_full_page_without_any_cursor_fails(store):
    records = [{"licNo": f"L{number}", "licName": "甲", "seqNo": "无"} for number in range(5)]
    source = Changing("licNo", records, counts=False)
    with pytest.raises(CannotAdvance, match="change_no"):
        await sync(source, store, LICENCE, "licenses_changed")


# Deletions and bad records


async def test_a_tombstone_deletes(store):
    source = Changing("GXSJ", cases(2))
    await sync(source, store)
    source.records[0] = case(0, 5, SCBZ="1")
    assert (await sync(source, store)).applied == 1
    assert names(store) == {"001": "甲"}


async def test_bad_records_are_quarantined_and_do_not_hold_up_the_stream(store):
    records = [case(0, 0), case(1, 1, MJ="9"), case(2, 2, AJBH=""), case(3, 3, LASJ="2024-13-01")]
    assert await sync(Changing("GXSJ", records), store) == RunResult(
        4, applied=2, quarantined=2, pages=1, cursor="2024-06-01T10:03:00+08:00"
    )
    assert set(names(store)) == {"000", "003"}
    assert {seen.issue.element for seen in store.issues()} == {"filed_date", "secret_level"}
    table = store.tables.quarantine
    kept = store.database.read(lambda c: c.execute(select(table.c.payload, table.c.run_id)).all())
    assert sorted(row.payload["GXSJ"] for row in kept) == [records[1]["GXSJ"], records[2]["GXSJ"]]
    assert {row.run_id for row in kept} == {1}


# Failure and resuming


async def test_a_run_that_fails_goes_on_from_its_last_page(store):
    source = Changing("GXSJ", cases(12), fails_at={3})
    with pytest.raises(SourceUnavailable):
        await sync(source, store, ORDERED)
    assert runs(store) == [("failed", "SOURCE_UNAVAILABLE：来源系统暂时无法访问")]
    assert len(names(store)) == 9
    source.calls.clear()
    source.fails_at.clear()
    assert (await sync(source, store, ORDERED)).cursor == "2024-06-01T10:11:00+08:00"
    assert source.calls[0].since == "2024-06-01 09:58:00"
    assert names(store) == told(source)


async def test_a_source_that_tells_the_newest_first_is_read_from_the_start_again(store):
    source = Changing("GXSJ", cases(12), order=lambda records: records[::-1], fails_at={2})
    with pytest.raises(SourceUnavailable):
        await sync(source, store)
    source.fails_at.clear()
    assert (await sync(source, store)).cursor == "2024-06-01T10:11:00+08:00"
    assert names(store) == told(source)


async def test_a_record_from_the_future_does_not_carry_the_cursor_away(store):
    source = Changing("GXSJ", [case(1, 1), case(2, 2, GXSJ="2099-01-01 00:00:00")])
    assert (await sync(source, store)).cursor == "2024-06-01T10:01:00+08:00"
    assert names(store) == told(source)


async def test_an_error_of_our_own_is_recorded_by_its_kind_only(store):
    source = Changing("GXSJ", cases(1), fails_at={1}, error=RuntimeError("password=123"))
    with pytest.raises(RuntimeError):
        await sync(source, store)
    assert runs(store) == [("failed", "内部错误：RuntimeError")]


async def test_a_run_that_was_killed_is_closed_by_the_next(store):
    store.begin_run("binhai_market", "cases_changed", seconds=0)
    await sync(Changing("GXSJ", cases(1)), store)
    assert runs(store) == [("failed", INTERRUPTED), ("succeeded", None)]


async def test_of_two_runs_of_a_stream_only_the_later_may_write(store):
    waiting, going_on = asyncio.Event(), asyncio.Event()

    class Slow(Changing):
        async def call(self, call: Any) -> Any:
            page = await super().call(call)
            waiting.set()
            await going_on.wait()
            return page

    async def outrun() -> None:
        await waiting.wait()
        with pytest.raises(StreamBusy, match="另一进程"):
            await sync(Changing("GXSJ", cases(12)), store)
        lease_is_over(store)
        await sync(Changing("GXSJ", cases(12)), store)
        going_on.set()

    with pytest.raises(RunSuperseded):
        await asyncio.gather(sync(Slow("GXSJ", cases(2)), store), outrun())
    assert runs(store) == [("failed", INTERRUPTED), ("succeeded", None)]
    assert cursor(store) == "2024-06-01T10:11:00+08:00"


async def test_a_cursor_that_cannot_be_read_never_means_from_the_beginning(store):
    begun = store.begin_run("transport_licence", "licenses_changed")
    store.finish_run(begun.run_id, "昨天")
    source = Changing("seqNo", [licence(1, 1)])
    with pytest.raises(CannotAdvance, match="昨天"):
        await sync(source, store, LICENCE, "licenses_changed")
    assert source.calls == []


async def test_only_changes_are_run(store):
    with pytest.raises(ValueError, match="cases_by_no"):
        await sync(Changing("GXSJ", []), store, operation="cases_by_no")


# Whatever happens


changes = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 3), st.sampled_from("甲乙丙"), st.booleans()), max_size=6
)


@given(st.lists(st.tuples(changes, st.sets(st.integers(1, 6)), st.integers(1, 6)), min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def check_any_history(database: str, history: list[Any]) -> None:
    """Records change, deletions among them, runs fail anywhere; after one good run the store says what the source says."""

    async def live(store: Store) -> None:
        source, minute = Changing("GXSJ", []), 0
        for changed, fails_at, size in [*history, ([], set(), 4)]:
            for number, later, name, is_gone in changed:
                minute += later
                source.records = [record for record in source.records if record["AJBH"] != f"{number:03d}"]
                source.records.append(case(number, minute, name, SCBZ="1" if is_gone else "0"))
            source.fails_at = {len(source.calls) + place for place in fails_at}
            try:
                await sync(source, store, with_page_size(MARKET, "cases_changed", size))
            except SourceUnavailable:
                continue
            assert names(store) == told(source)

    with new_store(database) as store:
        asyncio.run(live(store))


def test_after_any_history_the_store_says_what_the_source_says(database):
    check_any_history(database)
