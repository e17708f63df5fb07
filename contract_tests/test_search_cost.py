"""What a live list and a heavy source cost, and that a role has a limit of its own."""

from pathlib import Path

import pytest

from contract_tests.federation import copy_mappings
from contract_tests.test_check import spoil
from gateway.app import make_preparation
from gateway.definitions import prove
from gateway.engine.preparation import Preparation, Refused

LIST = '{ enforcementCases(%s first: 10, where: {agencyCode: {eq: "11350100MB0A00018J"}}) { nodes { caseName } } }'


def preparation(mappings: Path, **changed: str) -> Preparation:
    environment = {"GATEWAY_PARTY_KEY_SECRET": "tests-only", "GATEWAY_MAPPINGS": str(mappings), **changed}
    settings, definitions = prove(environment, with_secrets=False)
    return make_preparation(definitions, settings)


def test_a_live_list_costs_what_its_source_may_have_to_be_walked_for(tmp_path: Path) -> None:
    mappings = copy_mappings(tmp_path, "binhai_market")
    asked = preparation(mappings)
    stored = asked.prepare(LIST % "", {}, None).cost
    assert asked.prepare(LIST % "from: STORE,", {}, None).cost == stored
    assert asked.prepare(LIST % "from: LIVE,", {}, None).cost == stored + 20 * 5 * 2
    variable = "query ($from: ListSource) " + LIST % "from: $from,"
    assert asked.prepare(variable, {"from": "STORE"}, None).cost == stored + 20 * 5 * 2


def test_a_source_weighs_what_its_mapping_says(tmp_path: Path) -> None:
    mappings = copy_mappings(tmp_path, "binhai_market")
    before = preparation(mappings).prepare(LIST % "", {}, None).cost
    spoil(mappings / "binhai_market" / "mapping.yaml", "  concurrency: 4", "  concurrency: 4\n  weight: 7")
    assert preparation(mappings).prepare(LIST % "", {}, None).cost == before + 10 * (7 - 2)


def test_a_role_may_ask_for_more_or_less_than_others(tmp_path: Path) -> None:
    mappings = copy_mappings(tmp_path, "binhai_market")
    cost = preparation(mappings).prepare(LIST % "", {}, None).cost
    limits = {"GATEWAY_MOST_COST": str(cost - 1), "GATEWAY_ROLE_COSTS": f"inspector={cost}, partner={cost // 2}"}
    asked = preparation(mappings, **limits)
    assert asked.prepare(LIST % "", {}, None, role="inspector").cost == cost
    for role in ("everybody", "partner"):
        with pytest.raises(Refused) as caught:
            asked.prepare(LIST % "", {}, None, role=role)
        (error,) = caught.value.errors
        assert error.extensions is not None
        assert error.extensions["limit"] == "cost"
