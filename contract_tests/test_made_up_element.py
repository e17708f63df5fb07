"""A new data element is one edit of the specification and one line of a mapping; no Python knows its name."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import openpyxl
import pytest

from gateway.settings import PROJECT

ROOMS = ("schema", "adapters", "gateway", "mappings", "contract_tests")
ELEMENT = """\
  drone_flight_no:
    id: ZF10099
    title: 无人机架次号
    english_name: Drone Flight Number
    definition: 非现场巡查所用无人机一次飞行的编号。
    property_term: 无人机架次
    representation_term: 编号
    format: C..32
    need: O
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with a made-up element: one YAML edit, one mapping line, and a record that has it."""
    copy = tmp_path_factory.mktemp("project")
    for room in ROOMS:
        shutil.copytree(PROJECT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    insert(copy / "schema/spec/entities/enforcement_case.yaml", "  filed_date:\n", ELEMENT)
    insert(
        copy / "mappings/binhai_market/mapping.yaml",
        "      case_name:               AJMC",
        "      drone_flight_no: WRJJC\n",
    )
    insert(
        copy / "mappings/binhai_market/samples/EnforcementCase.json", '    "AJMC": "滨海鲜汇', '    "WRJJC": "FJ-7",\n'
    )
    return copy


def insert(file: Path, before: str, text: str) -> None:
    written = file.read_text("utf-8")
    assert written.count(before) == 1, (file, before)
    file.write_text(written.replace(before, text + before), "utf-8")


def run(project: Path, *arguments: str) -> str:
    """The output of a module run in the copy."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env={"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_it_is_answered_live_returned_stored_filtered_and_in_the_dictionary(project: Path) -> None:
    told = json.loads(run(project, "contract_tests.made_up_element").splitlines()[-1])
    assert told["specification"] == str(project / "schema" / "spec")
    case = {"sourceCaseNo": "BHSJ-2024-0086", "droneFlightNo": "FJ-7"}
    assert told["answers"] == [
        {"data": {"enforcementCase": {**case, "provenance": [{"mode": "LIVE"}]}}},
        {"data": {"enforcementCases": {"totalCount": 1, "nodes": [{**case, "provenance": [{"mode": "STORE"}]}]}}},
        {"data": {"dataElement": {"fieldName": "droneFlightNo", "title": "无人机架次号", "isFilterable": True}}},
    ]


def test_it_is_checked_printed_exported_and_documented(project: Path) -> None:
    assert "没有问题" in run(project, "gateway.cli", "check", "--no-secrets")
    sdl = run(project, "gateway.cli", "sdl")
    assert '  droneFlightNo: String @dataElement(id: "ZF10099", version: ' in sdl
    assert "  DRONE_FLIGHT_NO\n" in sdl
    for form, out in (("xlsx", "dictionary.xlsx"), ("json-schema", "schemas"), ("odcs", "contract.yaml")):
        run(project, "gateway.cli", "spec", "export", "--format", form, "--out", out)
    rows = list(openpyxl.load_workbook(project / "dictionary.xlsx")["数据元"].iter_rows(values_only=True))
    assert [row[:2] for row in rows if row[0] == "ZF10099"] == [("ZF10099", "无人机架次号")]
    schema = json.loads((project / "schemas" / "EnforcementCase.schema.json").read_text("utf-8"))
    assert schema["properties"]["drone_flight_no"]["maxLength"] == 32
    assert "drone_flight_no" in (project / "contract.yaml").read_text("utf-8")
    run(project, "gateway.cli", "docs", "--out", "site")
    assert "无人机架次号" in (project / "site" / "entities" / "EnforcementCase.html").read_text("utf-8")


def test_a_mistake_in_its_one_line_is_told_with_its_place(project: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "spoilt"))
    mapping = copy / "mappings" / "binhai_market" / "mapping.yaml"
    mapping.write_text(mapping.read_text("utf-8").replace("drone_flight_no:", "drone_flight:"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "check", "--no-secrets"],
        cwd=copy,
        env={"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "mappings/binhai_market/mapping.yaml:91:" in done.stderr
    assert "did you mean drone_flight_no?" in done.stderr
