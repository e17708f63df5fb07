"""A list answered live is the list the records make: compared with plain Python over the records the source has."""

from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract_tests import live_lists
from contract_tests.federation import Asking, Federation, copy_mappings, federation
from contract_tests.live_lists import AGENCY, Case

LIST = """query ($where: EnforcementCaseWhere, $order: [EnforcementCaseOrder!], $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    enforcementCases(from: LIVE, where: $where, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
        totalCount nodes { sourceCaseNo provenance { mode source } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
UNCOUNTED = LIST.replace("totalCount", "")
FIELDS = {
    "caseName": "CASE_NAME",
    "caseStatus": "CASE_STATUS",
    "filedDate": "FILED_DATE",
    "involvedAmount": "INVOLVED_AMOUNT",
    "isMajor": "IS_MAJOR",
}
orders = st.lists(st.tuples(st.sampled_from(list(FIELDS)), st.booleans()), max_size=2, unique_by=lambda item: item[0])


class Market:
    """A gateway over the market authority alone, whose records a test may exchange."""

    def __init__(self, running: Federation, asking: Asking, portal: BlockingPortal) -> None:
        self.running, self.asking, self.portal = running, asking, portal

    def has(self, records: list[Case]) -> None:
        self.running.simulators["binhai_market"].dataset.replace("EnforcementCase", records)
        self.running.forget_calls()

    def ask(self, query: str, **variables: Any) -> Any:
        answer = self.portal.call(lambda: self.asking.ask(query, seconds=60.0, **variables))
        assert "errors" not in answer, answer
        assert "sourceErrors" not in answer.get("extensions", {}), answer
        return answer["data"]["enforcementCases"]


@pytest.fixture(scope="module", params=["page", "offset", "cursor"])
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    folder = tmp_path_factory.mktemp("live")
    mappings = copy_mappings(folder, "binhai_market")
    file = mappings / "binhai_market" / "mapping.yaml"
    text = file.read_text("utf-8")
    paged = "        pageNo: $page\n        pageSize: $size\n    records: data.list\n    page: {size: 50, first: 1, total: data.total}"
    assert text.count(paged) == 1
    following = {
        "page": paged.replace("size: 50", "size: 3"),
        "offset": paged.replace("pageNo: $page", "from: $offset").replace(
            "size: 50, first: 1, total: data.total", "size: 3"
        ),
        "cursor": paged.replace("pageNo: $page", "from: $cursor").replace(
            "first: 1, total: data.total", "next: data.next"
        ),
    }[request.param]
    file.write_text(text.replace(paged, following.replace("size: 50", "size: 3")), "utf-8")
    with (
        federation(folder, mappings) as running,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running.gateway()) as asking,
    ):
        yield Market(running, asking, portal)


@given(records=live_lists.cases(), where=live_lists.conditions | st.none(), order=orders, size=st.integers(1, 4))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_live_list_is_what_the_records_make_read_from_either_end(
    market: Market, records: list[Case], where: dict[str, Any] | None, order: list[tuple[str, bool]], size: int
) -> None:
    market.has(records)
    found = [case for record in records if (case := live_lists.told(record)) is not None]
    expected = live_lists.in_order([c for c in found if where is None or live_lists.fulfils(where, c)], order)
    pinned = {"agencyCode": {"eq": AGENCY}}
    words = {
        "where": pinned if where is None else {"and": [pinned, live_lists.printed(where)]},
        "order": [{"field": FIELDS[name], "direction": "DESC" if down else "ASC"} for name, down in order],
    }
    assert all_pages(market, words, size, len(expected), backwards=False) == expected
    assert all_pages(market, words, size, len(expected), backwards=True) == expected


def all_pages(market: Market, words: dict[str, Any], size: int, total: int, backwards: bool) -> list[str]:
    """Every page from the front or the end, put together; each is checked on the way, and asked for uncounted too."""
    numbers: list[str] = []
    place = None
    while True:
        edge = {"last": size, "before": place} if backwards else {"first": size, "after": place}
        page = market.ask(LIST, **words, **edge)
        assert page.pop("totalCount") == total
        assert market.ask(UNCOUNTED, **words, **edge) == page
        assert [node["provenance"] for node in page["nodes"]] == [
            [{"mode": "LIVE", "source": "binhai_market"}] for _ in page["nodes"]
        ]
        found = [node["sourceCaseNo"] for node in page["nodes"]]
        numbers = found + numbers if backwards else numbers + found
        info = page["pageInfo"]
        assert info["hasNextPage" if backwards else "hasPreviousPage"] is (place is not None)
        if not info["hasPreviousPage" if backwards else "hasNextPage"]:
            return numbers
        assert len(found) == size
        place = info["startCursor" if backwards else "endCursor"]


def test_the_source_is_asked_in_its_own_words_and_only_for_what_it_takes(market: Market) -> None:
    day = {"AJZT": "10", "SAJE": None, "SFZD": "1", "WFDQH": None, "MJ": "0", "SCBZ": "0", "AJMC": "甲"}
    market.has(
        [{"AJBH": f"{n:02d}", "DSR": [], "ZFRY": [], "LASJ": f"2024-02-{n:02d} 10:00:00", **day} for n in range(1, 10)]
    )
    where = {"agencyCode": {"eq": AGENCY}, "filedDate": {"eq": "2024-02-07"}, "caseName": {"prefix": "甲"}}
    market.ask(LIST, where=where)
    assert market.running.calls() == {"binhai_market.cases_search": [0]}  # one page of three: the source filtered


def test_where_the_source_keeps_the_order_the_walk_ends_with_the_page(market: Market) -> None:
    day = {"AJZT": "10", "SAJE": None, "SFZD": "1", "WFDQH": None, "MJ": "0", "SCBZ": "0", "AJMC": "甲"}
    market.has(
        [{"AJBH": f"{n:02d}", "DSR": [], "ZFRY": [], "LASJ": f"2024-02-{n:02d} 10:00:00", **day} for n in range(1, 29)]
    )
    words = {
        "where": {"agencyCode": {"eq": AGENCY}},
        "order": [{"field": "FILED_DATE", "direction": "DESC"}],
        "first": 4,
    }
    page = market.ask(UNCOUNTED, **words)
    assert [node["sourceCaseNo"] for node in page["nodes"]] == ["28", "27", "26", "25"]
    assert len(market.running.calls()["binhai_market.cases_search"]) == 2
    market.running.forget_calls()
    market.ask(LIST, **words)
    assert len(market.running.calls()["binhai_market.cases_search"]) == 10
