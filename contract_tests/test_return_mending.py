"""What a window cannot heal: quarantine and replay, reconciliation, refresh, drift; what a person has to decide stops the stream."""

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from adapters.errors import SourceUnavailable
from contract_tests.changing import Changing, with_changes, with_page_size
from contract_tests.stores import case as stored_case
from contract_tests.stores import database, empty_database, opened, page, postgres, store, url
from contract_tests.test_sync_run import EXCHANGE, LICENCE, MARKET, case, cases, decision, names, runs, sync, told
from gateway.store.due import resume
from gateway.store.quarantine import open_tasks
from gateway.store.runs import StreamHalted
from gateway.store.shadow import keep_page
from gateway.store.store import Store
from gateway.sync import replay as replaying
from gateway.sync.cursor import CannotAdvance
from gateway.sync.drift import Drifted
from gateway.sync.pages import TooManyBad
from gateway.sync.replay import Replayed, replay
from gateway.sync.run import Manner
from gateway.sync.shadow import Mended, Shadowing, TooManyGone, shadow_stream
from gateway.sync.stream import Streams

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio


async def mend(
    source: Any,
    store: Store,
    kind: Any = "reconcile",
    mapping: Any = MARKET,
    lets_delete: bool = False,
    operation: str | None = None,
) -> Mended:
    operation = operation or next(name for name, found in mapping.operations.items() if found.changes)
    what = Shadowing(source, mapping, operation, store, str, kind, lets_delete)
    return await shadow_stream(what, lambda _: None, Manner())


def streams(source: Any, store: Store, mapping: Any = MARKET) -> Streams:
    return Streams(store, {mapping.name: mapping}, lambda _: source, str, Manner(), lambda _: None)


def everything(store: Store) -> list[tuple[Any, ...]]:
    """The state of all cases, as the sources told them and as they hold, with their links."""
    found: list[tuple[Any, ...]] = []
    for table in (store.tables.entities["EnforcementCase"], store.tables.current["EnforcementCase"]):
        skipped = {"raw_digest", "mapping_version", "as_of", "fetched_at", "case_code"}  # codes are given in turn
        columns = [column for column in table.columns if column.name not in skipped]
        found += store.database.read(partial(rows_of, select(*columns)))
    return sorted(map(repr, [*found, *store.database.read(partial(rows_of, select(store.tables.link)))]))


def rows_of(query: Any, connection: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(query)]


def count(store: Store, table: Any) -> int:
    return store.database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


def knowing(code: str) -> Any:
    """The market's mapping once somebody added the code of a secret level."""
    entity = MARKET.entities["EnforcementCase"]
    field = entity.fields["secret_level"]

    def convert(text: str) -> object:
        return "INTERNAL" if text == code else field.convert(text)

    fields = {**entity.fields, "secret_level": replace(field, convert=convert)}
    entities = {**MARKET.entities, "EnforcementCase": replace(entity, fields=fields)}
    return replace(MARKET, entities=entities, version="mended")


# Quarantine and replay


@pytest.mark.parametrize("at_once", [1, 2, replaying.AT_ONCE])
async def test_after_a_fix_what_is_replayed_is_as_if_it_had_never_failed(store, database, at_once, monkeypatch):
    monkeypatch.setattr(replaying, "AT_ONCE", at_once)
    records = [case(n, n, MJ="7" if n % 3 == 0 else "0") for n in range(9)]
    await sync(Changing("GXSJ", records), store, with_changes(MARKET, "cases_changed", most_bad=1.0))
    assert count(store, store.tables.quarantine) == 3
    later = [*records, case(3, 30, "后来", MJ="0")]
    await sync(Changing("GXSJ", later), store, with_changes(MARKET, "cases_changed", most_bad=1.0))
    mended = knowing("7")
    assert await asyncio.to_thread(replay, store, mended, str) == Replayed(taken=2, known=1, closed=1)
    assert await asyncio.to_thread(replay, store, mended, str) == Replayed()
    assert {status for status, _ in runs(store)} == {"succeeded"}
    with empty_database(database) as address, opened(address) as other:
        await sync(Changing("GXSJ", later), other, mended)
        assert everything(store) == everything(other)


async def test_what_is_refused_again_stays_in_quarantine_once(store):
    await sync(Changing("GXSJ", [case(1, 1, MJ="7")]), store)
    assert await asyncio.to_thread(replay, store, replace(MARKET, version="other"), str) == Replayed(refused=1)
    assert await asyncio.to_thread(replay, store, replace(MARKET, version="other"), str) == Replayed(refused=1)
    table = store.tables.quarantine
    rows = store.database.read(lambda c: c.execute(select(table).order_by(table.c.at)).all())
    assert sorted((row.mapping_version == "other", row.resolution) for row in rows) == [
        (False, "refused again"),
        (True, None),
    ]
    assert {(row.step, row.rule) for row in rows} == {("map", "EnforcementCase.secret_level/04")}
    assert all(row.payload["AJBH"] == "001" and row.reason and row.spec_version and row.raw_digest for row in rows)


