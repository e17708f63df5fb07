"""GraphQL over HTTP: every request gets an answer a client can read, and hostile ones get no further than the door."""

import json
import subprocess
from collections.abc import Iterator

import httpx
import pytest

from contract_tests.federation import federation
from contract_tests.serving import served
from gateway.settings import PROJECT

FEDERATED = (PROJECT / "schema" / "examples" / "federated.graphql").read_text("utf-8")
OFFICER = '{ officer(certNo: "35010020240001") { officerName } }'
FOUND = {"data": {"officer": {"officerName": "林甲"}}}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with federation(tmp_path_factory.mktemp("http")) as running:
        running.settings_changed = {"GATEWAY_ALLOW_EXPLAIN": "true"}
        with served(running) as gateway:
            yield gateway.address


def post(address: str, content: bytes | str, **headers: str) -> httpx.Response:
    sent = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{address}/graphql", content=content, headers=sent, timeout=30, trust_env=False)


def test_a_query_is_answered_over_post_and_get(address: str) -> None:
    asked = post(address, json.dumps({"query": OFFICER}))
    assert (asked.status_code, asked.json()) == (200, FOUND)
    assert asked.headers["content-type"] == "application/json; charset=utf-8"
    got = httpx.get(f"{address}/graphql", params={"query": OFFICER}, trust_env=False)
    assert (got.status_code, got.json()) == (200, FOUND)


def test_variables_and_operation_names_are_used(address: str) -> None:
    query = "query A($no: String) { officer(certNo: $no) { officerName } } query B { __typename }"
    body = {"query": query, "variables": {"no": "35010020240001"}, "operationName": "A"}
    assert post(address, json.dumps(body)).json() == FOUND
    assert post(address, json.dumps({**body, "operationName": "B"})).json() == {"data": {"__typename": "Query"}}
    unknown = post(address, json.dumps({**body, "operationName": "C"})).json()
    assert unknown["errors"][0]["extensions"]["code"] == "OPERATION_RESOLUTION_FAILURE"


def test_a_body_with_a_byte_order_mark_is_read(address: str) -> None:
    assert post(address, b"\xef\xbb\xbf" + json.dumps({"query": OFFICER}).encode()).json() == FOUND


def test_the_newer_media_type_says_400_when_nothing_ran(address: str) -> None:
    newer = "application/graphql-response+json"
    bad = post(address, json.dumps({"query": "{ nothing }"}), accept=newer)
    assert (bad.status_code, bad.headers["content-type"]) == (400, f"{newer}; charset=utf-8")
    assert "data" not in bad.json()
    assert post(address, json.dumps({"query": "{ nothing }"}), accept="application/json").status_code == 200
    assert post(address, json.dumps({"query": OFFICER}), accept=newer).status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"null", {}, 400),
        (b"1", {}, 400),
        (b"[]", {}, 400),
        (b"{", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b'{"query": NaN}', {}, 400),
        (b'{"query": "{a}", "query": "{b}"}', {}, 400),
        (b'{"query": ""}', {}, 400),
        (b'{"query": 1}', {}, 400),
        (b'{"query": "{a}", "variables": []}', {}, 400),
        (b'{"query": "{a}", "operationName": 1}', {}, 400),
        (b'{"query": "{a}", "extensions": "x"}', {}, 400),
        (b'{"query": "\xff\xfe"}', {}, 400),
        ('{"query": "{ 执法 }"}'.encode("gbk"), {}, 400),
        (b"{}", {"content_type": "text/plain"}, 415),
        (b"{}", {"content_type": "application/x-www-form-urlencoded"}, 415),
        (b"{}", {"content_type": "application/json; charset=gbk"}, 415),
        (b"{}", {"content_encoding": "gzip"}, 415),
        (b'{"query": "' + b" " * 300_000 + b'"}', {}, 413),
    ],
)
def test_what_is_no_graphql_request_is_refused_with_a_readable_error(
    address: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(address, content, **headers)
    assert answer.status_code == status
    assert list(answer.json()) == ["errors"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{" * 1500, "QUERY_TOO_LARGE"),
        ("{ a " * 20_000, "QUERY_TOO_LARGE"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { a }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ enforcementCase { caseName } }", "BAD_USER_INPUT"),
        ('{ party(uscc: "123") { partyName } }', "GRAPHQL_VALIDATION_FAILED"),
        ("{ parties(first: -5) { totalCount } }", "BAD_USER_INPUT"),
        ("{ parties(first: 0) { totalCount } }", "BAD_USER_INPUT"),
        ("{ parties(first: 201) { totalCount } }", "BAD_USER_INPUT"),
        ("{ parties(first: 2147483648) { totalCount } }", "BAD_USER_INPUT"),
        ('{ parties(after: "!") { totalCount } }', "BAD_USER_INPUT"),
        ('{ parties(after: "案") { totalCount } }', "BAD_USER_INPUT"),
        ('{ parties(after: "QQ==") { totalCount } }', "BAD_USER_INPUT"),
        ("query ($no: String!) { officer(certNo: $no) { officerName } }", "BAD_USER_INPUT"),
        ("query ($no: String) { officer(certNo: $no) { officerName } }", "BAD_USER_INPUT"),
        (
            "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
            "GRAPHQL_VALIDATION_FAILED",
        ),
    ],
)
def test_a_query_that_cannot_run_says_why_and_calls_nobody(address: str, query: str, code: str) -> None:
    answer = post(address, json.dumps({"query": query}))
    assert answer.status_code == 200
    body = answer.json()
    assert {error["extensions"]["code"] for error in body["errors"]} == {code}
    assert "data" not in body


def test_other_methods_are_refused(address: str) -> None:
    answer = httpx.put(f"{address}/graphql", trust_env=False)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]


def test_the_plan_is_shown_only_to_who_asks_and_where_settings_allow_it(address: str) -> None:
    body = json.dumps({"query": OFFICER})
    assert post(address, body, x_explain="1").json()["extensions"]["plan"][0].startswith("2 waves, 2 steps")
    assert "extensions" not in post(address, body).json()


def test_the_whole_federated_answer_travels_as_json(address: str) -> None:
    answer = post(address, json.dumps({"query": FEDERATED}))
    assert answer.json()["data"]["enforcementCase"]["parties"][0]["legalRepName"] == "林海样"


def test_the_official_audits_of_graphql_over_http_pass(address: str) -> None:
    command = ["node", str(PROJECT / "console" / "audit.mjs"), f"{address}/graphql"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    audits = [json.loads(line) for line in run.stdout.splitlines()]
    assert [audit for audit in audits if audit["status"] != "ok"] == []
    assert len(audits) == 61


def test_introspection_tells_descriptions_in_chinese(address: str) -> None:
    query = '{ __type(name: "PenaltyDecision") { fields { name description } } }'
    fields = post(address, json.dumps({"query": query})).json()["data"]["__type"]["fields"]
    assert {"name": "fineAmount", "description": "罚款金额。格式 Money，条件必备。含罚款必填"} in fields


def test_a_process_says_that_it_is_alive_and_the_page_is_where_it_should_be(address: str) -> None:
    assert httpx.get(f"{address}/healthz", trust_env=False).json() == {"status": "ok"}
    page = httpx.get(address, headers={"accept": "text/html"}, follow_redirects=True, trust_env=False)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
