"""Group D of the catalogue of faults: drift, values and rights of databases, over a real PostgreSQL, MySQL's protocol and SQLite."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from adapters.mapping.load import load_mappings
from adapters.mapping.record import map_record
from adapters.open import open_source
from adapters.simulator.serve import address_variable, invent_secrets, start
from adapters.source import Call
from adapters.sql import SqlSource
from adapters.sql_statement import array_of
from contract_tests.sql_sources import (
    LONG,
    MAPPING,
    REGISTRY,
    ROW,
    TABLE,
    WAIVED,
    Database,
    ask,
    db,
    opened,
    page,
    says_nothing_of_the_source,
    server,
)

__all__ = ["db", "server"]

pytestmark = pytest.mark.anyio


EXCHANGE = load_mappings(REGISTRY)["binhai_exchange"]


# D3 drift


async def test_d3_a_column_that_is_dropped_turns_its_field_off_and_nothing_else(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert (await page(source)).notes == {}
        db.run("ALTER TABLE t DROP COLUMN title")
        for _ in range(2):
            answer = await page(source)
            assert answer.records == [{name: text for name, text in ROW.items() if name != "title"}]
            assert answer.notes == {"drift": "表 t：缺少列 title"}
        mapped = map_record(source.mapping, "Inspection", answer.records[0], str)
        assert (mapped.values["inspection_no"], mapped.values.get("inspection_name"), mapped.issues) == ("一", None, [])
        assert await source.differences(LONG) == ["表 t 缺少列 title"]


async def test_d3_a_renamed_column_is_the_same_and_when_it_is_back_so_is_the_field(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(db.reader, tmp_path) as source:
        db.run("ALTER TABLE t RENAME COLUMN title TO caption")
        assert "title" not in (await ask(source))[0]
        db.run("ALTER TABLE t RENAME COLUMN caption TO title")
        monkeypatch.setattr("adapters.sql.LOOKING_AGAIN", 0.0)
        source._drift["by_no"].until = 0.0
        assert ((await page(source)).records, (await page(source)).notes) == ([ROW], {})


@pytest.mark.parametrize("change", ["DROP COLUMN no", "RENAME COLUMN no TO number", "RENAME TO gone"])
async def test_d3_without_its_key_or_its_table_nothing_can_be_asked(db: Database, tmp_path: Path, change: str) -> None:
    async with opened(db.reader, tmp_path) as source:
        db.run("DROP TABLE IF EXISTS gone", f"ALTER TABLE t {change}")
        with pytest.raises(SourceContractBroken) as told:
            await ask(source)
        assert says_nothing_of_the_source(told.value)


async def test_d3_a_retyped_column_is_read_as_what_it_is_now_and_noted(db: Database, tmp_path: Path) -> None:
    """The sixth question is a prepared one, which PostgreSQL refuses when the type of a column has changed since."""
    async with opened(db.reader, tmp_path) as source:
        for _ in range(7):
            assert await ask(source) == [ROW]
        db.run("ALTER TABLE t ALTER COLUMN seq TYPE varchar(10) USING 'x' || seq")
        answer = await page(source)
        assert (answer.records, answer.notes) == ([{**ROW, "seq": "x7"}], {"drift": "表 t：列 seq 的类型变了"})
        (issue,) = map_record(source.mapping, "Inspection", answer.records[0], str).issues
        assert (issue.element, issue.raw) == ("change_no", "x7")


async def test_d3_the_zone_of_the_server_and_its_date_style_change_nothing(db: Database, tmp_path: Path) -> None:
    db.run("ALTER ROLE reader SET timezone = 'America/New_York'", "ALTER ROLE reader SET datestyle = 'German, DMY'",
           "ALTER TABLE t ALTER COLUMN moved TYPE timestamptz USING moved AT TIME ZONE 'Asia/Shanghai'")  # fmt: skip
    try:
        async with opened(db.reader, tmp_path) as source:
            assert await ask(source) == [ROW]
    finally:
        db.run("ALTER ROLE reader RESET ALL")


# D4 values


@pytest.mark.parametrize(
    "key",
    ["' OR 1=1 --", "一' OR '1'='1", "%", "_", "\\", '"', "{一}", '一","二', "NULL", "＇ OR ＂", "%(keys)s", ":keys",
     "一;DROP TABLE t", "", " 一"],
)  # fmt: skip
async def test_d4_a_key_is_a_value_and_nothing_else(db: Database, tmp_path: Path, key: str) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source, key) == []
        assert await ask(source, key, "一") == [ROW]
        db.run("DELETE FROM t WHERE no = '一'")
        with db.connected() as connection:
            connection.execute("INSERT INTO t (no, title) VALUES (%s, '难')", (key,))
        assert [record["no"] for record in await ask(source, key)] == [key]


async def test_d4_nul_is_refused_before_the_database_and_spoils_nothing(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        with pytest.raises(SourceRejected):
            await ask(source, "一\x00")
        assert await ask(source) == [ROW]


async def test_d4_ten_thousand_keys_are_one_array_where_there_are_arrays(db: Database, tmp_path: Path) -> None:
    async with opened(db.reader, tmp_path) as source:
        assert await ask(source, *(str(n) for n in range(10_000)), "一") == [ROW]
        assert len(source._statements["by_no"].asked(Call("by_no", LONG, keys=["1"] * 10_000))) == 1
        assert len(source._statements["by_no"].texts) == 1


async def test_d4_ten_thousand_keys_are_chunks_where_there_are_none(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path}/d.db")
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLE)
        for number in (5, 9_998):
            connection.exec_driver_sql("INSERT INTO t VALUES (?, 'x', 1, NULL)", (str(number),))
    engine.dispose()
    async with opened(f"sqlite:///{tmp_path}/d.db", tmp_path) as source:
        assert [record["no"] for record in await ask(source, *map(str, range(10_000)))] == ["5", "9998"]
        asked = source._statements["by_no"].asked(Call("by_no", LONG, keys=list(map(str, range(10_000)))))
        assert [len(parameters) - text.count("LIMIT") for text, parameters in asked] == [1025] * 10
        for number in (1, 3, 4, 5, 700):
            await ask(source, *map(str, range(number)))
        assert sorted(source._statements["by_no"].texts) == [1, 4, 8, 1024]


def test_d4_an_array_is_written_so_that_no_value_can_leave_it() -> None:
    assert array_of(['a"b', "c\\d", "{}", ",", "", "NULL"]) == '{"a\\"b","c\\\\d","{}",",","","NULL"}'


async def test_d4_names_come_from_the_mapping_and_are_quoted(db: Database, tmp_path: Path) -> None:
    db.run('ALTER TABLE t RENAME COLUMN title TO "1=1; --"')
    mapping = MAPPING.replace("inspection_name:   title", 'inspection_name: {path: "1=1; --"}').replace("; --", ";--")
    db.run('ALTER TABLE t RENAME COLUMN "1=1; --" TO "1=1;--"')
    async with opened(db.reader, tmp_path, mapping) as source:
        assert (await ask(source))[0]["1=1;--"] == "检查"


# D5 an account that can write


@pytest.mark.parametrize("right", ["UPDATE", "INSERT", "DELETE"])
async def test_d5_an_account_that_can_write_is_refused_before_anything_is_read(
    db: Database, tmp_path: Path, right: str
) -> None:
    """Refused is the source, not the gateway: one agency's careless grant must not take the others down."""
    db.run(f"GRANT {right} ON t TO reader")
    async with opened(db.reader, tmp_path) as source:
        with pytest.raises(SourceDenied, match="能写表 t") as told:
            await ask(source)
        assert says_nothing_of_the_source(told.value)
        assert await source.differences(LONG) == ["账号能写表 t，应只有读权限（或在映射中写 may_write）"]
        db.run(f"REVOKE {right} ON t FROM reader")
        assert await ask(source) == [ROW]
        assert await source.differences(LONG) == []
    assert db.one("SELECT count(*) FROM t") == 2


