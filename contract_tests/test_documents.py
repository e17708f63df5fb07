"""The documents tell the same story as the code: no word, command or example is missing or stale."""

import re
from pathlib import Path
from typing import get_args

import pytest
from graphql import parse, validate
from pydantic import BaseModel

import adapters.mapping.written as written
from gateway.cli import _parser
from schema.build import build_schema
from schema.load import load_registry

ROOT = Path(__file__).parents[1]
LANGUAGE = (ROOT / "mappings" / "README.md").read_text("utf-8")


def words_of_the_language() -> set[str]:
    models = [
        m for m in vars(written).values() if isinstance(m, type) and issubclass(m, BaseModel) and m is not BaseModel
    ]
    words = {info.alias or name for model in models for name, info in model.model_fields.items()}
    return words | {*get_args(written.Words), *get_args(written.Encodings), *written.PLACEHOLDERS}


def test_every_word_of_the_mapping_language_is_explained() -> None:
    assert (
        sorted(word for word in words_of_the_language() if f"`{word}`" not in LANGUAGE and f"`{word}:" not in LANGUAGE)
        == []
    )


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_every_command_is_in_the_readme(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    commands = next(a.choices for a in _parser()._actions if a.choices and isinstance(a.choices, dict))
    assert [command for command in commands if f"gateway {command}" not in text] == []


@pytest.mark.parametrize(
    "readme",
    ["README.md", "README.zh.md", "mappings/README.md", "contract_tests/clients/README.md", "docs/deliver.zh.md"],
)
def test_every_link_leads_somewhere(readme: str) -> None:
    text = (ROOT / readme).read_text("utf-8")
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
    assert [t for t in targets if not (ROOT / readme).parent.joinpath(t).exists()] == []


def test_every_example_query_is_valid_and_named() -> None:
    schema = build_schema(load_registry())._schema
    files = sorted((ROOT / "schema" / "examples").glob("*.graphql"))
    assert len(files) >= 5
    for file in files:
        document = parse(file.read_text("utf-8"))
        assert validate(schema, document) == [], file.name
        assert document.definitions[0].name is not None, file.name  # type: ignore[attr-defined]
        assert file.read_text("utf-8").startswith("# "), file.name
