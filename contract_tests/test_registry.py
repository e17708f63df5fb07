"""The specification in `schema/spec/` is whole, and a mistake in it is told with its place and the way out."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from schema.load import load_registry
from schema.problems import Problems, did_you_mean
from schema.registry import SPEC_FOLDER
from schema.written import LARGEST_FILE, Document, check_shape, read_yaml

REGISTRY = load_registry()
ELEMENTS = [(entity, element) for entity in REGISTRY.entities.values() for element in entity.elements.values()]


# The specification itself


def test_each_entity_has_every_element_of_the_draft_and_marks_its_core():
    counts = {e.name: (len(e.elements), sum(x.core for x in e.elements.values())) for e in REGISTRY.entities.values()}
    assert counts == {
        "Agency": (14, 11),
        "Officer": (13, 5),
        "EnforcementMatter": (10, 6),
        "Party": (20, 6),
        "Inspection": (16, 10),
        "EnforcementCase": (29, 21),
        "PenaltyDecision": (22, 17),
        "License": (14, 11),
    }


def test_identifiers_count_up_from_one_within_their_entity():
    numbers = {
        "Agency": "01",
        "Officer": "02",
        "EnforcementMatter": "03",
        "Party": "06",
        "Inspection": "09",
        "EnforcementCase": "10",
        "PenaltyDecision": "15",
        "License": "21",
    }
    assert {e.name: [x.id for x in e.elements.values()] for e in REGISTRY.entities.values()} == {
        name: [f"ZF{number}{n:03}" for n in range(1, len(REGISTRY.entities[name].elements) + 1)]
        for name, number in numbers.items()
    }


def test_no_official_identifier_is_invented():
    assert {element.sf_ref for _, element in ELEMENTS} == {""}


def test_every_element_says_where_it_comes_from():
    assert [f"{entity.name}.{x.name}" for entity, x in ELEMENTS if not (x.basis and x.draft_name and x.title)] == []


def test_every_element_carries_the_version_of_the_specification():
    assert {element.version for _, element in ELEMENTS} == {REGISTRY.version}


def test_core_elements_are_mandatory_or_conditional():
    assert {element.need for _, element in ELEMENTS if element.core} == {"M", "C"}


def test_what_identifies_people_is_sensitive():
    assert {f"{entity.name}.{x.name}": x.sensitivity for entity, x in ELEMENTS if x.sensitivity != "public"} == {
        "Officer.officer_name": "internal",
        "Officer.officer_id_no": "high",
        "Party.legal_rep_id_no": "high",
        "Party.id_no": "high",
        "Party.birth_date": "high",
        "Party.registered_address": "medium",
        "Party.phone": "high",
        "EnforcementCase.qr_token": "high",
    }


def test_nobody_is_looked_up_by_a_sensitive_number():
    assert REGISTRY.entities["Party"].lookups == (("party_key",), ("uscc",))


def test_each_entity_is_told_apart_by_its_business_keys():
    assert {e.name: (e.identity, e.allotted, e.derived) for e in REGISTRY.entities.values()} == {
        "Agency": ((("agency_code",),), None, {}),
        "Officer": ((("cert_no",),), None, {}),
        "EnforcementMatter": ((("matter_code",),), None, {}),
        "Party": ((("party_key",),), None, {"party_key": ("uscc", "id_no")}),
        "Inspection": ((("inspection_no",),), None, {}),
        "EnforcementCase": ((("agency_code", "source_case_no"), ("case_code",)), "case_code", {}),
        "PenaltyDecision": ((("owner_agency_code", "decision_doc_no"),), None, {}),
        "License": ((("license_doc_no",), ("cert_code",)), None, {}),
    }


def test_relations_lead_from_cases_to_all_they_touch_and_back():
    ways = {f"{e.name}.{r.name}": r.to + "[]" * r.many for e in REGISTRY.entities.values() for r in e.relations.values()}
    assert ways == {
        "Agency.parent": "Agency",
        "Agency.delegating_agency": "Agency",
        "Agency.officers": "Officer[]",
        "Agency.matters": "EnforcementMatter[]",
        "Agency.enforcement_cases": "EnforcementCase[]",
        "Officer.agency": "Agency",
        "EnforcementMatter.responsible_agency": "Agency",
        "Party.enforcement_cases": "EnforcementCase[]",
        "Party.inspections": "Inspection[]",
        "Party.licenses": "License[]",
        "EnforcementCase.matter": "EnforcementMatter",
        "EnforcementCase.parties": "Party[]",
        "EnforcementCase.agency": "Agency",
        "EnforcementCase.officers": "Officer[]",
        "EnforcementCase.penalty_decisions": "PenaltyDecision[]",
        "Inspection.party": "Party",
        "Inspection.agency": "Agency",
        "Inspection.officers": "Officer[]",
        "License.holder": "Party",
        "License.agency": "Agency",
        "PenaltyDecision.case": "EnforcementCase",
    }


def test_every_code_table_but_the_divisions_is_an_enum_and_in_use():
    assert [table.name for table in REGISTRY.codes.values() if table.type is None] == ["division"]
    assert {element.codes for _, element in ELEMENTS} - {None} == set(REGISTRY.codes)


def test_a_case_status_is_found_by_its_code():
    statuses = REGISTRY.codes["case_status"].by_code
    assert [(code, statuses[code].member) for code in ("00", "20", "61", "90")] == [
        ("00", "DELETED"),
        ("20", "FILED"),
        ("61", "COLLECTIVE_DISCUSSION"),
        ("90", "CLOSED"),
    ]


def test_the_divisions_are_the_province_nine_cities_and_eighty_four_counties():
    current = [code.code for code in REGISTRY.codes["division"].members.values() if code.valid_to is None]
    cities = [code for code in current if code.endswith("00") and code != "350000"]
    assert (len(cities), len(current) - len(cities) - 1) == (9, 84)


def test_a_retired_division_names_its_successor():
    retired = {c.title: (str(c.valid_to), c.successors) for c in REGISTRY.codes["division"].members.values() if c.valid_to}
    assert retired == {
        "长乐市": ("2017-12-31", ("350112",)),
        "梅列区": ("2021-12-31", ("350404",)),
        "三元区": ("2021-12-31", ("350404",)),
        "沙县": ("2021-12-31", ("350405",)),
        "长泰县": ("2021-12-31", ("350605",)),
        "龙海市": ("2021-12-31", ("350604",)),
        "建阳市": ("2014-12-31", ("350703",)),
        "永定县": ("2014-12-31", ("350803",)),
    }


# Mistakes in it

Plant = Callable[[str, str, str], None]


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A copy of the specification that a test may spoil."""
    return Path(shutil.copytree(SPEC_FOLDER, tmp_path / "schema" / "spec"))


