"""The specification in `schema/spec/` is whole, and every mistake in it is told with its place and the way out."""

import shutil
from pathlib import Path

import pytest

from schema.load import load_registry
from schema.problems import Problems
from schema.registry import SPEC_FOLDER

REGISTRY = load_registry()
ELEMENTS = [(entity, element) for entity in REGISTRY.entities.values() for element in entity.elements.values()]


# The specification itself


def test_each_entity_has_every_element_of_the_draft_and_marks_its_core():
    counts = {e.name: (len(e.elements), sum(x.core for x in e.elements.values())) for e in REGISTRY.entities.values()}
    assert counts == {
        "Agency": (14, 11),
        "Officer": (13, 5),
        "EnforcementMatter": (10, 6),
        "LegalBasis": (9, 3),
        "DiscretionStandard": (9, 1),
        "Party": (20, 6),
        "Clue": (8, 4),
        "InspectionPlan": (9, 5),
        "Inspection": (16, 10),
        "EnforcementCase": (29, 21),
        "CaseEvent": (10, 6),
        "Evidence": (11, 7),
        "NoticeHearing": (12, 7),
        "ReviewDiscussion": (7, 5),
        "PenaltyDecision": (22, 17),
        "CoerciveMeasure": (14, 9),
        "EnforcedExecution": (10, 3),
        "ElectronicMaterial": (14, 4),
        "ServiceRecord": (12, 9),
        "Payment": (18, 10),
        "License": (14, 11),
        "PublicityRecord": (12, 6),
        "CriminalTransfer": (17, 6),
        "RemedyCase": (8, 3),
        "JointSuggestion": (10, 6),
        "SupervisionMatter": (13, 4),
        "SourceRecord": (14, 12),
        "DataQualityIssue": (11, 5),
    }
    assert tuple(map(sum, zip(*counts.values(), strict=True))) == (366, 202)


