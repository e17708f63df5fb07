"""One query, one typed answer put together from six systems, each simulated on a real socket with its real protocol."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from adapters.mapping.record import Mapped
from adapters.simulator.faults import Fault
from contract_tests.federation import SOURCES, Federation, copy_mappings, federation
from contract_tests.six_systems import calm, six
from contract_tests.stores import listed
from gateway.definitions import prove
from gateway.engine.storage import MOST_RELATED
from gateway.returning import return_everything
from gateway.settings import PROJECT
from gateway.store.arriving import Landing
from schema.formats import CHINA_TIME
from schema.identifiers import uscc_check_digit

__all__ = ["calm", "six"]
pytestmark = pytest.mark.anyio
FEDERATED = (PROJECT / "schema" / "examples" / "federated.graphql").read_text("utf-8")
MARKET = "11350100MB0A00018J"


def told_by(tree: Any) -> set[tuple[str, str]]:
    """Every (source, mode) anywhere in an answer."""
    if isinstance(tree, list):
        return set().union(*map(told_by, tree))
    if not isinstance(tree, dict):
        return set()
    own = {(tree["source"], tree["mode"])} if "mode" in tree else set()
    return own.union(*map(told_by, tree.values()))


async def test_one_query_is_answered_by_six_systems(six: Federation) -> None:
    async with six.gateway() as gateway:
        answer = await gateway.ask(FEDERATED)
    assert set(answer) == {"data"}
    case = answer["data"]["enforcementCase"]
    assert told_by(case) == {(source, "LIVE") for source in SOURCES}
    assert case["caseName"] == "闽海通达物流有限公司涉嫌作引人误解的商业宣传案"
    assert case["involvedAmount"] == "123456.00"
    assert [(d["decisionDocNo"], d["fineAmount"]) for d in case["penaltyDecisions"]] == [
        ("闽滨市监罚〔2024〕137号", "200000.00")
    ]
    assert [officer["officerName"] for officer in case["officers"]] == ["林甲", "陈乙", "黄丙"]
    (party,) = case["parties"]
    assert {p["source"] for p in party["provenance"]} == {"binhai_market", "national_registry", "traffic_police"}
    assert (party["partyName"], party["legalRepName"]) == ("闽海通达物流有限公司", "林海样")
    assert [licence["certCode"] for licence in party["licenses"]] == ["闽交运管许可滨字350100000011号", "JT-WH-35-0012"]
    traffic = [c for c in party["enforcementCases"] if c["sourceCaseNo"].startswith("3501")]
    assert [d["fineAmount"] for c in traffic for d in c["penaltyDecisions"]] == ["300.00", "200.00", "1000.00"]
    assert re.fullmatch(r"350100\d{18}", case["caseCode"])


async def test_each_source_is_asked_once_a_wave_and_never_the_same_twice(six: Federation) -> None:
    async with six.gateway() as gateway:
        await gateway.ask(FEDERATED)
    assert six.calls() == {
        "binhai_market.cases_by_no": [1],
        "binhai_market.cases_of_party": [1],
        "binhai_exchange.penalties_of_case": [1],
        "national_registry.enterprises_by_uscc": [1],
        "provincial_platform.officers_by_cert": [3],
        "traffic_police.violations_of_party": [1],
        "transport_licence.licenses_of_holder": [1],
    }


@pytest.mark.parametrize("source", SOURCES)
async def test_a_source_that_was_asked_before_and_is_down_now_is_answered_from_the_store(
    six: Federation, source: str
) -> None:
    async with six.gateway() as gateway:
        before = await gateway.ask(FEDERATED)
        await gateway.settle()
        six.simulators[source].stop()
        try:
            during = await gateway.ask(FEDERATED)
        finally:
            six.simulators[source].start()
        after = await gateway.ask(FEDERATED)
    assert told_by(during["data"]) == {(name, "STALE" if name == source else "LIVE") for name in SOURCES}
    assert without_provenance(during["data"]) == without_provenance(before["data"])
    assert {e["source"] for e in during["extensions"]["sourceErrors"]} == {source}
    assert {e["answeredFrom"] for e in during["extensions"]["sourceErrors"]} == {"STORE"}
    assert "errors" not in during
    assert told_by(after["data"]) == {(name, "LIVE") for name in SOURCES}


def without_provenance(tree: Any) -> Any:
    if isinstance(tree, list):
        return [without_provenance(item) for item in tree]
    if isinstance(tree, dict):
        return {name: without_provenance(value) for name, value in tree.items() if name != "provenance"}
    return tree


async def test_what_was_only_ever_synced_answers_for_a_source_that_is_down(six: Federation) -> None:
    settings, definitions = prove(six.settings.secrets)
    told: list[str] = []
    await anyio.to_thread.run_sync(return_everything, settings, definitions, told.append)
    down = ("binhai_market", "national_registry", "transport_licence", "traffic_police")
    async with six.gateway() as gateway:
        for source in down:
            six.simulators[source].stop()
        try:
            answer = await gateway.ask(FEDERATED)
            none = await gateway.ask('{ party(uscc: "91350200MA0C000247") { partyName licenses { certCode } } }')
        finally:
            for source in down:
                six.simulators[source].start()
    assert "errors" not in answer
    assert told_by(answer["data"]) == {(name, "STALE" if name in down else "LIVE") for name in SOURCES}
    (party,) = answer["data"]["enforcementCase"]["parties"]
    assert (party["partyName"], party["legalRepName"], len(party["licenses"])) == ("闽海通达物流有限公司", "林海样", 2)
    assert len(party["enforcementCases"]) == 4
    assert none["data"]["party"]["licenses"] == []


@pytest.mark.parametrize(
    ("source", "gone", "paths"),
    [
        ("provincial_platform", "officers_by_cert", {"certStatus", "certValidTo", "officerName"}),
        ("transport_licence", "licenses_of_holder", {"licenses"}),
        ("binhai_exchange", "penalties_of_case", {"penaltyDecisions"}),
        ("national_registry", "enterprises_by_uscc", {"businessRegNo", "legalRepName", "registeredAddress"}),
        ("traffic_police", "violations_of_party", {"enforcementCases"}),
        (
            "binhai_market",
            "cases_by_no",
            {"caseName", "causeOfAction", "caseStatus", "filedDate", "involvedAmount", "officers", "parties"},
        ),
    ],
)
async def test_a_source_that_was_never_asked_and_is_down_leaves_null_and_an_error_with_path(
    six: Federation, source: str, gone: str, paths: set[str]
) -> None:
    six.simulators[source].stop()
    try:
        async with six.gateway() as gateway:
            answer = await gateway.ask(FEDERATED)
    finally:
        six.simulators[source].start()
    found = [error for error in answer["errors"] if error["extensions"]["operation"] == gone]
    assert {error["path"][-1] for error in found} == paths
    for error in found:
        assert error["message"] == "来源系统暂时无法访问"
        expected = {"code": "SOURCE_UNAVAILABLE", "source": source, "operation": gone, "retryable": True}
        assert error["extensions"] == expected
    others = told_by(answer["data"]) | {(source, "LIVE")}
    if source != "binhai_market":
        assert others == {(name, "LIVE") for name in SOURCES}


@pytest.mark.parametrize(
    ("source", "fault", "code"),
    [
        ("provincial_platform", Fault("fail"), "SOURCE_UNAVAILABLE"),
        ("provincial_platform", Fault("throttle"), "SOURCE_THROTTLED"),
        ("provincial_platform", Fault("truncate"), "SOURCE_UNAVAILABLE"),
        ("provincial_platform", Fault("garbage"), "SOURCE_CONTRACT_BROKEN"),
        ("transport_licence", Fault("fault", code="Busy"), "SOURCE_UNAVAILABLE"),
        ("transport_licence", Fault("fault", code="Auth"), "SOURCE_DENIED"),
        ("transport_licence", Fault("fault", code="Whatever"), "SOURCE_REJECTED"),
        ("traffic_police", Fault("garbage"), "SOURCE_CONTRACT_BROKEN"),
        ("binhai_exchange", Fault("fail"), "SOURCE_UNAVAILABLE"),
        ("binhai_market", Fault("drop"), "SOURCE_UNAVAILABLE"),
    ],
)
async def test_every_way_a_source_fails_has_its_code_and_hurts_nothing_else(
    six: Federation, source: str, fault: Fault, code: str
) -> None:
    six.simulators[source].faults.add(fault)
    async with six.gateway() as gateway:
        answer = await gateway.ask(FEDERATED)
    codes = {error["extensions"]["code"] for error in answer["errors"] if error["extensions"]["source"] == source}
    assert codes == {code}
    if source != "binhai_market":
        assert answer["data"]["enforcementCase"]["caseName"]


async def test_a_slow_source_fails_alone_and_the_request_keeps_its_deadline(six: Federation) -> None:
    six.simulators["transport_licence"].faults.add(Fault("slow", seconds=30))
    async with six.gateway() as gateway:
        answer = await gateway.ask(FEDERATED, seconds=6)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "SOURCE_TIMEOUT"
    assert error["path"] == ["enforcementCase", "parties", 0, "licenses"]
    assert answer["data"]["enforcementCase"]["parties"][0]["legalRepName"] == "林海样"


async def test_a_value_that_cannot_be_converted_is_null_with_an_issue_and_nothing_else_is_lost(six: Federation) -> None:
    query = (PROJECT / "schema" / "examples" / "bad_data.graphql").read_text("utf-8")
    async with six.gateway() as gateway:
        answer = await gateway.ask(query)
        await gateway.settle()
        recorded = {(i.issue.source, i.issue.element) for i in gateway.gateway.store.issues()}
    assert "errors" not in answer
    digit, fine = answer["data"]["wrongDigit"], answer["data"]["tooFine"]
    assert [(p["partyName"], p["uscc"]) for p in digit["parties"]] == [("滨海乐居建材有限公司", None)]
    assert [d["fineAmount"] for d in digit["penaltyDecisions"]] == ["46800.00"]
    assert (fine["caseName"][:6], fine["involvedAmount"]) == ("滨海康宁大药", None)
    assert [(d["decisionDate"], d["fineAmount"]) for d in fine["penaltyDecisions"]] == [(None, "100000.00")]
    told = {(i["source"], i["element"]) for i in answer["extensions"]["dataIssues"]}
    assert told == recorded
    assert told == {
        ("binhai_market", "uscc"),
        ("binhai_market", "involved_amount"),
        ("binhai_exchange", "penalty_kinds"),
        ("binhai_exchange", "decision_date"),
    }


async def test_a_case_the_source_does_not_know_is_null_and_no_error(six: Federation) -> None:
    async with six.gateway() as gateway:
        answer = await gateway.ask(
            f'{{ enforcementCase(agencyCode: "{MARKET}", sourceCaseNo: "BHSJ-2024-9999") {{ caseCode caseName }} }}'
        )
        identities = listed(gateway.gateway.store, "EnforcementCase", 10)
    assert answer == {"data": {"enforcementCase": None}}
    assert identities == ([], False, 0)


async def test_a_case_that_only_a_decision_names_does_not_exist_for_whoever_asks_for_it(six: Federation) -> None:
    dataset = six.simulators["binhai_market"].dataset
    before = dataset.records("EnforcementCase")
    dataset.replace("EnforcementCase", [case for case in before if case["AJBH"] != "BHSJ-2024-0137"])
    try:
        async with six.gateway() as gateway:
            answer = await gateway.ask(FEDERATED)
    finally:
        dataset.replace("EnforcementCase", before)
    assert answer == {"data": {"enforcementCase": None}}


async def test_provenance_says_which_elements_each_source_told(six: Federation) -> None:
    async with six.gateway() as gateway:
        answer = await gateway.ask(FEDERATED)
    (party,) = answer["data"]["enforcementCase"]["parties"]
    told = {p["source"]: set(p["elements"]) for p in party["provenance"]}
    assert told["traffic_police"] == {"partyKey", "partyName", "uscc"}
    assert {"legalRepName", "registeredAddress", "businessRegNo"} <= told["national_registry"]
    assert "legalRepName" not in told["binhai_market"]


async def test_a_relation_too_long_to_answer_whole_is_refused_and_never_cut_off(six: Federation) -> None:
    query = f'{{ agency(agencyCode: "{MARKET}") {{ agencyName officers {{ certNo }} }} }}'
    people = [
        Mapped("Officer", f"C{n:04d}", MARKET, {"cert_no": f"C{n:04d}"}, refs={"agency": (MARKET,)})
        for n in range(MOST_RELATED + 1)
    ]
    async with six.gateway() as gateway:
        store = gateway.gateway.store
        store.land(landing(people[:-1]))
        whole = await gateway.ask(query)
        store.land(landing(people[-1:]))
        refused = await gateway.ask(query)
    assert len(whole["data"]["agency"]["officers"]) == MOST_RELATED
    assert refused["data"]["agency"] == {"agencyName": "滨海市市场监督管理局", "officers": None}
    (error,) = refused["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["agency", "officers"], "TOO_MANY_RELATED")


def landing(people: list[Mapped]) -> Landing:
    raw = people[0].key.encode()
    received = datetime.now(CHINA_TIME)
    return Landing("provincial_platform", "officers_changed", raw, "text/plain", received, people, "test")


async def test_a_person_is_found_by_a_hashed_key_that_never_shows_the_number(six: Federation) -> None:
    query = f'{{ enforcementCase(agencyCode: "{MARKET}", sourceCaseNo: "%s") {{ parties {{ id partyKey partyName uscc }} }} }}'
    async with six.gateway() as gateway:
        cases = json.loads((PROJECT / "mappings/binhai_market/samples/EnforcementCase.json").read_text("utf-8"))
        number, person = next((c["AJBH"], d) for c in cases for d in c["DSR"] if d.get("ZJHM", "").startswith("3501"))
        answer = await gateway.ask(query % number)
    (party,) = [p for p in answer["data"]["enforcementCase"]["parties"] if p["uscc"] is None]
    assert party["partyKey"].startswith("p1-")
    assert person["ZJHM"] not in json.dumps(answer)


async def test_the_allotted_case_code_finds_the_case_again(six: Federation) -> None:
    async with six.gateway() as gateway:
        code = (await gateway.ask(FEDERATED))["data"]["enforcementCase"]["caseCode"]
        found = await gateway.ask(
            f'{{ enforcementCase(caseCode: "{code}") {{ sourceCaseNo caseCode provenance {{ mode }} }} }}'
        )
    again = {"sourceCaseNo": "BHSJ-2024-0137", "caseCode": code, "provenance": [{"mode": "LIVE"}]}
    assert found["data"]["enforcementCase"] == again


async def test_the_plan_comes_with_the_answer_when_asked_for(six: Federation) -> None:
    async with six.gateway() as gateway:
        answer = await gateway.ask(FEDERATED, explain=True)
    assert answer["extensions"]["plan"][0].startswith("5 waves, 18 steps, 6 sources")


def fifty_cases(mappings: Path) -> None:
    """Samples of 50 cases, each with a company of its own and two of 60 officers."""
    cases_file = mappings / "binhai_market" / "samples" / "EnforcementCase.json"
    model = json.loads(cases_file.read_text("utf-8"))[0]
    codes = [(body := f"91350100MA{n:07d}") + uscc_check_digit(body) for n in range(50)]
    certs = [f"3501002024{n:04d}" for n in range(60)]
    cases = [
        {
            **model,
            "AJBH": f"C-{n:03d}",
            "ZFRY": [{"ZFZH": certs[n]}, {"ZFZH": certs[(n + 10) % 60]}],
            "DSR": [{"MC": f"公司{n}", "LX": "1", "TYSHXYDM": codes[n]}],
        }
        for n in range(50)
    ]
    cases_file.write_text(json.dumps(cases, ensure_ascii=False), "utf-8")
    companies = mappings / "national_registry" / "samples" / "Party.json"
    company = json.loads(companies.read_text("utf-8"))[0]
    listed = [{**company, "uniscid": code, "entname": f"公司{n}", "lerep": f"代表{n}"} for n, code in enumerate(codes)]
    companies.write_text(json.dumps(listed, ensure_ascii=False), "utf-8")
    officers = mappings / "provincial_platform" / "samples" / "Officer.json"
    officer = json.loads(officers.read_text("utf-8"))[0]
    people = [{**officer, "zfzh": cert, "xm": f"人员{n}"} for n, cert in enumerate(certs)]
    officers.write_text(json.dumps(people, ensure_ascii=False), "utf-8")


async def test_fifty_cases_with_parties_and_officers_cost_one_call_a_source_and_wave_within_the_batch_size(
    tmp_path: Path,
) -> None:
    mappings = copy_mappings(tmp_path)
    fifty_cases(mappings)
    wanted = "caseName parties { partyName legalRepName } officers { officerName }"
    roots = " ".join(
        f'c{n}: enforcementCase(agencyCode: "{MARKET}", sourceCaseNo: "C-{n:03d}") {{ {wanted} }}' for n in range(50)
    )
    with federation(tmp_path, mappings) as running:
        async with running.gateway() as gateway:
            answer = await gateway.ask(f"{{ {roots} }}")
            counted = running.calls()
            await gateway.settle()
            running.forget_calls()
            listed = await gateway.ask(f"{{ enforcementCases(first: 50) {{ totalCount nodes {{ {wanted} }} }} }}")
            counted_from_list = running.calls()
    assert "errors" not in answer, answer["errors"][:2]
    assert counted.pop("binhai_market.cases_by_no") == [50]
    assert sorted(counted.pop("national_registry.enterprises_by_uscc")) == [10, 20, 20]
    assert counted.pop("provincial_platform.officers_by_cert") == [60]
    assert counted == {}
    assert answer["data"]["c7"]["parties"] == [{"partyName": "公司7", "legalRepName": "代表7"}]
    assert answer["data"]["c7"]["officers"] == [{"officerName": "人员7"}, {"officerName": "人员17"}]
    assert listed["data"]["enforcementCases"]["totalCount"] == 50
    assert listed["data"]["enforcementCases"]["nodes"][7] == answer["data"]["c7"]
    assert {name: sorted(keys) for name, keys in counted_from_list.items()} == {
        "national_registry.enterprises_by_uscc": [10, 20, 20],
        "provincial_platform.officers_by_cert": [60],
    }
