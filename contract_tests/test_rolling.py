"""A gateway is replaced, stopped and hurt under load, and nobody who asks it notices."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contract_tests.benchmarks.overload import Serving, serving_process
from contract_tests.benchmarks.rolling import problems, roll
from contract_tests.federation import copy_mappings, federation, proven
from contract_tests.hostile import CASE
from contract_tests.serving import PATIENCE, Served, head, read_reply
from contract_tests.waiting import until
from gateway.app import create_app
from gateway.serving import Server

RESTARTS = 2


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_mappings(tmp_path_factory.mktemp("mappings"), "binhai_market")


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, mappings: Path) -> Iterator[Serving]:
    """Two workers behind one port."""
    folder = tmp_path_factory.mktemp("rolling")
    with (
        federation(folder, mappings) as sources,
        serving_process(sources.environment, folder / "log", "--workers", "2", cores="0,1") as running,
    ):
        yield running


def children(process: int) -> list[int]:
    """The processes that a process started."""
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_rolling_restarts_under_load_lose_no_request(workers: Serving) -> None:
    until(lambda: workers.told("workers.ready") == 1)
    before = set(children(workers.process.pid))
    tallies = asyncio.run(roll(workers, RESTARTS))
    assert problems(tallies) == []
    assert all(tally.answered > 0 for tally in tallies.values())
    assert len(before) == 2
    assert not before & set(children(workers.process.pid))


def test_a_worker_that_dies_is_replaced(workers: Serving) -> None:
    victim, other = children(workers.process.pid)
    os.kill(victim, signal.SIGKILL)
    until(lambda: workers.told("worker.replaced") == 1)
    assert len(set(children(workers.process.pid)) - {victim}) == 2
    assert other in children(workers.process.pid)
    assert workers.told("worker.died") == 1
    assert Served(workers.port).is_answering()


def test_what_cannot_start_replaces_nobody(workers: Serving, mappings: Path) -> None:
    file = mappings / "binhai_market" / "mapping.yaml"
    text = file.read_text("utf-8")
    before = children(workers.process.pid)
    file.write_text("source: [", "utf-8")
    try:
        workers.process.send_signal(signal.SIGHUP)
        until(lambda: workers.told("workers.kept") == 1)
    finally:
        file.write_text(text, "utf-8")
    assert children(workers.process.pid) == before
    assert Served(workers.port).is_answering()


def test_at_the_end_every_worker_is_gone(workers: Serving) -> None:
    left = children(workers.process.pid)
    workers.process.terminate()
    assert workers.process.wait(60) == 0
    assert [process for process in left if Path(f"/proc/{process}").exists()] == []


def test_draining_says_so_first_then_finishes_what_is_there_and_lets_kept_connections_ask_once_more(
    tmp_path: Path,
) -> None:
    with federation(tmp_path) as sources, socket.create_server(("127.0.0.1", 0)) as source:
        source.settimeout(PATIENCE)
        changed = {"BINHAI_MARKET_URL": f"http://127.0.0.1:{source.getsockname()[1]}", "GATEWAY_DRAIN_NOTICE": "1"}
        listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        gateway = Served(listening.getsockname()[1])
        server = Server(create_app(*proven({**sources.settings.secrets, **changed})))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        until(lambda: server.started)
        with gateway.connect() as kept, ThreadPoolExecutor(1) as pool:
            kept.sendall(head("GET", "/healthz", {}))
            assert "connection" not in read_reply(kept).headers
            asked = pool.submit(gateway.ask, f"{{ {CASE} {{ caseName }} }}")
            called, _ = source.accept()
            assert gateway.send(head("GET", "/readyz", {})).status == 200
            server.should_exit = True
            until(lambda: server.admission.is_draining)
            unready = gateway.send(head("GET", "/readyz", {}))
            assert (unready.status, unready.json["draining"]) == (503, True)
            assert gateway.is_answering()
            until(lambda: not server.listeners[0].is_open)
            with pytest.raises(ConnectionRefusedError):
                gateway.connect()
            kept.sendall(head("GET", "/healthz", {}))
            last = read_reply(kept)
            assert (last.status, last.headers["connection"], kept.recv(1)) == (200, "close", b"")
            called.close()
            finished = asked.result()
            assert (finished.status, finished.headers["connection"]) == (200, "close")
            assert finished.codes == ["SOURCE_UNAVAILABLE"]
        thread.join(PATIENCE)
        assert not thread.is_alive()
