"""The house stays in order: generated files are true, files stay short, every word is documented."""

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.mapping.json_schema import mapping_json_schema
from gateway.settings import Settings
from schema.build import build_schema, print_schema
from schema.load import load_registry

ROOT = Path(__file__).parents[1]
LONGEST_FILE = 400


def test_the_committed_schema_is_the_one_the_specification_gives() -> None:
    printed = print_schema(build_schema(load_registry()))
    assert (ROOT / "schema" / "schema.graphql").read_text("utf-8") == printed, "run: gateway changes --record 说明"


def test_the_committed_mapping_language_is_the_one_the_code_reads() -> None:
    committed = (ROOT / "mappings" / "mapping.schema.json").read_text("utf-8")
    assert committed == mapping_json_schema(), "run: gateway mapping-schema > mappings/mapping.schema.json"


def test_every_entity_field_names_its_data_element_and_opens_with_chinese() -> None:
    schema = build_schema(load_registry())
    for entity in load_registry().entities.values():
        definition = schema.get_type_by_name(entity.name)
        assert definition is not None
        for field in definition.fields:  # type: ignore[union-attr]
            assert field.description, f"{entity.name}.{field.name}"
            assert "一" <= field.description[0] <= "鿿", f"{entity.name}.{field.name}: {field.description}"
            if field.python_name in entity.elements:
                assert [d.id for d in field.directives] == [entity.elements[field.python_name].id]


@pytest.mark.parametrize("folder", ["gateway", "adapters", "schema", "contract_tests"])
def test_no_file_is_longer_than_it_should_be(folder: str) -> None:
    lengths = {str(f.relative_to(ROOT)): len(f.read_text("utf-8").splitlines()) for f in (ROOT / folder).rglob("*.py")}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_layers_only_look_down() -> None:
    found = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


def test_every_setting_is_documented_in_both_languages() -> None:
    names = [f"GATEWAY_{name.upper()}" for name in Settings.__dataclass_fields__ if name != "secrets"]
    for readme in ("README.md", "README.zh.md"):
        text = (ROOT / readme).read_text("utf-8")
        assert [name for name in names if name not in text] == [], readme


def test_no_file_names_a_package_registry() -> None:
    words = ("index-" + "url", "registry" + ".npmjs", "pypi" + ".org", '"resol' + 'ved"')
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in listed:
        file = ROOT / name
        if file.is_file() and file.suffix not in (".png",):
            text = file.read_text("utf-8", "replace")
            assert [word for word in words if word in text] == [], name
