"""Every mistake in a specification is told with its place and the way out."""

from pathlib import Path

import pytest

from contract_tests.specification import Copy, meant
from schema.load import load_registry
from schema.problems import Problems


@pytest.fixture
def spec(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_an_unspoilt_copy_is_the_same_specification(spec: Copy):
    assert load_registry(spec.folder) == load_registry()


def test_every_mistake_in_every_file_is_told_at_once(spec: Copy):
    spec.replace("division", 'successors: ["350112"]', 'successors: ["359112"]')
    spec.replace("license_category", "members:", "members: [")
    spec.replace("party_type", "  SOLE_TRADER:", "  INDIVIDUAL: {code: 7, title: 又一个}\n  SOLE_TRADER:")
    spec.replace("procedure_type", "code: 3", "code: 31")
    spec.replace("revoke_type", "type: RevokeType", "type: PenaltyKind")
    spec.replace("sex", "title: 男", "titel: 男")
    spec.replace("agency", "  is_app_unit:", "  app_unit_flag:")
    spec.replace("agency", "to: Officer, many: true, inverse: agency", "to: Officer, many: true, inverse: agensy")
    spec.replace("enforcement_matter", "need: M", "need: must", behind="  matter_name:")
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
                "type: 实体或枚举类型 “PenaltyKind” 已在 schema/spec/codes/penalty_kind.yaml 中定义",
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


def test_a_carried_relation_has_no_other_way(spec: Copy):
    spec.replace("clue", "carried: true", "carried: true, by: clue_no")
    place = spec.at("clue", "  case:")[:-1] + "3"
    assert spec.problems() == [f"{place}: relations.case: by、inverse 与 carried: true 必须且只能写一个"]


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
