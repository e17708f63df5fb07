"""A live list of a database, whose records have several rows or one: compared with plain Python, on PostgreSQL and MySQL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract_tests import live_lists
from contract_tests.federation import Asking, Federation, copy_mappings, federation
from contract_tests.stores import empty_database
from contract_tests.stores import postgres as postgres
from gateway.settings import PROJECT

__all__ = ["postgres"]
AGENCY = "11350100MB0A00018J"
TABLE = "t_xzjc_xw"
LIST = """query ($where: InspectionWhere, $order: [InspectionOrder!], $first: Int, $after: Cursor) {
    inspections(from: LIVE, where: $where, orderBy: $order, first: $first, after: $after) {
        totalCount nodes { inspectionNo provenance { mode } } pageInfo { hasNextPage endCursor } } }"""
RESULTS = {"1": "PASSED", "2": "ORDERED_TO_CORRECT", "3": "CASE_FILED"}
NAMES = ("抽查", "抽%查", "抽_查", "!a", "巡查")
START = datetime(2024, 6, 1, 9)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "of": st.integers(1, 6),
            "operation": st.sampled_from("iuud"),
            "name": st.sampled_from(NAMES) | st.none(),
            "result": st.sampled_from([*RESULTS, "7"]),
            "hours": st.integers(0, 3),
        }
    ),
    max_size=12,
)
wheres = st.lists(
    st.one_of(
        st.builds(lambda r: {"inspectionResult": {"eq": r}}, st.sampled_from(list(RESULTS.values()))),
        st.builds(
            lambda r: {"inspectionResult": {"in": r}}, st.lists(st.sampled_from(list(RESULTS.values())), max_size=2)
        ),
        st.builds(lambda n: {"inspectionName": {"contains": n}}, st.sampled_from(["查", "%", "_", "!"])),
        st.builds(lambda n: {"inspectionName": {"prefix": n}}, st.sampled_from(["抽", "抽%", "!"])),
        st.builds(lambda n: {"inspectionNo": {"prefix": n}}, st.sampled_from(["N1", "N", "n"])),
        st.builds(lambda n: {"inspectionNo": {"in": n}}, st.lists(st.sampled_from(["N1", "N2", "N9"]), min_size=1)),
        st.builds(lambda h, o: {"startedAt": {o: h}}, st.integers(0, 3), st.sampled_from(["gte", "lte", "eq"])),
        st.just({"not": {"inspectionName": {"isNull": True}}}),
    ),
    max_size=3,
)


class Exchange:
    """A gateway over the exchange database alone, whose rows a test may exchange."""

    def __init__(self, running: Federation, asking: Asking, portal: BlockingPortal, engine: sa.Engine | None) -> None:
        self.running, self.asking, self.portal, self.engine = running, asking, portal, engine

    def has(self, records: list[dict[str, Any]]) -> None:
        if self.engine is None:
            self.running.simulators["binhai_exchange"].dataset.replace(TABLE, records)
            return
        with self.engine.begin() as connection:
            table = sa.Table(TABLE, sa.MetaData(), autoload_with=connection)
            connection.execute(table.delete())
            if records:
                connection.execute(table.insert(), records)

    def ask(self, **variables: Any) -> Any:
        answer = self.portal.call(lambda: self.asking.ask(LIST, seconds=60.0, **variables))
        assert "errors" not in answer, answer
        assert "sourceErrors" not in answer.get("extensions", {}), answer
        return answer["data"]["inspections"]


def in_pages(file: Path, is_whole: bool) -> None:
    """Pages of two, records with several rows or, as other exchange tables have it, with one."""
    text = file.read_text("utf-8")
    text = text.replace("  concurrency: 3", "  concurrency: 3\n  may_write: true", 1)
    front, mark, search = text.partition("  inspections_search:")
    search = search.replace("page: {size: 500}", "page: {size: 2}", 1)
    if not is_whole:
        search = search.replace("    latest: {of: cd_id, by: [cd_batch, cd_time]}\n", "", 1)
        search = search.replace("      deleted:", "      order: {started_at: {}}\n      deleted:", 1)
    file.write_text(front + mark + search, "utf-8")


@pytest.fixture(scope="module", params=["mysql whole", "mysql rows", "postgresql whole", "postgresql rows"])
def exchange(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    dialect, form = request.param.split()
    folder = tmp_path_factory.mktemp("live")
    mappings = copy_mappings(folder, "binhai_exchange")
    in_pages(mappings / "binhai_exchange" / "mapping.yaml", form == "whole")
    database = empty_database(request.getfixturevalue("postgres") if dialect == "postgresql" else "sqlite")
    with database as url, federation(folder, mappings) as running, start_blocking_portal() as portal:
        engine = None
        if dialect == "postgresql":
            engine = sa.create_engine(url)
            running.environment["BINHAI_EXCHANGE_URL"] = url
            with engine.begin() as connection:
                ddl = (PROJECT / "mappings/binhai_exchange/samples/schema.sql").read_text("utf-8")
                connection.exec_driver_sql(ddl)
        with portal.wrap_async_context_manager(running.gateway()) as asking:
            yield Exchange(running, asking, portal, engine)
        if engine is not None:
            engine.dispose()


@given(rows=rows, where=wheres, is_descending=st.none() | st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_live_list_of_a_database_is_what_its_rows_make(
    exchange: Exchange, rows: list[dict[str, Any]], where: list[dict[str, Any]], is_descending: bool | None
) -> None:
    is_whole = "started_at: {}" not in (exchange.running.folder / "mappings/binhai_exchange/mapping.yaml").read_text(
        "utf-8"
    )
    if not is_whole:
        rows = [{**row, "of": number} for number, row in enumerate(rows, 1)]
    exchange.has([written(row, number) for number, row in enumerate(rows)])
    last = {row["of"]: row for row in rows}
    found = [of for of, row in last.items() if row["operation"] != "d" and all(passes(test, of, row) for test in where)]
    found.sort(key=lambda of: f"N{of}")
    if is_descending is not None:
        found.sort(key=lambda of: last[of]["hours"], reverse=is_descending)
    order = [] if is_descending is None else [{"field": "STARTED_AT", "direction": "DESC" if is_descending else "ASC"}]
    numbers: list[str] = []
    place = None
    while True:
        page = exchange.ask(where={"and": [at_moments(test) for test in where]}, order=order, first=2, after=place)
        assert page["totalCount"] == len(found)
        assert all(node["provenance"] == [{"mode": "LIVE"}] for node in page["nodes"])
        numbers += [node["inspectionNo"] for node in page["nodes"]]
        place = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert numbers == [f"N{of}" for of in found]


def written(row: dict[str, Any], number: int) -> dict[str, Any]:
    """The row as the exchange table has it; later ones are of later batches."""
    return {
        "cd_id": f"ID{row['of']}",
        "check_action_code": f"N{row['of']}",
        "check_action_name": row["name"],
        "plan_id": None,
        "administrative_cp": "甲公司",
        "administrative_cp_ui_code": "91350100MA0B00015H",
        "implement_institution": "滨海市市场监督管理局",
        "implement_institution_code": AGENCY,
        "check_personnel": "",
        "check_personnel_code": "",
        "check_form": "1",
        "check_mode": "1",
        "check_result": row["result"],
        "check_date": f"{START + timedelta(hours=row['hours']):%Y-%m-%d %H:%M:%S}",
        "cd_time": "2024-06-13 08:00:00",
        "cd_source": "350100SJ",
        "cd_batch": f"{number:04d}",
        "cd_operation": row["operation"],
    }


def at_moments(test: dict[str, Any]) -> dict[str, Any]:
    """The condition with hours as moments."""
    if "startedAt" not in test:
        return test
    return {
        "startedAt": {o: f"{START + timedelta(hours=h):%Y-%m-%dT%H:%M:%S}+08:00" for o, h in test["startedAt"].items()}
    }


def passes(test: dict[str, Any], of: int, row: dict[str, Any]) -> bool:
    """What one condition means for the row that holds."""
    ((name, inner),) = test.items()
    if name == "not":
        return row["name"] is not None
    ((operator, wanted),) = inner.items()
    values = {
        "inspectionResult": RESULTS.get(row["result"]),
        "inspectionName": row["name"],
        "inspectionNo": f"N{of}",
        "startedAt": row["hours"],
    }
    return live_lists.passes(operator, wanted, values[name])
