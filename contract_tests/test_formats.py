"""Formats and check digits: what a value must look like, and how money and time are printed."""

import re
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.doc_numbers import normal_doc_no
from schema.formats import CHECKS, CHINA_TIME, DOUBTS, Format, check_value, parse_format, print_datetime, print_money
from schema.identifiers import (
    USCC_ALPHABET,
    check_id_no,
    check_uscc,
    doubt_uscc,
    id_check_digit,
    org_code_check_digit,
    uscc_check_digit,
)


def exactly(reason: str) -> str:
    """A pattern for this message and no other; so no message quotes a number that identifies a person."""
    return f"^{re.escape(reason)}$"


# Formats


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("C18", Format("C18", "text", (18,))),
        ("C..200", Format("C..200", "text", range(1, 201))),
        ("C6|C9", Format("C6|C9", "text", (6, 9))),
        ("C2[]", Format("C2[]", "text", (2,), many=True)),
        ("C..64[]", Format("C..64[]", "text", range(1, 65), many=True)),
        ("N4", Format("N4", "number", (4,))),
        ("N..3", Format("N..3", "number", range(1, 4))),
        ("D10", Format("D10", "date")),
        ("DT", Format("DT", "datetime")),
        ("B", Format("B", "boolean")),
        ("Money", Format("Money", "money")),
        ("D10[]", Format("D10[]", "date", many=True)),
        ("J", Format("J", "structure")),
        ("URI", Format("URI", "text", range(1, 2001))),
    ],
)
def test_a_format_is_read_as_it_is_written(text: str, form: Format):
    assert parse_format(text) == form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "C",
        "C0",
        "C..0",
        "C...5",
        "C-5",
        "c18",
        "C6|N9",
        "C6|",
        "X3",
        "D8",
        "Money2",
        "[]",
        "C2[][]",
        " C18",
        "C18\n",
    ],
)
def test_what_is_no_format_is_refused_with_examples(text: str):
    with pytest.raises(ValueError, match="不认识的格式"):
        parse_format(text)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("C2", "汉字"),
        ("C..4", "𠮷野家屋"),
        ("C4", "𠮷𠮷𠮷𠮷"),
        ("C2", "e\u0301\U00020bb7\ufe00"),
        ("C3", "ＡＢ（"),
        ("C6|C9", "350102"),
        ("C6|C9", "350102001"),
        ("N..3", 0),
        ("N..3", 999),
        ("N4", 2024),
        ("D10", date(2024, 6, 1)),
        ("DT", datetime(2024, 6, 1, tzinfo=CHINA_TIME)),
        ("B", False),
        ("Money", 0),
        ("Money", 2**63 - 1),
        ("J", []),
        ("J", [{"签署人": "甲", "时间": None, "序号": 1.5, "有效": True}]),
        ("URI", "s3://材料/1.ofd"),
        ("URI", "u" * 2000),
    ],
)
def test_a_value_that_fits_its_format_is_accepted(form: str, value: object):
    check_value(parse_format(form), value)