def test_identifiers_count_up_from_one_within_their_entity():
    numbers = {
        "Agency": "01",
        "Officer": "02",
        "EnforcementMatter": "03",
        "LegalBasis": "04",
        "DiscretionStandard": "05",
        "Party": "06",
        "Clue": "07",
        "InspectionPlan": "08",
        "Inspection": "09",
        "EnforcementCase": "10",
        "CaseEvent": "11",
        "Evidence": "12",
        "NoticeHearing": "13",
        "ReviewDiscussion": "14",
        "PenaltyDecision": "15",
        "CoerciveMeasure": "16",
        "EnforcedExecution": "17",
        "ElectronicMaterial": "18",
        "ServiceRecord": "19",
        "Payment": "20",
        "License": "21",
        "PublicityRecord": "22",
        "CriminalTransfer": "23",
        "RemedyCase": "24",
        "JointSuggestion": "25",
        "SupervisionMatter": "26",
        "SourceRecord": "27",
        "DataQualityIssue": "28",
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
        "Clue.is_reporter_anonymous": "high",
        "ElectronicMaterial.storage_uri": "high",
        "DataQualityIssue.observed_value": "medium",
        "DataQualityIssue.new_value": "medium",
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
    ways = {
        f"{e.name}.{r.name}": r.to + "[]" * r.many for e in REGISTRY.entities.values() for r in e.relations.values()
    }
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
    retired = {
        c.title: (str(c.valid_to), c.successors) for c in REGISTRY.codes["division"].members.values() if c.valid_to
    }
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


class Copy:
    """A copy of the specification that a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(SPEC_FOLDER, folder / "schema" / "spec"))

    def file(self, stem: str) -> Path:
        (file,) = self.folder.rglob(f"{stem}.yaml")
        return file

    def replace(self, stem: str, right: str, wrong: str) -> None:
        """Puts `wrong` where `right` stands; it stands there once."""
        text = self.file(stem).read_text(encoding="utf-8")
        assert text.count(right) == 1, f"{stem}: {right}"
        self.file(stem).write_text(text.replace(right, wrong), encoding="utf-8")

    def at(self, stem: str, *texts: str) -> str:
        """Where the last of `texts` stands, each looked for behind the one before: `schema/spec/…:line:col`."""
        whole, found = self.file(stem).read_text(encoding="utf-8"), 0
        for text in texts:
            found = whole.index(text, found)
        before = whole[:found]
        shown = self.file(stem).relative_to(self.folder.parents[1])
        return f"{shown}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    def problems(self) -> list[str]:
        with pytest.raises(Problems) as caught:
            load_registry(self.folder)
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def spec(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def meant(*words: str) -> str:
    return f"是否应为 {' / '.join(words)}？（did you mean {' / '.join(words)}?）"


def test_an_unspoilt_copy_is_the_same_specification(spec: Copy):
    assert load_registry(spec.folder) == REGISTRY


def test_every_mistake_in_every_file_is_told_at_once(spec: Copy):
    spec.replace("division", 'successors: ["350112"]', 'successors: ["359112"]')
    spec.replace("license_category", "members:", "members: [")
    spec.replace("party_type", "  SOLE_TRADER:", "  INDIVIDUAL: {code: 7, title: 又一个}\n  SOLE_TRADER:")
    spec.replace("procedure_type", "code: 3", "code: 31")
    spec.replace("revoke_type", "type: RevokeType", "type: PenaltyKind")
    spec.replace("sex", "title: 男", "titel: 男")
    spec.replace("agency", "  is_app_unit:", "  app_unit_flag:")
    spec.replace("agency", "to: Officer, many: true, inverse: agency", "to: Officer, many: true, inverse: agensy")
    spec.replace("enforcement_matter", "format: C..500, need: M", "format: C..500, need: must")
    spec.replace("inspection", "refers: Party.party_key", "refers: Party.partyy_key")
    spec.replace("inspection", "format: C..2000", "format: C...2000")
    spec.replace("inspection", "agency: {to: Agency", "agency: {to: Agensy")
    spec.replace("license", "normal: doc_no", "normal: dok_no")
    spec.replace("license", "ZF21014", "ZF21013")
    spec.replace("officer", "codes: cert_type", "codes: cert_tpye")
    spec.replace("officer", "by: agency_code", "by: agency_cod")
    spec.replace("party", "party_key: [uscc, id_no]", "party_key: [ussc, id_no]")
    spec.replace("spec", "version:", "verison:")

    at = spec.at
    assert spec.problems() == [
        f"{place}: {message}"
        for place, message in (
            (
                at("division", '"359112"'),
                f"members.350182.successors[0]: 承接代码不在本表中： “359112” — {meant('350112')}",
            ),
            (
                at("license_category", "CONCESSION"),
                "不是合法的 YAML：expected ',' or ']', but got '<scalar>'",
            ),
            (
                at("party_type", "INDIVIDUAL: {code: 7"),
                "members.INDIVIDUAL: 键重复",
            ),
            (
                at("revoke_type", "type: P"),
                "type: 枚举类型 “PenaltyKind” 已在 schema/spec/codes/penalty_kind.yaml 中定义",
            ),
            (
                at("sex", "MALE"),
                "members.MALE.title: 必须填写",
            ),
            (
                at("sex", "titel"),
                f"members.MALE.titel: 不认识的词 “titel” — {meant('title')}",
            ),
            (
                at("agency", "app_unit_flag"),
                "elements.app_unit_flag: 名称不合约定（DESIGN §5） — 是否类以 is_ 或 has_ 开头",
            ),
            (
                at("agency", "inverse: agensy"),
                f"relations.officers.inverse: Officer 没有通向 Agency 的关系 “agensy” — {meant('agency')}",
            ),
            (
                at("enforcement_case", "procedure_type:", "format"),
                "elements.procedure_type.format: 格式 C1 容不下代码表 procedure_type 的 “31”",
            ),
            (
                at("enforcement_matter", "need: must"),
                "elements.matter_name.need: 不认识的词 “must” — 可用：C、M、O",
            ),
            (
                at("inspection", "refers: Party.partyy_key"),
                "elements.party_key.refers: Party 没有数据元 “partyy_key” — " + meant("party_key"),
            ),
            (
                at("inspection", "format: C...2000"),
                "elements.result_desc.format: 不认识的格式 “C...2000”"
                "（例：C18、C..200、N..3、D10、DT、B、Money、J、URI，列表加 []）",
            ),
            (
                at("inspection", "to: Agensy"),
                f"relations.agency.to: 规范中没有实体 “Agensy” — {meant('Agency')}",
            ),
            (
                at("license", "normal: dok_no"),
                f"elements.license_doc_no.normal: 不认识的词 “dok_no” — {meant('doc_no')}",
            ),
            (
                at("license", "license_status:", "id:"),
                "elements.license_status.id: 数据元标识 “ZF21013” 已在 schema/spec/entities/license.yaml 中定义",
            ),
            (
                at("officer", "codes: cert_tpye"),
                "elements.cert_type.codes: 不认识的词 “cert_tpye” — " + meant("cert_type"),
            ),
            (
                at("officer", "by: agency_cod"),
                f"relations.agency.by: 本实体没有数据元 “agency_cod” — {meant('agency_code')}",
            ),
            (
                at("party", "ussc"),
                f"derived.party_key[0]: 本实体没有数据元 “ussc” — {meant('uscc')}",
            ),
            (
                at("spec", "verison"),
                f"verison: 不认识的词 “verison” — {meant('version')}",
            ),
            (
                at("spec", "verison"),
                "version: 必须填写",
            ),
        )
    ]


def test_an_entity_that_cannot_be_read_makes_no_mistakes_of_those_that_refer_to_it(spec: Copy):
    spec.file("enforcement_case").write_text("entity: EnforcementCase\n", encoding="utf-8")
    assert spec.problems() == [
        f"schema/spec/entities/enforcement_case.yaml:1:1: {word}: 必须填写"
        for word in ("elements", "identity", "title")
    ]


def test_a_relation_is_either_by_an_element_or_the_inverse_of_another(spec: Copy):
    spec.replace("license", "by: agency_code", "by: agency_code, inverse: officers")
    place = spec.at("license", "  agency: {")[:-1] + "3"
    assert spec.problems()[0] == f"{place}: relations.agency: by、inverse 与 carried: true 必须且只能写一个"


def test_a_relation_by_a_list_leads_to_many(spec: Copy):
    spec.replace("inspection", "officers: {to: Officer, many: true", "officers: {to: Officer")
    place = spec.at("inspection", "officers:")
    assert spec.problems() == [f"{place}: relations.officers.many: 与数据元 officer_cert_nos 的格式（是否列表）不一致"]


def test_a_name_in_the_wrong_case_is_shown_where_it_stands(spec: Copy):
    spec.replace("sex", "FEMALE", "Female")
    assert spec.problems() == [f"{spec.at('sex', 'Female')}: members.Female: “Female” 不是 UPPER_CASE 成员名或区划代码"]


def test_a_code_may_not_stand_twice_in_a_table(spec: Copy):
    spec.replace("sex", "code: 9", "code: 1")
    assert spec.problems() == [f"{spec.at('sex', 'UNSPECIFIED')}: members.UNSPECIFIED: 代码 “1” 与 MALE 重复"]


def test_a_relation_may_not_be_called_like_an_element(spec: Copy):
    spec.replace("license", "  holder:", "  party_key:")
    assert f"{spec.at('license', 'relations:', 'party_key')}: relations.party_key: 与数据元同名" in spec.problems()


def test_a_missing_specification_says_so(tmp_path: Path):
    with pytest.raises(Problems, match=r"spec\.yaml:1:1: 无法读取"):
        load_registry(tmp_path)
