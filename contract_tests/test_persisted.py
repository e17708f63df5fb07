"""Queries known by an identifier: automatically persisted ones, and trusted documents registered beforehand."""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from graphql import get_introspection_query

from contract_tests.federation import Federation, federation, proven
from contract_tests.serving import Served, served
from gateway.app import make_preparation
from gateway.cli import main
from gateway.limits import BadRequest, GraphQLRequest
from gateway.settings import PROJECT
from gateway.web.documents import Documents, identifier_of

EXAMPLES = sorted((PROJECT / "schema" / "examples").glob("*.graphql"))
QUERY = "query Name { __typename }"
ANSWER = {"data": {"__typename": "Query"}}
VECTOR = "query ($id: ID!) {\n  user(id: $id) {\n    name\n  }\n}"
"""The example of the appendix, whose identifier is 7dba4bd7…."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("persisted")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(sources: Federation) -> Iterator[Served]:
    with served(sources) as serving:
        yield serving


def apollo(text: str) -> dict[str, object]:
    return {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(text.encode()).hexdigest()}}


def test_identifiers_are_those_of_the_appendix() -> None:
    assert identifier_of(VECTOR) == "sha256:7dba4bd717b41f10434822356a93c32b1fb4907b983e854300ad839f84cdcd6e"


def test_apollos_protocol_asks_by_hash_then_sends_the_text_once(gateway: Served) -> None:
    text = "query Once { __typename }"
    unknown = gateway.post({"extensions": apollo(text)}, accept="application/json")
    assert (unknown.status, unknown.json["errors"][0]) == (
        200,
        {"message": "PersistedQueryNotFound", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}},
    )
    assert gateway.post({"query": text, "extensions": apollo(text)}).json == ANSWER
    assert gateway.post({"extensions": apollo(text)}).json == ANSWER
    assert gateway.get(f"extensions={quote(json.dumps(apollo(text)))}").json == ANSWER
    assert gateway.get(f"documentId={identifier_of(text)}&operationName=Once").json == ANSWER


def test_a_text_that_is_refused_is_not_remembered(gateway: Served) -> None:
    text = "{ nothing }"
    assert gateway.post({"query": text, "extensions": apollo(text)}).codes == ["GRAPHQL_VALIDATION_FAILED"]
    assert gateway.post({"extensions": apollo(text)}).codes == ["PERSISTED_QUERY_NOT_FOUND"]


@pytest.mark.parametrize(
    "body",
    [
        {"query": QUERY, "extensions": apollo("{ other }")},
        {"query": QUERY, "documentId": identifier_of("{ other }")},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "0" * 64}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "A" * 64}}},
        {"extensions": {"persistedQuery": {"version": 1}}},
        {"extensions": {"persistedQuery": []}},
        {"documentId": 1},
        {"documentId": "sha256:zz"},
        {"documentId": "md5:00"},
        {"documentId": "a b"},
        {"documentId": identifier_of(QUERY), "extensions": apollo(QUERY)},
    ],
)
def test_what_is_no_identifier_or_of_another_text_is_400_in_any_media_type(
    gateway: Served, body: dict[str, object]
) -> None:
    for accept in ("application/json", "application/graphql-response+json"):
        refused = gateway.post(body, accept=accept)
        assert (refused.status, refused.codes) == (400, ["PERSISTED_QUERY_INVALID"])


def test_the_least_recently_used_is_forgotten_first() -> None:
    documents = Documents(2, None, is_only_trusted=False)
    texts = ["{ a }", "{ b }", "{ c }"]

    def by_identifier(text: str) -> GraphQLRequest:
        return GraphQLRequest(None, identifier_of(text), None, None)

    for text in texts[:2]:
        documents.remember(GraphQLRequest(text, identifier_of(text), None, None))
    assert documents.text_of(by_identifier(texts[0])) == texts[0]
    documents.remember(GraphQLRequest(texts[2], identifier_of(texts[2]), None, None))
    assert documents.text_of(by_identifier(texts[0])) == texts[0]
    with pytest.raises(BadRequest, match=r"^PersistedQueryNotFound$"):
        documents.text_of(by_identifier(texts[1]))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where documents are registered in a test, told by the setting."""
    monkeypatch.setenv("GATEWAY_TRUSTED_DOCUMENTS", str(tmp_path / "trusted" / "documents.json"))
    return tmp_path / "trusted" / "documents.json"


def test_registered_documents_run_by_identifier_and_nothing_else_runs(
    sources: Federation, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["documents", "register", str(PROJECT / "schema" / "examples")]) == 0
    changed = {"GATEWAY_TRUSTED_DOCUMENTS": str(store), "GATEWAY_ONLY_TRUSTED": "true"}
    with served(sources, **changed) as strict:
        officer = (PROJECT / "schema" / "examples" / "officer_check.graphql").read_text("utf-8")
        asked = strict.post({"documentId": identifier_of(officer)})
        assert asked.json["data"]["inspection"]["inspectionNo"] == "BHJC-2024-0031"
        assert strict.post({"query": officer}).json["data"]["inspection"]["inspectionNo"] == "BHJC-2024-0031"
        assert strict.post({"extensions": apollo(officer)}).status == 200

        refused = strict.ask(QUERY)
        assert (refused.status, refused.codes) == (403, ["DOCUMENT_NOT_TRUSTED"])
        assert strict.post({"query": QUERY, "extensions": apollo(QUERY)}).codes == ["DOCUMENT_NOT_TRUSTED"]
        assert strict.post({"extensions": apollo(QUERY)}).codes == ["PERSISTED_QUERY_NOT_FOUND"]

        later = store.parent / "later.graphql"
        later.write_text(QUERY, "utf-8")
        assert main(["documents", "register", str(later)]) == 0
        assert strict.post({"documentId": identifier_of(QUERY)}).json == ANSWER
    printed = [line for line in capsys.readouterr().out.splitlines() if "个文档" in line]
    assert printed == [
        f"{len(EXAMPLES)} 个文档，新登记 {len(EXAMPLES)} 个；{store} 共 {len(EXAMPLES)} 个",
        f"1 个文档，新登记 1 个；{store} 共 {len(EXAMPLES) + 1} 个",
    ]