@pytest.mark.parametrize(
    ("form", "value", "reason"),
    [
        ("C2", "一", "长度 1 字符，格式要求 C2"),
        ("C..2[]", "一二三", "长度 3 字符，格式要求 C..2"),
        ("C..2", "", "长度 0 字符，格式要求 C..2"),
        ("C2", "e\u0301", "长度 1 字符，格式要求 C2"),
        ("C6|C9", "3501020", "长度 7 字符，格式要求 C6|C9"),
        ("C..9", 12, "应为文本"),
        ("C..9", "a\0", "含有无法保存的字符"),
        ("C..9", "王\ufffd", "含有无法保存的字符"),
        ("C..9", "\ud842", "含有无法保存的字符"),
        ("N..3", 1000, "长度 4 位数字，格式要求 N..3"),
        ("N..3", "12", "应为整数"),
        ("N..3", True, "应为整数"),
        ("N..3", 1.0, "应为整数"),
        ("D10", "2024-06-01", "应为日期"),
        ("D10", datetime(2024, 6, 1, tzinfo=UTC), "应为日期"),
        ("DT", date(2024, 6, 1), "应为带时区的时间"),
        ("DT", datetime(2024, 6, 1), "应为带时区的时间"),
        ("B", 1, "应为是或否"),
        ("J", "[]", "应为 JSON 对象或列表"),
        ("J", None, "应为 JSON 对象或列表"),
        ("J", [{"签署人": "a\0"}], "含有无法保存的字符"),
        ("J", {"\ufffd": [1]}, "含有无法保存的字符"),
        ("URI", "", "长度 0 字符，格式要求 URI"),
        ("URI", "u" * 2001, "长度 2001 字符，格式要求 URI"),
        ("Money", 200.01, "应为整数分"),
        ("Money", True, "应为整数分"),
        ("Money", 2**63, "金额超出可保存的范围"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_reason(form: str, value: object, reason: str):
    with pytest.raises(ValueError, match=exactly(reason)):
        check_value(parse_format(form), value)


# Money and time as people read them


@pytest.mark.parametrize(
    ("fen", "yuan"),
    [
        (0, "0.00"),
        (1, "0.01"),
        (20001, "200.01"),
        (-5, "-0.05"),
        (-12345, "-123.45"),
        (2**31, "21474836.48"),
        (9007199254740993, "90071992547409.93"),
    ],
)
def test_money_is_printed_in_yuan_with_two_decimals(fen: int, yuan: str):
    assert print_money(fen) == yuan


@given(st.integers())
def test_printed_money_is_the_same_money(fen: int):
    assert int(print_money(fen).replace(".", "")) == fen


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 6, 1, 8, 30, tzinfo=CHINA_TIME), "2024-06-01T08:30:00+08:00"),
        (datetime(2024, 5, 31, 16, 0, 1, tzinfo=UTC), "2024-06-01T00:00:01+08:00"),
        (datetime(2024, 6, 1, 2, tzinfo=timezone(timedelta(hours=-5))), "2024-06-01T15:00:00+08:00"),
        (datetime(2024, 6, 1, microsecond=7000, tzinfo=CHINA_TIME), "2024-06-01T00:00:00.007+08:00"),
        (datetime(2024, 6, 1, microsecond=7, tzinfo=CHINA_TIME), "2024-06-01T00:00:00+08:00"),
        (datetime(1988, 7, 1, tzinfo=UTC), "1988-07-01T08:00:00+08:00"),
    ],
    ids=["Beijing", "UTC", "elsewhere", "milliseconds", "less than a millisecond", "no summer time in 1988"],
)
def test_an_instant_is_printed_in_beijing_time(moment: datetime, text: str):
    assert print_datetime(moment) == text


# 统一社会信用代码 (GB 32100)


def uscc(body: str) -> str:
    return body + uscc_check_digit(body)


def test_a_real_code_is_accepted():
    assert check_uscc("91110000600037341L") == "91110000600037341L"


def test_a_code_is_brought_into_its_normal_form():
    assert check_uscc(" 91110000600037341l ") == "91110000600037341L"


@pytest.mark.parametrize(
    "body",
    [
        "A1350000600037341",
        "N2350128MA1B3N1N2",
        "N3350100001755309",
        "Y1350000600037341",
        "11350000003591037",
        "93350121MA1B3N1N2",
    ],
    ids=["military", "village collective", "town collective", "other", "agency", "cooperative"],
)
def test_codes_of_every_registrar_are_accepted(body: str):
    assert check_uscc(uscc(body)) == uscc(body)


