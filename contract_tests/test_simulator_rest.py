"""A simulated REST system answers a plain HTTP client as the real one does, and refuses what the real one refuses."""

import base64
import gzip
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.mapping.load import load_mapping, load_mappings
from adapters.simulator.serve import Simulator, address_variable, invent_secrets, start
from schema.load import load_registry

REGISTRY = load_registry()
MARKET = load_mappings(REGISTRY)["binhai_market"]
CASES = "/api/v2/cases"


@pytest.fixture(scope="module")
def market() -> Iterator[Simulator]:
    with start(MARKET, invent_secrets(MARKET)) as simulator:
        yield simulator


@pytest.fixture
def client(market: Simulator) -> Iterator[httpx.Client]:
    token = {"Authorization": "Bearer binhai-market-token-sample"}
    with httpx.Client(base_url=market.url, headers=token, trust_env=False) as client:
        yield client


def by_no(client: httpx.Client, *numbers: str) -> dict:
    return client.post(f"{CASES}/batch", json={"ajbhList": list(numbers), "sfhdsr": 1}).json()


def numbers(answer: dict) -> list[str]:
    return [record["AJBH"] for record in answer["data"]["list"]]


# Lookups


def test_known_keys_are_answered_once_each_in_the_order_of_the_samples_and_unknown_ones_are_absent(client):
    answer = by_no(client, "BHSJ-2025-0031", "BHSJ-0000-0000", "BHSJ-2024-0086", "BHSJ-2025-0031")
    assert numbers(answer) == ["BHSJ-2024-0086", "BHSJ-2025-0031"]
    assert {name: value for name, value in answer.items() if name != "data"} == {
        "code": "0",
        "success": True,
        "msg": "成功",
    }
    assert answer["data"]["total"] == 2


def test_a_lookup_by_what_is_inside_the_record_finds_every_record_with_it(client):
    answer = client.post(f"{CASES}/query", json={"tyshxydmList": ["91350100MA0B00023C"]}).json()
    assert numbers(answer) == ["BHSJ-2024-0086", "BHSJ-2024-0155"]


def test_nothing_found_has_the_code_that_the_source_has_for_it(client):
    assert by_no(client, "BHSJ-0000-0000") == {
        "code": "1404",
        "success": True,
        "msg": "未查询到数据",
        "data": {"total": 0, "list": []},
    }


def test_numbers_and_texts_arrive_as_they_are_written_in_the_sample(market, client):
    written = b'[{"AJBH": "A", "SAJE": 1.10, "N": 1E5, "BIG": 12345678901234567890.000, "S": "0.860000", "X": null}]'
    before = market.dataset.records("EnforcementCase")
    control = httpx.put(f"{market.control_url}/records/EnforcementCase", content=written, trust_env=False)
    assert control.json() == {"EnforcementCase": 1}
    try:
        raw = client.post(f"{CASES}/batch", json={"ajbhList": ["A"], "sfhdsr": 1}).text
    finally:
        market.dataset.replace("EnforcementCase", before)
    assert '[{"AJBH":"A","SAJE":1.10,"N":1E5,"BIG":12345678901234567890.000,"S":"0.860000","X":null}]' in raw


# Changes


def pages(client: httpx.Client, since: str | None, size: int) -> list[list[str]]:
    found: list[list[str]] = []
    while not found or len(found[-1]) == size:
        query = {"pageNo": len(found) + 1, "pageSize": size} | ({"gxsjQ": since} if since else {})
        found.append(numbers(client.get(CASES, params=query).json()))
    return found


def test_paging_ends_with_a_short_page_and_has_given_every_record_once(market, client):
    found = pages(client, None, 5)
    assert [len(page) for page in found] == [5, 5, 2]
    records = sorted(market.dataset.records("EnforcementCase"), key=lambda record: (record["GXSJ"], record["AJBH"]))
    assert [number for page in found for number in page] == [record["AJBH"] for record in records]


