"""`gateway spec check` tells all mistakes of a specification in one run, each where it stands and with the way out."""

from pathlib import Path

import pytest

from contract_tests.specification import Copy, meant
from gateway.cli import main

Spoil = tuple[str, str, str, str]
"""Which file, behind what, what is right, what is put in its place."""

PLANTED: dict[str, tuple[Spoil, tuple[str, ...], str]] = {
    # what is planted: (the spoiling, the way to its place, the message there)
    "an identifier given twice": (
        ("license", "", "ZF21014", "ZF21013"),
        ("license_status:", "id:"),
        "elements.license_status.id: 数据元标识 “ZF21013” 已在 schema/spec/entities/license.yaml 中定义",
    ),
    "an identifier that is none": (
        ("license", "", "ZF21001", "SF21001"),
        ("id: SF21001",),
        "elements.license_doc_no.id: “SF21001” 不是临时标识（ZF 加 5 位数字）",
    ),
    "an unknown code table": (
        ("officer", "", "codes: cert_type", "codes: cert_tpye"),
        ("codes: cert_tpye",),
        f"elements.cert_type.codes: 不认识的词 “cert_tpye” — {meant('cert_type')}",
    ),
    "a wrong format": (
        ("inspection", "", "format: C..2000", "format: C...2000"),
        ("format: C...2000",),
        "elements.result_desc.format: 不认识的格式 “C...2000”"
        "（例：C18、C..200、N..3、D10、DT、B、Money、J、URI，列表加 []）",
    ),
    "codes too long for the format": (
        ("procedure_type", "", "code: 3", "code: 31"),
        ("procedure_type.yaml",),
        "elements.procedure_type.format: 格式 C1 容不下代码表 procedure_type 的 “31”",
    ),
    "a check on a format it does not fit": (
        ("agency", "  agency_name:", "need: M", "check: uscc\n    need: M"),
        ("agency_name:", "check:"),
        "elements.agency_name.check: 校验 uscc 不适用于格式 C..200 — 格式应为 C18",
    ),
    "an unknown check": (
        ("party", "", "check: uscc", "check: uscd"),
        ("check: uscd",),
        f"elements.uscc.check: 不认识的词 “uscd” — {meant('uscc')}",
    ),
    "a name against the convention": (
        ("agency", "", "is_app_unit:", "app_unit_flag:"),
        ("app_unit_flag:",),
        "elements.app_unit_flag: 名称不合约定（DESIGN §5） — 是否类以 is_ 或 has_ 开头",
    ),
    "a name that is not snake_case": (
        ("agency", "", "  qualification_valid_to:", "  qualificationValid_to:"),
        ("qualificationValid_to:",),
        "elements.qualificationValid_to: “qualificationValid_to” 不是 snake_case 名称",
    ),
    "an unknown word in an element": (
        ("clue", "  clue_no:", "format:", "fromat: C1\n    format:"),
        ("fromat:",),
        f"elements.clue_no.fromat: 不认识的词 “fromat” — {meant('format')}",
    ),
    "a missing definition": (
        ("clue", "  verified_at:", "definition:", "description:"),
        ("verified_at:",),
        "elements.verified_at.definition: 必须填写",
    ),
    "a definition that says the name again": (
        ("remedy_case", "  remedy_no:", "definition: 复议机关、人民法院或赔偿义务机关为救济案件编定的案号。", "definition: 救济案号的值。"),
        ("definition: 救济案号的值。",),
        "elements.remedy_no.definition: 定义只是重复了名称 — 用一句话说明这个值是什么",
    ),
    "an unknown representation": (
        ("remedy_case", "  applied_date:", "representation_term: 日期", "representation_term: 日朝"),
        ("representation_term: 日朝",),
        "elements.applied_date.representation_term: 不认识的表示词 “日朝”",
    ),
    "a wrong status": (
        ("payment", "  payment_no:", "need: M", "need: M\n    status: approved"),
        ("status: approved",),
        "elements.payment_no.status: 不认识的词 “approved” — 可用：candidate、qualified、recorded、retired、standard、superseded",
    ),
    "a wrong sensitivity": (
        ("party", "", "sensitivity: medium", "sensitivity: middle"),
        ("sensitivity: middle",),
        "elements.registered_address.sensitivity: 不认识的词 “middle” — 可用：high、internal、medium、public",
    ),
    "a wrong need": (
        ("enforcement_matter", "  matter_name:", "need: M", "need: must"),
        ("need: must",),
        "elements.matter_name.need: 不认识的词 “must” — 可用：C、M、O",
    ),
    "a conditional element without its condition": (
        ("case_event", "  opinion:", "need: O", "need: C"),
        ("opinion:", "need:"),
        "elements.opinion.need: 条件必备（C）而没有写条件 — 补写 condition",
    ),
    "an English name given twice": (
        ("evidence", "", "english_name: Evidence Type", "english_name: Evidence Identifier"),
        ("evidence_type:", "english_name:"),
        "elements.evidence_type.english_name: 英文名 “Evidence Identifier” 与 evidence_id 重复",
    ),
    "a Chinese name given twice": (
        ("evidence", "", "title: 技术审核通过", "title: 法制审核通过"),
        ("is_tech_audit_passed:", "title:"),
        "elements.is_tech_audit_passed.title: 中文名 “法制审核通过” 与 is_legal_audit_passed 重复",
    ),
    "a date that is none": (
        ("service_record", "  service_id:", "need: M", "effective_from: 2024-02-30\n    need: M"),
        ("effective_from:",),
        "elements.service_id.effective_from: “2024-02-30” 不是日期 — 写作 YYYY-MM-DD",
    ),
    "an element that ends before it begins": (
        ("service_record", "  sent_at:", "need: M", "effective_from: 2024-02-01\n    effective_to: 2024-01-01\n    need: M"),
        ("effective_to:",),
        "elements.sent_at.effective_to: 失效日期早于生效日期",
    ),
    "an identity of an unknown element": (
        ("supervision_matter", "", "- [supervision_no]", "- [supervison_no]"),
        ("supervison_no",),
        f"identity[0][0]: 本实体没有数据元 “supervison_no” — {meant('supervision_no')}",
    ),
    "an unknown element to allot": (
        ("enforcement_case", "", "allotted: case_code", "allotted: case_kode"),
        ("allotted:",),
        f"allotted: 本实体没有数据元 “case_kode” — {meant('case_code')}",
    ),
    "elements derived from each other": (
        ("party", "", "  party_key: [uscc, id_no]", "  party_key: [uscc, id_no]\n  uscc: [party_key]"),
        ("  party_key: [", "party_key"),
        "derived.party_key: 推导成环：party_key → uscc → party_key",
    ),
    "entities told apart by each other": (
        ("discretion_standard", "", "- [discretion_id]", "- [matter_code]"),
        ("identity",),
        "identity: 标识互相引用，成环：DiscretionStandard → EnforcementMatter → DiscretionStandard",
    ),
    "a reference to an unknown element": (
        ("inspection", "", "refers: Party.party_key", "refers: Party.partyy_key"),
        ("refers: Party.partyy_key",),
        f"elements.party_key.refers: Party 没有数据元 “partyy_key” — {meant('party_key')}",
    ),
    "a relation to an unknown entity": (
        ("inspection", "  agency:", "to: Agency", "to: Agensy"),
        ("to: Agensy",),
        f"relations.agency.to: 规范中没有实体 “Agensy” — {meant('Agency')}",
    ),
    "a relation with the name of an element": (
        ("review_discussion", "", "  reviewer: {", "  review_id: {"),
        ("relations:", "review_id"),
        "relations.review_id: 与数据元同名",
    ),
    "an inverse that is an inverse itself": (
        ("joint_suggestion", "", "party: {to: Party, by: party_key", "party: {to: Party, inverse: joint_suggestions"),
        ("inverse: joint_suggestions",),
        "relations.party.inverse: Party 没有通向 JointSuggestion 的关系 “joint_suggestions”",
    ),
    "a relation by a list that leads to one": (
        ("inspection_plan", "", "planned_parties: {to: Party, many: true", "planned_parties: {to: Party"),
        ("planned_parties:",),
        "relations.planned_parties.many: 与数据元 planned_party_keys 的格式（是否列表）不一致",
    ),
    "a relation that goes elsewhere than its element": (
        ("criminal_transfer", "relations:", "carried: true", "by: reject_reason"),
        ("by: reject_reason",),
        "relations.case.by: 数据元 reject_reason 没有写 refers，不知道引用什么",
    ),
    "an enum type given twice": (
        ("revoke_type", "", "type: RevokeType", "type: PenaltyKind"),
        ("type: P",),
        "type: 实体或枚举类型 “PenaltyKind” 已在 schema/spec/codes/penalty_kind.yaml 中定义",
    ),
    "an enum member that is a number": (
        ("risk_level", "members:", "  ", "  7777: {code: 7, title: 又一级}\n  "),
        ("7777",),
        "members.7777: 枚举成员名不能是数字",
    ),
    "one code twice at the same time": (
        ("sex", "members:", "  ", "  BOTH: {code: 1, title: 双, valid_from: 2020-01-01, valid_to: 2020-12-31, no_successor: true}\n  "),
        ("MALE",),
        "members.MALE: 代码 “1” 与 BOTH 重复，有效期重叠",
    ),
    "a retired code without a successor": (
        ("severity", "members:", "title: ", "valid_to: 2024-01-01, title: "),
        ("valid_to",),
        "valid_to: 停用的代码没有承接代码 — 写 successors: [代码]，确无承接时写 no_successor: true",
    ),
    "an unknown successor": (
        ("division", "", 'successors: ["350112"]', 'successors: ["359112"]'),
        ('"359112"',),
        f"members.350182.successors[0]: 承接代码不在本表中： “359112” — {meant('350112')}",
    ),
    "codes that succeed each other in a circle": (
        ("penalty_kind", "", '"11"]}', '"02"]}'),
        ("OLD_WARNING:", "successors"),
        "members.OLD_WARNING.successors: 承接成环：01 → 02 → 01",
    ),
    "a successor that is valid too early": (
        ("penalty_kind", "", "title: 其他}", "title: 其他, valid_from: 2021-07-01}"),
        ('successors: ["99"]', '"99"'),
        "members.OLD_OTHER.successors[0]: 承接代码 “99” 自 2021-07-01 生效，与本代码（至 2021-07-14）的有效期重叠",
    ),
    "a code that ends before it begins": (
        ("cert_type", "members:", "title: ", "valid_from: 2024-05-01, valid_to: 2024-04-01, no_successor: true, title: "),
        ("valid_to",),
        "valid_to: 失效日期早于生效日期",
    ),
    "a code table without its version": (
        ("verify_result", "", "version: draft-2024.1\n", ""),
        ("codes",),
        "version: 必须填写 — 值域的版本",
    ),
    "a member without a meaning": (
        ("close_type", "members:", "title: ", "titel: "),
        ("titel",),
        f"titel: 不认识的词 “titel” — {meant('title')}",
    ),
}  # fmt: skip


