"""Simulators misbehave when told to, tell what they were asked, and leave nothing behind."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.mapping.load import load_mappings
from adapters.simulator.faults import Fault, Faults
from adapters.simulator.samples import load_samples
from adapters.simulator.serve import Simulator, address_variable, invent_secrets, start
from schema.load import load_registry

ROOT = Path(__file__).parents[1]
MAPPINGS = load_mappings(load_registry())
MARKET, POLICE, LICENCE = (MAPPINGS[name] for name in ("binhai_market", "traffic_police", "transport_licence"))
CASES = "/api/v2/cases"
VIOLATIONS = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>
<q:queryObjectOut xmlns:q="http://endpoint.axis.framework.tmri.com"><xtlb>04</xtlb>
<jkxlh>traffic-police-serial-sample</jkxlh><jkid>04C02</jkid>
<UTF8XmlDoc>%3Croot%3E%3CQueryCondition%3E%3Cxh%3E1%3C/xh%3E%3C/QueryCondition%3E%3C/root%3E</UTF8XmlDoc>
</q:queryObjectOut></e:Body></e:Envelope>"""


@pytest.fixture
def market() -> Iterator[Simulator]:
    with start(MARKET, invent_secrets(MARKET)) as simulator:
        yield simulator


@pytest.fixture
def police() -> Iterator[Simulator]:
    with start(POLICE, invent_secrets(POLICE)) as simulator:
        yield simulator


def page(simulator: Simulator, timeout: float = 5) -> httpx.Response:
    headers = {"Authorization": "Bearer binhai-market-token-sample"}
    query = {"pageNo": 1, "pageSize": 5}
    return httpx.get(f"{simulator.url}{CASES}", params=query, headers=headers, timeout=timeout, trust_env=False)


def violations(simulator: Simulator) -> httpx.Response:
    headers = {"Content-Type": "text/xml", "SOAPAction": '""'}
    return httpx.post(simulator.url, content=VIOLATIONS.encode(), headers=headers, trust_env=False)


# Faults of HTTP


def test_a_failure_happens_as_often_as_told_and_only_to_its_operation(market):
    market.faults.add(Fault("fail", times=2, operation="cases_changed"))
    market.faults.add(Fault("fail", operation="cases_by_no"))
    assert [page(market).status_code for _ in range(3)] == [500, 500, 200]
    assert [fault["operation"] for fault in market.faults.in_force()] == ["cases_by_no"]


def test_a_slow_answer_is_whole_and_slowness_adds_to_other_faults(market):
    market.faults.add(Fault("slow", seconds=0.3, times=2))
    market.faults.add(Fault("throttle", times=1))
    began = time.monotonic()
    assert page(market).json() == {"code": "4290", "success": False, "msg": "访问过于频繁"}
    assert page(market).json()["data"]["total"] == 12
    assert time.monotonic() - began >= 0.6
    market.faults.add(Fault("slow", seconds=30))
    with pytest.raises(httpx.ReadTimeout):
        page(market, timeout=0.2)


def test_a_truncated_answer_promises_its_whole_length_and_ends_in_the_middle(market):
    whole = page(market).content
    market.faults.add(Fault("truncate", times=1))
    with pytest.raises(httpx.RemoteProtocolError, match=rf"received {len(whole) // 2} bytes, expected {len(whole)}"):
        page(market)
    assert page(market).content == whole


def test_a_dropped_call_has_no_answer(market):
    market.faults.add(Fault("drop", times=1))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        page(market)
    assert page(market).status_code == 200


def test_garbage_is_a_login_page_with_status_200(market):
    market.faults.add(Fault("garbage"))
    answer = page(market)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "统一身份认证" in answer.text


def test_again_later_is_said_with_the_sources_own_code_or_with_the_one_given(market):
    market.faults.add(Fault("fault", times=1))
    market.faults.add(Fault("fault", code="5003", times=1))
    assert [page(market).json()["code"] for _ in range(3)] == ["5001", "5003", "0"]


def test_soap_says_again_later_with_its_code_and_faults_with_either_status(police):
    police.faults.add(Fault("fault", times=1))
    police.faults.add(Fault("fault", code="soapenv:Server", times=1))
    police.faults.add(Fault("fault", code="Busy", status=200, times=1))
    later, server, busy = (violations(police) for _ in range(3))
    assert (later.status_code, "code%3E-9%3C" in later.text) == (200, True)
    assert (server.status_code, "<faultcode>soapenv:Server</faultcode>" in server.text) == (500, True)
    assert (busy.status_code, "<faultcode>tns:Busy</faultcode>" in busy.text) == (200, True)


def test_soap_throttles_truncates_drops_and_fails(police):
    for kind in ("throttle", "fail", "garbage", "truncate", "drop"):
        police.faults.add(Fault(kind, times=1))
    assert [violations(police).status_code for _ in range(3)] == [429, 500, 200]
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            violations(police)
    assert violations(police).status_code == 200


def test_what_makes_no_sense_is_told():
    for words in ({"kind": "slow"}, {"kind": "fail", "times": 0}, {"kind": "fail", "seconds": 1}, {"kind": "x"}):
        with pytest.raises(ValueError, match=r"slow|times|不认识"):
            Fault(**words)
    assert Faults().in_force() == []


# Control