async def test_a_code_nobody_knows_opens_one_task_however_often_it_comes(store):
    records = [case(n, n, AJZT="77" if n % 2 else "78") for n in range(60)]
    await sync(Changing("GXSJ", records), store)
    (task,) = store.database.read(lambda c: open_tasks(c, store.tables))
    assert (task.codes, task.element, task.seen) == ("case_status", "EnforcementCase.case_status", {"77": 30, "78": 30})


# Too many bad, and drift


async def test_a_page_with_too_many_bad_records_stops_the_stream_and_moves_no_cursor(store):
    mapping = with_page_size(with_changes(MARKET, "cases_changed", ascending=True), "cases_changed", 10)
    source = Changing("GXSJ", [case(n, n, MJ="9" if n >= 15 else "0") for n in range(20)])
    running = streams(source, store, mapping)
    with pytest.raises(TooManyBad, match="10 条中 4 条，上限 30%"):
        await running.changes("binhai_market", "cases_changed")
    with pytest.raises(StreamHalted, match="坏记录过多"):
        await running.changes("binhai_market", "cases_changed")
    stream = store.tables.stream
    assert store.database.read(lambda c: c.execute(select(stream.c.cursor)).scalar_one()) == "2024-06-01T10:09:00+08:00"
    assert len(names(store)) == 10
    store.database.write(lambda c: resume(c, store.tables, "binhai_market", "cases_changed"))
    await running.changes("binhai_market", "cases_changed", lets_bad_in=True)
    assert len(names(store)) == 15
    assert count(store, store.tables.quarantine) == 5


@pytest.mark.parametrize(
    ("drift", "changed", "told"),
    [
        ("evolve", {"NEW": "x"}, None),
        ("freeze", {"NEW": "x"}, "新字段 NEW"),
        ("evolve", {"AJMC": ["a"]}, "AJMC 由 文本 变为 列表"),
        ("evolve", {"AJMC": ...}, "都没有了字段 AJMC"),
    ],
)
async def test_a_new_field_is_told_of_and_a_lost_or_retyped_one_stops_its_stream(store, drift, changed, told):
    entity = replace(MARKET.entities["EnforcementCase"], drift=drift)
    mapping = replace(MARKET, entities={**MARKET.entities, "EnforcementCase": entity})
    source = Changing("GXSJ", cases(6))
    await sync(source, store, mapping)
    source.records = [{k: v for k, v in {**case(n, 20 + n), **changed}.items() if v is not ...} for n in range(6)]
    before = names(store)
    if told is None:
        await sync(source, store, mapping)
        table = store.tables.run
        notes = store.database.read(
            lambda c: c.execute(select(table.c.notes).order_by(table.c.id.desc())).scalars().first()
        )
        assert notes == ["来源记录有了新字段 NEW（文本），原样保存"]
    else:
        with pytest.raises(Drifted, match=told):
            await sync(source, store, mapping)
        assert names(store) == before


async def test_records_with_a_new_field_are_set_aside_where_the_mapping_says_so(store):
    entity = replace(MARKET.entities["EnforcementCase"], drift="quarantine")
    mapping = replace(MARKET, entities={**MARKET.entities, "EnforcementCase": entity})
    await sync(Changing("GXSJ", cases(3)), store, mapping)
    result = await sync(Changing("GXSJ", [*cases(3), case(7, 7, NEW="x")]), store, mapping)
    assert (result.quarantined, len(names(store))) == (1, 3)


# Reconciliation


async def test_a_reconciliation_heals_what_was_missed_changed_without_a_trace_and_deleted(store):
    source = Changing("GXSJ", [case(n, n, LASJ=f"2024-0{1 + n % 2}-05 00:00:00") for n in range(40)])
    mapping = with_changes(MARKET, "cases_changed", reconcile_by="filed_date", most_gone=0.1)
    await sync(source, store, mapping)
    assert str(await mend(source, store, mapping=mapping)).endswith("缺 0，不同 0，来源已无 0，均已修复")
    source.records[2] = case(2, 2, "悄悄改了", LASJ="2024-01-05 00:00:00")
    del source.records[5]
    source.records.append(case(90, 0, "从未见过", LASJ="2024-01-05 00:00:00"))
    mended = await mend(source, store, mapping=mapping)
    assert mended == Mended(40, missing=1, different=1, deleted=1, slices=2, differing=("2024-01", "2024-02"))
    assert names(store) == told(source)
    assert (await mend(source, store, mapping=mapping)).differing == ()
    table = store.tables.comparison
    rows = store.database.read(lambda c: c.execute(select(table).order_by(table.c.run_id, table.c.slice)).all())
    last = [row for row in rows if row.run_id == rows[-1].run_id]
    assert [(row.slice, row.theirs == row.ours, row.their_digest == row.our_digest) for row in last] == [
        ("2024-01", True, True),
        ("2024-02", True, True),
    ]
    assert count(store, store.tables.shadow) == count(store, store.tables.shadow_key) == 0
    assert {status for status, _ in runs(store)} == {"succeeded"}


