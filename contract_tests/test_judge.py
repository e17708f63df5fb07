"""What the specification asks of values, through a mapping: codes on the day of the fact, checks under a condition, lengths."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.mapping.load import MAPPINGS_FOLDER, load_mapping, load_mappings
from adapters.mapping.record import Mapped, map_record
from contract_tests.expectations import hash_id
from contract_tests.federation import copy_mappings
from schema.identifiers import id_check_digit, uscc_check_digit
from schema.load import load_registry
from schema.registry import SPEC_FOLDER, Registry

REGISTRY = load_registry()
SOURCES = load_mappings(REGISTRY)
TODAY = date(2026, 6, 1)
YONGDING = "代码 350822（永定县）有效至 2014-12-31，不适用于 {}，承接代码 350803（永定区）"


def issues_of(mapped: Mapped) -> list[tuple[str, str, str, str, str | None]]:
    return [(i.element, i.check_type, i.severity, i.reason, i.raw) for i in mapped.issues]


def market_case(**words: Any) -> Mapped:
    return map_record(SOURCES["binhai_market"], "EnforcementCase", {"AJBH": "A-1", **words}, hash_id, TODAY)


def enterprise(**words: Any) -> Mapped:
    return map_record(SOURCES["national_registry"], "Party", {"entname": "甲", **words}, hash_id, TODAY)


def agency(**words: Any) -> Mapped:
    return map_record(SOURCES["provincial_platform"], "Agency", {"ztmc": "甲", **words}, hash_id, TODAY)


# Codes on the day of the fact


@pytest.mark.parametrize(
    ("dates", "day"),
    [
        ({"WFKSRQ": "2014-12-31"}, None),
        ({"WFKSRQ": "2015-01-01"}, "2015-01-01"),
        ({"WFKSRQ": "2014-06-01", "LASJ": "2015-06-01 09:00:00"}, None),
        ({"LASJ": "2014-06-01 09:00:00"}, None),
        ({"WFKSRQ": "没有写", "LASJ": "2016-06-01 09:00:00"}, "2016-06-01"),
        ({"GXSJ": "2014-12-31 23:59:59"}, None),
        ({"GXSJ": "2015-01-01 00:00:00"}, "2015-01-01"),
        ({}, "2026-06-01"),
    ],
    ids=[
        "the last day",
        "the day after",
        "the violation counts before the filing",
        "filed, when the violation has no date",
        "a date that is none does not count",
        "last written in time",
        "last written too late",
        "nothing known: the day it was told",
    ],
)
def test_a_code_is_judged_on_the_first_day_that_is_known(dates: dict[str, str], day: str | None) -> None:
    told = market_case(WFDQH="350822", **dates)
    found = [issue for issue in issues_of(told) if issue[0] == "violation_division_code"]
    expected = [("violation_division_code", "04", "warning", YONGDING.format(day), "350822")] if day else []
    assert (told.values["violation_division_code"], found) == ("350822", expected)


def test_a_party_without_a_date_of_its_own_is_judged_on_the_day_its_registry_last_wrote_it() -> None:
    millennium = {"apprdate": "946656000000"}
    assert issues_of(enterprise(domdistrict="350822", **millennium)) == []
    reason = YONGDING.format("2026-06-01")
    assert issues_of(enterprise(domdistrict="350822")) == [("party_division_code", "04", "warning", reason, "350822")]


@pytest.mark.parametrize("code", ["350102", "350102001", "110000"])
def test_districts_their_townships_and_other_provinces_are_divisions(code: str) -> None:
    told = agency(xzqh=code)
    assert (told.values["division_code"], issues_of(told)) == (code, [])


@pytest.mark.parametrize("code", ["359999", "359999001", "990000", "35O102", "352101", "350102ABC", "３５０１０２"])
def test_what_is_no_division_is_null_with_an_issue(code: str) -> None:
    told = agency(xzqh=code)
    assert issues_of(told) == [("division_code", "04", "error", "不在代码表“行政区划代码”中", code)]
    assert "division_code" not in told.values


def test_a_township_of_a_retired_county_is_as_retired_as_the_county() -> None:
    told = agency(xzqh="350822101")
    assert told.values["division_code"] == "350822101"
    assert issues_of(told) == [("division_code", "04", "warning", YONGDING.format("2026-06-01"), "350822101")]


@pytest.fixture
def dated_kinds(tmp_path: Path) -> Registry:
    """A specification in which 停产停业 ended with 2021-07-14, and 罚款 began then."""
    spec = Path(shutil.copytree(SPEC_FOLDER, tmp_path / "spec"))
    table = spec / "codes" / "penalty_kind.yaml"
    text = table.read_text("utf-8").replace(
        "title: 责令停产停业}", 'title: 责令停产停业, valid_to: 2021-07-14, successors: ["41", "43"]}'
    )
    table.write_text(text.replace("title: 罚款}", "title: 罚款, valid_from: 2021-07-15}"), "utf-8")
    return load_registry(spec)


def decided(registry: Registry, day: str, folder: Path = MAPPINGS_FOLDER / "binhai_exchange") -> Mapped:
    mapping = load_mapping(registry, folder)
    record = {"cf_wsh": "闽罚〔2021〕1号", "cf_cflb": "1,2,4", "cf_jdrq": day}
    return map_record(mapping, "PenaltyDecision", record, hash_id, TODAY)


def test_each_code_of_a_list_is_judged_and_named_as_the_source_wrote_it(dated_kinds: Registry) -> None:
    before, after = decided(dated_kinds, "2021/07/14"), decided(dated_kinds, "2021/07/15")
    early = "代码 21（罚款）自 2021-07-15 起有效，不适用于 2021-07-14"
    late = "代码 42（责令停产停业）有效至 2021-07-14，不适用于 2021-07-15，承接代码 41（限制开展生产经营活动）、43（责令关闭）"
    assert issues_of(before) == [("penalty_kinds", "04", "warning", early, "2")]
    assert issues_of(after) == [("penalty_kinds", "04", "warning", late, "4")]
    assert before.values["penalty_kinds"] == after.values["penalty_kinds"] == ("WARNING", "FINE", "SUSPEND_OPERATION")


@pytest.mark.parametrize(
    ("day", "issues"),
    [
        ("2021/07/14", []),
        (
            "2021/07/15",
            [
                "代码 03（没收违法所得、没收非法财物（旧类））有效至 2021-07-14，不适用于 2021-07-15，"
                "承接代码 22（没收违法所得）、23（没收非法财物）"
            ],
        ),
    ],
)
def test_an_old_class_of_penalty_counts_for_old_decisions_only(tmp_path: Path, day: str, issues: list[str]) -> None:
    mapping = copy_mappings(tmp_path, "binhai_exchange") / "binhai_exchange" / "mapping.yaml"
    text = mapping.read_text("utf-8")
    mapping.write_text(text.replace('    "4": SUSPEND_OPERATION\n', '    "4": OLD_CONFISCATION\n'), "utf-8")
    told = decided(REGISTRY, day, mapping.parent)
    assert told.values["penalty_kinds"] == ("WARNING", "FINE", "OLD_CONFISCATION")
    assert [issue.reason for issue in told.issues] == issues


def test_what_is_inside_a_record_is_of_the_day_of_that_record(dated_kinds: Registry) -> None:
    police = load_mapping(dated_kinds, MAPPINGS_FOLDER / "traffic_police")
    record = {"xh": "1", "jdsbh": "1", "cfzl": "2", "tyshxydm": "91350100MA0B00015H"}
    in_time = map_record(
        police, "EnforcementCase", {**record, "wfsj": "2022-01-01 00:00:00"}, hash_id, date(2020, 1, 1)
    )
    too_early = map_record(police, "EnforcementCase", {**record, "wfsj": "2020-01-01 00:00:00"}, hash_id, TODAY)
    own_day = {**record, "wfsj": "2020-01-01 00:00:00", "clsj": "2022-01-01 00:00:00"}
    assert issues_of(in_time) == []
    assert [issue[:3] for issue in issues_of(too_early)] == [("penalty_kinds", "04", "warning")]
    assert issues_of(map_record(police, "EnforcementCase", own_day, hash_id, TODAY)) == []


def test_nothing_is_judged_of_what_cannot_fail() -> None:
    compiled = {
        (source.name, name): ([c.field.name for c in mapping.conditional], [d.field.name for d in mapping.dated])
        for source in SOURCES.values()
        for name, mapping in source.entities.items()
        if mapping.conditional or mapping.dated
    }
    assert compiled == {
        ("binhai_market", "EnforcementCase"): ([], ["violation_division_code"]),
        ("binhai_market", "Party"): (["id_no"], []),
        ("national_registry", "Party"): ([], ["party_division_code"]),
        ("provincial_platform", "Agency"): ([], ["division_code"]),
        ("traffic_police", "EnforcementCase"): ([], ["violation_division_code"]),
    }


def test_every_entity_with_codes_and_a_date_of_its_facts_says_which_it_is() -> None:
    silent = {e.name for e in REGISTRY.entities.values() if not e.fact_date}
    assert silent == {"Agency", "DataQualityIssue", "DiscretionStandard", "Party"}


# Checks under a condition


def identified(**words: str) -> Mapped:
    (inside,) = market_case(DSR=[{"MC": "甲", "LX": "2", **words}]).embedded["parties"]
    return inside


RIGHT = "35210119500101002" + id_check_digit("35210119500101002")
WRONG = "35210119500101002X"


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ({"ZJLX": "01", "ZJHM": RIGHT}, RIGHT),
        ({"ZJLX": "01", "ZJHM": "35210119500101003x"}, "35210119500101003X"),
        ({"ZJLX": "01", "ZJHM": "352101500101002"}, "352101500101002"),
        ({"ZJLX": "02", "ZJHM": WRONG}, WRONG),
        ({"ZJHM": WRONG}, WRONG),
    ],
    ids=["18 digits", "a small x", "15 digits", "a passport", "nobody knows what it is"],
)
def test_a_number_is_judged_as_an_identity_card_only_when_it_is_one(words: dict[str, str], number: str) -> None:
    told = identified(**words)
    assert (told.values["id_no"], told.key, told.issues) == (number, hash_id(number), [])


def test_a_wrong_identity_card_number_identifies_nobody_and_is_not_shown() -> None:
    told = market_case(DSR=[{"MC": "甲", "LX": "2", "ZJLX": "01", "ZJHM": WRONG}])
    (inside,) = told.embedded["parties"]
    assert issues_of(told) == [("id_no", "05", "error", "公民身份号码校验位不符", None)]
    assert inside.key.startswith("~")
    assert "id_no" not in inside.values
    assert [issue.key for issue in told.issues] == [inside.key]


# Credit codes


INNER_WRONG = "91350128MA1B3N1N3" + uscc_check_digit("91350128MA1B3N1N3")
INNER = "第 9–17 位不是组织机构代码（GB 11714）：校验位应为 2，实为 3"


def test_the_organisation_code_in_a_credit_code_is_doubted_wherever_the_code_stands() -> None:
    own = enterprise(uniscid=INNER_WRONG)
    officer = map_record(SOURCES["provincial_platform"], "Officer", {"zfzh": "1", "ztdm": INNER_WRONG}, hash_id, TODAY)
    assert (own.key, issues_of(own)) == (INNER_WRONG, [("uscc", "05", "warning", INNER, INNER_WRONG)])
    assert officer.refs["agency"] == (INNER_WRONG,)
    assert issues_of(officer) == [("agency", "05", "warning", INNER, INNER_WRONG)]


# Lengths in characters


@pytest.mark.parametrize("name", ["𠮷" * 200, "ｅ" * 200, "e\u0301" * 200, "葛\U000e0100" * 200, "（）" * 100])
def test_two_hundred_characters_are_two_hundred_however_they_are_encoded(name: str) -> None:
    told = enterprise(entname=name)
    assert (told.values.get("party_name"), issues_of(told)) == (name, [])


@pytest.mark.parametrize("name", ["𠮷" * 201, "e\u0301" * 201])
def test_one_more_is_too_long(name: str) -> None:
    told = enterprise(entname=name)
    assert issues_of(told) == [("party_name", "03", "error", "长度 201 字符，格式要求 C..200", name[:200])]


def test_formats_hold_for_what_is_embedded_and_for_every_item_of_a_list() -> None:
    told = market_case(DSR=[{"MC": "甲" * 201, "LX": "1", "TYSHXYDM": "91350100MA0B00015H"}], ZFRY=[{"ZFZH": "1" * 33}])
    assert [(i.entity, i.element, i.check_type) for i in told.issues] == [
        ("Party", "party_name", "03"),
        ("EnforcementCase", "officers", "03"),
    ]
