"""Old identity-card prefixes, retired county codes at past dates and N-prefixed credit codes are accepted; today's use of a
retired code is an issue. What is refused and what is doubtful is told in the store and beside the answer alike."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from contract_tests.federation import Asking, Federation, copy_mappings, definitions_of, federation
from contract_tests.stores import listed
from gateway.returning import Wanted, return_data
from schema.identifiers import uscc_check_digit

pytestmark = pytest.mark.anyio
AGENCY = "11350100MB0A00018J"
COUNTY_UNTIL_2017 = "350182"
"""长乐市, since 2018 the district 350112."""
OLD_CARD, CARD_WITH_X = "352101195001010021", "35210119500101003X"
WRONG_CARD = "352101195001010022"
CARD_OF_15_DIGITS = "352101500101002"
VILLAGE_COLLECTIVE = "N2350128MA1B3N1N2" + uscc_check_digit("N2350128MA1B3N1N2")
NO_ORG_CODE_INSIDE = "91350128MA1B3N1N3" + uscc_check_digit("91350128MA1B3N1N3")
PARTY_OF_A_WRONG_CARD = "出示了错号身份证的人"


def case(number: str, began: str, division: str, **party: str) -> dict[str, Any]:
    """A case as 滨海市市场监督管理局 writes it, of a violation that began on that day in that division."""
    told = {"MC": "滨海某某", "LX": "2", "ZJLX": None, "ZJHM": "", **party}
    return {
        "AJBH": number,
        "AJMC": f"{number} 案",
        "DSR": [told],
        "CXLX": "2",
        "AJZT": "20",
        "WFDQH": division,
        "WFKSRQ": began,
        "MJ": "0",
        "GXSJ": "2026-06-01 09:00:00",
        "SCBZ": "0",
    }


def decision(number: int, doc_no: str) -> str:
    """A row of the exchange table with this document number."""
    return (
        f"CF{number},A-1,{doc_no},1,1,警告,,,,2024/04/10,2025/04/10,无,2024/04/25,1,2024-04-11 09:30:00,S,B{number},i"
    )


CASES = [
    case("old-county", "2016-05-01", COUNTY_UNTIL_2017),
    case("last-day", "2017-12-31", COUNTY_UNTIL_2017),
    case("day-after", "2018-01-01", COUNTY_UNTIL_2017),
    case("retired-today", "2026-05-01", COUNTY_UNTIL_2017),
    case("no-such-county", "2026-05-01", "359999"),
    case("elsewhere", "2026-05-01", "330106"),
    case("old-card", "2026-05-01", "350102", ZJLX="01", ZJHM=OLD_CARD),
    case("small-x", "2026-05-01", "350102", ZJLX="01", ZJHM=CARD_WITH_X.lower()),
    case("card-of-15", "2026-05-01", "350102", ZJLX="01", ZJHM=CARD_OF_15_DIGITS),
    case("wrong-card", "2026-05-01", "350102", ZJLX="01", ZJHM=WRONG_CARD, MC=PARTY_OF_A_WRONG_CARD),
    case("passport", "2026-05-01", "350102", ZJLX="02", ZJHM=WRONG_CARD),
    case("village", "2026-05-01", "350128", LX="1", TYSHXYDM=VILLAGE_COLLECTIVE),
    case("no-org-code", "2026-05-01", "350128", LX="1", TYSHXYDM=NO_ORG_CODE_INSIDE),
]
DECISIONS = [decision(1, "闽滨市监罚［２０２４］ 12 号"), decision(2, "闽滨市监罚〔2024〕13号")]
RETIRED = "代码 350182（长乐市）有效至 2017-12-31，不适用于 {}，承接代码 350112（长乐区）"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """The market agency and its exchange database, with the cases and decisions above for samples."""
    folder = tmp_path_factory.mktemp("spec_checks")
    mappings = copy_mappings(folder, "binhai_market", "binhai_exchange")
    (mappings / "binhai_market/samples/EnforcementCase.json").write_text(json.dumps(CASES), "utf-8")
    table = mappings / "binhai_exchange/samples/t_xzcf_jd.csv"
    header = table.read_text("utf-8").splitlines()[0]
    table.write_text("\n".join([header, *DECISIONS, ""]), "utf-8")
    with federation(folder, mappings) as running:
        yield running


@pytest.fixture
def province(running: Federation, tmp_path: Path) -> Federation:
    """The same with an empty store."""
    running.settings_changed = {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"}
    return running


def sync(province: Federation, source: str) -> None:
    """One data return of a source."""
    assert return_data(province.settings, definitions_of(province.settings), source, Wanted(), print)


async def ask(gateway: Asking, number: str) -> tuple[dict[str, Any], list[tuple[str, str, str, str]]]:
    """The case and its party, and what is told beside them: (element, CV44, severity, reason)."""
    query = f"""{{ enforcementCase(agencyCode: "{AGENCY}", sourceCaseNo: "{number}") {{
        violationDivisionCode parties {{ partyName uscc idType idNo }} }} }}"""
    answer = await gateway.ask(query)
    assert "errors" not in answer
    issues = answer.get("extensions", {}).get("dataIssues", [])
    return answer["data"]["enforcementCase"], [
        (i["element"], i["checkType"], i["severity"], i["reason"]) for i in issues
    ]


def recorded(gateway: Asking) -> dict[str, list[tuple[str, str, str, str, str | None]]]:
    """What is open in the store by case number: (element, CV44, severity, reason, raw)."""
    found: dict[str, list[tuple[str, str, str, str, str | None]]] = {}
    for open_issue in gateway.gateway.store.issues():
        issue = open_issue.issue
        told = (issue.element, issue.check_type, issue.severity, issue.reason, issue.raw)
        found.setdefault(str(issue.key).removeprefix(f"{AGENCY}/"), []).append(told)
    return found


@pytest.mark.parametrize("number", ["old-county", "last-day"])
async def test_a_retired_county_code_is_accepted_for_a_fact_of_its_time(province: Federation, number: str) -> None:
    async with province.gateway() as gateway:
        told, issues = await ask(gateway, number)
    assert (told["violationDivisionCode"], issues) == (COUNTY_UNTIL_2017, [])


@pytest.mark.parametrize(("number", "day"), [("day-after", "2018-01-01"), ("retired-today", "2026-05-01")])
async def test_a_retired_county_code_used_for_a_later_fact_stays_with_a_warning_that_names_its_successor(
    province: Federation, number: str, day: str
) -> None:
    async with province.gateway() as gateway:
        told, issues = await ask(gateway, number)
        await gateway.settle()
        stored = recorded(gateway)
    reason = RETIRED.format(day)
    assert told["violationDivisionCode"] == COUNTY_UNTIL_2017
    assert issues == [("violation_division_code", "04", "warning", reason)]
    assert stored == {number: [("violation_division_code", "04", "warning", reason, "350182")]}


async def test_a_county_that_never_was_is_null_with_an_issue_and_one_of_another_province_is_taken(
    province: Federation,
) -> None:
    async with province.gateway() as gateway:
        unknown = await ask(gateway, "no-such-county")
        elsewhere, issues = await ask(gateway, "elsewhere")
    assert unknown[0]["violationDivisionCode"] is None
    assert unknown[1] == [("violation_division_code", "04", "error", "不在代码表“行政区划代码”中")]
    assert (elsewhere["violationDivisionCode"], issues) == ("330106", [])


@pytest.mark.parametrize(
    ("number", "card"),
    [("old-card", OLD_CARD), ("small-x", CARD_WITH_X), ("card-of-15", CARD_OF_15_DIGITS), ("passport", WRONG_CARD)],
)
async def test_a_card_of_the_old_prefecture_is_accepted_and_a_passport_is_not_judged_as_one(
    province: Federation, number: str, card: str
) -> None:
    async with province.gateway() as gateway:
        told, issues = await ask(gateway, number)
    assert ([party["idNo"] for party in told["parties"]], issues) == ([card], [])


async def test_a_wrong_identity_card_number_is_null_and_shown_nowhere(province: Federation) -> None:
    async with province.gateway() as gateway:
        told, issues = await ask(gateway, "wrong-card")
        await gateway.settle()
        ((party, stored),) = recorded(gateway).items()
        (known,) = gateway.gateway.store.by_keys("Party", [party])
    assert told["parties"] == [
        {"partyName": PARTY_OF_A_WRONG_CARD, "uscc": None, "idType": "RESIDENT_IDENTITY_CARD", "idNo": None}
    ]
    assert issues == [("id_no", "05", "error", "公民身份号码校验位不符")]
    assert stored == [("id_no", "05", "error", "公民身份号码校验位不符", None)]
    assert party.startswith("~binhai_market:")
    assert known.mapped.values == {
        "party_name": PARTY_OF_A_WRONG_CARD,
        "party_type": "INDIVIDUAL",
        "id_type": "RESIDENT_IDENTITY_CARD",
    }


async def test_a_credit_code_of_a_village_collective_is_accepted(province: Federation) -> None:
    async with province.gateway() as gateway:
        told, issues = await ask(gateway, "village")
    assert ([party["uscc"] for party in told["parties"]], issues) == ([VILLAGE_COLLECTIVE], [])


async def test_a_credit_code_without_an_organisation_code_inside_stays_with_a_warning(province: Federation) -> None:
    async with province.gateway() as gateway:
        told, issues = await ask(gateway, "no-org-code")
        await gateway.settle()
        stored = recorded(gateway)
    reason = "第 9–17 位不是组织机构代码（GB 11714）：校验位应为 2，实为 3"
    assert [party["uscc"] for party in told["parties"]] == [NO_ORG_CODE_INSIDE]
    assert issues == [("uscc", "05", "warning", reason)]
    assert stored == {NO_ORG_CODE_INSIDE: [("uscc", "05", "warning", reason, NO_ORG_CODE_INSIDE)]}


async def test_a_data_return_records_the_same_issues_as_the_answers_and_no_others(province: Federation) -> None:
    await anyio.to_thread.run_sync(sync, province, "binhai_market")
    async with province.gateway() as gateway:
        returned = recorded(gateway)
        cases = listed(gateway.gateway.store, "EnforcementCase", 100)[2]
    told = {
        element: sorted(key for key, found in returned.items() if found[0][0] == element)
        for element in ("violation_division_code", "uscc", "id_no")
    }
    assert cases == len(CASES)
    assert told["violation_division_code"] == ["day-after", "no-such-county", "retired-today"]
    assert told["uscc"] == [NO_ORG_CODE_INSIDE]
    assert [key[:15] for key in told["id_no"]] == ["~binhai_market:"]
    assert sum(map(len, returned.values())) == 5


@pytest.mark.parametrize(
    "written",
    [
        "闽滨市监罚〔2024〕{}号",
        "闽滨市监罚［2024］{}号",
        "闽滨市监罚【2024】{}号",
        "闽滨市监罚(2024){}号",
        "闽滨市监罚（２０２４）{}号",
        " 闽滨市监罚 [2024] {} 号　",
    ],
)
async def test_a_document_number_finds_its_decision_however_it_is_written(province: Federation, written: str) -> None:
    await anyio.to_thread.run_sync(sync, province, "binhai_exchange")
    async with province.gateway() as gateway:
        found = [
            await gateway.ask(
                "query ($agency: Uscc!, $no: String!) { penaltyDecision(ownerAgencyCode: $agency, decisionDocNo: $no)"
                " { decisionDocNo } }",
                agency=AGENCY,
                no=written.format(number),
            )
            for number in (12, 13)
        ]
    assert [answer["data"]["penaltyDecision"]["decisionDocNo"] for answer in found] == [
        "闽滨市监罚〔2024〕12号",
        "闽滨市监罚〔2024〕13号",
    ]
