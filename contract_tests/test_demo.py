"""`make demo` as its user meets it: one command, one page, one query; a source stopped and started; Ctrl-C, and nothing left."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contract_tests.browser import open_page
from contract_tests.federation import SOURCES
from contract_tests.test_federation import told_by
from contract_tests.waiting import until
from gateway.settings import PROJECT

FEDERATED = (PROJECT / "schema" / "examples" / "federated.graphql").read_text("utf-8")
EXAMPLES = sorted((PROJECT / "schema" / "examples").glob("*.graphql"))


class Demo:
    """The running demo: where it is, and what it printed."""

    def __init__(self, process: subprocess.Popen[str], port: int, printed: str) -> None:
        self.process, self.address, self.printed = process, f"http://127.0.0.1:{port}/graphql", printed

    def ask(self, query: str) -> dict[str, object]:
        """The body of an answer."""
        answer = httpx.post(self.address, json={"query": query}, timeout=30, trust_env=False)
        assert answer.status_code == 200
        return dict(answer.json())

    def pid_of(self, source: str) -> int:
        """The process that plays a source, as the demo printed it."""
        found = re.search(rf"{source} .*kill (\d+)", self.printed)
        assert found
        return int(found[1])

    def command_for(self, source: str) -> list[str]:
        """How the demo says the source is started again."""
        found = re.search(rf"{source} .*再启动 (.+) &", self.printed)
        assert found
        return found[1].split()


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "demo", "--port", str(port)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("日志"):
            break
    running = Demo(process, port, printed)
    until(
        lambda: httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200, httpx.TransportError
    )
    yield running
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    process.stdout.close()
    left = [pid for pid in map(running.pid_of, SOURCES) if Path(f"/proc/{pid}").exists()]
    assert left == []


def test_the_demo_says_where_it_is_and_what_to_try(demo: Demo) -> None:
    assert demo.address in demo.printed
    assert f"curl -sG {demo.address} --data-urlencode query@schema/examples/federated.graphql" in demo.printed
    assert "gateway explain schema/examples/federated.graphql" in demo.printed
    assert demo.printed.count("写入") == 7


def test_the_curl_line_answers_from_six_systems(demo: Demo) -> None:
    (line,) = [text.strip() for text in demo.printed.splitlines() if text.strip().startswith("curl ")]
    answered = subprocess.run(line.split(), cwd=PROJECT, capture_output=True, text=True, check=True)
    body = json.loads(answered.stdout)
    assert "errors" not in body
    assert told_by(body["data"]) == {(source, "LIVE") for source in SOURCES}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_works_and_says_where_its_data_comes_from(demo: Demo, example: Path) -> None:
    body = demo.ask(example.read_text("utf-8"))
    assert "errors" not in body
    assert told_by(body["data"])
    assert all(value is not None for value in body["data"].values())  # type: ignore[attr-defined]


def test_a_stopped_source_is_answered_from_its_last_copy_and_is_fresh_again_once_started(demo: Demo) -> None:
    demo.ask(FEDERATED)
    time.sleep(0.5)
    os.kill(demo.pid_of("transport_licence"), signal.SIGTERM)
    until(lambda: ("transport_licence", "STALE") in told_by(demo.ask(FEDERATED)["data"]), httpx.TransportError)
    stale = demo.ask(FEDERATED)
    expected = {(source, "STALE" if source == "transport_licence" else "LIVE") for source in SOURCES}
    assert told_by(stale["data"]) == expected
    started = subprocess.Popen(demo.command_for("transport_licence"), cwd=PROJECT, stdout=subprocess.DEVNULL)
    try:
        until(lambda: ("transport_licence", "LIVE") in told_by(demo.ask(FEDERATED)["data"]), httpx.TransportError)
    finally:
        started.terminate()
        started.wait(30)


def test_the_page_runs_an_example_with_the_network_closed(demo: Demo) -> None:
    with open_page(demo.address) as visit:
        assert visit.page.locator(".graphiql-tab-button").count() == len(EXAMPLES)
        visit.page.get_by_role("button", name="Execute query").click()
        response = visit.page.locator(".graphiql-response .view-lines")
        response.get_by_text("BHSJ-2024-0137").first.wait_for(timeout=30_000)
        folder = PROJECT / "build" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        visit.page.screenshot(path=folder / "federated.png")
        assert visit.outside == []
        assert visit.complaints == []


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gateway.cli", "demo", "--port", str(port)]
        refused = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert f"端口 {port} 已被占用" in refused.stderr
