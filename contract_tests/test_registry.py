"""The specification in `schema/spec/` is whole: every entity, element, relation and code table of the draft."""

from adapters.mapping.model import PROVENANCE_FIELDS
from schema.load import load_registry
from schema.names import list_field
from schema.reference import names_table
from schema.registry import OWNER, SPEC_FOLDER

REGISTRY = load_registry()
ELEMENTS = [(entity, element) for entity in REGISTRY.entities.values() for element in entity.elements.values()]


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
    told_apart = {e.name: (e.identity, e.allotted, e.derived) for e in REGISTRY.entities.values()}
    by_one_number = {
        "LegalBasis": "basis_id",
        "DiscretionStandard": "discretion_id",
        "Clue": "clue_no",
        "InspectionPlan": "plan_id",
        "CaseEvent": "event_id",
        "Evidence": "evidence_id",
        "NoticeHearing": "notice_id",
        "ReviewDiscussion": "review_id",
        "CoerciveMeasure": "measure_id",
        "EnforcedExecution": "execution_id",
        "ElectronicMaterial": "material_id",
        "ServiceRecord": "service_id",
        "Payment": "payment_no",
        "PublicityRecord": "publicity_id",
        "CriminalTransfer": "transfer_id",
        "RemedyCase": "remedy_no",
        "JointSuggestion": "suggestion_id",
        "SupervisionMatter": "supervision_no",
        "DataQualityIssue": "issue_id",
    }
    assert told_apart == {
        **{name: (((number,),), None, {}) for name, number in by_one_number.items()},
        "SourceRecord": ((("source_system_code", "source_record_id"),), None, {}),
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
        "Agency.supervision_matters": "SupervisionMatter[]",
        "Officer.agency": "Agency",
        "EnforcementMatter.responsible_agency": "Agency",
        "EnforcementMatter.discretion_standards": "DiscretionStandard[]",
        "DiscretionStandard.matter": "EnforcementMatter",
        "Party.enforcement_cases": "EnforcementCase[]",
        "Party.inspections": "Inspection[]",
        "Party.licenses": "License[]",
        "Party.joint_suggestions": "JointSuggestion[]",
        "Clue.case": "EnforcementCase",
        "InspectionPlan.planned_parties": "Party[]",
        "InspectionPlan.inspections": "Inspection[]",
        "Inspection.plan": "InspectionPlan",
        "Inspection.party": "Party",
        "Inspection.agency": "Agency",
        "Inspection.officers": "Officer[]",
        "EnforcementCase.matter": "EnforcementMatter",
        "EnforcementCase.parties": "Party[]",
        "EnforcementCase.agency": "Agency",
        "EnforcementCase.officers": "Officer[]",
        "EnforcementCase.clues": "Clue[]",
        "EnforcementCase.events": "CaseEvent[]",
        "EnforcementCase.evidences": "Evidence[]",
        "EnforcementCase.notice_hearings": "NoticeHearing[]",
        "EnforcementCase.review_discussions": "ReviewDiscussion[]",
        "EnforcementCase.penalty_decisions": "PenaltyDecision[]",
        "EnforcementCase.coercive_measures": "CoerciveMeasure[]",
        "EnforcementCase.enforced_executions": "EnforcedExecution[]",
        "EnforcementCase.electronic_materials": "ElectronicMaterial[]",
        "EnforcementCase.payments": "Payment[]",
        "EnforcementCase.criminal_transfers": "CriminalTransfer[]",
        "CaseEvent.case": "EnforcementCase",
        "CaseEvent.handler": "Officer",
        "Evidence.case": "EnforcementCase",
        "Evidence.collectors": "Officer[]",
        "Evidence.material": "ElectronicMaterial",
        "NoticeHearing.case": "EnforcementCase",
        "ReviewDiscussion.case": "EnforcementCase",
        "ReviewDiscussion.reviewer": "Officer",
        "PenaltyDecision.case": "EnforcementCase",
        "PenaltyDecision.legal_bases": "LegalBasis[]",
        "PenaltyDecision.discretion_standard": "DiscretionStandard",
        "PenaltyDecision.service_records": "ServiceRecord[]",
        "PenaltyDecision.publicity_records": "PublicityRecord[]",
        "PenaltyDecision.remedy_cases": "RemedyCase[]",
        "CoerciveMeasure.case": "EnforcementCase",
        "EnforcedExecution.case": "EnforcementCase",
        "ElectronicMaterial.case": "EnforcementCase",
        "ElectronicMaterial.service_records": "ServiceRecord[]",
        "ServiceRecord.penalty_decision": "PenaltyDecision",
        "ServiceRecord.material": "ElectronicMaterial",
        "ServiceRecord.recipient": "Party",
        "Payment.case": "EnforcementCase",
        "License.holder": "Party",
        "License.agency": "Agency",
        "PublicityRecord.penalty_decision": "PenaltyDecision",
        "CriminalTransfer.case": "EnforcementCase",
        "RemedyCase.penalty_decision": "PenaltyDecision",
        "JointSuggestion.party": "Party",
        "JointSuggestion.agencies": "Agency[]",
        "JointSuggestion.joint_inspection": "Inspection",
        "SupervisionMatter.target_agency": "Agency",
        "SourceRecord.owner_agency": "Agency",
        "SourceRecord.quality_issues": "DataQualityIssue[]",
        "DataQualityIssue.source_record": "SourceRecord",
        "DataQualityIssue.corrector_agency": "Agency",
    }


