"""When a list is answered live, by whom, and what stands in for the source when it cannot answer."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator.faults import Fault
from contract_tests.federation import Asking, Federation, copy_mappings, federation
from contract_tests.test_check import check, spoil

pytestmark = pytest.mark.anyio
MARKET = "11350100MB0A00018J"
CASES = """query ($where: EnforcementCaseWhere) { enforcementCases(from: LIVE, where: $where, first: 50) {
    totalCount nodes { sourceCaseNo caseName parties { partyName } provenance { source mode } } } }"""
INSPECTIONS = """query ($where: InspectionWhere) { inspections(from: LIVE, where: $where, first: 50) {
    totalCount nodes { inspectionNo provenance { mode } } } }"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def six(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Federation, Asking]]:
    folder = tmp_path_factory.mktemp("six")
    mappings = copy_mappings(folder, "binhai_exchange", "binhai_market", "traffic_police")
    spoil(mappings / "binhai_market" / "mapping.yaml", "page: {size: 50, first: 1", "page: {size: 4, first: 1")
    spoil(
        mappings / "binhai_market" / "mapping.yaml",
        "      requires: [agency_code]",
        "      requires: [agency_code]\n      pages: 2",
    )
    with federation(folder, mappings) as running:
        async with running.gateway() as asking:
            yield running, asking


@pytest.fixture
async def asked(six: tuple[Federation, Asking]) -> AsyncIterator[tuple[Federation, Asking]]:
    running, asking = six
    running.forget_calls()
    yield running, asking
    for simulator in running.simulators.values():
        simulator.faults.clear()