CODEGEN = {
    "2d5e7e2b0fc1c0a2d3a1d6d1a6a3a9f0a1b2c3d4": "query One { __typename }",
    "relay-md5": "query Two { __typename }",
}
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [{"id": "abc123", "name": "Three", "type": "query", "body": "query Three { __typename }"}],
}


def test_manifests_of_code_generators_are_taken_with_their_identifiers(
    sources: Federation, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, manifest in (("persisted-documents.json", CODEGEN), ("apollo.json", APOLLO)):
        (tmp_path / name).write_text(json.dumps(manifest), "utf-8")
    both = [str(tmp_path / "persisted-documents.json"), str(tmp_path / "apollo.json")]
    assert main(["documents", "register", *both]) == 0
    written = store.read_bytes()
    assert main(["documents", "register", *both]) == 0
    assert store.read_bytes() == written
    assert main(["documents", "list"]) == 0
    listed = capsys.readouterr().out
    assert re.findall(r"^(\S+) .*  (\w+)$", listed, re.MULTILINE) == [
        (next(iter(CODEGEN)), "One"),
        ("abc123", "Three"),
        ("relay-md5", "Two"),
    ]
    with served(sources, GATEWAY_TRUSTED_DOCUMENTS=str(store)) as gateway:
        for identifier in ("abc123", "relay-md5", next(iter(CODEGEN))):
            assert gateway.post({"documentId": identifier}).json == ANSWER
            assert gateway.get(f"documentId={identifier}").json == ANSWER
        assert gateway.ask(QUERY).json == ANSWER


def test_one_wrong_document_is_told_with_its_place_and_nothing_is_registered(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "good.graphql").write_text(QUERY, "utf-8")
    (folder / "bad.graphql").write_text("query A {\n  __typename\n  nothing\n}\n", "utf-8")
    (folder / "broken.gql").write_text("query A {\n  a(", "utf-8")
    (folder / "fragment.graphql").write_text("fragment F on Party { partyName }", "utf-8")
    (folder / "large.graphql").write_text("{ parties(first: 500) { totalCount } }", "utf-8")
    (folder / "gbk.graphql").write_bytes("# 执法\n{ __typename }".encode("gbk"))
    manifest = tmp_path / "manifest.json"
    wrong = {"good": QUERY, "bad": "{\n nothing }", "a b": QUERY, "sha256:" + "0" * 64: QUERY}
    manifest.write_text(json.dumps(wrong, indent=2), "utf-8")
    assert main(["documents", "register", str(folder / "good.graphql"), str(folder), str(manifest)]) == 1
    assert re.findall(r"([\w-]+\.\w+:\d+:\d+: [\w .]+)", capsys.readouterr().err) == [
        "manifest.json:3:3: bad",
        "manifest.json:4:3: a b",
        "manifest.json:5:3: sha256",
        "bad.graphql:3:3: GRAPHQL_VALIDATION_FAILED",
        "broken.gql:2:5: GRAPHQL_PARSE_FAILED",
        "fragment.graphql:1:1: GRAPHQL_VALIDATION_FAILED",
        "gbk.graphql:1:1: gbk.graphql",
        "large.graphql:1:18: BAD_USER_INPUT",
    ]
    assert not store.exists()


def test_an_identifier_keeps_its_text(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"id": QUERY}), "utf-8")
    assert main(["documents", "register", str(manifest)]) == 0
    written = store.read_bytes()
    manifest.write_text(json.dumps({"new": QUERY, "id": "{ __typename }"}), "utf-8")
    assert main(["documents", "register", str(manifest)]) == 1
    assert "已在 documents.json 登记为另一段文本" in capsys.readouterr().err
    assert store.read_bytes() == written


def test_without_a_place_to_register_it_says_which_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["documents", "list"]) == 1
    assert "GATEWAY_TRUSTED_DOCUMENTS: 请设置" in capsys.readouterr().err


def test_the_defaults_let_examples_and_every_tools_introspection_through(sources: Federation) -> None:
    settings, definitions = proven(sources.settings.secrets)
    preparation = make_preparation(definitions, settings)
    everything = get_introspection_query(
        descriptions=True,
        specified_by_url=True,
        directive_is_repeatable=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    for text in (everything, get_introspection_query(), *(file.read_text("utf-8") for file in EXAMPLES)):
        assert preparation.prepare(text, {}, None).cost <= settings.most_cost / 4
