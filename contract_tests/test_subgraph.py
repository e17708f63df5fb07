"""The gateway as a subgraph: composed with one of somebody else, asked through a real gateway from npm."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from contract_tests.federation import Federation, federation
from contract_tests.supergraphs import ask, program, program_folder, supergraph
from schema.build import build_schema, print_subgraph
from schema.identity import global_id
from schema.load import load_registry

LOGISTICS, FOODS, FREIGHT, UNKNOWN = (
    *("91350100MA0B00015H", "91350100MA0B00023C", "91350100MA0B000317"),
    "91350100MA0B000996",
)
CASE = global_id("EnforcementCase", "11350100MB0A00018J/BHSJ-2024-0137")
FOREIGN_FIRST = "query Scores($usccs: [Uscc]!) { creditOf(usccs: $usccs) { nodes { creditScore partyName } } }"


@dataclass(frozen=True, slots=True)
class Supergraph:
    """Two subgraphs behind Apollo Gateway; `ours` is the one of the six simulated sources."""

    six: Federation
    ours: str
    url: str
    hints: list[str]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer, without what the gateway tells of its fetches."""
        answer = ask(self.url, query, **variables)
        answer.pop("extensions", None)
        return answer

    def fetches(self, query: str, **variables: Any) -> list[tuple[str, int | None]]:
        """Which subgraph was asked in turn, and for how many entities; None for its own roots."""
        told = ask(self.url, query, **variables)["extensions"]["fetches"]
        counts = (one["representations"] for one in told)
        return [(one["service"], None if of is None else len(of)) for one, of in zip(told, counts, strict=True)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supergraph]:
    folder = program_folder(tmp_path_factory.mktemp("supergraph") / "node")
    known = {"scores": {LOGISTICS: 71, FOODS: 88}, "followers": {CASE: 12}}
    with (
        federation(tmp_path_factory.mktemp("six")) as six,
        six.served() as address,
        program(folder, "credit.mjs", known) as credit,
    ):
        ours = {"name": "minzhifa", "url": f"{address}/graphql"}
        with supergraph(folder, [ours, {"name": "credit", "url": credit["url"]}]) as composed:
            yield Supergraph(six, ours["url"], composed["url"], composed["hints"])


@pytest.fixture(autouse=True)
def calm(graph: Supergraph) -> Iterator[None]:
    graph.six.forget_calls()
    yield
    for simulator in graph.six.simulators.values():
        simulator.faults.clear()


def test_composition_has_nothing_to_remark(graph: Supergraph) -> None:
    """Though keys may be null, and the other has a `PageInfo`, a `Node` and scalars of the same names."""
    assert graph.hints == []


def test_the_sdl_over_http_is_the_one_the_command_prints(graph: Supergraph) -> None:
    printed = print_subgraph(build_schema(load_registry()))
    assert ask(graph.ours, "{ _service { sdl } }") == {"data": {"_service": {"sdl": printed}}}


def test_the_subgraph_names_every_key_every_element_and_an_old_version_of_federation() -> None:
    registry = load_registry()
    sdl = print_subgraph(build_schema(registry))
    assert re.findall(r"^schema (.*) \{$", sdl, re.M) == [
        '@link(url: "https://specs.apollo.dev/federation/v2.0", import: ["@key", "@shareable"])'
    ]
    keyed = dict(re.findall(r"^type (\w+) implements Node (@key.*) \{$", sdl, re.M))
    keys = {name: re.findall(r'fields: "([^"]*)"', directives) for name, directives in keyed.items()}
    assert keys.keys() == registry.entities.keys()
    assert keys["Party"] == ["id", "partyKey", "uscc"]
    assert keys["EnforcementCase"] == ["id", "agencyCode sourceCaseNo", "caseCode"]
    assert not [name for name, told in keys.items() if "idNo" in " ".join(told)]
    elements = sum(len(entity.elements) for entity in registry.entities.values())
    assert len(re.findall(r' @dataElement\(id: "', sdl)) == elements
    assert re.findall(r"^type (\w+) @shareable \{$", sdl, re.M) == ["PageInfo", "Provenance"]