def test_the_cursor_is_inclusive_and_records_of_one_instant_are_ordered_by_key(client):
    (page,) = pages(client, "2024-09-02 10:30:00", 50)
    assert page[:2] == ["BHSJ-2024-0168", "BHSJ-2024-0203"]
    (later,) = pages(client, "2024-09-02 10:30:01", 50)
    assert page[2:] == later


def test_a_page_beyond_the_last_is_empty_but_a_success(client):
    answer = client.get(CASES, params={"pageNo": 9, "pageSize": 5}).json()
    assert (answer["code"], answer["data"]) == ("0", {"total": 12, "list": []})


# Refusals


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer wrong", "binhai-market-token-sample"])
def test_a_wrong_token_is_401(market, token):
    answer = httpx.get(f"{market.url}{CASES}", headers={"Authorization": token} if token else {}, trust_env=False)
    assert (answer.status_code, answer.json()) == (401, {"code": "4010", "success": False, "msg": "未认证"})


def test_an_unknown_path_is_404(client):
    assert client.get("/api/v1/cases").status_code == 404
    assert client.post(CASES).status_code == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"ajbhList": [f"N{n}" for n in range(51)], "sfhdsr": 1}, "一次应查 1 至 50 个键，实有 51 个"),
        ({"ajbhList": [], "sfhdsr": 1}, "一次应查 1 至 50 个键，实有 0 个"),
        ({"ajbhList": ["A", ""], "sfhdsr": 1}, "json.ajbhList 中有空的键"),
        ({"ajbhList": "A", "sfhdsr": 1}, "json.ajbhList 应为列表"),
        ({"ajbhList": ["A"], "sfhdsr": "1"}, "json.sfhdsr 应为 1，实为 '1'"),
        ({"ajbhList": ["A"], "sfhdsr": True}, "json.sfhdsr 应为 1，实为 True"),
        ({"ajbhList": ["A"]}, "缺少 json.sfhdsr"),
        (["A"], "json 应为结构"),
    ],
)
def test_a_request_that_breaks_the_rules_is_rejected_with_its_reason(client, body, reason):
    answer = client.post(f"{CASES}/batch", json=body)
    assert (answer.status_code, answer.json()) == (200, {"code": "400", "success": False, "msg": reason})


def test_a_body_that_is_no_json_is_rejected(client):
    answer = client.post(f"{CASES}/batch", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.json()["msg"] == "缺少 json"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"pageNo": 0, "pageSize": 5}, "页码 “0” 应是不小于 1 的整数"),
        ({"pageNo": 1, "pageSize": 0}, "每页条数 “0” 应是不小于 1 的整数"),
        ({"pageNo": 1}, "缺少 query.pageSize"),
        ({"pageNo": 1, "pageSize": 5, "gxsjQ": "2024-09-02"}, "游标 “2024-09-02”：不合格式 %Y-%m-%d %H:%M:%S"),
    ],
)
def test_wrong_pages_and_cursors_are_rejected(client, query, reason):
    assert client.get(CASES, params=query).json() == {"code": "400", "success": False, "msg": reason}


# Other dialects


def made_up(folder: Path, connect: str, request: str = "{method: GET, path: /c, query: {no: $keys}}") -> Simulator:
    """A source with one lookup of parties, and two samples."""
    source = folder / "made_up"
    (source / "samples").mkdir(parents=True)
    (source / "samples" / "Party.json").write_text(
        '[{"id": "91350100MA0B00015H", "n": "𠮷 & 甲"}, {"id": "2", "n": "乙"}]'
    )
    (source / "mapping.yaml").write_text(
        f"""
source: made_up
title: 虚构
agency: 11350100MB0A00018J
owner: 无
connect: {connect}
operations:
  parties: {{request: {request}, records: r.list, lookup: {{entity: Party, by: uscc, batch: 5}}}}
entities:
  Party: {{key: uscc, fields: {{uscc: id, party_name: n}}}}
"""
    )
    mapping = load_mapping(REGISTRY, source)
    assert address_variable(mapping) == "MADE_UP_URL"
    return start(mapping, invent_secrets(mapping))


