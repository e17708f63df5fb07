"""Clients are generated from the committed schema, type-check strictly, and are answered by a running gateway."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract_tests.federation import federation
from contract_tests.generators import CLIENTS, client_folder, python_environment, typescript_packages
from schema.load import load_registry
from schema.metadata_enums import ElementSensitivity

ANSWER = {
    "case": "闽海通达物流有限公司涉嫌作引人误解的商业宣传案",
    "isClosed": True,
    "fine": "200000.00",
    "decided": "2024-04-10",
    "parties": ["闽海通达物流有限公司"],
    "sensitive": sum(
        element.sensitivity in (ElementSensitivity.HIGH.value, ElementSensitivity.MEDIUM.value)
        for entity in load_registry().entities.values()
        for element in entity.elements.values()
    ),
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with federation(tmp_path_factory.mktemp("clients")) as running, running.served() as url:
        yield f"{url}/graphql"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def answered(folder: Path, *command: str) -> dict[str, object]:
    """What a client's program printed."""
    done = run(folder, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated TypeScript client."""
    folder = client_folder("typescript", tmp_path_factory.mktemp("typescript"))
    (folder / "node_modules").symlink_to(typescript_packages() / "node_modules")
    done = run(folder, "node_modules/.bin/graphql-codegen", "--config", "codegen.ts")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated Python client."""
    folder = client_folder("python", tmp_path_factory.mktemp("python"))
    done = run(folder, str(python_environment() / "bin/ariadne-codegen"))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_typescript_client_checks_strictly_and_is_answered(typescript: Path, address: str) -> None:
    checked = run(typescript, "node_modules/.bin/tsc", "--noEmit", "--strict", "-p", ".")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert run(typescript, "node_modules/.bin/tsc", "-p", ".").returncode == 0
    assert answered(typescript, "node", "out/program.js", address) == ANSWER


def test_a_typescript_client_is_told_what_the_schema_does_not_say(typescript: Path) -> None:
    program = typescript / "program.ts"
    right = program.read_text("utf-8")
    try:
        program.write_text(
            right.replace('=== "CLOSED"', '=== "CLOSD"').replace("decision?.fineAmount", "decision?.fine")
        )
        checked = run(typescript, "node_modules/.bin/tsc", "--noEmit", "-p", ".")
    finally:
        program.write_text(right, "utf-8")
    assert sorted(re.findall(r"error (TS\d+)", checked.stdout)) == ["TS2339", "TS2367"], checked.stdout


def test_a_python_client_checks_strictly_and_is_answered(python: Path, address: str) -> None:
    checked = mypy(python, "program.py")
    assert checked.returncode == 0, checked.stdout
    assert answered(python, str(python_environment() / "bin/python"), "program.py", address) == ANSWER


def test_a_python_client_is_told_what_the_schema_does_not_say(python: Path) -> None:
    wrong = (python / "program.py").read_text("utf-8")
    wrong = wrong.replace("CaseStatus.CLOSED", "CaseStatus.CLOSD").replace("fine: Decimal |", "fine: int |")
    (python / "wrong.py").write_text(wrong, "utf-8")
    checked = mypy(python, "wrong.py")
    assert sorted(re.findall(r"\[([a-z-]+)\]$", checked.stdout, re.M)) == ["assignment", "attr-defined"], checked.stdout


def mypy(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    known = str(python_environment() / "bin/python")
    options = ("--strict", "--no-error-summary", "--cache-dir", str(folder / "cache"), "--python-executable", known)
    return run(folder, sys.executable, "-m", "mypy", *options, program, "minzhifa_client")


def test_every_scalar_of_the_schema_has_a_type_in_both_clients() -> None:
    sdl = (CLIENTS.parents[1] / "schema" / "schema.graphql").read_text("utf-8")
    scalars = set(re.findall(r"^scalar (\w+)", sdl, re.M))
    written = (CLIENTS / "typescript" / "codegen.ts").read_text("utf-8")
    assert set(re.findall(r"^ {10}(\w+): ", written, re.M)) == scalars
    settings = (CLIENTS / "python" / "pyproject.toml").read_text("utf-8")
    assert set(re.findall(r"scalars\.(\w+)\]", settings)) | {"JSON"} == scalars
