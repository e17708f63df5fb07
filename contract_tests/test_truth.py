"""Several sources tell of one entity: one rule says whose word counts, in the store and in answers, and disputes are issues."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.mapping.truth import CONFLICT, EntityTruth, Truth
from contract_tests.federation import Asking, Federation, copy_mappings, federation
from contract_tests.stores import NOON, PARTY, REGISTRY, database, opened, page, party, postgres
from contract_tests.stores import url as url
from contract_tests.test_check import check
from gateway.engine.index import ASKED, RELATED, Index, Origin
from gateway.returning import return_everything
from gateway.store.search import Search
from gateway.store.store import Store
from schema.conditions import Compare

__all__ = ["database", "postgres", "url"]
pytestmark = pytest.mark.anyio
HOLDERS = {"Party": frozenset({"a", "b", "c"})}
ELEMENTS = {"business_address": ("b", "a")}
TRUTH = Truth({"Party": EntityTruth(("c",), ELEMENTS)}, {"Party": frozenset({"b", "c"})}, HOLDERS)
"""Addresses are b's before a's; all else is c's; then b's, whose records are parties, before a's copies."""
TELLINGS = {
    "a": {"party_name": "甲的说法", "business_address": "甲路", "uscc": PARTY, "business_reg_no": "1"},
    "b": {"party_name": "乙的说法", "business_address": "乙路", "uscc": PARTY, "business_reg_no": "2"},
    "c": {"party_name": "丙的说法", "business_address": "丙路", "uscc": PARTY},
}
RIGHT = {"party_name": "丙的说法", "business_address": "乙路", "uscc": PARTY, "business_reg_no": "2"}


def disputes(issues: Any) -> set[tuple[str, str, str | None]]:
    return {(i.source, i.element, i.raw) for i in issues if i.check_type == CONFLICT}


DISPUTED = {
    ("a", "party_name", "甲的说法"),
    ("b", "party_name", "乙的说法"),
    ("a", "business_address", "甲路"),
    ("c", "business_address", "丙路"),
    ("a", "business_reg_no", "1"),
}


def current(store: Store, **wanted: str) -> bool:
    return all(
        store.search(Search("Party", 5, Compare(name, "eq", value))).keys == [PARTY] for name, value in wanted.items()
    )


def tell(store: Store, source: str, hour: int, **values: Any) -> None:
    store.land(page(party(PARTY, **{**TELLINGS[source], **values}), source=source, received=hour))


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_the_store_and_the_index_take_the_same_words_whoever_comes_first(url: str, order: str) -> None:
    index = Index(REGISTRY, TRUTH)
    with opened(url, truth=TRUTH) as store:
        for hour, source in enumerate(order, 100):
            tell(store, source, hour)
            origin = Origin(source, "", "LIVE", NOON, NOON, "1")
            told = party(PARTY, **TELLINGS[source])
            row = index.add(told, origin, ASKED if source == "a" else RELATED, frozenset(told.values))
        index.find_conflicts()
        assert {name: row.values[name] for name in RIGHT} == RIGHT
        assert current(store, **{name: value for name, value in RIGHT.items() if name != "business_address"})
        stored = disputes(open_issue.issue for open_issue in store.issues(limit=50))
    assert stored == disputes(index.issues) == DISPUTED


def test_a_dispute_is_over_when_they_agree_and_however_they_write_it(url: str) -> None:
    with opened(url, truth=TRUTH) as store:
        tell(store, "b", 100)
        tell(store, "c", 101, business_address="乙路")
        assert disputes(i.issue for i in store.issues()) == {("b", "party_name", "乙的说法")}
        tell(store, "b", 102, party_name="丙的 说法")
        assert store.issues() == []
        tell(store, "b", 103)
        store.land(page(source="c", received=104, deleted=[("Party", PARTY)]))
        assert store.issues() == []
        assert current(store, party_name="乙的说法")


