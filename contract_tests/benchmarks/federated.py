"""What a federated query costs over the calls it needs.

`floor`: the same calls in the same waves, through the same adapters, nothing mapped and nothing answered.
`ours`: the engine, from text to the body of the answer, write-back included.
`peer` (one source only): stock Strawberry with httpx, written by hand as its documentation shows.
The sources are simulators in processes of their own. QUICK=1 makes fewer rounds.
"""

import asyncio
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import httpx
import strawberry

from adapters.source import Call
from contract_tests.benchmarks.rounds import Run, interleave, report
from gateway.app import Gateway
from gateway.context import Deadline, RequestContext
from gateway.definitions import load_definitions
from gateway.demo import simulators
from gateway.log import configure_logging
from gateway.settings import PROJECT, read_settings
from gateway.web.response import to_bytes

FEDERATED = (PROJECT / "schema" / "examples" / "federated.graphql").read_text("utf-8")
CASE = """query One { enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "BHSJ-2024-0137") {
    sourceCaseNo caseName causeOfAction caseStatus filedDate involvedAmount violationPlace isMajor } }"""
NUMBER, USCC = "BHSJ-2024-0137", "91350100MA0B00015H"
CERTS = ("35010020240001", "35010020240002", "35010020240003")
WAVES = (
    (("binhai_market", "cases_by_no", (NUMBER,)), ("binhai_exchange", "penalties_of_case", (NUMBER,))),
    (
        ("provincial_platform", "officers_by_cert", CERTS),
        ("national_registry", "enterprises_by_uscc", (USCC,)),
        ("transport_licence", "licenses_of_holder", (USCC,)),
        ("binhai_market", "cases_of_party", (USCC,)),
        ("traffic_police", "violations_of_party", (USCC,)),
    ),
)


def main() -> None:
    """Measure and print."""
    rounds, each = (5, 5) if os.environ.get("QUICK") else (21, 10)  # noqa: TID251 - a benchmark's own switch
    with tempfile.TemporaryDirectory() as folder, simulators() as children:
        environment = {
            "GATEWAY_DATABASE_URL": f"sqlite:///{Path(folder) / 'gateway.db'}",
            "GATEWAY_PARTY_KEY_SECRET": "benchmark",
            "GATEWAY_SYNC_EMBEDDED": "false",
        }
        for child in children:
            environment |= child.environment
        with (Path(folder) / "log").open("w", encoding="utf-8") as log:
            configure_logging(log)
            asyncio.run(_measure(environment, rounds, each))


async def _measure(environment: dict[str, str], rounds: int, each: int) -> None:
    settings = read_settings(environment)
    async with Gateway(load_definitions(settings), settings).running() as gateway:
        client = httpx.AsyncClient(trust_env=False)
        one = (WAVES[0][0],)
        figures = {
            "one case": await interleave(
                {"floor": _calls(gateway, (one,)), "ours": _ours(gateway, CASE), "peer": _peer(client, environment)},
                rounds,
                each,
            ),
            "federated": await interleave(
                {"floor": _calls(gateway, WAVES), "ours": _ours(gateway, FEDERATED)}, rounds, each
            ),
        }
        await client.aclose()
    report(f"federated: milliseconds a query, medians of {rounds} rounds of {each}", figures)


def _calls(gateway: Gateway, waves: tuple[tuple[tuple[str, str, tuple[str, ...]], ...], ...]) -> Run:
    async def run() -> None:
        for wave in waves:
            await asyncio.gather(
                *(gateway.calls.sources[source].call(Call(name, 10.0, keys)) for source, name, keys in wave)
            )

    return run


def _ours(gateway: Gateway, query: str) -> Run:
    async def run() -> None:
        result = await gateway.engine.execute(query, {}, None, RequestContext(Deadline.after(15)))
        assert not result.errors, result.errors
        to_bytes(result.body())

    return run


def _peer(client: httpx.AsyncClient, environment: dict[str, str]) -> Run:
    """A resolver that asks the market's system with httpx, and types written out by hand."""

    @strawberry.type
    class Case:
        source_case_no: str
        case_name: str
        cause_of_action: str
        case_status: str
        filed_date: str
        involved_amount: str
        violation_place: str
        is_major: bool

    async def enforcement_case(source_case_no: str) -> Case | None:
        answer = await client.post(
            environment["BINHAI_MARKET_URL"] + "/api/v2/cases/batch",
            json={"ajbhList": [source_case_no], "sfhdsr": 1},
            headers={"Authorization": f"Bearer {environment['BINHAI_MARKET_TOKEN']}"},
        )
        listed: list[dict[str, Any]] = answer.json()["data"]["list"]
        if not listed:
            return None
        case = listed[0]
        return Case(
            source_case_no=case["AJBH"],
            case_name=case["AJMC"],
            cause_of_action=case["AY"],
            case_status=case["AJZT"],
            filed_date=case["LASJ"][:10],
            involved_amount=str(case["SAJE"]),
            violation_place=case["WFDD"],
            is_major=case["SFZD"] == "1",
        )

    query = strawberry.tools.create_type(
        "Query", [strawberry.field(resolver=enforcement_case, name="enforcementCase", graphql_type=Case | None)]
    )
    schema = strawberry.Schema(query)
    text = """query One { enforcementCase(sourceCaseNo: "BHSJ-2024-0137") {
        sourceCaseNo caseName causeOfAction caseStatus filedDate involvedAmount violationPlace isMajor } }"""

    async def run() -> None:
        result: Any = await schema.execute(text)
        assert not result.errors, result.errors
        json.dumps({"data": result.data}, ensure_ascii=False)

    return run


if __name__ == "__main__":
    main()