@pytest.mark.parametrize("letter", "IOZSV")
def test_a_letter_outside_the_alphabet_is_refused(letter: str):
    with pytest.raises(ValueError, match="不含 I、O、Z、S、V"):
        check_uscc(f"9111000060003734{letter}L")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("91110000600037341M", "统一社会信用代码校验位应为 L，实为 M"),
        ("91110000600037341I", "统一社会信用代码校验位应为 L，实为 I"),
        ("91110000600037314L", "统一社会信用代码校验位应为 .*，实为 L"),
        ("9111000060003734", "统一社会信用代码应为 18 位，实为 16 位"),
        ("350100400000000", "统一社会信用代码应为 18 位，实为 15 位"),
        ("", "统一社会信用代码应为 18 位，实为 0 位"),
        ("９１１１００００６０００３７３４１L", "统一社会信用代码只含数字和大写字母"),
    ],
    ids=[
        "wrong check digit",
        "check digit outside the alphabet",
        "two digits swapped",
        "short",
        "old number",
        "empty",
        "full width",
    ],
)
def test_a_wrong_code_is_refused_with_the_reason(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        check_uscc(text)


@given(st.text(USCC_ALPHABET, min_size=17, max_size=17), st.integers(0, 16), st.sampled_from(USCC_ALPHABET))
def test_one_wrong_character_is_always_noticed(body: str, at: int, other: str):
    spoilt = body[:at] + other + body[at + 1 :]
    assert (uscc_check_digit(spoilt) == uscc_check_digit(body)) == (spoilt == body)


@pytest.mark.parametrize("code", ["600037341", "MA1B3N1N2", "001755309", "00000006X", "001000010"])
def test_the_check_digit_of_an_organisation_code(code: str):
    assert org_code_check_digit(code[:8]) == code[8]


@pytest.mark.parametrize(
    ("body", "doubt"),
    [
        ("91110000600037341", None),
        ("N2350128MA1B3N1N2", None),
        ("91110000600037340", "第 9–17 位不是组织机构代码（GB 11714）：校验位应为 1，实为 0"),
        ("B1110000600037341", "首位 B 不是登记管理部门代码（GB 32100）"),
        ("9111000000000006A", "第 9–17 位不是组织机构代码（GB 11714）：校验位应为 X，实为 A"),
    ],
)
def test_a_code_is_doubted_when_no_organisation_code_is_inside(body: str, doubt: str | None):
    assert doubt_uscc(check_uscc(uscc(body))) == doubt


# 公民身份号码 (GB 11643)


def id_no(body: str) -> str:
    return body + id_check_digit(body)


NUMBER_WITH_X = next(number for n in range(1000) if (number := id_no(f"35010219900307{n:03}")).endswith("X"))


def test_a_small_x_becomes_a_capital():
    assert check_id_no(NUMBER_WITH_X.lower()) == NUMBER_WITH_X


def test_an_old_number_of_fifteen_digits_stays_as_it_is():
    assert check_id_no("350102900307001") == "350102900307001"


@pytest.mark.parametrize("division", ["352101", "350402", "350625"], ids=["old prefecture", "梅列区", "长泰县"])
def test_a_division_that_is_no_more_is_no_mistake(division: str):
    assert check_id_no(id_no(f"{division}19800101001")) == id_no(f"{division}19800101001")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (NUMBER_WITH_X[:-1] + "0", "公民身份号码校验位不符"),
        (id_no("35010219900230001"), "公民身份号码中的出生日期不存在"),
        ("350102901307001", "公民身份号码中的出生日期不存在"),
        ("35010219900307", "公民身份号码应为 18 位（或 15 位旧号）"),
        ("X5010219900307001X", "公民身份号码应为 18 位（或 15 位旧号）"),
        ("３５０１０２９００３０７００１", "公民身份号码应为 18 位（或 15 位旧号）"),
        ("无", "公民身份号码应为 18 位（或 15 位旧号）"),
        ("", "公民身份号码应为 18 位（或 15 位旧号）"),
    ],
    ids=["wrong check digit", "30 February", "month 13", "short", "a letter in front", "full width", "none", "empty"],
)
def test_a_wrong_number_is_refused_with_the_reason(number: str, reason: str):
    with pytest.raises(ValueError, match=exactly(reason)):
        check_id_no(number)


def test_the_checks_elements_may_ask_for():
    assert {"uscc": check_uscc, "id_no": check_id_no} == CHECKS
    assert {"uscc": doubt_uscc} == DOUBTS


# Document numbers 文号


@pytest.mark.parametrize(
    "written",
    [
        "闽滨市监罚〔2024〕12号",
        "闽滨市监罚［2024］12号",
        "闽滨市监罚【2024】12号",
        "闽滨市监罚[2024]12号",
        "闽滨市监罚(2024)12号",
        "闽滨市监罚（2024）12号",
        "闽滨市监罚﹝2024﹞12号",
        "闽滨市监罚〖2024〗12号",
        "闽滨市监罚（２０２４）１２号",
        " 闽滨市监罚 [ 2024 ]\u300012\u00a0号\n",
        "闽滨市监罚\u200b〔2024〕12号\ufeff",
    ],
)
def test_one_document_number_has_one_normal_form(written: str):
    assert normal_doc_no(written) == "闽滨市监罚〔2024〕12号"


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("闽市监(特)罚(2024)1-2号", "闽市监(特)罚〔2024〕1-2号"),
        ("闽市监（特）罚〔2024〕１－２号", "闽市监（特）罚〔2024〕1-2号"),
        ("ＭＳ２０２４－１", "MS2024-1"),
        ("[12]号", "[12]号"),
    ],
    ids=["brackets around a word", "full width hyphen", "full width letters", "no year"],
)
def test_only_the_writing_of_a_number_is_made_one(written: str, normal: str):
    assert normal_doc_no(written) == normal
    assert normal_doc_no(normal) == normal
