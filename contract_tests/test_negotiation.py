"""What the client can read is what it gets: media types, encodings, entity tags; and pages of other sites get nothing."""

import gzip
import json
from collections.abc import Iterator

import brotli
import httpx
import pytest
import zstandard

from contract_tests.federation import Federation, federation
from contract_tests.serving import Reply, Served, head, served
from gateway.limits import STATUS
from gateway.settings import PROJECT
from gateway.web.negotiation import JSON_TYPE, RESPONSE_TYPE, encoding, is_unchanged, media_type

TYPES = "query=%7B__schema%7Btypes%7Bname%20description%7D%7D%7D"
SMALL = "query=%7B__typename%7D"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("negotiation")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(sources: Federation) -> Iterator[Served]:
    with served(sources) as serving:
        yield serving


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON_TYPE),
        ("", JSON_TYPE),
        ("*/*", JSON_TYPE),
        ("application/*", JSON_TYPE),
        ("application/json", JSON_TYPE),
        ("application/json; charset=utf-8", JSON_TYPE),
        (RESPONSE_TYPE, RESPONSE_TYPE),
        (RESPONSE_TYPE.upper(), RESPONSE_TYPE),
        (f"{JSON_TYPE}, {RESPONSE_TYPE}", RESPONSE_TYPE),
        (f"{JSON_TYPE}, {RESPONSE_TYPE};q=0.9", JSON_TYPE),
        (f"{JSON_TYPE};q=0.8, {RESPONSE_TYPE};q=0.9", RESPONSE_TYPE),
        (f"{RESPONSE_TYPE};q=0, */*", JSON_TYPE),
        (f"multipart/mixed, {RESPONSE_TYPE}, {JSON_TYPE};q=0.9", RESPONSE_TYPE),
        ("text/html, */*;q=0.1", JSON_TYPE),
        ("text/html", None),
        ("image/png, */*;q=0", None),
        (f"{JSON_TYPE};q=0", None),
        (f"{JSON_TYPE};q=no", None),
    ],
)
def test_the_media_type_is_the_one_of_greater_weight(accept: str | None, chosen: str | None) -> None:
    assert media_type(accept) == chosen


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, None),
        ("identity", None),
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("br;q=0, gzip;q=0.1", "gzip"),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *", "br"),
        ("gzip;q=0.5, identity;q=0.8", None),
    ],
)
def test_the_encoding_is_the_one_of_greater_weight(accept: str | None, chosen: str | None) -> None:
    assert encoding(accept) == chosen


@pytest.mark.parametrize(
    ("header", "unchanged"),
    [(None, False), ('"a"', True), ('W/"a"', True), ('"b", W/"a"', True), ("*", True), ('"b"', False), ("a", False)],
)
def test_entity_tags_are_compared_weakly(header: str | None, unchanged: bool) -> None:
    assert is_unchanged(header, '"a"') is unchanged


def test_a_client_that_reads_neither_type_is_told_in_json(gateway: Served) -> None:
    for reply in (gateway.ask("{ __typename }", accept="image/png"), gateway.get(SMALL, accept="text/html")):
        assert (reply.status, reply.codes) == (406, ["NOT_ACCEPTABLE"])
        assert reply.headers["content-type"] == "application/json; charset=utf-8"


