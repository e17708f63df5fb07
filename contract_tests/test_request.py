"""A request is the mapping's template with the call's values in it, and nothing of them is lost or split on the way."""

from typing import Any

import pytest

from adapters.errors import SourceRejected
from adapters.mapping.load import load_mappings
from adapters.request import fill, query_string
from adapters.rest import http_request
from adapters.secrets import BadSecret, MissingSecret, names_in, require, resolve, resolve_address
from adapters.source import Call
from schema.load import load_registry

MAPPINGS = load_mappings(load_registry())
SECRETS = {"SERIAL": "X-1", "EMPTY": "", "BROKEN": "a\nb", "URL": "http://h:8080/base/"}


def filled(template: Any, **words: Any) -> Any:
    return fill(template, Call("operation", 1.0, **words), SECRETS)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ({"a": "$keys"}, {"a": ["1", "2"]}),
        ({"a": {"string": "$keys"}, "b": False, "c": 1}, {"a": {"string": ["1", "2"]}, "b": False, "c": 1}),
        ({"a": {"join": "$keys", "with": ","}}, {"a": "1,2"}),
        ({"a": "env:SERIAL", "b": "04", "c": None}, {"a": "X-1", "b": "04", "c": None}),
        ({"a": {"text": ["xml"], "of": {"r": {"k": "$keys"}}}}, {"a": "<r><k>1</k><k>2</k></r>"}),
        ({"a": {"text": "json", "of": {"k": "$keys"}}}, {"a": '{"k":["1","2"]}'}),
        (["$keys", "x"], [["1", "2"], "x"]),
        ({"join": "plain", "other": "$keys"}, {"join": "plain", "other": ["1", "2"]}),
        ({"a": "$other", "b": "env:lower"}, {"a": "$other", "b": "env:lower"}),
    ],
)
def test_templates_of_a_lookup(template: Any, expected: Any) -> None:
    assert filled(template, keys=["1", "2"]) == expected


def test_templates_of_changes() -> None:
    template = {"from": "$since", "to": "$until", "page": "$page", "size": "$size"}
    assert filled(template, since="2024", until="2025", page=0, size=5) == {
        "from": "2024", "to": "2025", "page": 0, "size": 5,
    }  # fmt: skip


def test_an_entry_without_a_value_is_left_out() -> None:
    template = {
        "q": {"from": "$since", "page": "$page"},
        "list": ["$since", "x"],
        "text": {"join": "$since", "with": ","},
    }
    assert filled(template, page=1) == {"q": {"page": 1}, "list": ["x"]}


def test_the_only_key_is_one_text_and_several_are_refused() -> None:
    assert filled({"a": "$key"}, keys=["1"]) == {"a": "1"}
    with pytest.raises(SourceRejected):
        filled({"a": "$key"}, keys=["1", "2"])


def test_a_key_that_joining_would_split_is_refused() -> None:
    with pytest.raises(SourceRejected, match="分隔符"):
        filled({"a": {"join": "$keys", "with": ","}}, keys=["1", "2,3"])


def test_a_key_that_xml_cannot_carry_is_refused() -> None:
    with pytest.raises(SourceRejected):
        filled({"a": {"text": ["xml"], "of": {"r": "$keys"}}}, keys=["\x00"])


def test_parameters_are_encoded_whole() -> None:
    parameters = {"名": "闽 A+B&c=1%", "many": ["1", "2"], "yes": True, "n": 1, "empty": ""}
    assert query_string(parameters) == "%E5%90%8D=%E9%97%BD%20A%2BB%26c%3D1%25&many=1&many=2&yes=true&n=1&empty="


def test_a_whole_request_with_json() -> None:
    request = MAPPINGS["binhai_market"].operations["cases_by_no"].written.request
    assert http_request("http://h/base", request, Call("cases_by_no", 1.0, keys=["案1"]), SECRETS) == (
        "POST",
        "http://h/base/api/v2/cases/batch",
        {"Content-Type": "application/json; charset=utf-8"},
        '{"ajbhList":["案1"],"sfhdsr":1}'.encode(),
    )


def test_a_whole_request_with_a_query_and_one_with_a_form() -> None:
    operations = MAPPINGS["provincial_platform"].operations
    changed, by_cert = operations["officers_changed"].written.request, operations["officers_by_cert"].written.request
    get = http_request("http://h", changed, Call("", 1.0, page=1, size=5), SECRETS, {"sign": "x/y"})
    post = http_request("http://h", by_cert, Call("", 1.0, keys=["1", "2"]), SECRETS)
    assert get == ("GET", "http://h/gateway/api/001/dataSharing/zfrygx.htm?pageNum=1&pageSize=5&sign=x%2Fy", {}, None)
    assert post[3] == b"zfzhs=1%2C2"


# Secrets


def test_a_secret_is_named_in_errors_and_never_told() -> None:
    assert resolve("env:SERIAL", SECRETS) == "X-1"
    for name in ("ABSENT", "EMPTY"):
        with pytest.raises(MissingSecret, match=name):
            resolve(f"env:{name}", SECRETS)
    with pytest.raises(BadSecret, match="BROKEN") as refused:
        resolve("env:BROKEN", SECRETS)
    assert "a\nb" not in str(refused.value)


def test_an_address_loses_its_last_slash() -> None:
    assert resolve_address("env:URL", SECRETS) == "http://h:8080/base"


@pytest.mark.parametrize(
    "address",
    [
        "h:8080",
        "ftp://h/",
        "file:///etc/passwd",
        "http://:80",
        "http://u:p@h/",
        "http://h/?a=1",
        "http://h/#a",
        "http://h:x/",
    ],
)
def test_an_address_is_http_and_carries_nothing_else(address: str) -> None:
    with pytest.raises(BadSecret, match="环境变量 URL") as refused:
        resolve_address("env:URL", {"URL": address})
    assert address not in str(refused.value)


def test_every_variable_a_source_needs_is_known_those_in_requests_too() -> None:
    assert {name: names_in(mapping) for name, mapping in MAPPINGS.items()} == {
        "binhai_exchange": ["BINHAI_EXCHANGE_URL"],
        "binhai_market": ["BINHAI_MARKET_TOKEN", "BINHAI_MARKET_URL"],
        "linxi_ledger": [],
        "national_registry": ["NATIONAL_REGISTRY_APPKEY", "NATIONAL_REGISTRY_RID", "NATIONAL_REGISTRY_URL"],
        "provincial_platform": [
            "PROVINCIAL_PLATFORM_APP_KEY", "PROVINCIAL_PLATFORM_APP_SECRET", "PROVINCIAL_PLATFORM_URL",
        ],
        "traffic_police": ["TRAFFIC_POLICE_SERIAL", "TRAFFIC_POLICE_URL"],
        "transport_licence": ["TRANSPORT_LICENCE_PASSWORD", "TRANSPORT_LICENCE_URL", "TRANSPORT_LICENCE_USER"],
    }  # fmt: skip


def test_all_missing_variables_are_told_at_once() -> None:
    with pytest.raises(MissingSecret) as missing:
        require(MAPPINGS["traffic_police"], {})
    assert missing.value.names == ("TRAFFIC_POLICE_SERIAL", "TRAFFIC_POLICE_URL")