def test_a_carried_relation_has_no_element_behind_it():
    carried = [
        f"{e.name}.{r.name}" for e in REGISTRY.entities.values() for r in e.relations.values() if r.is_told and not r.by
    ]
    assert sorted(carried) == [
        "Clue.case",
        "CoerciveMeasure.case",
        "CriminalTransfer.case",
        "DataQualityIssue.source_record",
        "ElectronicMaterial.case",
        "EnforcedExecution.case",
        "Evidence.case",
        "NoticeHearing.case",
        "PublicityRecord.penalty_decision",
        "ReviewDiscussion.case",
        "ServiceRecord.penalty_decision",
    ]


def test_every_element_that_refers_to_another_has_a_relation_by_it():
    assert [
        f"{entity.name}.{x.name}"
        for entity, x in ELEMENTS
        if x.refers and x.name not in {r.by for r in entity.relations.values()}
    ] == []


def test_all_forty_four_code_tables_of_the_draft_are_there():
    numbered = sorted(table.id for table in REGISTRY.codes.values() if table.id.startswith("CV"))
    assert numbered == [f"CV{n:02}" for n in range(1, 45)]
    assert {t.id for t in REGISTRY.codes.values()} - set(numbered) == {
        f"I-{t.name}" for t in REGISTRY.codes.values() if t.id not in numbered
    }


def test_what_any_record_may_tell_of_itself_is_named_as_in_source_record():
    assert PROVENANCE_FIELDS.keys() <= REGISTRY.entities["SourceRecord"].elements.keys()
    assert REGISTRY.entities["SourceRecord"].elements[OWNER].id == "ZF27011"


def test_the_table_of_names_is_what_the_specification_says():
    kept = (SPEC_FOLDER / "NAMES.md").read_text(encoding="utf-8")
    assert kept == names_table(REGISTRY), "run: gateway names > schema/spec/NAMES.md"


def test_lists_have_plural_names():
    lists = {list_field(entity) for entity in REGISTRY.entities.values()}
    assert {"legalBases", "agencies", "evidences", "payments"} <= lists


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
        "建阳地区（南平地区）": ("1994-12-31", ("350700",)),
        "宁德地区": ("1999-12-31", ("350900",)),
        "莆田地区": ("1983-12-31", ("350300",)),
        "晋江地区": ("1985-12-31", ("350500",)),
        "龙溪地区": ("1985-12-31", ("350600",)),
        "龙岩地区": ("1996-12-31", ("350800",)),
    }


def test_the_penalty_kinds_of_the_old_law_end_the_day_before_the_new_one_and_name_what_follows():
    old = {
        c.code: (str(c.valid_to), c.successors) for c in REGISTRY.codes["penalty_kind"].members.values() if c.valid_to
    }
    new = [c.code for c in REGISTRY.codes["penalty_kind"].members.values() if str(c.valid_from) == "2021-07-15"]
    assert (old, new) == (
        {
            "01": ("2021-07-14", ("11",)),
            "02": ("2021-07-14", ("21",)),
            "03": ("2021-07-14", ("22", "23")),
            "04": ("2021-07-14", ("42",)),
            "05": ("2021-07-14", ("31", "33")),
            "06": ("2021-07-14", ("51",)),
            "07": ("2021-07-14", ("99",)),
        },
        ["12", "32", "41", "43", "44"],
    )


def test_every_element_has_the_attributes_of_a_data_element():
    wanted = ("english_name", "definition", "object_class_term", "property_term", "representation_term")
    assert [f"{e.name}.{x.name}" for e, x in ELEMENTS if not all(getattr(x, word) for word in wanted)] == []


def test_no_definition_is_said_twice():
    definitions = [element.definition for _, element in ELEMENTS]
    assert len(set(definitions)) == len(definitions) == 366


def test_what_an_element_means_fits_how_it_is_written():
    kinds = {"日期": "date", "时间": "datetime", "金额": "money", "标志": "boolean", "结构": "structure"}
    assert [
        f"{e.name}.{x.name}" for e, x in ELEMENTS if kinds.get(x.representation_term, x.format.kind) != x.format.kind
    ] == []
    assert {kinds[x.representation_term] for _, x in ELEMENTS if x.representation_term in kinds} == set(kinds.values())


def test_the_draft_has_no_submitter_and_no_dates_and_says_so():
    told = {(x.status, x.submitting_agency, x.effective_from, x.effective_to) for _, x in ELEMENTS}
    assert told == {("candidate", "待定（草案）", None, None)}


def test_elements_are_found_by_the_names_of_the_double_publicity_template():
    names = {synonym: x.id for _, x in ELEMENTS for synonym in x.synonyms}
    assert (names["CF_WFXW"], names["CF_WSH"], names["CF_FR_SFZH"]) == ("ZF10004", "ZF15001", "ZF06012")


def test_every_code_table_says_which_version_it_is():
    versions = {t.name: t.version for t in REGISTRY.codes.values() if t.version != REGISTRY.version}
    assert versions == {"division": "2022-10"}