def unpacked(reply: Reply) -> bytes:
    match reply.headers.get("content-encoding"):
        case "gzip":
            return gzip.decompress(reply.body)
        case "br":
            return bytes(brotli.decompress(reply.body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompress(reply.body)
    return reply.body


def test_answers_are_packed_as_asked_and_each_form_has_a_tag_of_its_own(gateway: Served) -> None:
    plain = gateway.get(TYPES)
    packed = {name: gateway.get(TYPES, accept_encoding=name) for name in ("gzip", "br", "zstd")}
    assert {name: reply.headers["content-encoding"] for name, reply in packed.items()} == {n: n for n in packed}
    assert {unpacked(reply) for reply in packed.values()} == {plain.body}
    assert all(len(reply.body) < len(plain.body) / 2 for reply in packed.values())
    tags = [reply.headers["etag"] for reply in (plain, *packed.values())]
    assert len(set(tags)) == 4
    assert {reply.headers["vary"] for reply in packed.values()} == {"Accept, Accept-Encoding"}
    posted = gateway.ask("{ __schema { types { name description } } }", accept_encoding="br")
    assert unpacked(posted) == plain.body
    assert "content-encoding" not in gateway.get(SMALL, accept_encoding="br, gzip").headers


def test_an_answer_that_has_not_changed_is_not_sent_again(gateway: Served) -> None:
    first = gateway.get(TYPES, accept_encoding="br")
    again = gateway.get(TYPES, accept_encoding="br", if_none_match=f'"other", W/{first.headers["etag"]}')
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["cache-control"] == first.headers["cache-control"] == "private, max-age=0, must-revalidate"
    assert again.headers["vary"] == "Accept, Accept-Encoding"
    other = gateway.get(TYPES, accept_encoding="gzip", if_none_match=first.headers["etag"])
    assert other.status == 200


def test_neither_errors_nor_answers_to_post_are_kept(gateway: Served) -> None:
    wrong = gateway.get("query=%7Bnothing%7D")
    posted = gateway.ask("{ __typename }")
    assert [(r.headers["cache-control"], "etag" in r.headers) for r in (wrong, posted)] == [("no-store", False)] * 2


def test_head_is_get_without_its_body(gateway: Served) -> None:
    answer = httpx.head(f"{gateway.address}/graphql?{SMALL}", trust_env=False)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"] == gateway.get(SMALL, accept="*/*").headers["etag"]


def test_parameters_of_a_url_are_held_to_the_same_rules(gateway: Served) -> None:
    assert (
        gateway.get("query=query(%24a:Int!)%7Bparties(first:%24a)%7BtotalCount%7D%7D&variables=%7B%22a%22:1%7D").status
        == 200
    )
    assert gateway.get("query=%7B+__typename+%7D&operationName=&variables=").status == 200
    for wrong in (
        "",
        "query=",
        "query=%ff%fe",
        "query=%D6%B4%B7%A8",
        "query=%7Ba%7D&query=%7Bb%7D",
        "query=%7Ba%7D&variables=%5B%5D",
        "query=%7Ba%7D&variables=%7B%22a%22:1,%22a%22:2%7D",
        "query=%7Ba%7D&extensions=1",
        "query=%7Ba%7D%00",
        "query=%7Ba%7D" + "&a=b" * 100,
    ):
        reply = gateway.get(wrong)
        assert (reply.status, reply.codes) == (400, ["BAD_REQUEST"]), wrong


CROSS = [
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"},
    {"sec_fetch_site": "same-site"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"referer": "https://evil.example/page"},
]


@pytest.mark.parametrize("headers", CROSS)
def test_a_page_of_another_site_gets_no_answer(gateway: Served, headers: dict[str, str]) -> None:
    for reply in (gateway.get(SMALL, **headers), gateway.ask("{ __typename }", **headers)):
        assert (reply.status, reply.codes) == (403, ["CROSS_SITE_REFUSED"])
        assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {"origin": "http://127.0.0.1"},
        {"referer": "http://127.0.0.1/graphql"},
        {"sec_fetch_site": "cross-site", "apollo_require_preflight": "true"},
        {"origin": "https://evil.example", "graphql_require_preflight": "1"},
        {"origin": "https://evil.example", "x_apollo_operation_name": "A"},
    ],
)
def test_our_own_pages_plain_clients_and_whoever_passed_a_preflight_are_answered(
    gateway: Served, headers: dict[str, str]
) -> None:
    assert gateway.get(SMALL, **headers).status == 200


def test_only_listed_origins_pass_a_preflight_and_may_read_answers(sources: Federation, gateway: Served) -> None:
    ask = {"origin": "https://portal.example", "access-control-request-method": "POST"}
    preflight = head("OPTIONS", "/graphql", {**ask, "access-control-request-headers": "content-type"})
    assert gateway.send(preflight).status == 405
    with served(sources, GATEWAY_ALLOWED_ORIGINS="https://portal.example") as listed:
        passed = listed.send(preflight)
        assert (passed.status, passed.headers["access-control-allow-origin"]) == (200, "https://portal.example")
        answer = listed.ask("{ __typename }", origin="https://portal.example", sec_fetch_site="cross-site")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://portal.example")
        assert "Origin" in answer.headers["vary"]
        other = listed.ask("{ __typename }", origin="https://evil.example")
        assert (other.status, "access-control-allow-origin" in other.headers) == (403, False)


def test_what_a_query_costs_is_said_where_the_plan_is_explained(sources: Federation) -> None:
    federated = (PROJECT / "schema" / "examples" / "federated.graphql").read_text("utf-8")
    with served(sources, GATEWAY_ALLOW_EXPLAIN="true") as explaining:
        extensions = explaining.ask(federated, x_explain="1").json["extensions"]
        assert extensions["cost"] > 100
        assert "cost" not in explaining.ask(federated).json.get("extensions", {})


def test_every_status_is_one_of_a_client_but_for_what_is_ours(gateway: Served) -> None:
    ours = {code for code, status in STATUS.items() if not 400 <= status < 500}
    assert ours == {"TOO_MANY_CONNECTIONS", "INTERNAL"}
    assert json.loads(gateway.get(SMALL).body) == {"data": {"__typename": "Query"}}
