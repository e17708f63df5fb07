"""A query is planned whole before the first call: the printed plan is the promise."""

import pytest
from graphql import get_operation_ast, parse, validate

from adapters.mapping.load import load_mappings
from gateway.app import make_preparation
from gateway.definitions import prove
from gateway.engine.explain import explain
from gateway.engine.plan import Lookup, Plan
from gateway.engine.planner import Planner
from gateway.engine.preparation import Refused
from gateway.engine.selection import MOST_PARTS, boolean_variables, read_selection
from gateway.errors import QueryError, QueryTooLarge
from gateway.settings import folders_only
from schema.build import build_schema
from schema.load import load_registry

REGISTRY = load_registry()
MAPPINGS = load_mappings(REGISTRY)
SCHEMA = build_schema(REGISTRY)._schema


def plan(text: str, **variables: object) -> Plan:
    document = parse(text)
    assert validate(SCHEMA, document) == []
    operation = get_operation_ast(document)
    assert operation is not None
    return Planner(REGISTRY, MAPPINGS).plan(read_selection(document, operation, variables, REGISTRY))


def calls(text: str, **variables: object) -> list[tuple[int, str]]:
    steps = plan(text, **variables).steps
    return [(step.wave, f"{step.source}.{step.operation}") for step in steps if isinstance(step, Lookup)]


@pytest.mark.parametrize(
    ("listed", "shown", "read"),
    [
        ("enforcementCases", "caseCode caseName", "read whole"),
        ("enforcementCases", "caseName events { seqNo }", "read whole, with enforcementCases.events"),
        ("enforcementCases", "provenance { source }", "read step by step: origins are shown: enforcementCases"),
        ("enforcementCases", "parties { partyName }", "read step by step: sources are asked: national_registry"),
        ("penaltyDecisions", "caseCode", "read whole"),
    ],
)
def test_a_plan_says_whether_a_list_is_read_whole_or_why_not(listed: str, shown: str, read: str) -> None:
    printed = explain(plan(f"{{ {listed}(first: 5) {{ edges {{ node {{ {shown} }} }} }} }}"), REGISTRY, MAPPINGS)
    assert f"      for  {listed}\n      {read}\n" in printed


def test_a_plan_prints_its_waves_steps_keys_and_elements() -> None:
    text = """{ enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "1") {
        caseCode caseName archivedAt officers { officerName } penaltyDecisions { fineAmount } } }"""
    assert explain(plan(text), REGISTRY, MAPPINGS) == (
        """\
3 waves, 9 steps, 4 sources: binhai_exchange, binhai_market, provincial_platform, traffic_police

wave 1
  [1] binhai_market.cases_by_no -> EnforcementCase
      rest, <= 50 keys a call, timeout 8s (connecting 5s), concurrency 4, queue 128
      breaker after 5 failures or silence for 2s, retries 1 (<= 10% of calls)
      cache 5s stale 30s negative 2s
      for  enforcementCase  keys: sourceCaseNo of enforcementCase where agencyCode = 11350100MB0A00018J  route: by rule
           caseName, officers
  [2] traffic_police.violations_by_no -> EnforcementCase
      soap, <= 50 keys a call, timeout 10s (connecting 5s), concurrency 2, queue 64
      breaker after 5 failures or silence for 2s, retries 1 (<= 10% of calls)
      cache 5s stale 30s negative 2s
      for  enforcementCase  keys: sourceCaseNo of enforcementCase where agencyCode = 11100000MB0A00018B  route: by rule
  [3] binhai_exchange.penalties_of_case -> PenaltyDecision
      sql, <= 200 keys a call, timeout 6s, concurrency 3, queue 128
      breaker after 5 failures or silence for 2s, retries 1 (<= 10% of calls)
      cache 5s stale 30s negative 2s
      for  enforcementCase.penaltyDecisions  keys: sourceCaseNo of enforcementCase where agencyCode = 11350100MB0A00018J  route: by rule
           fineAmount

wave 2
  [4] store -> EnforcementCase
      for  enforcementCase  whatever no source could be asked for
  [5] provincial_platform.officers_by_cert -> Officer
      platform, <= 100 keys a call, timeout 8s (connecting 5s), concurrency 4, queue 128
      breaker after 5 failures or silence for 2s, retries 2 (<= 10% of calls), budget 100/s 3000/min
      cache 30s stale 300s negative 5s, hedge after p95
      for  enforcementCase.officers  keys: certNo of enforcementCase.officers
           officerName
  [6] store identity EnforcementCase -> caseCode
      for  enforcementCase

wave 3
  [7] store -> Officer
      for  enforcementCase.officers  whatever no source could be asked for
  [8] store -> PenaltyDecision
      for  enforcementCase.penaltyDecisions  whatever no source could be asked for
  [9] store identity EnforcementCase -> caseCode
      for  enforcementCase

no source (null): enforcementCase.archivedAt"""
    )


