"""The four servers under test, each one process on one core, all over the same upstream systems."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contract_tests.benchmarks.engine_parts.processes import SERVER_CORE, free_port, pin, stop
from contract_tests.benchmarks.engine_parts.settings import MAPPINGS, REST_VARIABLE, SOAP_VARIABLE
from contract_tests.benchmarks.engine_parts.upstreams import Upstreams

PARTS = Path(__file__).parent
JIT = PARTS / "jit"
PROJECT = PARTS.parents[2]
NAMES = ("stock", "floor", "jit", "ours")
ANEW = "anew"
"""Ours once more, with nothing given again: every answer of a source is read and mapped, even if it says what it said before."""
GATEWAYS = ("ours", ANEW)
STARTING = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server under test, running."""

    name: str
    process: "subprocess.Popen[bytes]"
    port: int

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def address(self) -> str:
        """Where it answers GraphQL."""
        return f"http://127.0.0.1:{self.port}/graphql"

    def ask(self, body: bytes) -> Any:
        """The answer to one request. Raises AssertionError for anything but data."""
        headers = {"content-type": "application/json", "accept": "application/json"}
        request = urllib.request.Request(self.address, body, headers)
        try:
            with urllib.request.urlopen(request) as answer:
                told = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{self.name}: {error.code} {error.read()[:500]!r}") from None
        assert not told.get("errors"), f"{self.name}: {str(told['errors'])[:500]}"
        assert not told.get("extensions"), f"{self.name}: {str(told['extensions'])[:500]}"
        return told["data"]


@contextmanager
def servers(upstreams: Upstreams, folder: Path, names: tuple[str, ...] = NAMES) -> Iterator[dict[str, Server]]:
    """All of them, started and answering; what they log is in `folder`."""
    commands = {name: _command(name, folder) for name in names}
    with ExitStack() as stack:
        started: dict[str, Server] = {}
        for name, (command, extra) in commands.items():
            port = free_port()
            environment = {
                **_plain_environment(),
                REST_VARIABLE: upstreams.rest,
                SOAP_VARIABLE: upstreams.soap,
                "PORT": str(port),
                **extra,
            }
            command = [word.replace("$PORT", str(port)) for word in command]
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=log, stderr=log)
            stack.callback(stop, process)
            started[name] = Server(name, process, port)
        for server in started.values():
            _wait(server, folder / f"{server.name}.log")
        for server in started.values():  # to start, they may use whatever there is
            pin(server.pid, SERVER_CORE)
        yield started


def _plain_environment() -> dict[str, str]:
    """Ours without settings of a gateway that somebody happens to have set."""
    environment = os.environ  # noqa: TID251 - of the benchmark itself
    return {name: value for name, value in environment.items() if not name.startswith("GATEWAY_")}


def _command(name: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """How a server is started, and what it finds in its environment."""
    python = [sys.executable, "-m"]
    uvicorn = [*python, "uvicorn", "--port", "$PORT", "--no-access-log", "--log-level", "warning", "--lifespan", "auto"]
    package = "contract_tests.benchmarks.engine_parts"
    match name:
        case "stock":
            return [*uvicorn, f"{package}.stock_app:app"], {}
        case "floor":
            return [*python, f"{package}.floor_server"], {}
        case "jit":
            return [_node(), str(JIT / "server.mjs")], {"NODE_ENV": "production"}
        case "ours" | "anew":
            return [*python, "gateway.cli", "serve", "--port", "$PORT"], {
                "GATEWAY_MAPPINGS": str(MAPPINGS),
                "GATEWAY_PARTY_KEY_SECRET": "benchmark",
                "GATEWAY_SYNC_EMBEDDED": "false",
                "GATEWAY_DATABASE_URL": f"sqlite:///{folder / name}.db",
                **({"GATEWAY_REUSED_BYTES": "0"} if name == ANEW else {}),
            }
    raise ValueError(name)


def _node() -> str:
    """Node, with the packages of the peer installed. Raises SystemExit when that cannot be done."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise SystemExit("this benchmark needs Node.js >= 20 and npm (Debian: apt-get install nodejs npm)")
    stamp, wanted = JIT / "node_modules" / "installed-from.json", (JIT / "package-lock.json").read_text("utf-8")
    if not stamp.exists() or stamp.read_text("utf-8") != wanted:
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=JIT, stdout=subprocess.DEVNULL, check=False).returncode != 0:
            raise SystemExit(f"npm could not install the packages of {JIT}")
        stamp.write_text(wanted, "utf-8")
    return node


def _wait(server: Server, log: Path) -> None:
    until = time.monotonic() + STARTING
    body = json.dumps({"query": "{ __typename }", "variables": {"nothing": 0}}).encode()
    while True:
        try:
            request = urllib.request.Request(server.address, body, {"content-type": "application/json"})
            with urllib.request.urlopen(request):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            if server.process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{server.name} did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}") from None
            time.sleep(0.05)
