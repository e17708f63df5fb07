"""Apollo's published suite for subgraphs passes, all 23 of it, against a subgraph made of the gateway's own parts."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract_tests.serving import listening_with
from contract_tests.subgraph.products import definitions
from contract_tests.supergraphs import packages, program_folder, supergraph
from gateway.app import create_app
from gateway.settings import read_settings

SUITE = "@apollo/federation-subgraph-compatibility-tests"


@contextmanager
def reference_subgraph(name: str) -> Iterator[dict[str, str]]:
    """One of the two subgraphs that the suite brings along, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = str(packages() / SUITE / "dist" / "subgraphs" / name / "index.js")
    command = ["env", f"{name.upper()}_PORT={port}", "node", script]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert running.stdout
    said: list[str] = []
    try:
        for line in running.stdout:
            said.append(line)
            if "ready at" in line:
                break
        else:
            raise RuntimeError(f"{name}: {''.join(said)}")
        yield {"name": name, "url": f"http://localhost:{port}/"}
    finally:
        running.terminate()
        running.wait(30)
        running.stdout.close()


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The gateway's own application with the schema of the suite."""
    folder = tmp_path_factory.mktemp("products")
    settings = read_settings(
        {
            "GATEWAY_DATABASE_URL": f"sqlite:///{folder / 'gateway.db'}",
            "GATEWAY_PARTY_KEY_SECRET": "tests-only",
            "GATEWAY_SYNC_EMBEDDED": "false",
            "GATEWAY_INTROSPECTION": "true",
            "GATEWAY_FEDERATED_TRACING": "true",
        }
    )
    with listening_with(create_app(settings, definitions())) as serving:
        yield {"name": "products", "url": f"{serving.address}/graphql"}


def test_every_test_of_the_suite_passes(products: dict[str, str], tmp_path: Path) -> None:
    folder = program_folder(tmp_path / "node")
    with (
        reference_subgraph("users") as users,
        reference_subgraph("inventory") as inventory,
        supergraph(folder, [products, users, inventory]) as router,
    ):
        port = router["url"].rstrip("/").rpartition(":")[2]
        jest = ["node", "node_modules/jest/bin/jest.js", "--ci", "--json", "--config", "jest.config.cjs"]
        run = subprocess.run(
            ["env", f"PRODUCTS_URL={products['url']}", f"ROUTER_PORT={port}", *jest],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert run.stdout, run.stderr
    report: dict[str, Any] = json.loads(run.stdout)
    told = [one for suite in report["testResults"] for one in suite["assertionResults"]]
    assert [(one["fullName"], one["failureMessages"]) for one in told if one["status"] != "passed"] == []
    assert (report["numTotalTests"], report["numPassedTests"], run.returncode) == (23, 23, 0)
