"""What may be written about a whole entity, and what is told of mistakes in it: dates of facts, conditional checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from contract_tests.test_registry_mistakes import Copy, meant, spec
from contract_tests.test_spec_exchange import changed, exported, refused
from schema.dictionary.diff import compare
from schema.dictionary.taking import take_workbook
from schema.load import load_registry
from schema.registry import ConditionalCheck

__all__ = ["changed", "exported", "spec"]
Changed = Callable[[Callable[[Any], None]], Path]


def test_an_entity_says_which_dates_its_facts_have_and_what_is_checked_under_a_condition():
    entities = load_registry().entities
    assert entities["EnforcementCase"].fact_date == ("violation_start_date", "filed_date")
    assert entities["Party"].conditional_checks == (
        ConditionalCheck("id_no", "id_no", {"id_type": ("RESIDENT_IDENTITY_CARD",)}),
        ConditionalCheck("legal_rep_id_no", "id_no", {"legal_rep_id_type": ("RESIDENT_IDENTITY_CARD",)}),
    )


def test_divisions_are_judged_by_six_digits_and_those_of_other_provinces_are_taken():
    table = load_registry().codes["division"]
    taken = ["350102", "350102001", "350182", "110101", "710000"]
    refused = ["359999", "352101", "350102ABC", "11O101", "990101", "3501", ""]
    assert [table.takes(code) for code in taken] == [True] * len(taken)
    assert [table.takes(code) for code in refused] == [False] * len(refused)


def test_mistakes_in_the_rules_of_an_entity_are_all_told_at_once(spec: Copy):
    spec.replace("enforcement_case", "[violation_start_date, filed_date]", "[violation_start, case_name]")
    spec.replace(
        "party",
        "  id_no: {check: id_no, when: {id_type: [RESIDENT_IDENTITY_CARD]}}",
        "  id_number: {check: id_no, when: {id_type: [RESIDENT_CARD]}}\n"
        "  party_name: {check: name, when: {phone: [X], id_typ: [X]}}\n"
        "  birth_date: {check: id_no, when: {}}",
    )
    case, party = "enforcement_case", "party"
    assert spec.problems() == [
        f"{spec.at(case, 'violation_start,')}: fact_date[0]: 本实体没有数据元 “violation_start” — "
        f"{meant('violation_start_date', 'violation_fact')}",
        f"{spec.at(case, 'case_name]')}: fact_date[1]: case_name 不是单个日期或时间，不能说明事实发生在哪天",
        f"{spec.at(party, 'id_number')}: conditional_checks.id_number: 本实体没有数据元 “id_number”",
        f"{spec.at(party, 'RESIDENT_CARD')}: conditional_checks.id_number.when.id_type[0]: "
        f"代码表 id_type 没有成员 “RESIDENT_CARD” — {meant('RESIDENT_IDENTITY_CARD')}",
        f"{spec.at(party, 'check: name')}: conditional_checks.party_name.check: 不认识的词 “name” — 可用：id_no、uscc",
        f"{spec.at(party, 'phone: [X]')}: conditional_checks.party_name.when.phone: "
        "phone 不是取一个代码的数据元，不能作条件",
        f"{spec.at(party, 'id_typ: [X]')}: conditional_checks.party_name.when.id_typ: "
        f"本实体没有数据元 “id_typ” — {meant('id_type')}",
        f"{spec.at(party, 'birth_date: {check')}: conditional_checks.birth_date: birth_date 不是单个文本，不能校验",
        f"{spec.at(party, 'when: {}')}: conditional_checks.birth_date.when: "
        "至少写一个条件；总是要查的写在数据元的 check",
    ]


def test_only_a_table_of_numbers_may_list_the_front_of_its_codes(spec: Copy):
    spec.replace("division", "judged_length: 6 #", "#")
    spec.replace("sex", "type: Sex", "type: Sex\njudged_length: 1")
    assert spec.problems() == [
        f"{spec.at('division', 'foreign_prefixes')}: foreign_prefixes: 只与 judged_length 同用",
        f"{spec.at('sex', 'judged_length')}: judged_length: 枚举（有 type）的代码表没有更长的代码",
    ]


def test_every_document_number_of_the_specification_has_the_normal_form():
    numbers = {
        f"{entity.name}.{name}"
        for entity in load_registry().entities.values()
        for name, element in entity.elements.items()
        if element.normal == "doc_no"
    }
    assert numbers == {
        "Agency.exemption_approval_no",
        "ElectronicMaterial.doc_no",
        "EnforcementMatter.delegation_doc_no",
        "License.license_doc_no",
        "PenaltyDecision.decision_doc_no",
        "RemedyCase.target_doc_no",
    }


def party_row(book: Any) -> dict[str, Any]:
    """The cells of Party in the workbook by the titles of their columns."""
    header, *rows = book["实体"].iter_rows()
    (row,) = [row for row in rows if row[0].value == "Party"]
    return {title.value: cell for title, cell in zip(header, row, strict=True)}


def test_rules_are_edited_in_the_workbook(changed: Changed):
    def edit(book: Any) -> None:
        cells = party_row(book)
        assert cells["条件校验"].value == (
            "id_no = id_no | id_type = RESIDENT_IDENTITY_CARD\n"
            "legal_rep_id_no = id_no | legal_rep_id_type = RESIDENT_IDENTITY_CARD"
        )
        cells["事实日期"].value = "birth_date"
        cells["条件校验"].value = "id_no = id_no | id_type = ORDINARY_PASSPORT；TAIWAN_PERMIT | sex = MALE"

    taken = take_workbook(changed(edit))
    assert list(taken.refusals) == []
    assert taken.registry is not None
    party = taken.registry.entities["Party"]
    assert party.fact_date == ("birth_date",)
    when = {"id_type": ("ORDINARY_PASSPORT", "TAIWAN_PERMIT"), "sex": ("MALE",)}
    assert party.conditional_checks == (ConditionalCheck("id_no", "id_no", when),)


def test_rules_that_cannot_be_taken_are_told_with_their_cell(changed: Changed):
    written = (
        "id_no",
        "phone = id_no | sex",
        "legal_rep_id_no = id_no | id_type = X",
        "legal_rep_id_no = uscc | sex = MALE",
    )

    def spoil(book: Any) -> None:
        cells = party_row(book)
        cells["事实日期"].value = "birth_date；sex"
        cells["条件校验"].value = "\n".join(written)

    file = changed(spoil)
    dates, checks = (refused(file)[n].split("：")[0] for n in (0, 1))
    how = "Party 的条件校验应写作：数据元 = 校验 | 条件数据元 = 成员；成员，每个数据元一行"
    assert sorted(refused(file)) == sorted(
        [
            f"{dates}：“sex”：sex 不是单个日期或时间，不能说明事实发生在哪天",
            *(f"{checks}：“{line}”：{how}" for line in (written[0], written[1], written[3])),
            f"{checks}：“{written[2]}”：代码表 id_type 没有成员 “X” — 可用：FOREIGN_PERMANENT_RESIDENT_CARD、"
            "HONG_KONG_MACAO_PERMIT、ORDINARY_PASSPORT、RESIDENT_IDENTITY_CARD、TAIWAN_PERMIT",
        ]
    )
    assert (dates[:3], checks[:3]) == ("实体!", "实体!")


def test_a_stricter_check_is_told_as_breaking_and_one_that_goes_as_a_change(spec: Copy):
    registry = load_registry()
    spec.replace("party", "when: {legal_rep_id_type: [RESIDENT_IDENTITY_CARD]}", "when: {id_type: [TAIWAN_PERMIT]}")
    spec.replace("officer", "fact_date: [cert_valid_from]", "fact_date: [last_training_date]")
    spec.replace("division", '"81", "82"]', '"81"]')
    changed = load_registry(spec.folder)
    was = "id_no = id_no（id_type = RESIDENT_IDENTITY_CARD）；legal_rep_id_no = id_no（"
    dates = "事实日期：{} → {}"
    there = [(c.kind, c.at, c.what) for c in compare(registry, changed) if c.thing == "entity"]
    back = [(c.kind, c.at, c.what) for c in compare(changed, registry) if c.thing == "table"]
    assert there == [
        (
            "breaking",
            "Party",
            f"条件校验：{was}legal_rep_id_type = RESIDENT_IDENTITY_CARD） → {was}id_type = TAIWAN_PERMIT）",
        ),
        ("change", "Officer", dates.format("cert_valid_from", "last_training_date")),
    ]
    assert [kind for kind, _, _ in back] == ["change"]
    assert [c.kind for c in compare(registry, changed) if c.thing == "table"] == ["breaking"]
    spec.replace("party", "  id_no: {check: id_no, when: {id_type: [RESIDENT_IDENTITY_CARD]}}\n", "")
    gone = compare(changed, load_registry(spec.folder))
    assert [(c.kind, c.at, c.word) for c in gone] == [("change", "Party", "conditional_checks")]
