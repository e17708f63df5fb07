"""Databases are asked by key and by cursor, only read, and never waited for longer than the call may take.

Everything that both can show is shown on a SQLite file and on a real PostgreSQL.
"""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.errors import SourceContractBroken, SourceRejected, SourceUnavailable
from adapters.mapping.load import load_mapping
from adapters.mapping.model import SourceMapping
from adapters.open import open_source
from adapters.secrets import BadSecret
from adapters.source import Call, Record, Source
from adapters.sql import SqlSource
from contract_tests.servers import postgres_server
from schema.load import load_registry
from schema.problems import Problems

pytestmark = pytest.mark.anyio

REGISTRY = load_registry()
LONG = 20.0
MAPPING = """
source: exchange
title: 交换库
agency: 11350100MB0A00018J
owner: 信息中心
connect: {kind: sql, url: env:EXCHANGE_URL, timeout: 20s, concurrency: 2, may_write: !!bool true}
operations:
  of_party:
    request: {table: t_jd}
    latest: {of: cd_id, by: [cd_batch, cd_time]}
    lookup: {entity: Inspection, by: party.uscc, batch: 5000, many: true, deleted: {path: cd_operation, is: d}}
  by_no:
    request: {table: t_jd}
    lookup: {entity: Inspection, by: inspection_no, batch: 5000}
  changed:
    request: {table: t_jd}
    page: {size: 2}
    changes: {entity: Inspection, cursor: source_updated_at, deleted: {path: cd_operation, is: d}}
entities:
  Inspection:
    key: inspection_no
    fields:
      inspection_no:     cf_wsh
      party:             {path: internal_no, ref: Party.uscc}
      inspection_name:   cf_nr
      source_record_id:  cd_id
      batch_no:          cd_batch
      source_updated_at: {path: cd_time, as: datetime, format: "%Y-%m-%d %H:%M:%S", zone: Asia/Shanghai}
"""
COLUMNS = ("cf_wsh", "internal_no", "cf_nr", "cd_id", "cd_batch", "cd_time", "cd_operation")
TABLE = f"CREATE TABLE t_jd ({', '.join(f'{name} varchar(200)' for name in COLUMNS)}, unmapped varchar(10))"


@dataclass(frozen=True)
class Db:
    """A database to be read, and a way to fill it."""

    url: str
    engine: sa.Engine
    folder: Path

    def run(self, sql: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(sa.text(sql), values)

    def has(self, *rows: tuple[str | None, ...]) -> None:
        names = ", ".join(f":{name}" for name in COLUMNS)
        for row in rows:
            self.run(
                f"INSERT INTO t_jd ({', '.join(COLUMNS)}) VALUES ({names})", **dict(zip(COLUMNS, row, strict=True))
            )

    def mapping(self, text: str = MAPPING) -> SourceMapping:
        folder = self.folder / "exchange"
        folder.mkdir(exist_ok=True)
        (folder / "mapping.yaml").write_text(text, "utf-8")
        return load_mapping(REGISTRY, folder)

    @asynccontextmanager
    async def source(self, text: str = MAPPING) -> AsyncIterator[Source]:
        source = open_source(self.mapping(text), {"EXCHANGE_URL": self.url})
        try:
            yield source
        finally:
            await source.aclose()


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Db]:
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/a b?.db" if is_sqlite else request.getfixturevalue("postgres")
    engine = sa.create_engine(sa.URL.create("sqlite", database=f"{tmp_path}/a b?.db") if is_sqlite else url)
    made = Db(url.replace("?", "%3F") if is_sqlite else url, engine, tmp_path)
    made.run("DROP TABLE IF EXISTS t_jd")
    made.run(TABLE)
    yield made
    engine.dispose()


def row(number: str | None, **words: str | None) -> tuple[str | None, ...]:
    """A row of the exchange table whose key, record id and content follow from its number."""
    values = {
        "cf_wsh": f"检查{number}",
        "internal_no": "甲",
        "cf_nr": None,
        "cd_id": number,
        "cd_batch": "2024010100001",
    }
    values |= {"cd_time": "2024-01-01 08:00:00", "cd_operation": "i", **words}
    return tuple(values[name] for name in COLUMNS)


def numbers(records: Any) -> list[Any]:
    return [record["cd_id"] for record in records]


async def looked_up(source: Source, operation: str, *keys: str) -> list[Record]:
    return list((await source.call(Call(operation, LONG, keys=keys))).records)


# Lookups


async def test_rows_come_as_text_in_the_columns_of_the_mapping_and_no_others(db: Db) -> None:
    db.has(row("1", cf_nr="罚款𠮷'\""), row("2", cf_wsh="检查2"))
    async with db.source() as source:
        page = await source.call(Call("by_no", LONG, keys=["检查1", "没有的"]))
    expected = dict(zip(COLUMNS, row("1", cf_nr="罚款𠮷'\""), strict=True))
    del expected["cd_operation"]  # nothing in this operation needs it
    assert page.records == [expected]
    assert (json.loads(page.raw), page.media_type, page.total) == ([expected], "application/json", None)


