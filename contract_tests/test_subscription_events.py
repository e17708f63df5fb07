"""Subscriptions as server-sent events: the same told, by one request each, to whoever reads event streams."""

import asyncio
from contextlib import ExitStack

import httpx
import pytest

from contract_tests.federation import Federation
from contract_tests.subscribing import Live, events, gateway, gone, live, parties, party_id, sources

__all__ = ["gateway", "sources"]
pytestmark = pytest.mark.anyio

CHANGES = 'subscription ($ids: [ID!]) { entityChanged(entity: "Party", ids: $ids) { id change node { ... on Party { partyName } } } }'
RUNS = 'subscription { syncRunUpdated(source: "binhai_market") { source status finishedAt } }'
BOTH = "text/event-stream, application/json"


@pytest.fixture(autouse=True)
async def nothing_is_left(gateway: Live) -> None:
    """Every test begins, and so ends, without anybody who listens."""
    await gateway.subscribers(0)


async def test_what_lands_is_told_from_the_first_line_on(gateway: Live) -> None:
    async with events(gateway.served, CHANGES, variables={"ids": [party_id("a1")]}) as stream:
        headers = stream.response.headers
        assert (stream.response.status_code, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert (headers["cache-control"], "content-length" in headers) == ("no-store", False)
        assert await stream.line() == ":"
        await gateway.land(parties(1, a2="乙公司", a1="甲公司"))
        told = {"id": party_id("a1"), "change": "CREATED", "node": {"partyName": "甲公司"}}
        assert await stream.event() == ("next", {"data": {"entityChanged": told}})
        await gateway.land(gone(2, "a1"))
        told |= {"change": "DELETED", "node": None}
        assert await stream.event() == ("next", {"data": {"entityChanged": told}})


async def test_runs_are_told_as_they_go_on_to_who_wants_that_source(gateway: Live) -> None:
    async with events(gateway.served, RUNS) as stream:
        assert await stream.line() == ":"
        await asyncio.to_thread(gateway.store.begin_run, "traffic_police", "vehicles")
        begun = await asyncio.to_thread(gateway.store.begin_run, "binhai_market", "cases_changed")
        told = {"source": "binhai_market", "status": "RUNNING", "finishedAt": None}
        assert await stream.event() == ("next", {"data": {"syncRunUpdated": told}})
        await asyncio.to_thread(gateway.store.fail_run, begun.run_id, "来源系统暂时无法访问")
        _, failed = await stream.event()
        assert failed["data"]["syncRunUpdated"].pop("finishedAt")
        assert failed == {"data": {"syncRunUpdated": {"source": "binhai_market", "status": "FAILED"}}}


async def test_whoever_is_silent_for_long_is_told_that_we_are_still_there(sources: Federation) -> None:
    with live(sources, GATEWAY_HEARTBEAT="0.02") as patient:
        async with events(patient.served, CHANGES) as stream:
            assert [await stream.line() for _ in range(5)] == [":", "", ":", "", ":"]


async def test_a_subscription_takes_no_place_among_requests_and_leaves_none_behind(gateway: Live) -> None:
    async with events(gateway.served, CHANGES) as stream, events(gateway.served, CHANGES) as other:
        assert [await stream.line(), await other.line()] == [":", ":"]
        assert (gateway.listening, gateway.app.admission.in_flight) == (2, 0)
    await gateway.subscribers(0)
    await gateway.until(lambda: gateway.app.admission.in_flight == 0)
    assert gateway.served.is_answering()
    await gateway.until(lambda: gateway.app.admission.in_flight == 0)


async def test_when_the_server_leaves_the_stream_is_complete(sources: Federation) -> None:
    with ExitStack() as stack:
        leaving = stack.enter_context(live(sources))
        async with events(leaving.served, CHANGES) as stream:
            assert await stream.line() == ":"
            stopping = asyncio.create_task(asyncio.to_thread(stack.close))
            assert await stream.event() == ("complete", None)
            await stopping


async def test_queries_are_answered_in_events_to_who_reads_nothing_else(gateway: Live) -> None:
    async with events(gateway.served, "{ __typename }") as stream:
        assert await stream.event() == ("next", {"data": {"__typename": "Query"}})
        assert await stream.event() == ("complete", None)
    async with events(gateway.served, "{ __typename }", accept=BOTH) as stream:
        assert stream.response.headers["content-type"] == "application/json; charset=utf-8"
        assert await stream.line() == '{"data":{"__typename":"Query"}}'
    async with events(gateway.served, CHANGES, accept=BOTH) as stream:
        assert await stream.line() == ":"


REFUSED = [
    ("syntax", "subscription {", "GRAPHQL_PARSE_FAILED"),
    ("unknown field", "subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
    ("unknown entity", 'subscription { entityChanged(entity: "Partie") { id } }', "BAD_USER_INPUT"),
    ("depth", "subscription { entityChanged { node {" + " ... {" * 30 + " id" + " }" * 33, "QUERY_TOO_LARGE"),
]


@pytest.mark.parametrize(("query", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_is_refused_is_told_in_an_event(gateway: Live, query: str, code: str) -> None:
    async with events(gateway.served, query) as stream:
        name, told = await stream.event()
        assert (name, list(told), {error["extensions"]["code"] for error in told["errors"]}) == (
            "next",
            ["errors"],
            {code},
        )
        assert await stream.event() == ("complete", None)


async def test_too_many_are_told_so(sources: Federation) -> None:
    with live(sources, GATEWAY_MOST_SUBSCRIPTIONS="1") as small:
        async with events(small.served, CHANGES) as stream:
            assert await stream.line() == ":"
            async with events(small.served, CHANGES) as other:
                assert (await other.event())[1]["errors"][0]["extensions"] == {"code": "TOO_MANY_SUBSCRIPTIONS"}


async def test_other_sites_get_no_events_and_reads_change_nothing(gateway: Live) -> None:
    taken = {"accept": "text/event-stream"}
    other = gateway.served.post({"query": CHANGES}, origin="http://evil.example", **taken)
    assert (other.status, other.codes) == (403, ["CROSS_SITE_REFUSED"])
    changing = gateway.served.get("query=mutation%20%7B__typename%7D", **taken)
    assert (changing.status, changing.codes) == (405, ["METHOD_NOT_ALLOWED"])


async def test_without_event_streams_a_subscription_is_refused_with_where_to_go(gateway: Live) -> None:
    refused = gateway.served.ask(CHANGES)
    assert (refused.status, refused.codes) == (400, ["SUBSCRIPTION_NOT_SUPPORTED"])
    assert "text/event-stream" in refused.json["errors"][0]["message"]


async def test_browsers_subscribe_by_get(gateway: Live) -> None:
    async with httpx.AsyncClient(base_url=gateway.served.address) as client:
        asked = {"params": {"query": CHANGES}, "headers": {"accept": "text/event-stream"}}
        async with client.stream("GET", "/graphql", **asked) as response:  # type: ignore[arg-type]
            assert await anext(response.aiter_lines()) == ":"
            assert gateway.listening == 1