def errors(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer.get("extensions", {}).get("sourceErrors", [])
    return found


def plan(answer: dict[str, Any]) -> str:
    return "\n".join(answer["extensions"]["plan"])


async def test_the_plan_says_who_answers_and_what_is_left_to_it(asked: tuple[Federation, Asking]) -> None:
    where = {"agencyCode": {"eq": MARKET}, "caseStatus": {"eq": "CLOSED"}, "sourceCaseNo": {"prefix": "BHSJ-2024-008"}}
    answer = await asked[1].ask(CASES, explain=True, where=where)
    assert plan(answer).startswith(
        """\
3 waves, 3 steps, 1 sources: binhai_market

wave 1
  [1] binhai_market.cases_search page -> EnforcementCase
      rest, <= 2 pages of 4, timeout 8s, concurrency 4
      for  enforcementCases  filtered there: caseStatus in; here: the whole condition
"""
    )
    assert [node["sourceCaseNo"] for node in answer["data"]["enforcementCases"]["nodes"]] == ["BHSJ-2024-0086"]
    assert answer["data"]["enforcementCases"]["totalCount"] == 1


UNPINNED = [
    ({}, "符合条件的可能在多个来源：binhai_market、traffic_police"),
    ({"agencyCode": {"prefix": "11"}}, "符合条件的可能在多个来源：binhai_market、traffic_police"),
    (
        {"or": [{"agencyCode": {"eq": MARKET}}, {"isMajor": {"eq": True}}]},
        "符合条件的可能在多个来源：binhai_market、traffic_police",
    ),
    ({"not": {"agencyCode": {"eq": "11100000MB0A00018B"}}}, "符合条件的可能在多个来源：binhai_market、traffic_police"),
    ({"agencyCode": {"eq": "11100000MB0A00018B"}}, "条件排除了所有能按条件列出它的来源"),
    ({"agencyCode": {"eq": MARKET}, "parties": {"some": {"partyName": {"contains": "公司"}}}}, "条件涉及关联的实体"),
    ({"agencyCode": {"eq": MARKET}, "caseCode": {"isNull": False}}, "caseCode 由网关编发，来源不知道"),
]


@pytest.mark.parametrize(("where", "why"), UNPINNED, ids=[why for _, why in UNPINNED])
async def test_a_list_that_more_than_one_source_could_fill_comes_from_the_store_and_says_why(
    asked: tuple[Federation, Asking], where: dict[str, Any], why: str
) -> None:
    running, asking = asked
    answer = await asking.ask(CASES, explain=True, where=where)
    assert "errors" not in answer
    assert f"not live: {why}" in plan(answer)
    assert errors(answer) == [
        {"code": "LIST_NOT_LIVE", "source": "store", "operation": "search", "retryable": False, "answeredFrom": "STORE"}
    ]
    assert running.calls() == {}


async def test_either_of_several_values_pins_as_well_as_one(asked: tuple[Federation, Asking]) -> None:
    where = {"or": [{"agencyCode": {"eq": MARKET}}, {"agencyCode": {"in": [MARKET]}}], "isMajor": {"eq": True}}
    answer = await asked[1].ask(CASES, where=where)
    assert errors(answer) == []
    assert {node["provenance"][0]["mode"] for node in answer["data"]["enforcementCases"]["nodes"]} == {"LIVE"}


async def test_what_no_code_of_the_source_means_is_answered_without_a_call(asked: tuple[Federation, Asking]) -> None:
    running, asking = asked
    where = {"agencyCode": {"eq": MARKET}, "caseStatus": {"eq": "NOT_FILED"}}
    answer = await asking.ask(CASES, where=where)
    assert answer == {"data": {"enforcementCases": {"totalCount": 0, "nodes": []}}}
    assert running.calls() == {}


async def test_a_list_longer_than_a_walk_may_be_comes_from_the_store_and_says_so(
    asked: tuple[Federation, Asking],
) -> None:
    running, asking = asked
    answer = await asking.ask(CASES, where={"agencyCode": {"eq": MARKET}})
    assert errors(answer) == [
        {
            "code": "SEARCH_TOO_WIDE",
            "source": "binhai_market",
            "operation": "cases_search",
            "retryable": False,
            "answeredFrom": "STORE",
        }
    ]
    assert running.calls() == {"binhai_market.cases_search": [0]}  # the first page's total says it is too much


async def test_live_records_flow_back_and_stand_in_marked_stale_when_the_source_fails(
    asked: tuple[Federation, Asking],
) -> None:
    running, asking = asked
    where = {"agencyCode": {"eq": MARKET}, "caseStatus": {"eq": "CLOSED"}, "isMajor": {"eq": True}}
    live = await asking.ask(CASES, where=where)
    await asking.settle()
    running.simulators["binhai_market"].faults.add(Fault("fail"))
    stale = await asking.ask(CASES, where=where)
    assert errors(stale) == [
        {
            "code": "SOURCE_UNAVAILABLE",
            "source": "binhai_market",
            "operation": "cases_search",
            "retryable": True,
            "answeredFrom": "STORE",
        }
    ]
    modes = [
        [origin["mode"] for origin in node.pop("provenance")] for node in stale["data"]["enforcementCases"]["nodes"]
    ]
    assert modes
    assert all("STALE" in found for found in modes)
    for node in live["data"]["enforcementCases"]["nodes"]:
        assert node.pop("provenance") == [{"source": "binhai_market", "mode": "LIVE"}]
    assert stale["data"] == live["data"]


async def test_a_source_that_refuses_leaves_an_error_where_the_list_would_be(asked: tuple[Federation, Asking]) -> None:
    running, asking = asked
    running.simulators["binhai_exchange"].faults.add(Fault("fault", code="1142"))
    answer = await asking.ask(INSPECTIONS, where={})
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["SOURCE_DENIED"]


async def test_two_lists_one_live_and_one_stored_are_two_roots(asked: tuple[Federation, Asking]) -> None:
    running, asking = asked
    answer = await asking.ask(
        """{ live: inspections(from: LIVE) { nodes { inspectionNo provenance { mode } } }
             stored: inspections(from: STORE) { nodes { inspectionNo } } plain: inspections { nodes { inspectionNo } } }"""
    )
    assert {node["provenance"][0]["mode"] for node in answer["data"]["live"]["nodes"]} == {"LIVE"}
    assert answer["data"]["stored"] == answer["data"]["plain"]
    assert running.calls() == {"binhai_exchange.inspections_search": [0]}


SPOILT = {
    "filters 应是映射了的、能筛选的数据元，没有 “case_statsu”": (
        "        case_status:             in",
        "        case_statsu:             in",
    ),
    "is_major 不能用 “gte”": ("        is_major:                eq", "        is_major:                [eq, gte]"),
    "请求里没有筛选 $is_major.gte": None,
    "search.filters 没有声明 “$case_status.in”": None,
    "requires 应是能筛选的数据元，没有 “agncy_code”": ("requires: [agency_code]", "requires: [agncy_code]"),
    "order 应是映射了的、能排序的数据元，没有 “filed_dat”": (
        "{filed_date: {asc: LASJ_ASC",
        "{filed_dat: {asc: LASJ_ASC",
    ),
    "search 的请求应写 $page、$offset、$cursor 之一": (
        "        pageNo: $page\n        pageSize: $size\n    records: data.list\n    page: {size: 50",
        "        pageSize: $size\n    records: data.list\n    page: {size: 50",
    ),
}


def test_every_mistake_in_a_search_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    market, exchange = mappings / "binhai_market" / "mapping.yaml", mappings / "binhai_exchange" / "mapping.yaml"
    for change in SPOILT.values():
        if change is not None:
            spoil(market, *change)
    lines = market.read_text("utf-8").splitlines()
    spoil(exchange, "holds: {agency_code: 11350100MB0A00018J}", "holds: {agncy_code: 11350100MB0A00018J}")
    spoil(
        exchange,
        "        started_at:        [gte, lte]",
        "        started_at:        [gte, lte]\n        plan_id: eq\n        party_key: eq",
    )
    status, told = check(mappings, capsys, monkeypatch)
    assert status == 1
    for what in SPOILT:
        matching = [text for text in told if what in text]
        assert len(matching) == 1, (what, told)
        line = int(matching[0].split(":")[1])
        assert matching[0].startswith("mappings/binhai_market/mapping.yaml:")
        assert "cases_search" in "\n".join(lines[:line])
    assert any("did you mean case_status?" in text for text in told)
    assert any(
        "holds 应是能筛选的文本或代码数据元，没有 “agncy_code”" in t and "did you mean agency_code?" in t for t in told
    )
    assert any("filters.party_key" in text for text in told)


async def test_all_that_was_walked_flows_back_not_only_what_was_meant(asked: tuple[Federation, Asking]) -> None:
    _, asking = asked
    live = await asking.ask(INSPECTIONS, where={"not": {"inspectionNo": {"prefix": ""}}})
    assert live["data"] == {"inspections": {"totalCount": 0, "nodes": []}}
    await asking.settle()
    stored = await asking.ask("{ inspections { totalCount } }")
    everything = await asking.ask(INSPECTIONS, where={})
    assert stored["data"]["inspections"]["totalCount"] == everything["data"]["inspections"]["totalCount"] > 5