@pytest.mark.parametrize(
    "key", ["' OR '1'='1", "检查1'; DROP TABLE t_jd; --", "%", "_书1", "＇ OR 1=1", ":keys", "%(keys)s"]
)
async def test_a_key_is_a_value_and_nothing_else(db: Db, key: str) -> None:
    db.has(row("1"))
    async with db.source() as source:
        assert await looked_up(source, "by_no", key) == []
        assert numbers(await looked_up(source, "by_no", key, "检查1")) == ["1"]


async def test_five_thousand_keys_are_one_query(db: Db) -> None:
    db.has(row("1"), row("2"))
    async with db.source() as source:
        assert sorted(numbers(await looked_up(source, "by_no", *(f"检查{n}" for n in range(5000))))) == ["1", "2"]


async def test_the_last_row_of_a_record_holds(db: Db) -> None:
    db.has(row("1"), row("1", cd_batch="2024010200001", cf_nr="改"), row("2"))
    async with db.source() as source:
        found = await looked_up(source, "of_party", "甲")
    assert sorted((r["cd_id"], r["cf_nr"] or "") for r in found) == [("1", "改"), ("2", "")]


async def test_a_deletion_that_names_only_its_record_is_found_with_the_record(db: Db) -> None:
    db.has(row("1"), row("2"), row("1", internal_no=None, cf_wsh=None, cd_batch="2024010200001", cd_operation="d"))
    async with db.source() as source:
        found = await looked_up(source, "of_party", "甲")
    assert sorted((r["cd_id"], r["cd_operation"]) for r in found) == [("1", "d"), ("2", "i")]


async def test_rows_without_a_record_id_are_not_lost(db: Db) -> None:
    db.has(row("1"), row(None), row(None, cf_nr="另一"))
    async with db.source() as source:
        assert len(await looked_up(source, "of_party", "甲")) == 3


# Changes


async def test_pages_tell_every_row_once_even_when_all_moved_at_the_same_time(db: Db) -> None:
    db.has(*(row(str(n), cd_batch=batch) for n in (3, 1, 5, 2, 4) for batch in ("1", "2")))
    async with db.source() as source:
        pages = [
            [(r["cd_id"], r["cd_batch"]) for r in (await source.call(Call("changed", LONG, page=n, size=3))).records]
            for n in range(5)
        ]
    assert pages[3:] == [[("5", "2")], []]
    assert [found for page in pages for found in page] == [(str(n), b) for n in range(1, 6) for b in ("1", "2")]


async def test_the_cursor_is_inclusive_at_both_ends(db: Db) -> None:
    db.has(*(row(str(n), cd_time=f"2024-01-0{n} 00:00:00") for n in range(1, 5)))
    async with db.source() as source:
        page = await source.call(
            Call("changed", LONG, since="2024-01-02 00:00:00", until="2024-01-03 00:00:00", page=0, size=9)
        )
    assert numbers(page.records) == ["2", "3"]


async def test_rows_without_a_cursor_are_told_when_all_is_told(db: Db) -> None:
    db.has(row("1"), row("2", cd_time=None))
    async with db.source() as source:
        whole = await source.call(Call("changed", LONG, page=0, size=9))
        since = await source.call(Call("changed", LONG, since="2024-01-01 08:00:00", page=0, size=9))
    assert (sorted(numbers(whole.records)), numbers(since.records)) == (["1", "2"], ["1"])


async def test_changes_tell_every_row_of_a_record_and_pages_have_the_size_of_the_mapping(db: Db) -> None:
    db.has(row("1"), row("1", cd_operation="d", cd_batch="9"), row("2"))
    async with db.source() as source:
        page = await source.call(Call("changed", LONG, page=0))
    assert [(r["cd_id"], r["cd_operation"]) for r in page.records] == [("1", "i"), ("1", "d")]


@pytest.mark.parametrize("size", [2, 3, 5, 20])
async def test_pages_from_place_to_place_tell_every_row_in_one_order_those_without_a_cursor_too(
    db: Db, size: int
) -> None:
    times = ("2024-01-02 00:00:00", None, "2024-01-01 00:00:00")
    db.has(*(row(f"{n}", cd_time=times[n % 3], cd_batch=(None, "1", "2")[n % 2]) for n in range(10, 22)))
    async with db.source() as source:
        whole = [r["cd_id"] for r in (await source.call(Call("changed", LONG, size=99))).records]
        page = await source.call(Call("changed", LONG, size=size))
        told = [r["cd_id"] for r in page.records]
        while len(page.records) == size:
            page = await source.call(Call("changed", LONG, size=size, cursor=page.next))
            assert len(page.records) <= size
            assert page.records[0]["cd_id"] == told[-1], "a page begins with the last row of the one before"
            told += [r["cd_id"] for r in page.records[1:]]
    assert told == whole
    assert len(whole) == 12


