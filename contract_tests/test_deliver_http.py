"""Deliveries over HTTP: once under a key, partly accepted, told in the agency's words; everything else is a problem with a code."""

import gzip
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, text

from contract_tests.delivering import LEDGER_PATH, NDJSON, agency, balance, left_behind, packed, records
from contract_tests.files import HEAD, workbook
from contract_tests.stores import database, postgres, url
from gateway.receiving.keys import make_key

__all__ = ["database", "postgres", "url"]
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture
def served(tmp_path):
    """An agency at a gateway."""
    with agency(tmp_path, f"sqlite:///{tmp_path / 'gateway.db'}") as made:
        yield made


@pytest.fixture
def anywhere(url, tmp_path):
    """The same on SQLite and PostgreSQL."""
    with agency(tmp_path, url) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same for tests that change nothing."""
    folder = tmp_path_factory.mktemp("agency")
    with agency(folder, f"sqlite:///{folder / 'gateway.db'}") as made:
        yield made


def test_ndjson_is_taken_in_and_its_receipt_tells_of_every_record(anywhere):
    bad = records(2, 日期="2024/02/30", 措施种类="没收") + "[1]\n"
    reply = anywhere.post(records(0, 1) + bad, content_encoding="")
    assert reply.status_code == 200
    told = reply.json()
    assert (told["status"], told["isNew"], balance(told)) == ("done", True, (4, 3, 1, 0))
    assert told["problems"] == [
        {
            "number": 3,
            "place": 3,
            "outcome": "applied",
            "reason": None,
            "issues": [
                {"column": "措施种类", "severity": "error", "reason": "代码未在映射中登记"},
                {"column": "日期", "severity": "error", "reason": "没有这一天"},
            ],
        },
        {"number": 4, "place": 4, "outcome": "quarantined", "reason": "第 4 行不是记录（JSON 对象）", "issues": []},
    ]
    assert anywhere.ask("GET", reply.headers["location"]).json() == told | {"isNew": False}
    pages, after = [], 0
    while after is not None:
        page = anywhere.ask("GET", f"{told['records']}?first=3&after={after}").json()
        pages.append([(one["number"], one["outcome"]) for one in page["records"]])
        after = page["next"]
    assert pages == [[(1, "applied"), (2, "applied"), (3, "applied")], [(4, "quarantined")]]
    noted = anywhere.ask("GET", f"{told['records']}?only=noted").json()
    assert [one["number"] for one in noted["records"]] == [3, 4]
    assert left_behind(anywhere.folder) == []


def test_the_same_again_is_answered_and_other_content_is_not(anywhere):
    first = anywhere.post(records(1, 2), "k1").json()
    again = anywhere.post(records(1, 2), "k1")
    assert (again.status_code, again.json()) == (200, first | {"isNew": False})
    quoted = anywhere.post(records(1, 2), '"k1"').json()
    assert quoted["receipt"] == first["receipt"]
    other = anywhere.post(records(1), "k1")
    assert (other.status_code, other.json()["code"]) == (422, "KEY_REUSED")
    assert anywhere.ask("GET", LEDGER_PATH, idempotency_key="k1").json() == first | {"isNew": False}
    assert anywhere.ask("GET", LEDGER_PATH, idempotency_key="k2").json()["code"] == "NOT_FOUND"
    assert balance(anywhere.post(records(1, 2), "k3").json()) == (2, 2, 0, 0)


def test_packed_content_is_the_same_content(served):
    told = served.post(packed(records(1, 2)), content_encoding="gzip").json()
    assert balance(told) == (2, 2, 0, 0)
    assert served.post(records(1, 2)).json()["receipt"] == told["receipt"]


def test_csv_and_workbooks_are_taken_as_well(served, tmp_path):
    csv = f"{HEAD}\nQ1,案1,查封,1,2024/01/02\nQ2,案2\n"
    told = served.post(csv, "csv", content_type="text/csv; charset=utf-8").json()
    assert (balance(told), told["form"]) == ((2, 1, 1, 0), "csv")
    file = workbook(tmp_path / "a.xlsx", [HEAD.split(","), ["Q1", "案1", "扣押", 1, "2024/01/02"]])
    told = served.post(file.read_bytes(), "xlsx", content_type=XLSX).json()
    assert (balance(told), told["applied"]) == ((1, 1, 0, 0), 1)


def test_a_file_that_cannot_be_taken_is_a_problem_with_a_receipt(served):
    reply = served.post("别的列\n1\n", content_type="text/csv")
    told = reply.json()
    assert (reply.status_code, reply.headers["content-type"]) == (422, "application/problem+json")
    assert (told["code"], told["receipt"]["status"]) == ("UNREADABLE", "refused")
    assert "缺少列 “措施编号”" in told["detail"]
    assert served.ask("GET", reply.headers["location"]).json()["detail"] == told["detail"]


@pytest.mark.parametrize(
    ("headers", "path", "status", "code"),
    [
        ({"authorization": ""}, LEDGER_PATH, 401, "UNAUTHENTICATED"),
        ({"authorization": "Bearer mzf_wrong"}, LEDGER_PATH, 401, "UNAUTHENTICATED"),
        ({"authorization": "Bearer " + "x" * 5000}, LEDGER_PATH, 401, "UNAUTHENTICATED"),
        ({"authorization": "Basic dTpw"}, LEDGER_PATH, 401, "UNAUTHENTICATED"),
        ({}, "/deliver/linxi_ledger/measures_delivered", 403, "FORBIDDEN"),
        ({}, "/deliver/nobody/delivered", 403, "FORBIDDEN"),
        ({}, "/deliver/ledger/nothing", 404, "NOT_FOUND"),
        ({"idempotency_key": ""}, LEDGER_PATH, 400, "KEY_MISSING"),
        ({"idempotency_key": "a b"}, LEDGER_PATH, 400, "BAD_REQUEST"),
        ({"content_type": "text/plain"}, LEDGER_PATH, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"content_type": ""}, LEDGER_PATH, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"content_encoding": "br"}, LEDGER_PATH, 415, "UNSUPPORTED_MEDIA_TYPE"),
        ({"content_encoding": "gzip"}, LEDGER_PATH, 400, "BAD_ENCODING"),
        ({"origin": "https://elsewhere.example"}, LEDGER_PATH, 403, "CROSS_SITE_REFUSED"),
    ],
)
def test_what_is_refused_is_a_problem_with_a_code(shared, headers, path, status, code):
    reply = shared.post(records(1), **{"path": path, "idempotency_key": "k1", **headers})
    told = reply.json()
    assert (reply.status_code, told["status"], told["code"]) == (status, status, code)
    assert told["type"].endswith(code)
    assert "一" <= told["title"][0] <= "鿿"
    assert reply.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in reply.headers) == (status == 401)
    assert left_behind(shared.folder) == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_are_refused(shared, method):
    reply = shared.ask(method, LEDGER_PATH)
    assert (reply.status_code, reply.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert "POST" in reply.headers["allow"]


@pytest.mark.parametrize("query", ["first=0x1", "first=1001", "after=-1", "first=²"])
def test_pages_of_records_are_asked_for_by_numbers(shared, query):
    receipt = shared.post(records(1), "pages").json()
    assert shared.ask("GET", f"{receipt['records']}?{query}").json()["code"] == "BAD_REQUEST"


def test_receipts_of_others_are_not_there(served):
    receipt = served.post(records(1)).json()["receipt"]
    key, line = make_key("linxi_ledger")
    del line
    assert served.ask("GET", f"/deliver/receipts/{receipt}", authorization=f"Bearer {key}").status_code == 401
    assert served.ask("GET", f"/deliver/receipts/{'0' * 32}").json()["code"] == "NOT_FOUND"


def test_without_keys_the_door_is_closed(tmp_path):
    with agency(tmp_path, f"sqlite:///{tmp_path / 'gateway.db'}", GATEWAY_DELIVERY_KEYS="") as made:
        reply = made.post(records(1))
        assert (reply.status_code, reply.json()["code"]) == (403, "DELIVERY_CLOSED")


def test_what_is_too_large_is_refused_while_it_comes(tmp_path):
    changed = {"GATEWAY_LARGEST_DELIVERY": str(6 * 2**20)}
    with agency(tmp_path, f"sqlite:///{tmp_path / 'gateway.db'}", **changed) as made:
        for content, headers in (
            (b"x" * (7 * 2**20), {}),
            (gzip.compress(b" " * (7 * 2**20)), {"content_encoding": "gzip"}),
            (gzip.compress(b" " * (5 * 2**20)), {"content_encoding": "gzip"}),
        ):
            reply = made.post(content, **headers)
            assert (reply.status_code, reply.json()["code"]) == (413, "TOO_LARGE")
        for broken in (packed(records(1))[:-4], packed(records(1)) + b"rest", b"\x1f\x8b\x08", zlib.compress(b"{}")):
            reply = made.post(broken, content_encoding="gzip")
            assert (reply.status_code, reply.json()["code"]) == (400, "BAD_ENCODING")
        assert left_behind(tmp_path) == []
        assert made.post(records(1)).status_code == 200


def test_a_key_may_ask_so_often_and_so_many_may_deliver_at_once(tmp_path):
    changed = {"GATEWAY_DELIVERIES_PER_MINUTE": "4", "GATEWAY_MOST_DELIVERIES": "1"}
    with agency(tmp_path, f"sqlite:///{tmp_path / 'gateway.db'}", **changed) as made:
        with made.served.connect() as slow:
            fields = [f"POST {LEDGER_PATH} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {made.key}"]
            fields += ["idempotency-key: slow", f"content-type: {NDJSON}", "content-length: 9", "", '{"a"']
            slow.sendall("\r\n".join(fields).encode())
            while not left_behind(tmp_path):
                pass
            busy = made.post(records(1), "k1")
            assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "OVERLOADED", "1")
            slow.shutdown(socket.SHUT_RDWR)
        while left_behind(tmp_path):
            pass
        assert made.post(records(1), "k1").status_code == 200
        assert made.post(records(1), "k1").status_code == 200
        often = made.post(records(1), "k1")
        assert (often.status_code, often.json()["code"]) == (429, "TOO_MANY_REQUESTS")


def test_a_store_that_is_gone_is_told_and_the_delivery_can_be_sent_again(url, tmp_path):
    with agency(tmp_path, url) as made:
        assert made.post(records(1)).status_code == 200
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE delivery_record RENAME TO hidden"))
        reply = made.post(records(1, 2), "k2")
        assert (reply.status_code, reply.json()["code"]) == (503, "STORE_UNAVAILABLE")
        assert reply.headers["retry-after"] == "5"
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE hidden RENAME TO delivery_record"))
        engine.dispose()
        assert balance(made.post(records(1, 2), "k2").json()) == (2, 2, 0, 0)


def dripping(made, piece: bytes, times: int, pause: float) -> bytes:
    """What is answered to a body that comes in pieces."""
    with made.served.connect() as slow:
        fields = [f"POST {LEDGER_PATH} HTTP/1.1", "host: 127.0.0.1", f"authorization: Bearer {made.key}"]
        fields += [
            f"idempotency-key: drip-{len(piece)}",
            f"content-type: {NDJSON}",
            f"content-length: {len(piece) * times}",
        ]
        try:
            slow.sendall("\r\n".join([*fields, "", ""]).encode())
            for _ in range(times):
                slow.sendall(piece)
                time.sleep(pause)
            return slow.recv(65536)
        except OSError:
            return b""


def test_a_body_may_take_long_as_long_as_it_comes_on(tmp_path):
    line = records(1).encode()
    piece = line * (20_000 // len(line))
    changed = {"GATEWAY_BODY_TIMEOUT": "1"}
    with agency(tmp_path, f"sqlite:///{tmp_path / 'gateway.db'}", **changed) as made, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(dripping, made, piece, 11, 0.45)
        stuck = pool.submit(dripping, made, b" ", 11, 0.45)
        assert slow.result().startswith(b"HTTP/1.1 200 ")
        assert stuck.result() == b""
        assert left_behind(tmp_path) == []