def test_a_key_that_an_argument_tells_is_known_before_its_record() -> None:
    text = '{ party(uscc: "91350100MA0B00015H") { legalRepName licenses { certCode } inspections { inspectionNo } } }'
    assert calls(text) == [
        (1, "national_registry.enterprises_by_uscc"),
        (1, "transport_licence.licenses_of_holder"),
        (1, "binhai_exchange.inspections_of_party"),
    ]


def test_a_copy_inside_another_record_is_not_asked_for_again() -> None:
    case = 'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "1")'
    assert "national_registry.enterprises_by_uscc" not in [
        c for _, c in calls(f"{{ {case} {{ parties {{ partyName uscc }} }} }}")
    ]
    assert (2, "national_registry.enterprises_by_uscc") in calls(
        f"{{ {case} {{ parties {{ partyName legalRepName }} }} }}"
    )


def test_only_a_key_needs_no_call_beyond_the_one_that_says_it_exists() -> None:
    assert calls('{ officer(certNo: "1") { certNo } }') == [(1, "provincial_platform.officers_by_cert")]
    assert calls(
        '{ enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "1") { officers { certNo } } }'
    ) == [
        (1, "binhai_market.cases_by_no"),
        (1, "traffic_police.violations_by_no"),
    ]


def test_the_same_operation_in_one_wave_is_one_step_whatever_asks_for_it() -> None:
    found = plan("""{
        a: officer(certNo: "1") { officerName }
        b: officer(certNo: "2") { certStatus agency { agencyName } }
        ...more }
        fragment more on Query { c: officer(certNo: "1") { certNo certType } }""")
    assert [(s.wave, s.source, s.operation, len(s.uses)) for s in found.steps if isinstance(s, Lookup)] == [
        (1, "provincial_platform", "officers_by_cert", 2),
        (2, "provincial_platform", "agencies_by_code", 1),
    ]


def test_skipped_fields_are_not_planned_for() -> None:
    text = """query Q($with: Boolean!) { officer(certNo: "1") { officerName agency @include(if: $with) { agencyName } } }"""
    assert boolean_variables(parse(text)) == ("with",)
    assert len(calls(text, **{"with": True})) == 2
    assert len(calls(text, **{"with": False})) == 1


def test_what_no_source_can_be_asked_for_comes_from_the_store() -> None:
    text = '{ agency(agencyCode: "11350100MB0A00018J") { officers { officerName } } }'
    assert "[2] store -> Officer" in explain(plan(text), REGISTRY, MAPPINGS)


@pytest.mark.parametrize("arguments", ["", 'sourceCaseNo: "1"', 'caseCode: "1", sourceCaseNo: "2"', "caseCode: null"])
def test_a_root_without_exactly_one_key_is_refused_with_the_choices(arguments: str) -> None:
    field = f"enforcementCase({arguments})" if arguments else "enforcementCase"
    with pytest.raises(QueryError, match=r"agencyCode \+ sourceCaseNo，或 caseCode"):
        plan(f"{{ {field} {{ caseName }} }}")


def refusals(text: str) -> list[str]:
    """Which limits the gateway says a query passes, before it makes any plan."""
    settings, definitions = prove(folders_only(), with_secrets=False)
    with pytest.raises(Refused) as caught:
        make_preparation(definitions, settings).prepare(text, {}, None)
    return [str((error.extensions or {}).get("limit")) for error in caught.value.errors]


def test_a_query_that_grows_without_end_is_refused_before_any_call() -> None:
    deep = "parties { enforcementCases { " * 12 + "caseName" + " } }" * 12
    assert refusals(f'{{ enforcementCase(caseCode: "1") {{ {deep} }} }}') == ["depth"]
    wide = " ".join(f'a{n}: party(uscc: "91350100MA0B00015H") {{ x: partyName }}' for n in range(3))
    assert len(plan(f"{{ {wide} }}").parts) == 1
    many = " ".join(f'a{n}: officer(certNo: "{n}") {{ officerName }}' for n in range(MOST_PARTS + 1))
    with pytest.raises(QueryTooLarge):
        plan(f"{{ {many} }}")


def test_doubling_fragments_are_measured_once_each() -> None:
    levels = 14
    fragments = "".join(
        f"fragment f{n} on Party {{ enforcementCases {{ parties {{ ...f{n + 1} }} }} ...f{n + 1} }}\n"
        for n in range(levels)
    )
    text = (
        f'{{ party(uscc: "91350100MA0B00015H") {{ ...f0 }} }}\n{fragments}fragment f{levels} on Party {{ partyName }}'
    )
    assert refusals(text) == ["depth"]