def test_what_was_merged_by_another_rule_is_merged_again_when_the_store_is_opened(url: str) -> None:
    with opened(url, truth=TRUTH) as store:
        for hour, source in enumerate("abc", 100):
            tell(store, source, hour)
        assert current(store, party_name="丙的说法")
    with opened(url) as reading:
        assert current(reading, party_name="丙的说法")
    changed = Truth({"Party": EntityTruth(("a",))}, TRUTH.own, HOLDERS)
    with opened(url, truth=changed) as store:
        assert current(store, party_name="甲的说法")
        assert ("c", "party_name", "丙的说法") in disputes(i.issue for i in store.issues(limit=50))


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Federation, Asking]]:
    """The registry, whose word counts, and the market authority, whose cases carry copies of parties."""
    folder = tmp_path_factory.mktemp("two")
    mappings = copy_mappings(folder)
    for source in mappings.iterdir():
        if source.is_dir() and source.name not in ("national_registry", "binhai_market"):
            for file in sorted(source.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            source.rmdir()
    with federation(folder, mappings) as running:
        async with running.gateway() as asking:
            await asyncio.to_thread(return_everything, running.settings, asking.gateway.definitions, lambda _: None)
            yield running, asking


COLD = "91350100MA0B00074L"
NEW_NAME, OLD_NAME = "滨海渔港冷链供应链有限公司", "滨海渔港冷链有限公司"
CASE = 'enforcementCases(where: {parties: {some: {uscc: {eq: "91350100MA0B00074L"}}}}, first: 1)'


async def test_a_list_shows_the_name_in_the_register_and_names_the_case_that_has_another(
    two: tuple[Federation, Asking],
) -> None:
    answer = await two[1].ask(f'{{ parties(where: {{uscc: {{eq: "{COLD}"}}}}) {{ nodes {{ partyName }} }} }}')
    assert answer["data"] == {"parties": {"nodes": [{"partyName": NEW_NAME}]}}
    (issue,) = [i for i in answer["extensions"]["dataIssues"] if i["checkType"] == CONFLICT]
    assert (issue["source"], issue["element"], issue["severity"]) == ("binhai_market", "party_name", "warning")
    assert issue["reason"] == "与 national_registry 的值不一致，以 national_registry 的为准"
    stored = two[1].gateway.store.issues("binhai_market", 100)
    assert [i.issue.raw for i in stored if i.issue.check_type == CONFLICT and i.issue.key == COLD] == [OLD_NAME]


async def test_an_element_that_names_its_source_is_asked_there_and_no_other_is(two: tuple[Federation, Asking]) -> None:
    running, asking = two
    one = 'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "BHSJ-2024-0086")'
    running.forget_calls()
    await asking.ask(f"{{ {one} {{ parties {{ partyName businessAddress }} }} }}")
    assert sorted(running.calls()) == ["binhai_market.cases_by_no"]
    running.forget_calls()
    answer = await asking.ask(f"{{ {one} {{ parties {{ partyName partyType }} }} }}", explain=True)
    assert sorted(running.calls()) == ["binhai_market.cases_by_no", "national_registry.enterprises_by_uscc"]
    assert "           source of truth for: partyType" in answer["extensions"]["plan"]


def test_every_mistake_of_the_rule_is_told_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    (mappings / "source_of_truth.yaml").write_text(
        """\
fan_out: 2
entities:
  Prty: {order: [national_registry]}
  Party:
    order: [national_regstry, binhai_exchange]
    elements:
      party_nam: [national_registry]
      phone: [national_registry]
      party_name: [binhai_market, binhai_market]
  Officer: {orders: [provincial_platform]}
""",
        "utf-8",
    )
    status, told = check(mappings, capsys, monkeypatch)
    assert status == 1
    assert len(told) >= 1
    assert any("source_of_truth.yaml:10:" in text and "did you mean order?" in text for text in told), told
    text = (
        (mappings / "source_of_truth.yaml")
        .read_text("utf-8")
        .replace("  Officer: {orders: [provincial_platform]}\n", "")
    )
    (mappings / "source_of_truth.yaml").write_text(text, "utf-8")
    _, told = check(mappings, capsys, monkeypatch)
    lines = [line.partition(".yaml:")[2] for line in told if line.startswith("mappings/source_of_truth.yaml:")]
    expected = {
        (3, "规范中没有实体 “Prty”"),
        (5, "没有映射 Party 的来源 “national_regstry”"),
        (5, "没有映射 Party 的来源 “binhai_exchange”"),
        (7, "规范的 Party 没有数据元 “party_nam”"),
        (8, "没有映射 Party.phone 的来源 “national_registry”"),
        (9, "binhai_market 写了两次"),
    }
    assert len(lines) == len(expected)
    for number, what in expected:
        assert any(line.startswith(f"{number}:") and what in line for line in lines), (what, lines)
