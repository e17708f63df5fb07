"""Lists, groups and global identifiers as a frontend asks for them, over a federation whose data has been returned."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contract_tests.federation import Asking, federation
from gateway.returning import return_everything

pytestmark = pytest.mark.anyio
MARKET, POLICE = "11350100MB0A00018J", "11100000MB0A00018B"


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    """A gateway whose store holds everything the six sources have."""
    with federation(tmp_path_factory.mktemp("lists")) as six:
        async with six.gateway() as asking:
            await asyncio.to_thread(return_everything, six.settings, asking.gateway.definitions, lambda _: None)
            yield asking


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


async def data(gateway: Asking, query: str, **variables: Any) -> Any:
    answer = await gateway.ask(query, **variables)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


async def test_a_list_is_narrowed_through_relations_and_ordered_by_several_columns(gateway: Asking) -> None:
    query = """query ($where: EnforcementCaseWhere) {
        enforcementCases(where: $where, orderBy: [{field: FILED_DATE, direction: DESC}, {field: SOURCE_CASE_NO}]) {
            totalCount nodes { sourceCaseNo filedDate caseStatus parties { partyName } } } }"""
    where = {
        "agencyCode": {"eq": MARKET},
        "filedDate": {"gte": "2024-01-01", "lte": "2024-12-31"},
        "or": [{"caseStatus": {"in": ["CLOSED", "EXECUTING"]}}, {"not": {"caseStatus": {"isNull": False}}}],
        "parties": {"some": {"partyName": {"contains": "公司"}}, "none": {"uscc": {"prefix": "92"}}},
    }
    listed = (await data(gateway, query, where=where))["enforcementCases"]
    everything = (await data(gateway, query))["enforcementCases"]["nodes"]
    expected = [
        case
        for case in everything
        if (case["filedDate"] or "").startswith("2024")
        and case["caseStatus"] in ("CLOSED", "EXECUTING", None)
        and any("公司" in (party["partyName"] or "") for party in case["parties"])
    ]
    assert listed == {"totalCount": len(expected), "nodes": expected}
    assert len(expected) >= 2
    dates = [case["filedDate"] for case in everything]
    assert dates == sorted((d for d in dates if d), reverse=True) + [None] * dates.count(None)


async def test_pages_forward_and_backward_meet(gateway: Asking) -> None:
    query = """query ($first: Int, $after: Cursor, $last: Int, $before: Cursor) {
        parties(orderBy: [{field: PARTY_NAME}], first: $first, after: $after, last: $last, before: $before) {
            nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
    forward: list[str] = []
    after = None
    while True:
        page = (await data(gateway, query, first=3, after=after))["parties"]
        forward += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    backward: list[str] = []
    before = None
    while True:
        page = (await data(gateway, query, last=4, before=before))["parties"]
        backward = [node["id"] for node in page["nodes"]] + backward
        before = page["pageInfo"]["startCursor"]
        if not page["pageInfo"]["hasPreviousPage"]:
            break
    assert forward == backward
    assert len(set(forward)) == len(forward) > 6


async def test_groups_add_up_to_the_list(gateway: Asking) -> None:
    query = """{ all: enforcementCaseGroups { groups { count sum { involvedAmount } } }
        enforcementCaseGroups(groupBy: [AGENCY_CODE, CASE_STATUS]) {
            hasMore groups { count key { agencyCode caseStatus filedDateMonth } sum { involvedAmount } } }
        enforcementCases { totalCount } }"""
    told = await data(gateway, query)
    groups = told["enforcementCaseGroups"]["groups"]
    (whole,) = told["all"]["groups"]
    assert sum(group["count"] for group in groups) == whole["count"] == told["enforcementCases"]["totalCount"]
    amounts = [float(group["sum"]["involvedAmount"]) for group in groups if group["sum"]["involvedAmount"]]
    assert f"{sum(amounts):.2f}" == whole["sum"]["involvedAmount"]
    assert {group["key"]["agencyCode"] for group in groups} == {MARKET, POLICE}
    assert {group["key"]["filedDateMonth"] for group in groups} == {None}


async def test_every_node_of_a_list_is_found_again_by_its_id(gateway: Asking) -> None:
    listed = await data(
        gateway,
        """{ enforcementCases { nodes { id __typename sourceCaseNo } } parties { nodes { id __typename partyName } }
             officers { nodes { id __typename officerName } } }""",
    )
    nodes = [node for connection in listed.values() for node in connection["nodes"]]
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename
        ... on EnforcementCase { sourceCaseNo } ... on Party { partyName } ...named } }
        fragment named on Officer { officerName }"""
    assert (await data(gateway, query, ids=[node["id"] for node in nodes]))["nodes"] == nodes
    one = "query ($id: ID!) { node(id: $id) { id __typename } }"
    assert (await data(gateway, one, id=nodes[0]["id"]))["node"]["__typename"] == "EnforcementCase"


async def test_a_person_whom_no_source_can_be_asked_for_comes_from_the_store(gateway: Asking) -> None:
    listed = await data(
        gateway, "{ parties(where: {uscc: {isNull: true}}) { nodes { id partyName provenance { mode } } } }"
    )
    people = listed["parties"]["nodes"]
    assert people
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Party { partyName provenance { mode } } } }"
    assert (await data(gateway, query, ids=[person["id"] for person in people]))["nodes"] == people


async def test_the_decisions_of_cases_no_source_can_be_asked_from_come_from_the_store(gateway: Asking) -> None:
    query = "{ enforcementCases { nodes { agencyCode sourceCaseNo penaltyDecisions { decisionDocNo provenance { mode } } } } }"
    answer = await data(gateway, query)
    found = {case["agencyCode"]: case["penaltyDecisions"] for case in answer["enforcementCases"]["nodes"]}
    assert found[POLICE] is not None


async def test_an_element_that_is_sensitive_or_not_indexed_cannot_be_filtered_by(gateway: Asking) -> None:
    for what in ('idNo: {eq: "1"}', 'phone: {eq: "1"}'):
        answer = await gateway.ask(f"{{ parties(where: {{{what}}}) {{ totalCount }} }}")
        assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"
    answer = await gateway.ask('{ enforcementCases(where: {violationFact: {contains: "a"}}) { totalCount } }')
    assert answer["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


BAD = [
    ("first: 3, last: 3", {}, "first 与 last 只能写一个"),
    ("last: 0", {}, "last 应在 1 至 200 之间，实为 0"),
    ('after: "不是"', {}, "after 不是本列表按此排序的翻页位置"),
    ('before: "bm90anNvbg"', {}, "before 不是本列表按此排序的翻页位置"),
    ("where: {caseStatus: {eq: null}}", {}, "where 中 eq 不能为 null；查空值用 isNull"),
    ("where: {parties: {some: null}}", {}, "where 中 some 不能为 null"),
    ("where: {and: null}", {}, "where 中 and 不能为 null；查空值用 isNull"),
    ("where: $where", {"where": {"caseName": {"eq": "a\0"}}}, "where 中的文字含有无法保存的字符"),
    ("where: $where", {"where": {"sourceCaseNo": {"in": ["x"] * 501}}}, "in 最多 500 个值"),
    ("where: $where", {"where": {"and": [{"isMajor": {"eq": True}}] * 101}}, "where 中的条件超过 100 个"),
    (
        "where: $where",
        {"where": {"not": {"not": {"not": {"not": {"not": {"not": {"not": {"not": {}}}}}}}}}},
        "where 嵌套超过 8 层",
    ),
    ("where: $where", {"where": {"involvedAmount": {"gte": "1" * 20 + ".00"}}}, "超出可比较的范围"),
]


@pytest.mark.parametrize(("arguments", "variables", "message"), BAD, ids=[bad[2] for bad in BAD])
async def test_a_list_that_cannot_be_told_is_refused_with_the_reason(
    gateway: Asking, arguments: str, variables: dict[str, Any], message: str
) -> None:
    head = "query ($where: EnforcementCaseWhere)" if variables else ""
    answer = await gateway.ask(f"{head} {{ enforcementCases({arguments}) {{ totalCount }} }}", **variables)
    (error,) = answer["errors"]
    assert message in error["message"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert "data" not in answer


async def test_a_cursor_of_another_list_or_order_is_refused(gateway: Asking) -> None:
    told = await data(gateway, "{ parties(first: 1) { pageInfo { endCursor } } }")
    cursor = told["parties"]["pageInfo"]["endCursor"]
    for root in (
        "officers(first: 1, after: $after)",
        "parties(first: 1, after: $after, orderBy: [{field: PARTY_NAME}])",
    ):
        answer = await gateway.ask(f"query ($after: Cursor) {{ {root} {{ totalCount }} }}", after=cursor)
        assert "翻页位置" in answer["errors"][0]["message"]


async def test_references_that_cannot_be_read_are_null_with_an_error_and_hurt_no_other(gateway: Asking) -> None:
    known = (await data(gateway, "{ officers(first: 1) { nodes { id certNo } } }"))["officers"]["nodes"][0]
    query = """query ($them: [_Any!]!) { _entities(representations: $them) { __typename ... on Officer { certNo } } }"""
    them = [
        {"__typename": "Officer", "certNo": known["certNo"]},
        {"__typename": "Officer", "certNo": 7},
        {"__typename": "Officer"},
        {"__typename": "Query"},
        "Officer",
        {"__typename": "Party", "id": known["id"]},
        {"__typename": "Party", "uscc": "91350100MA0B00015X"},
        {"__typename": "Officer", "id": known["id"], "more": True},
    ]
    answer = await gateway.ask(query, them=them)
    officer = {"__typename": "Officer", "certNo": known["certNo"]}
    assert answer["data"] == {"_entities": [officer, *[None] * 6, officer]}
    assert [error["path"] for error in answer["errors"]] == [["_entities", number] for number in range(1, 7)]
    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BAD_USER_INPUT"}
    many = await gateway.ask(query, them=them[:1] * 201)
    assert "一次最多 200 个" in many["errors"][0]["message"]
