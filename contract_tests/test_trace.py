"""Routers that ask for a trace are told when each field was had, in a form that Apollo's own library reads."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator.faults import Fault
from contract_tests.federation import Federation, federation
from contract_tests.supergraphs import ask, program_folder
from gateway.engine import trace
from gateway.settings import PROJECT

LOGISTICS = "91350100MA0B00015H"
HEADER = {"apollo-federation-include-trace": "ftv1"}
SLOW = 0.3
EXAMPLES = PROJECT / "schema" / "examples"


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("six")) as running:
        running.settings_changed = {"GATEWAY_FEDERATED_TRACING": "true"}
        yield running


@pytest.fixture(scope="module")
def url(six: Federation) -> Iterator[str]:
    with six.served() as address:
        yield f"{address}/graphql"


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program_folder(tmp_path_factory.mktemp("trace") / "node")


def read(reader: Path, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The trace in an answer, decoded by @apollo/usage-reporting-protobuf."""
    text = answer["extensions"]["ftv1"]
    run = subprocess.run(["node", "trace.mjs"], cwd=reader, input=text, capture_output=True, text=True, check=True)
    return dict(json.loads(run.stdout))


def shape(node: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of a trace: response name or index -> (parent type, type), and what is below."""
    found: dict[str, Any] = {}
    for child in node.get("child", ()):
        name = str(child.get("responseName", child.get("index")))
        title = f"{name}: {child['parentType']} -> {child['type']}" if "type" in child else name
        found[title] = shape(child)
    return found


def named(node: Mapping[str, Any], *path: str | int) -> dict[str, Any]:
    """The node at a path."""
    for key in path:
        (node,) = [child for child in node["child"] if key in (child.get("responseName"), child.get("index"))]
    return dict(node)


def test_a_trace_has_the_shape_of_the_answer(url: str, reader: Path) -> None:
    query = """query ($these: [_Any!]!, $uscc: Uscc) {
      company: party(uscc: $uscc) { __typename ...names enforcementCases { caseName } }
      _entities(representations: $these) { ... on Officer { officerName } ... on Party { called: partyName } }
      dataElements(first: 1) { totalCount }
    }
    fragment names on Party { partyName ... on Node { id } }"""
    these = [{"__typename": "Party", "uscc": LOGISTICS}, {"__typename": "Officer", "certNo": "35010020240001"}]
    found = read(reader, ask(url, query, HEADER, these=these, uscc=LOGISTICS))
    case = {"caseName: EnforcementCase -> String": {}}
    tree = shape(found["root"])
    cases = tree["company: Query -> Party"].pop("enforcementCases: Party -> [EnforcementCase!]")
    assert tree == {
        "company: Query -> Party": {"partyName: Party -> String": {}, "id: Party -> ID!": {}},
        "_entities: Query -> [_Entity]!": {
            "0": {"called: Party -> String": {}},
            "1": {"officerName: Officer -> String": {}},
        },
        "dataElements: Query -> ElementDefinitionConnection!": {"totalCount: ElementDefinitionConnection -> Int!": {}},
    }
    assert cases == {str(index): case for index in range(len(cases))}
    assert len(cases) > 1
    assert named(found["root"], "company")["originalFieldName"] == "party"
    assert "isIncomplete" not in found


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.graphql")))
def test_every_field_of_every_example_is_in_its_trace(url: str, reader: Path, name: str) -> None:
    answer = ask(url, (EXAMPLES / name).read_text("utf-8"), HEADER)
    found = read(reader, answer)
    assert set(places(found["root"])) == set(told(answer["data"]))
    spans = [(node.get("startTime", 0), node.get("endTime", 0)) for node in nodes(found["root"]) if "type" in node]
    assert all(0 < start <= end <= found["durationNs"] for start, end in spans)


def places(node: Mapping[str, Any], path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each node of a trace stands."""
    for child in node.get("child", ()):
        here = (*path, child.get("responseName", child.get("index")))
        yield here
        yield from places(child, here)


def nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every node of a trace."""
    yield node
    for child in node.get("child", ()):
        yield from nodes(child)


def told(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where each field and each object in a list of an answer stands."""
    within = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in within:
        yield (*path, key)
        if isinstance(inner, dict) or (isinstance(inner, list) and all(isinstance(one, dict) for one in inner)):
            yield from told(inner, (*path, key))


def test_fields_have_the_times_of_the_calls_they_came_from(six: Federation, url: str, reader: Path) -> None:
    six.simulators["national_registry"].faults.add(Fault("slow", seconds=SLOW))
    query = 'query ($uscc: Uscc) { party(uscc: $uscc) { uscc partyName } officer(certNo: "35010020240001") { officerName } }'
    try:
        found = read(reader, ask(url, query, HEADER, uscc=LOGISTICS))
    finally:
        six.simulators["national_registry"].faults.clear()
    slow, quick = named(found["root"], "party", "partyName"), named(found["root"], "officer", "officerName")
    assert slow["endTime"] - slow["startTime"] >= SLOW * 1e9
    assert 0 < quick["startTime"] <= quick["endTime"] <= found["durationNs"]
    assert slow["endTime"] <= found["durationNs"]
    began, ended = (found[name]["seconds"] * 10**9 + found[name].get("nanos", 0) for name in ("startTime", "endTime"))
    assert ended - began == found["durationNs"]


def test_errors_stand_where_they_happened(six: Federation, url: str, reader: Path) -> None:
    six.simulators["provincial_platform"].stop()
    try:
        answer = ask(url, '{ officer(certNo: "35010020249999") { officerName } }', HEADER)
    finally:
        six.simulators["provincial_platform"].start()
    (told,) = answer["errors"]
    (error,) = named(read(reader, answer)["root"], "officer")["error"]
    assert error["message"] == told["message"] == "来源系统暂时无法访问"
    assert json.loads(error["json"]) == told


def test_a_trace_that_would_be_too_long_says_that_it_is_incomplete(
    url: str, reader: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "MOST_NODES", 3)
    found = read(reader, ask(url, "{ dataElements(first: 9) { nodes { id } } }", HEADER))
    tree = shape(found["root"])["dataElements: Query -> ElementDefinitionConnection!"]
    assert tree == {"nodes: ElementDefinitionConnection -> [ElementDefinition!]!": {"0": {}}}
    assert found["isIncomplete"] is True


def test_nobody_is_traced_who_did_not_ask_or_where_it_is_not_allowed(six: Federation, url: str) -> None:
    assert "extensions" not in ask(url, "{ __typename }")
    assert "extensions" not in ask(url, "{ __typename }", {"apollo-federation-include-trace": "ftv2"})
    six.settings_changed = {}
    with six.served() as closed:
        assert ask(f"{closed}/graphql", "{ __typename }", HEADER) == {"data": {"__typename": "Query"}}