async def test_a_source_whose_clock_stepped_back_holds_after_a_reconciliation(store):
    source = Changing("GXSJ", [case(1, 30, "先"), case(2, 31)])
    await sync(source, store)
    source.records[0] = case(1, 2, "后，时钟已回拨")
    await sync(source, store)
    assert names(store)["001"] == "先"
    assert (await mend(source, store)).different == 1
    assert names(store) == told(source)


async def test_an_exchange_table_is_reconciled_by_the_last_row_of_each_record(store):
    rows = [decision(1, 1, "i"), decision(1, 3, "u", "改"), decision(2, 2, "i"), decision(2, 4, "d")]
    source = Changing("cd_time", rows, ties=("cd_id", "cd_batch"))
    assert (await mend(source, store, mapping=EXCHANGE)) == Mended(4, missing=1, slices=1, differing=("",))
    assert names(store, "PenaltyDecision", "decision_content") == {"闽滨市监罚〔2024〕1号": "改"}
    assert (await mend(source, store, mapping=EXCHANGE)).differing == ()


async def test_more_than_two_in_a_hundred_gone_stop_for_a_person_with_nothing_deleted(store):
    source = Changing("GXSJ", cases(100))
    await sync(source, store)
    source.records = source.records[:97]
    running = streams(source, store)
    with pytest.raises(TooManyGone, match="100 条中 3 条，上限 2%"):
        await running.shadow("binhai_market", "cases_changed", "reconcile")
    assert len(names(store)) == 100
    with pytest.raises(StreamHalted, match="没有删除"):
        await sync(source, store)
    assert (await mend(source, store, lets_delete=True)).deleted == 3
    assert len(names(store)) == 97


async def test_a_source_that_was_not_read_whole_deletes_nothing(store):
    source = Changing("GXSJ", cases(12))
    await sync(source, store)
    short = Changing("GXSJ", cases(5), counts=False, order=lambda records: records * 3)
    with pytest.raises(CannotAdvance, match="没有读全"):
        await mend(short, store)
    assert len(names(store)) == 12


async def test_a_shadow_that_nobody_can_bring_in_any_more_is_dropped_and_one_that_somebody_reads_is_not(store):
    source = Changing("GXSJ", cases(12))
    await sync(source, store)
    with pytest.raises(SourceUnavailable):
        await mend(Changing("GXSJ", cases(12), fails_at={2}), store)
    assert count(store, store.tables.shadow) == 0
    killed = store.begin_run("binhai_market", "cases_changed#reconcile", "reconcile", seconds=0.0)
    alive = store.begin_run("binhai_market", "cases_changed#refresh", "refresh", seconds=60.0)
    kept = replace(page(stored_case("1")), source="binhai_market")
    for begun in (killed, alive):
        store.database.write(lambda c, b=begun: keep_page(c, store.tables, b.run_id, 1, kept, "EnforcementCase", None))
    await mend(source, store)
    for table in (store.tables.shadow, store.tables.shadow_key):
        assert store.database.read(partial(rows_of, select(table.c.run_id))) == [(alive.run_id,)]


# Refresh


async def test_a_refresh_is_swapped_in_at_once_while_increments_go_on(store):
    source = Changing("GXSJ", cases(20))
    await sync(source, store)
    source.records = [case(n, n, "新口径") for n in range(20)]
    seen: list[set[str]] = []

    class Watched(Changing):
        async def call(self, call: Any) -> Any:
            seen.append(set(names(store).values()))
            if len(self.calls) == 52:
                await sync(Changing("GXSJ", [case(0, 59, "增量")], calls=[call] * 90), store)
            return await super().call(call)

    watched = Watched("GXSJ", source.records, calls=[source.calls[0]] * 50)
    store.database.points = lambda name: seen.append(set(names(store).values())) if name == "swap.page" else None
    mended = await mend(watched, store, "refresh")
    store.database.points = lambda _: None
    assert all(one in ({"甲"}, {"甲", "增量"}) for one in seen)
    assert len(seen) > 5
    assert mended.read == 20
    assert set(names(store).values()) == {"新口径", "增量"}
    assert {status for status, _ in runs(store)} == {"succeeded"}


async def test_a_token_of_the_source_itself_is_a_cursor(store):
    operation = LICENCE.operations["licenses_changed"]
    page = operation.written.page.model_copy(update={"next": "body.next"})
    written = operation.written.model_copy(update={"page": page})
    mapping = replace(
        LICENCE, operations={**LICENCE.operations, "licenses_changed": replace(operation, written=written)}
    )

    class Tokens(Changing):
        async def call(self, call: Any) -> Any:
            self.calls.append(call)
            start = int((call.cursor or "t0")[1:])
            records = self.records[start : start + call.size]
            page = await super().call(replace(call, since=None, page=None))
            return replace(page, records=records, next=f"t{start + len(records)}", raw=repr(records).encode())

    source = Tokens("seqNo", [{"licNo": f"L{n}", "licName": "甲", "seqNo": str(n)} for n in range(12)], counts=False)
    assert (await sync(source, store, mapping, "licenses_changed")).cursor == "t12"
    source.records.append({"licNo": "L99", "licName": "甲", "seqNo": "1"})
    source.calls.clear()
    assert (await sync(source, store, mapping, "licenses_changed")).applied == 1
    assert source.calls[0].cursor == "t12"