async def test_a_page_behind_others_reads_none_of_their_rows(db: Db) -> None:
    db.run("CREATE INDEX t_jd_moved ON t_jd (cd_time, cd_id)")
    db.has(*(row(f"{n:04}", cd_time=f"2024-01-01 00:{n // 60:02}:{n % 60:02}") for n in range(3000)))
    db.run("ANALYZE t_jd")
    async with db.source() as source:
        page = await source.call(Call("changed", LONG, size=2000))
        assert isinstance(source, SqlSource)
        statement = source._statements["changed"]
        text, values = statement.asked(Call("changed", LONG, size=50, cursor=page.next))[0]
    is_sqlite = db.engine.dialect.name == "sqlite"
    with db.engine.connect() as connection:
        explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN (ANALYZE) "
        plan = "\n".join(str(found[-1]) for found in connection.exec_driver_sql(explain + text, values))
    assert ("SEARCH t_jd USING INDEX t_jd_moved (cd_time>?)" if is_sqlite else "Index Cond") in plan, plan
    assert "Rows Removed" not in plan, plan


async def test_a_mapping_that_says_where_pages_begin_is_believed(db: Db) -> None:
    db.has(row("1"), row("2"), row("3"))
    async with db.source(MAPPING.replace("{size: 2}", "{size: 2, first: 1}")) as source:
        assert numbers((await source.call(Call("changed", LONG, page=1))).records) == ["1", "2"]


# What goes wrong


async def test_a_table_that_is_gone_breaks_the_contract(db: Db) -> None:
    db.run("DROP TABLE t_jd")
    async with db.source() as source:
        with pytest.raises(SourceContractBroken, match="t_jd") as raised:
            await looked_up(source, "by_no", "1")
    assert (raised.value.source, raised.value.operation) == ("exchange", "by_no")


async def test_a_renamed_key_column_breaks_the_contract(db: Db) -> None:
    db.run("ALTER TABLE t_jd RENAME COLUMN cf_wsh TO cf_wsh2")
    async with db.source() as source:
        with pytest.raises(SourceContractBroken, match="t_jd"):
            await looked_up(source, "by_no", "1")


async def test_nothing_can_be_written(db: Db) -> None:
    async with db.source() as source:
        engine: sa.Engine = source._engine  # type: ignore[attr-defined]
        with engine.connect() as connection, pytest.raises(sa.exc.DBAPIError, match=r"read-only|readonly"):
            connection.exec_driver_sql("INSERT INTO t_jd (cd_id) VALUES ('1')")


async def test_closing_twice_is_closing_once_and_then_nothing_is_asked(db: Db) -> None:
    async with db.source() as source:
        await looked_up(source, "by_no", "1")
        await source.aclose()
        await source.aclose()
        with pytest.raises(SourceUnavailable):
            await looked_up(source, "by_no", "1")


async def test_an_operation_nobody_mapped_is_rejected(db: Db) -> None:
    async with db.source() as source:
        with pytest.raises(SourceRejected):
            await looked_up(source, "other", "1")


async def test_a_key_in_a_text_that_is_none_is_rejected(db: Db) -> None:
    async with db.source() as source:
        with pytest.raises(SourceRejected):
            await looked_up(source, "by_no", "\ud842")


@pytest.mark.parametrize("url", ["no address", "oracle+nothing://u:CANARY@h/d", "://"])
def test_an_address_that_is_none_is_told_without_its_words(tmp_path: Path, url: str) -> None:
    mapping = Db("", sa.create_engine("sqlite://"), tmp_path).mapping()
    with pytest.raises(BadSecret, match="EXCHANGE_URL") as refused:
        open_source(mapping, {"EXCHANGE_URL": url})
    assert "CANARY" not in str(refused.value)


def test_a_key_that_is_no_column_is_told_at_the_start(tmp_path: Path) -> None:
    mapping = Db("", sa.create_engine("sqlite://"), tmp_path).mapping(MAPPING.replace("path: internal_no", "path: a.b"))
    with pytest.raises(Problems, match="不是一个列"):
        open_source(mapping, {"EXCHANGE_URL": "sqlite:///x"})


async def test_a_sqlite_file_that_is_not_there_is_unavailability_and_is_not_made(tmp_path: Path) -> None:
    missing = Db(f"sqlite:///{tmp_path}/missing.db", sa.create_engine("sqlite://"), tmp_path)
    async with missing.source() as source:
        with pytest.raises(SourceUnavailable):
            await looked_up(source, "by_no", "1")
    assert not (tmp_path / "missing.db").exists()


async def test_a_file_that_is_no_database_breaks_the_contract(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("这不是数据库" * 1000)
    async with Db(f"sqlite:///{tmp_path}/text.db", sa.create_engine("sqlite://"), tmp_path).source() as source:
        with pytest.raises(SourceContractBroken):
            await looked_up(source, "by_no", "1")