@pytest.fixture
def spoilt(tmp_path: Path) -> Copy:
    """A copy of the specification with all of PLANTED in it at once."""
    copy = Copy(tmp_path)
    for (stem, behind, right, wrong), _, _ in PLANTED.values():
        copy.replace(stem, right, wrong, behind)
    copy.replace("enforcement_matter", "- [matter_code]", "- [matter_code, discretion_id]")
    copy.replace(
        "enforcement_matter",
        "  matter_name:",
        "  discretion_id:\n    id: ZF03011\n    title: 基准\n    english_name: Standard\n    definition: 试。\n"
        "    property_term: 基准\n    representation_term: 标识符\n    format: C..36\n    need: O\n"
        "    refers: DiscretionStandard.discretion_id\n  matter_name:",
    )
    copy.replace("penalty_kind", '"21"]}', '"01"]}')
    return copy


def place(copy: Copy, name: str) -> str:
    (stem, _, _, _), way, _ = PLANTED[name]
    if name == "codes too long for the format":
        return copy.at("enforcement_case", "procedure_type:", "format")
    return copy.at(stem, *way)


def test_forty_planted_mistakes_are_all_told_in_one_run_where_they_stand(
    spoilt: Copy, capsys: pytest.CaptureFixture[str]
):
    assert main(["spec", "check", str(spoilt.folder)]) == 1
    told = capsys.readouterr().err.splitlines()
    wanted = {name: (place(spoilt, name), message) for name, (_, _, message) in PLANTED.items()}
    missing = [
        name
        for name, (where, message) in wanted.items()
        if not any(line.startswith(f"{where}: ") and line.endswith(message) for line in told)
    ]
    assert missing == []
    assert len(PLANTED) >= 30


