"""An answer becomes a page of records; an answer that has moved its records elsewhere is broken, never merely empty."""

from typing import Any

import pytest

from adapters.errors import SourceContractBroken
from adapters.mapping.load import load_mappings
from adapters.outcome import Verdict
from adapters.page import page_of
from schema.load import load_registry

MAPPINGS = load_mappings(load_registry())
OK = Verdict("ok", "0", "")


def records(source: str, operation: str, tree: Any) -> list[Any]:
    return list(page_of(MAPPINGS[source].operations[operation], tree, OK, b"", "").records)


@pytest.mark.parametrize("tree", [{"data": {"list": []}}, {"data": {"list": None}}, {"data": None}, {"data": ""}])
def test_a_place_with_nothing_in_it_is_no_records(tree: Any) -> None:
    assert records("binhai_market", "cases_by_no", tree) == []


@pytest.mark.parametrize("tree", [{}, {"data": {"rows": [{"AJBH": "1"}]}}, {"result": {"list": [{}]}}, {"data": [{}]}])
def test_a_place_that_is_gone_breaks_the_contract(tree: Any) -> None:
    with pytest.raises(SourceContractBroken, match=r"data\.list"):
        records("binhai_market", "cases_by_no", tree)


def test_an_element_that_xml_leaves_out_is_no_records() -> None:
    assert records("transport_licence", "licenses_of_holder", {"head": {"rtnCode": "000000"}}) == []
