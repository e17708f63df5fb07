"""Whatever protocol a value came by, it is found again in the bytes that were kept, and they still mean what is shown."""

from contextlib import closing

import pytest
from sqlalchemy import func, select

from contract_tests.federation import definitions_of, federation
from gateway.engine.lineage import SENSITIVE, field_of, lineage
from gateway.returning import return_everything
from gateway.settings import read_settings
from gateway.store.identity import make_hash_id
from gateway.store.store import Store


@pytest.fixture(scope="module")
def returned(tmp_path_factory):
    """A store after the first data return from six systems on their protocols."""
    with federation(tmp_path_factory.mktemp("federation")) as running:
        settings = read_settings(running.settings.secrets)
        definitions = definitions_of(settings)
        return_everything(settings, definitions, lambda _line: None)
    hash_id = make_hash_id(str(settings.party_key_secret))
    with closing(Store(settings.database_url, definitions.registry, truth=definitions.truth)) as store:
        yield definitions, store, hash_id


SOURCES = {
    ("binhai_exchange", "Inspection"),
    ("binhai_exchange", "PenaltyDecision"),
    ("binhai_market", "EnforcementCase"),
    ("binhai_market", "Party"),
    ("national_registry", "Party"),
    ("provincial_platform", "Officer"),
    ("traffic_police", "EnforcementCase"),
    ("traffic_police", "Party"),
    ("traffic_police", "PenaltyDecision"),
    ("transport_licence", "License"),
}


def test_every_value_of_six_systems_is_found_where_it_stood(returned):
    definitions, store, hash_id = returned
    found, masked = set(), 0
    for entity in definitions.registry.entities.values():
        table = store.tables.entities[entity.name]
        query = select(func.min(table.c.key)).where(table.c.key.not_like("~%")).group_by(table.c.source)
        for key in store.database.read(lambda c, q=query: c.execute(q).scalars().all()):
            for element in entity.elements.values():
                for told in lineage(store, definitions.mappings, definitions.truth, hash_id, entity, key, element):
                    mapping = definitions.mappings[told["source"]]
                    known = field_of(mapping.entities[entity.name], element.name)
                    if told["is_masked"]:
                        assert (told["value"], told["raw_text"]) == (None, None)
                        masked += 1
                    if told["value"] is None or known is None or known[1].path is None:
                        continue
                    what = (told["source"], key, element.name)
                    assert told["record_path"] is not None, what
                    assert told["raw_text"], what
                    assert told["mapping_line"], what
                    assert element.sensitivity not in SENSITIVE
                    found.add((told["source"], entity.name))
    assert found == SOURCES
    assert masked > 0


def test_the_telling_that_is_shown_comes_first_and_the_others_after_it(returned):
    definitions, store, hash_id = returned
    party = definitions.registry.entities["Party"]
    told = lineage(
        store,
        definitions.mappings,
        definitions.truth,
        hash_id,
        party,
        "91350100MA0B00015H",
        party.elements["party_name"],
    )
    assert [(one["source"], one["is_shown"]) for one in told] == [
        ("national_registry", True),
        ("binhai_market", False),
        ("traffic_police", False),
    ]
    assert {one["value"] for one in told} == {"闽海通达物流有限公司"}
