"""Graphs composed of several services, behind a real gateway from npm; each program on a port of its own."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from contract_tests.generators import node_packages

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "contract_tests" / "subgraph"


def packages() -> Path:
    """The folder `node_modules` with Apollo's gateway, subgraph library and compatibility suite."""
    return node_packages(PROGRAMS, ROOT / "build") / "node_modules"


def program_folder(folder: Path) -> Path:
    """A copy of `contract_tests/subgraph/` in `folder`, with its packages."""
    if not (folder / "node_modules").exists():
        folder.mkdir(exist_ok=True)
        for file in (*PROGRAMS.glob("*.*js"), PROGRAMS / "package.json"):
            shutil.copy(file, folder)
        (folder / "node_modules").symlink_to(packages())
    return folder


@contextmanager
def program(folder: Path, name: str, argument: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A program of `contract_tests/subgraph/`, copied to `folder` and started; what it says once it listens.

    Raises RuntimeError with what it wrote when it says nothing, or that something is wrong.
    """
    errors = (program_folder(folder) / f"{name}.log").open("w+", encoding="utf-8")
    command = ["node", name, json.dumps(argument)]
    running = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
    assert running.stdin
    assert running.stdout
    try:
        said = json.loads(next((line for line in running.stdout if line.startswith(b"{")), b"{}"))
        if "url" not in said:
            errors.seek(0)
            raise RuntimeError(f"{name}: {said.get('errors') or errors.read()}")
        yield said
    finally:
        running.stdin.close()
        running.wait(30)
        running.stdout.close()
        errors.close()


@contextmanager
def supergraph(folder: Path, services: Sequence[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
    """Services composed by the SDL each of them tells, behind Apollo Gateway: its `url`, and the `hints` of composition."""
    with program(folder, "supergraph.mjs", {"services": list(services)}) as said:
        yield said


def ask(url: str, query: str, headers: Mapping[str, str] | None = None, **variables: Any) -> dict[str, Any]:
    """The body of an answer over HTTP."""
    sent = {"query": query, "variables": variables}
    answer = httpx.post(url, json=sent, headers=dict(headers or {}), timeout=60, trust_env=False)
    return dict(answer.json())
