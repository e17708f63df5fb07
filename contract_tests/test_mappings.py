"""Every sample of every source gives exactly the entities in its expected file."""

import json

import pytest

from adapters.mapping.load import MAPPINGS_FOLDER, load_mappings
from contract_tests.expectations import entities_returned, expected_file, expected_from, samples_of
from schema.load import load_registry

MAPPINGS = load_mappings(load_registry())
SOURCES = sorted(file.parent.name for file in MAPPINGS_FOLDER.glob("*/mapping.yaml"))
RETURNED = [(source, entity) for source in SOURCES for entity in sorted(entities_returned(MAPPINGS[source]))]


def test_every_source_folder_is_loaded():
    assert sorted(MAPPINGS) == SOURCES
    assert SOURCES


@pytest.mark.parametrize(("source", "entity"), RETURNED)
def test_samples_give_exactly_what_is_expected(source, entity):
    mapping = MAPPINGS[source]
    records = samples_of(mapping)[entity]
    assert records, "a source without samples proves nothing"
    expected = json.loads(expected_file(mapping, entity).read_text(encoding="utf-8"))
    assert expected_from(mapping, entity, records) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_else_is_expected(source):
    mapping = MAPPINGS[source]
    kept = {file.stem for file in (mapping.folder / "expected").glob("*")}
    assert kept == entities_returned(mapping)