@pytest.mark.parametrize(
    ("auth", "sent"),
    [
        ("{kind: basic, username: env:U, password: env:P}", {"Authorization": "Basic dS1zYW1wbGU6cC1zYW1wbGU="}),
        ("{kind: header, name: X-Key, value: env:K}", {"X-Key": "k-sample"}),
        ("{kind: none}", {}),
    ],
)
def test_basic_and_header_keys_are_verified(tmp_path, auth, sent):
    with made_up(tmp_path, f"{{kind: rest, base_url: env:MADE_UP_URL, auth: {auth}}}") as simulator:
        address = f"{simulator.url}/c?no=91350100MA0B00015H&no=7"
        expected = {"r": {"list": [{"id": "91350100MA0B00015H", "n": "𠮷 & 甲"}]}}
        assert httpx.get(address, headers=sent, trust_env=False).json() == expected
        if sent:
            wrong = {name: f"{value}x" for name, value in sent.items()}
            assert httpx.get(address, headers=wrong, trust_env=False).status_code == 401
            assert httpx.get(address, trust_env=False).status_code == 401


def test_a_source_without_codes_of_its_own_speaks_http_statuses(tmp_path):
    with made_up(tmp_path, "{kind: rest, base_url: env:MADE_UP_URL}") as simulator:
        unknown = httpx.get(f"{simulator.url}/c?no=7", trust_env=False)
        assert (unknown.status_code, unknown.json()) == (200, {"r": {"list": []}})
        rejected = httpx.get(f"{simulator.url}/c", trust_env=False)
        assert (rejected.status_code, rejected.json()) == (400, {"message": "query.no 应为列表"})


def test_answers_in_gb18030_and_wrapped_in_base64_and_gzip_are_sayable(tmp_path):
    plain = "{kind: rest, base_url: env:MADE_UP_URL, charset: gb18030}"
    with made_up(tmp_path / "plain", plain) as simulator:
        raw = httpx.get(f"{simulator.url}/c?no=91350100MA0B00015H", trust_env=False).content
        assert raw.decode("gb18030") == '{"r":{"list":[{"id":"91350100MA0B00015H","n":"𠮷 & 甲"}]}}'
    wrapped = "{kind: rest, base_url: env:MADE_UP_URL, answer: [base64, gunzip, gb18030, xml]}"
    with made_up(tmp_path / "wrapped", wrapped) as simulator:
        raw = httpx.get(f"{simulator.url}/c?no=91350100MA0B00015H", trust_env=False).content
        document = gzip.decompress(base64.b64decode(raw)).decode("gb18030")
        assert document == (
            '<?xml version="1.0" encoding="GB18030"?><r><list><id>91350100MA0B00015H</id><n>𠮷 &amp; 甲</n></list></r>'
        )


def test_keys_may_be_joined_in_a_form_or_carried_in_a_json_text(tmp_path):
    joined = "{method: POST, path: /c, form: {no: {join: $keys, with: '|'}}}"
    with made_up(tmp_path / "a", "{kind: rest, base_url: env:MADE_UP_URL}", joined) as simulator:
        answer = httpx.post(f"{simulator.url}/c", data={"no": "2|91350100MA0B00015H"}, trust_env=False)
        assert [record["n"] for record in answer.json()["r"]["list"]] == ["𠮷 & 甲", "乙"]
    text = "{method: POST, path: /c, form: {q: {text: [json, base64], of: {nos: $keys, v: '1'}}}}"
    with made_up(tmp_path / "b", "{kind: rest, base_url: env:MADE_UP_URL}", text) as simulator:
        carried = base64.b64encode(b'{"nos": ["2"], "v": "1"}')
        answer = httpx.post(f"{simulator.url}/c", data={"q": carried.decode()}, trust_env=False)
        assert [record["n"] for record in answer.json()["r"]["list"]] == ["乙"]
        assert httpx.post(f"{simulator.url}/c", data={"q": "***"}, trust_env=False).status_code == 400