def test_the_control_server_tells_and_changes_what_a_simulator_does(market):
    with httpx.Client(base_url=market.control_url, trust_env=False) as control:
        told = control.get("/").json()
        assert told == {
            "source": "binhai_market",
            "title": "滨海市市场监督管理局行政处罚案件管理系统",
            "kind": "rest",
            "url": market.url,
            "records": {"EnforcementCase": 12},
            "calls": 0,
            "faults": [],
        }
        added = control.post("/faults", json={"kind": "fail", "times": 1, "operation": "cases_changed"})
        assert (added.status_code, added.json()[0]["times"]) == (201, 1)
        assert [page(market).status_code, page(market).status_code] == [500, 200]
        seen = control.get("/calls").json()
        assert [(call["operation"], call["keys"]) for call in seen] == [("cases_changed", 0)] * 2
        assert abs(seen[0]["at"] - time.time()) < 30
        assert control.delete("/calls").status_code == 204
        assert control.get("/calls").json() == []
        control.post("/faults", json={"kind": "drop"})
        assert control.delete("/faults").status_code == 204
        assert page(market).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "words"),
    [
        ("POST", "/faults", '{"kind": "explode"}', 400, "不认识的故障"),
        ("POST", "/faults", '{"kind": "fail", "operation": "nix"}', 400, "没有操作 nix（有：cases_by_no"),
        ("POST", "/faults", '{"kind": "fail", "colour": "red"}', 400, "colour"),
        ("POST", "/faults", "fail", 400, "Expecting value"),
        ("PUT", "/records/Party", "[]", 404, "没有 Party（有：EnforcementCase）"),
        ("PUT", "/records/EnforcementCase", "{}", 400, "应为记录（对象）的列表"),
    ],
)
def test_mistakes_are_told_to_people(market, method, path, content, status, words):
    answer = httpx.request(method, market.control_url + path, content=content.encode(), trust_env=False)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_records_of_a_soap_source_are_replaced_by_xml(police):
    control = f"{police.control_url}/records/EnforcementCase"
    content = "<s><vioSurveil><xh>1</xh><dsr>甲</dsr></vioSurveil></s>".encode()
    assert httpx.put(control, content=content, trust_env=False).json() == {"EnforcementCase": 1}
    assert "%E7%94%B2" in violations(police).text
    dangerous = b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><s>&x;</s>'
    assert httpx.put(control, content=dangerous, trust_env=False).status_code == 400


# Life


@pytest.mark.parametrize("name", sorted(name for name, mapping in MAPPINGS.items() if mapping.connect.kind != "file"))
def test_every_mapped_source_can_be_played_with_its_own_samples(name):
    mapping = MAPPINGS[name]
    assert address_variable(mapping) not in invent_secrets(mapping)
    with start(mapping, invent_secrets(mapping)) as simulator:
        told = httpx.get(simulator.control_url, trust_env=False).json()
    assert told["records"] == load_samples(mapping).counts
    assert min(told["records"].values()) > 0
    assert "sample@" not in told["url"]


def test_a_stopped_simulator_refuses_connections_and_comes_back_on_the_same_ports(market):
    address = (market.url, market.control_url)
    market.stop()
    market.stop()
    for url in address:
        with pytest.raises(httpx.ConnectError):
            httpx.get(url, trust_env=False)
    market.start()
    assert (market.url, market.control_url) == address
    assert page(market).status_code == 200
    market.stop()
    with start(MARKET, invent_secrets(MARKET), market.port, market.control_port) as again:
        assert (again.url, again.control_url) == address
        assert page(again).status_code == 200


def test_stopping_does_not_wait_for_slow_answers_or_open_connections(market):
    market.faults.add(Fault("slow", seconds=60))
    failures: list[Exception] = []

    def wait() -> None:
        try:
            page(market, timeout=60)
        except httpx.HTTPError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    while not market.calls.seen():
        time.sleep(0.01)
    with socket.create_connection(("127.0.0.1", market.port)):
        began = time.monotonic()
        market.stop()
    waiting.join(10)
    assert time.monotonic() - began < 5
    assert [type(error).__name__ for error in failures] == ["RemoteProtocolError"]


def test_a_port_that_is_taken_is_an_error_at_once(market):
    with pytest.raises(OSError, match="in use"):
        start(MARKET, invent_secrets(MARKET), market.port)


def test_answers_do_not_wait_for_acknowledgements(market):
    with httpx.Client(headers={"Authorization": "Bearer binhai-market-token-sample"}, trust_env=False) as client:
        times = []
        for _ in range(20):
            began = time.monotonic()
            client.post(f"{market.url}{CASES}/batch", json={"ajbhList": ["BHSJ-2024-0086"], "sfhdsr": 1})
            times.append(time.monotonic() - began)
    assert sorted(times)[10] < 0.03


PROGRAM = """
import json, sys
from adapters.mapping.load import load_mappings
from adapters.simulator.serve import invent_secrets, serve_forever, start
from schema.load import load_registry
mappings = load_mappings(load_registry())
simulators = [start(mappings[name], invent_secrets(mappings[name])) for name in ("binhai_market", "binhai_exchange")]
announce = lambda: print(json.dumps([simulator.port for simulator in simulators]), flush=True)
serve_forever(simulators, "--exit-with-parent" in sys.argv, announce)
"""


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "end of input"])
def test_a_simulator_process_ends_cleanly_and_its_ports_are_free_again(how):
    arguments = ["--exit-with-parent"] if how == "end of input" else []
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, **pipes) as process:
        ports = json.loads(process.stdout.readline())
        if how == "end of input":
            process.stdin.close()
        else:
            process.send_signal(signal.Signals[how])
        assert process.wait(20) == 0
        assert process.stderr.read() == b""
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_starting_one_protocol_does_not_import_the_others():
    program = """
import sys
import adapters.simulator.serve
print([name for name in ("strawberry", "gateway", "zeep", "mysql_mimic", "sqlalchemy", "uvicorn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