def test_a_planted_mistake_makes_no_others_but_what_is_wrong_at_both_ends(spoilt: Copy):
    known = [message for _, _, message in PLANTED.values()]
    assert [line for line in spoilt.problems() if not any(line.endswith(message) for message in known)] == [
        f"{spoilt.at('close_type', 'members:', 'PERFORMED')}: members.PERFORMED.title: 必须填写",
        f"{spoilt.at('party', 'joint_suggestions:', 'inverse: party')}: "
        "relations.joint_suggestions.inverse: JointSuggestion 没有通向 Party 的关系 “party”",
    ]


def test_a_mistake_of_shape_does_not_hide_a_wrong_reference_in_the_same_element(tmp_path: Path):
    copy = Copy(tmp_path)
    copy.replace("officer", "core: true", "core: maybe\n    codes: sexx", behind="  officer_name:")
    assert copy.problems() == [
        f"{copy.at('officer', 'core: maybe')}: elements.officer_name.core: 应为 true 或 false，而不是 “maybe”",
        f"{copy.at('officer', 'codes: sexx')}: elements.officer_name.codes: 不认识的词 “sexx” — {meant('sex')}",
    ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("elements: 1\n", "elements: 应为映射（键: 值）"),
        ("elements: [1, 2]\n", "elements: 应为映射（键: 值）"),
        ("elements: {}\nidentity: 1\n", "identity: 应为列表"),
        ("elements: {a_no: }\n", "elements.a_no: 应为映射（键: 值）"),
        ("elements: {a_no: {title: [x]}}\n", "elements.a_no.title: 应为文本"),
    ],
)
def test_whatever_stands_where_something_else_should_is_told_and_never_ends_the_run(
    tmp_path: Path, wrong: str, message: str
):
    copy = Copy(tmp_path)
    copy.file("legal_basis").write_text("entity: LegalBasis\ntitle: 执法依据\n" + wrong, encoding="utf-8")
    copy.replace("sex", "title: 男", "titel: 男")
    told = copy.problems()
    assert [line.endswith(message) for line in told].count(True) == 1
    assert any(line.endswith(f"members.MALE.titel: 不认识的词 “titel” — {meant('title')}") for line in told)


def test_a_text_that_a_spreadsheet_could_not_hold_is_told(tmp_path: Path):
    copy = Copy(tmp_path)
    copy.replace("party", "title: 相对人名称", 'title: "相对\\x07人"')
    copy.replace("sex", "title: 男", 'title: "男 "')
    assert copy.problems() == [
        f"{copy.at('sex', 'MALE', 'title')}: members.MALE.title: 首尾有空白",
        f"{copy.at('party', 'party_name:', 'title')}: elements.party_name.title: 含有控制字符或 _xHHHH_ 形式的转义",
    ]


def test_the_specification_itself_has_no_problem(capsys: pytest.CaptureFixture[str]):
    assert main(["spec", "check"]) == 0
    assert capsys.readouterr().out == "规范 draft-2024.1：28 个实体，366 个数据元，71 个关系，67 个代码表。没有问题\n"


def test_a_folder_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["spec", "check", str(tmp_path / "nowhere")]) == 1
    assert "spec.yaml:1:1: 无法读取" in capsys.readouterr().err