def test_a_query_goes_out_from_ours_to_theirs(graph: Supergraph) -> None:
    query = "query ($uscc: Uscc) { party(uscc: $uscc) { partyName creditScore } }"
    found = {"party": {"partyName": "闽海通达物流有限公司", "creditScore": 71}}
    assert graph.ask(query, uscc=LOGISTICS) == {"data": found}
    assert graph.fetches(query, uscc=LOGISTICS) == [("minzhifa", None), ("credit", 1)]


def test_a_query_that_comes_in_from_theirs_is_one_request_and_one_call(graph: Supergraph) -> None:
    answer = graph.ask(FOREIGN_FIRST, usccs=[LOGISTICS, FOODS, FREIGHT, LOGISTICS])
    assert answer == {
        "data": {
            "creditOf": {
                "nodes": [
                    {"creditScore": 71, "partyName": "闽海通达物流有限公司"},
                    {"creditScore": 88, "partyName": "滨海鲜汇食品有限公司"},
                    {"creditScore": None, "partyName": "滨海𠮷运货运有限公司"},
                    {"creditScore": 71, "partyName": "闽海通达物流有限公司"},
                ]
            }
        }
    }
    assert graph.six.calls() == {"national_registry.enterprises_by_uscc": [3]}
    assert graph.fetches(FOREIGN_FIRST, usccs=[LOGISTICS, FOODS, FREIGHT]) == [("credit", None), ("minzhifa", 3)]


def test_entities_are_joined_by_id_as_well(graph: Supergraph) -> None:
    query = "query ($ids: [ID!]!) { followed(ids: $ids) { followers caseName parties { partyName creditScore } } }"
    party = {"partyName": "闽海通达物流有限公司", "creditScore": 71}
    name = "闽海通达物流有限公司涉嫌作引人误解的商业宣传案"
    assert graph.ask(query, ids=[CASE]) == {
        "data": {"followed": [{"followers": 12, "caseName": name, "parties": [party]}]}
    }
    assert graph.fetches(query, ids=[CASE]) == [("credit", None), ("minzhifa", 1), ("credit", 1)]


def test_what_we_do_not_know_is_null_without_an_error(graph: Supergraph) -> None:
    answer = graph.ask(FOREIGN_FIRST, usccs=[UNKNOWN, None, LOGISTICS])
    nobody = {"creditScore": None, "partyName": None}
    known = {"creditScore": 71, "partyName": "闽海通达物流有限公司"}
    assert answer == {"data": {"creditOf": {"nodes": [nobody, nobody, known]}}}


def test_a_source_that_is_down_is_null_and_our_error_arrives(graph: Supergraph) -> None:
    graph.six.simulators["national_registry"].stop()
    try:
        answer = graph.ask(FOREIGN_FIRST, usccs=["91350500MA0C00032H"])
    finally:
        graph.six.simulators["national_registry"].start()
    assert answer["data"] == {"creditOf": {"nodes": [{"creditScore": None, "partyName": None}]}}
    (error,) = answer["errors"]
    assert error["path"] == ["creditOf", "nodes", 0]
    assert error["extensions"] == {
        "code": "SOURCE_UNAVAILABLE",
        "source": "national_registry",
        "operation": "enterprises_by_uscc",
        "retryable": True,
        "serviceName": "minzhifa",
    }


def test_the_supergraph_shows_our_descriptions_and_none_of_the_machinery(graph: Supergraph) -> None:
    answer = graph.ask("""{
        party: __type(name: "Party") { fields { name description } }
        query: __type(name: "Query") { fields { name } }
    }""")
    fields = {field["name"]: field["description"] for field in answer["data"]["party"]["fields"]}
    assert fields["uscc"].startswith("统一社会信用代码")
    assert "creditScore" in fields
    roots = {field["name"] for field in answer["data"]["query"]["fields"]}
    assert {"party", "enforcementCases", "creditOf"} <= roots
    assert not {name for name in roots if name.startswith("_")}


def test_subgraphs_that_contradict_each_other_do_not_compose(graph: Supergraph, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.graphql"
    wrong.write_text("type Party { uscc: Int } type Query { party(uscc: Int): Party }", "utf-8")
    with (
        pytest.raises(RuntimeError, match=r"Party\.uscc"),
        supergraph(
            program_folder(tmp_path / "node"),
            [{"name": "minzhifa", "url": graph.ours}, {"name": "wrong", "url": "none", "sdl": str(wrong)}],
        ),
    ):
        pass