@pytest.mark.parametrize("gone", ["moved", "seq", "title"])
async def test_d5_a_column_that_is_gone_is_not_taken_for_a_refusal_to_write(
    db: Database, tmp_path: Path, gone: str
) -> None:
    db.run(f"ALTER TABLE t DROP COLUMN {gone}", "GRANT UPDATE ON t TO reader")
    async with opened(db.reader, tmp_path) as source:
        with pytest.raises(SourceDenied, match="能写表 t"):
            await ask(source)


async def test_d5_a_mapping_may_waive_it_and_still_nothing_is_written(db: Database, tmp_path: Path) -> None:
    async with opened(db.url, tmp_path, WAIVED) as source:
        assert await ask(source) == [ROW]
        db.run("ALTER TABLE t RENAME TO kept", "CREATE OR REPLACE FUNCTION wrote() RETURNS varchar LANGUAGE sql AS "
               "$$ INSERT INTO kept (no) VALUES ('三') RETURNING no $$",
               "CREATE VIEW t AS SELECT wrote() AS no, title, seq, moved FROM kept")  # fmt: skip
        with pytest.raises(SourceRejected):
            await ask(source, "三")
    assert db.one("SELECT count(*) FROM kept") == 2
    db.run("DROP VIEW t", "ALTER TABLE kept RENAME TO t")


async def test_d5_over_mysql_a_refused_write_is_the_proof_too() -> None:
    with start(EXCHANGE, invent_secrets(EXCHANGE)) as simulator:
        source = open_source(EXCHANGE, {address_variable(EXCHANGE): simulator.url})
        assert isinstance(source, SqlSource)
        assert (await source.call(Call("inspections_by_no", LONG, keys=["1"]))).records == []
        assert (source._is_proven, await source.differences(LONG)) == (True, [])
        assert len(simulator.calls.seen()) >= 1
        await source.aclose()


@pytest.mark.parametrize(
    ("change", "error"),
    [({"password": "CANARY"}, SourceDenied), ({"host": "canary.invalid"}, SourceUnavailable), ({"port": 9}, SourceUnavailable)],
)  # fmt: skip
async def test_no_public_message_tells_of_the_source(
    db: Database, tmp_path: Path, change: dict[str, Any], error: type[SourceError]
) -> None:
    url = sa.make_url(db.reader).set(**change).render_as_string(hide_password=False)
    async with opened(url, tmp_path) as source:
        with pytest.raises(error) as told:
            await ask(source)
    assert says_nothing_of_the_source(told.value)