@pytest.fixture
def plant(spec: Path) -> Plant:
    """Replaces a text that stands once in a file of the copy."""

    def plant(name: str, right: str, wrong: str) -> None:
        text = (spec / name).read_text(encoding="utf-8")
        assert text.count(right) == 1, f"{name}: {right}"
        (spec / name).write_text(text.replace(right, wrong), encoding="utf-8")

    return plant


def place(spec: Path, name: str, *texts: str) -> str:
    """Where the last of `texts` stands in a file, each searched after the one before: `schema/spec/…:line:col`."""
    whole, at = (spec / name).read_text(encoding="utf-8"), 0
    for text in texts:
        at = whole.index(text, at)
    before = whole[:at]
    return f"schema/spec/{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def problems_of(spec: Path) -> list[str]:
    with pytest.raises(Problems) as caught:
        load_registry(spec)
    return [str(problem) for problem in caught.value.problems]


def test_every_mistake_in_every_file_is_told_at_once(spec: Path, plant: Plant):
    plant("codes/license_category.yaml", "members:", "members: [")
    plant("codes/party_type.yaml", "  SOLE_TRADER:", "  INDIVIDUAL: {code: 7, title: 又一个}\n  SOLE_TRADER:")
    plant("codes/procedure_type.yaml", "code: 3", "code: 31")
    plant("codes/revoke_type.yaml", "type: RevokeType", "type: PenaltyKind")
    plant("codes/sex.yaml", "title: 男", "titel: 男")
    plant("codes/division.yaml", 'successors: ["350112"]', 'successors: ["350113"]')
    plant("entities/agency.yaml", "  is_app_unit:", "  app_unit_flag:")
    plant("entities/agency.yaml", "to: Officer, many: true, inverse: agency", "to: Officer, many: true, inverse: agensy")
    plant("entities/enforcement_matter.yaml", "format: C..500, need: M", "format: C..500, need: must")
    plant("entities/inspection.yaml", "format: C..2000", "format: C...2000")
    plant("entities/inspection.yaml", "refers: Party.party_key", "refers: Party.partykey")
    plant("entities/inspection.yaml", "agency: {to: Agency", "agency: {to: Agensy")
    plant("entities/license.yaml", "ZF21014", "ZF21013")
    plant("entities/license.yaml", "normal: doc_no", "normal: dok_no")
    plant("entities/officer.yaml", "codes: cert_type", "codes: cert_tpye")
    plant("entities/officer.yaml", "by: agency_code", "by: agency_cod")
    plant("entities/party.yaml", "party_key: [uscc, id_no]", "party_key: [ussc, id_no]")
    plant("spec.yaml", "version:", "verison:")
    divisions = "、".join(sorted(REGISTRY.codes["division"].members))
    assert divisions
    assert problems_of(spec) == [
        f"{place(spec, 'codes/division.yaml', '350113')}: members.350182.successors[0]: ",
    ]
