"""@defer and @stream: what is at hand is answered at once, the rest when it is there; in the end the same as all at once."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from adapters.simulator.faults import Fault
from contract_tests.federation import Federation
from contract_tests.six_systems import calm, six

__all__ = ["calm", "six"]
pytestmark = pytest.mark.anyio
PARTS = {"accept": "multipart/mixed, application/json"}
USCC = "91350100MA0B00015H"


async def payloads(address: str, query: str, **variables: Any) -> list[tuple[float, dict[str, Any]]]:
    """Each payload and when it came."""
    loop, found = asyncio.get_running_loop(), []
    async with aiohttp.ClientSession() as session:
        asked = session.post(f"{address}/graphql", json={"query": query, "variables": variables}, headers=PARTS)
        async with asked as response:
            assert response.status == 200, await response.text()
            if response.content_type == "application/json":
                return [(loop.time(), await response.json())]
            reader = aiohttp.MultipartReader.from_response(response)
            while (part := await reader.next()) is not None:
                assert isinstance(part, aiohttp.BodyPartReader)
                found.append((loop.time(), json.loads(await part.read())))
    return found


def merged(told: list[dict[str, Any]]) -> dict[str, Any]:
    """The data as a client puts it together."""
    data: dict[str, Any] = told[0]["data"]
    for payload in told[1:]:
        for item in payload.get("incremental", ()):
            place: Any = data
            for step in item["path"]:
                place = place[step]
            if "items" in item:
                place.extend(item["items"])
            else:
                place.update(item["data"])
    return data


DEFERRED = """
query ($uscc: Uscc!) { party(uscc: $uscc) {
  partyName
  ... @defer(label: "licences") { licenses { certCode } }
  ... @defer(label: "cases") { enforcementCases { caseName sourceCaseNo } }
} }
"""


async def test_what_is_deferred_comes_when_its_source_has_answered(six: Federation) -> None:
    six.simulators["transport_licence"].faults.add(Fault("slow", seconds=1.0))
    with six.served() as address:
        told = await payloads(address, DEFERRED, uscc=USCC)
    (first_at, first), *rest = told
    assert set(first["data"]["party"]) == {"partyName"}
    assert {p["label"] for p in first["pending"]} == {"licences", "cases"}
    assert first["hasNext"] is True
    came = {item["label"]: at for at, payload in rest for item in payload.get("incremental", ())}
    assert came["licences"] - first_at > 0.5
    assert came["cases"] < came["licences"]
    assert rest[-1][1]["hasNext"] is False


async def test_put_together_it_is_the_answer_given_at_once_and_no_source_is_asked_more(six: Federation) -> None:
    with six.served() as address:
        in_parts = [payload for _, payload in await payloads(address, DEFERRED, uscc=USCC)]
        asked_in_parts = six.calls()
    six.forget_calls()
    async with six.gateway() as gateway:
        at_once = await gateway.ask(DEFERRED, uscc=USCC)
    assert merged(in_parts) == at_once["data"]
    assert asked_in_parts == six.calls()


async def test_lists_are_streamed(six: Federation) -> None:
    query = "query ($uscc: Uscc!) { party(uscc: $uscc) { licenses @stream(initialCount: 1) { certCode } } }"
    with six.served() as address:
        told = [payload for _, payload in await payloads(address, query, uscc=USCC)]
    assert [len(told[0]["data"]["party"]["licenses"]), told[0]["hasNext"]] == [1, True]
    async with six.gateway() as gateway:
        assert merged(told) == (await gateway.ask(query, uscc=USCC))["data"]


async def test_a_source_that_fails_later_fails_its_own_part(six: Federation) -> None:
    six.simulators["transport_licence"].faults.add(Fault("fail"))
    with six.served() as address:
        told = [payload for _, payload in await payloads(address, DEFERRED, uscc=USCC)]
    by_label = {item["label"]: item for payload in told for item in payload.get("incremental", ())}
    assert "errors" not in told[0]
    assert by_label["cases"]["data"]["enforcementCases"]
    (error,) = by_label["licences"]["errors"]
    assert (error["path"], error["extensions"]["source"]) == (["party", "licenses"], "transport_licence")
    assert by_label["licences"]["data"] == {"licenses": None}
    assert told[-1]["extensions"]["sourceErrors"][0]["source"] == "transport_licence"


async def test_a_condition_decides_whether_to_defer(six: Federation) -> None:
    query = "query ($uscc: Uscc!, $wait: Boolean!) { party(uscc: $uscc) { partyName ... @defer(if: $wait) { partyId: id } } }"
    with six.served() as address:
        at_once = [payload for _, payload in await payloads(address, query, uscc=USCC, wait=False)]
        in_parts = [payload for _, payload in await payloads(address, query, uscc=USCC, wait=True)]
    assert [set(at_once[0]["data"]["party"]), at_once[0].get("hasNext", False)] == [{"partyName", "partyId"}, False]
    assert [set(in_parts[0]["data"]["party"]), in_parts[0]["hasNext"]] == [{"partyName"}, True]


async def test_an_operation_that_is_refused_is_refused_as_ever(six: Federation) -> None:
    with six.served() as address:
        ((_, told),) = await payloads(address, "{ nothing { ... @defer { id } } }")
    assert told["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_client_that_leaves_takes_its_calls_with_it(six: Federation) -> None:
    six.simulators["transport_licence"].faults.add(Fault("slow", seconds=30))
    with six.served() as address:
        async with aiohttp.ClientSession() as session:
            body = {"query": DEFERRED, "variables": {"uscc": USCC}}
            async with session.post(f"{address}/graphql", json=body, headers=PARTS) as response:
                await response.content.readuntil(b"partyName")
        # the server ends with the block: it would wait for the call of thirty seconds otherwise
