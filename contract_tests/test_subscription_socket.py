"""Subscriptions over WebSocket: told of what happens, each event answered by the engine, and every limit of HTTP kept."""

import asyncio
import json
import socket as sockets
from contextlib import ExitStack
from pathlib import Path

import pytest
from graphql import get_introspection_query
from prometheus_client import REGISTRY
from websockets.exceptions import InvalidStatus

from adapters.simulator.faults import Fault
from contract_tests.federation import Federation
from contract_tests.stores import case, opened, page
from contract_tests.subscribing import Live, gateway, gone, live, parties, party_id, socket, sources, sync_elsewhere

__all__ = ["gateway", "sources"]
pytestmark = pytest.mark.anyio

CHANGES = 'subscription { entityChanged(entity: "Party") { id change source } }'
PARTIES = """
    subscription Named($ids: [ID!], $more: Boolean = false) {
      told: entityChanged(entity: "Party", ids: $ids) {
        ...What
        node { __typename ...Name }
        again: node @include(if: $more) { id }
      }
    }
    fragment What on EntityChange { kind: change entity }
    fragment Name on Party { partyName }
"""
CASE = 'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "BHSJ-2024-0137")'
CASES = 'subscription { entityChanged(entity: "EnforcementCase") { id change } }'
RUNS = 'subscription { syncRunUpdated(source: "binhai_market") { status pages fetched applied error } }'


@pytest.fixture(autouse=True)
async def nothing_is_left(gateway: Live) -> None:
    """Every test begins, and so ends, without anybody who listens."""
    await gateway.subscribers(0)
    await gateway.until(lambda: not gateway.app.sockets.open)


# What is told


async def test_what_lands_is_told_and_its_entity_answered_as_asked(gateway: Live) -> None:
    async with socket(gateway.served) as client:
        await client.ask("1", PARTIES, ids=[party_id("a1")], more=True)
        await gateway.subscribers(1)
        await gateway.land(parties(1, a1="甲公司", a2="乙公司"))
        node = {"__typename": "Party", "partyName": "甲公司"}
        again = {"id": party_id("a1")}
        told = {"kind": "CREATED", "entity": "Party", "node": node, "again": again}
        assert await client.data("1") == {"told": told}
        await gateway.land(parties(2, a1="甲公司（更名）"))
        told |= {"kind": "CHANGED", "node": node | {"partyName": "甲公司（更名）"}}
        assert await client.data("1") == {"told": told}
        await gateway.land(gone(3, "a1"))
        assert await client.data("1") == {"told": told | {"kind": "DELETED", "node": None, "again": None}}


async def test_events_come_in_the_order_of_what_happened_to_everybody_who_wants_them(gateway: Live) -> None:
    async with socket(gateway.served) as client, socket(gateway.served) as other:
        await client.ask("all", CHANGES)
        await client.ask("cases", 'subscription { entityChanged(entity: "EnforcementCase") { id } }')
        await other.ask("all", CHANGES)
        await gateway.subscribers(3)
        for number in range(5):
            await gateway.land(parties(number + 1, b1=f"第{number}名"))
        expected = [
            {"id": party_id("b1"), "change": kind, "source": "binhai_market"} for kind in ["CREATED"] + ["CHANGED"] * 4
        ]
        for one in (client, other):
            assert [(await one.data("all"))["entityChanged"] for _ in range(5)] == expected
        assert client.aside.get("cases", []) == []


async def test_what_another_store_object_lands_is_told_too(gateway: Live, sources: Federation) -> None:
    async with socket(gateway.served) as client:
        await client.ask("1", CHANGES)
        await gateway.subscribers(1)
        with opened(str(sources.settings.database_url)) as elsewhere:
            await asyncio.to_thread(elsewhere.land, parties(1, c1="丙"))
        assert (await client.data("1"))["entityChanged"]["id"] == party_id("c1")


async def test_a_data_return_in_another_process_is_told_with_its_run(gateway: Live, sources: Federation) -> None:
    async with socket(gateway.served) as client:
        await client.ask(
            "cases",
            'subscription { entityChanged(entity: "EnforcementCase") { change node { id ... on EnforcementCase { sourceCaseNo } } } }',
        )
        await client.ask("runs", RUNS)
        await gateway.subscribers(2)
        await sync_elsewhere(sources, "binhai_market")
        first = (await client.data("cases"))["entityChanged"]
        assert (first["change"], first["node"]["sourceCaseNo"][:5]) == ("CREATED", "BHSJ-")
        states = []
        while not states or states[-1]["status"] == "RUNNING":
            states.append((await client.data("runs"))["syncRunUpdated"])
        assert [state["pages"] for state in states] == sorted(state["pages"] for state in states)
        assert (states[-1]["status"], states[-1]["error"]) == ("SUCCEEDED", None)
        assert states[-1]["fetched"] >= states[-1]["applied"] > 0


async def test_a_live_answer_that_flows_back_is_told(sources: Federation, tmp_path: Path) -> None:
    with live(sources, GATEWAY_DATABASE_URL=f"sqlite:///{tmp_path / 'empty.db'}") as empty:
        async with socket(empty.served) as client:
            await client.ask("1", 'subscription { entityChanged(entity: "EnforcementCase") { change source } }')
            await empty.subscribers(1)
            await client.ask("2", f"{{ {CASE} {{ caseName }} }}")
            assert (await client.data("2"))["enforcementCase"]["caseName"]
            assert await client.data("1") == {"entityChanged": {"change": "CREATED", "source": "binhai_market"}}


async def test_errors_stand_where_they_belong_in_the_event(gateway: Live, sources: Federation) -> None:
    query = """subscription { e: entityChanged(entity: "EnforcementCase") {
        change n: node { ... on EnforcementCase { caseName } } } }"""
    simulator = sources.simulators["binhai_market"]
    async with socket(gateway.served) as client:
        await client.ask("1", query)
        await gateway.subscribers(1)
        simulator.faults.add(Fault("fail"))
        try:
            await gateway.land(page(case("E-1", 1), source="binhai_exchange"))
            payload = (await client.next_of("1"))["payload"]
        finally:
            simulator.faults.clear()
        assert payload["data"]["e"]["change"] == "CREATED"
        assert [(error["path"], error["extensions"]["source"]) for error in payload["errors"]] == [
            (["e", "n"], "binhai_market")
        ]


# Over the socket as over HTTP


async def test_queries_run_over_the_socket_beside_subscriptions(gateway: Live) -> None:
    async with socket(gateway.served) as client:
        await client.ask("s", CHANGES)
        await client.ask("q", "query ($code: String!) { codeTable(name: $code) { name } }", code="division")
        assert await client.data("q") == {"codeTable": {"name": "division"}}
        assert await client.next_of("q") == {"type": "complete"}
        await client.send({"type": "ping"})
        assert await client.next_of("") == {"type": "pong"}


REFUSED = [
    ("syntax", "subscription { entityChanged {", "GRAPHQL_PARSE_FAILED"),
    ("unknown field", "subscription { entityChanged { nothing } }", "GRAPHQL_VALIDATION_FAILED"),
    ("two roots", "subscription { entityChanged { id } syncRunUpdated { id } }", "GRAPHQL_VALIDATION_FAILED"),
    ("unknown entity", "subscription { entityChanged(entity: \"Partie\") { id } }", "BAD_USER_INPUT"),
    ("unknown source", "subscription { syncRunUpdated(source: \"market\") { id } }", "BAD_USER_INPUT"),
    ("no id of ours", "subscription { entityChanged(ids: [\"x\"]) { id } }", "BAD_USER_INPUT"),
    ("no ids", "subscription { entityChanged(ids: []) { id } }", "BAD_USER_INPUT"),
    ("ids of others", f"subscription {{ entityChanged(entity: \"Clue\", ids: [\"{party_id('a')}\"]) {{ id }} }}", "BAD_USER_INPUT"),
    ("missing variable", "subscription ($i: [ID!]!) { entityChanged(ids: $i) { id } }", "BAD_USER_INPUT"),
    ("depth", "subscription { entityChanged { node { " + "... { " * 30 + "id" + " }" * 30 + " } } }", "QUERY_TOO_LARGE"),
    ("cost", "subscription { entityChanged { node { ... on Party { enforcementCases { parties { enforcementCases "
     "{ parties { enforcementCases { parties { id } } } } } } } } } }", "QUERY_TOO_LARGE"),
    ("cost of a query", "{ parties(first: 200) { nodes { enforcementCases { parties { enforcementCases "
     "{ parties { licenses { certCode } } } } } } } }", "QUERY_TOO_LARGE"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_is_refused_is_an_error_of_the_operation_and_the_connection_goes_on(
    gateway: Live, query: str, code: str
) -> None:
    async with socket(gateway.served) as client:
        await client.ask("1", query)
        refused = await client.next_of("1")
        assert (refused["type"], {error["extensions"]["code"] for error in refused["payload"]}) == ("error", {code})
        await client.ask("1", "{ __typename }")
        assert await client.data("1") == {"__typename": "Query"}


async def test_names_are_suggested_only_where_the_schema_may_be_read(sources: Federation) -> None:
    with live(sources, GATEWAY_INTROSPECTION="false") as closed:
        async with socket(closed.served) as client:
            await client.ask("1", 'subscription { entityChanged(entity: "Partie") { id } }')
            assert (await client.next_of("1"))["payload"][0]["message"] == "没有实体 “Partie”"


# The protocol


BAD = [
    ("not JSON", "{", 4400),
    ("a list", "[]", 4400),
    ("no type", "{}", 4400),
    ("unknown", '{"type": "start", "id": "1"}', 4400),
    ("no payload", '{"type": "subscribe", "id": "1"}', 4400),
    ("no id", '{"type": "subscribe", "payload": {"query": "{ __typename }"}}', 4400),
    ("bad id", '{"type": "subscribe", "id": ["1"], "payload": {"query": "{ __typename }"}}', 4400),
    ("twice the same key", '{"type": "ping", "type": "pong"}', 4400),
    ("too deep", "[" * 100 + "]" * 100, 4400),
    ("initialised again", '{"type": "connection_init"}', 4429),
    ("too large", '{"type": "ping", "payload": "' + "x" * 300_000 + '"}', 1009),
]


@pytest.mark.parametrize(("text", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_what_is_no_message_of_the_protocol_closes_the_connection(gateway: Live, text: str, code: int) -> None:
    async with socket(gateway.served) as client:
        await client.send(text)
        assert (await client.closed())[0] == code


async def test_bytes_are_no_message(gateway: Live) -> None:
    async with socket(gateway.served) as client:
        await client.connection.send(b'{"type": "ping"}')
        assert (await client.closed())[0] == 4400


async def test_a_query_that_is_none_is_told_and_the_connection_goes_on(gateway: Live) -> None:
    async with socket(gateway.served) as client:
        for payload in (
            {},
            {"query": 1},
            {"query": "{ __typename }", "variables": []},
            {"documentId": "sha256:" + "0" * 64},
        ):
            await client.send({"id": "1", "type": "subscribe", "payload": payload})
            refused = await client.next_of("1")
            assert (refused["type"], refused["payload"][0]["extensions"]["code"]) in [
                ("error", "BAD_REQUEST"), ("error", "PERSISTED_QUERY_NOT_FOUND")]  # fmt: skip


async def test_nothing_is_answered_before_the_connection_is_initialised(gateway: Live) -> None:
    async with socket(gateway.served, is_begun=False) as client:
        await client.ask("1", "{ __typename }")
        assert (await client.closed())[0] == 4401


async def test_an_id_is_used_once_at_a_time(gateway: Live) -> None:
    async with socket(gateway.served) as client:
        await client.ask("1", CHANGES)
        await client.ask("1", CHANGES)
        assert (await client.closed())[0] == 4409


async def test_other_protocols_and_other_origins_are_refused(gateway: Live) -> None:
    for protocols in (None, ["graphql-ws"]):
        async with socket(gateway.served, is_begun=False, subprotocols=protocols) as client:
            assert (await client.closed())[0] == 4406
    for named in ({"origin": "http://evil.example"}, {"additional_headers": {"sec-fetch-site": "cross-site"}}):
        with pytest.raises(InvalidStatus) as refused:
            async with socket(gateway.served, **named):
                pass
        assert refused.value.response.status_code == 403
        assert json.loads(refused.value.response.body)["errors"][0]["extensions"]["code"] == "CROSS_SITE_REFUSED"
    async with socket(gateway.served, origin=gateway.served.address) as client:
        await client.ask("1", "{ __typename }")
        assert await client.data("1") == {"__typename": "Query"}


# Limits, and their ends


def counted() -> tuple[float, float]:
    """Subscriptions and connections, as /metrics has them."""
    found = [REGISTRY.get_sample_value(name) for name in ("gateway_subscriptions", "gateway_sockets")]
    return found[0] or 0.0, found[1] or 0.0


async def test_whoever_does_not_begin_in_time_is_closed(sources: Federation) -> None:
    with live(sources, GATEWAY_SOCKET_INIT_TIMEOUT="0.05") as hasty:
        async with socket(hasty.served, is_begun=False) as client:
            assert (await client.closed())[0] == 4408


async def test_operations_subscriptions_and_connections_are_bounded(sources: Federation) -> None:
    limits = {
        "GATEWAY_MOST_SOCKETS": "2", "GATEWAY_MOST_SUBSCRIPTIONS": "3", "GATEWAY_MOST_SOCKET_OPERATIONS": "2"
    }  # fmt: skip
    with live(sources, **limits) as small:
        async with socket(small.served) as one, socket(small.served) as other:
            with pytest.raises(InvalidStatus) as refused:
                async with socket(small.served):
                    pass
            assert refused.value.response.status_code == 503
            await one.ask("1", CHANGES)
            await one.ask("2", RUNS)
            await one.ask("3", CHANGES)
            assert (await one.next_of("3"))["type"] == "error"
            await small.subscribers(2)
            await other.ask("4", CHANGES)
            await small.subscribers(3)
            await other.ask("5", CHANGES)
            assert (await other.next_of("5"))["payload"][0]["extensions"]["code"] == "TOO_MANY_SUBSCRIPTIONS"
            await one.send({"id": "1", "type": "complete"})
            await small.subscribers(2)
            await other.ask("6", CHANGES)
            await small.subscribers(3)


async def test_who_does_not_keep_up_is_told_so_and_nobody_else_is_harmed(sources: Federation) -> None:
    with live(sources, GATEWAY_SUBSCRIPTION_QUEUE="3", GATEWAY_REQUEST_TIMEOUT="1") as small:
        async with socket(small.served) as quick, socket(small.served) as slow:
            await quick.ask("1", CASES)
            await slow.ask("1", "subscription { entityChanged { id node { ... on EnforcementCase { caseName } } } }")
            await small.subscribers(2)
            sources.simulators["binhai_market"].faults.add(Fault("slow", seconds=5))
            try:
                for number in range(6):
                    await small.land(page(case(f"S-{number}", 1), source="binhai_market"))
                    assert (await quick.data("1"))["entityChanged"]["change"] == "CREATED"
                told = [await slow.next_of("1")]
                while "SUBSCRIBER_TOO_SLOW" not in str(told[-1]):
                    told.append(await slow.next_of("1"))
            finally:
                sources.simulators["binhai_market"].faults.clear()
            assert told[-1]["payload"]["errors"][0]["extensions"] == {"code": "SUBSCRIBER_TOO_SLOW"}
            assert await slow.next_of("1") == {"type": "complete"}
            assert len(told) < 6
            await small.subscribers(1)


async def test_a_client_that_leaves_leaves_nothing_behind(gateway: Live) -> None:
    before = counted()
    async with socket(gateway.served) as client:
        for identifier in "123":
            await client.ask(identifier, CHANGES)
        await gateway.subscribers(3)
        await gateway.until(lambda: counted() == (before[0] + 3, before[1] + 1))
        client.connection.transport.abort()
    await gateway.subscribers(0)
    await gateway.until(lambda: not gateway.app.sockets.open)
    await gateway.until(lambda: counted() == before)
    assert gateway.app.admission.in_flight == 0
    assert gateway.app.running[0].subscriptions.feed._reader is None


async def test_who_reads_nothing_is_not_held_on_to(sources: Federation) -> None:
    with live(sources, GATEWAY_STALL_TIMEOUT="0.1") as impatient:
        narrow = sockets.socket()
        narrow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", impatient.served.port))
        narrow.setblocking(False)
        async with socket(impatient.served, sock=narrow) as client:
            client.connection.transport.pause_reading()
            for number in range(10):  # of some megabytes in all
                await client.ask(str(number), get_introspection_query())
            await impatient.until(lambda: not impatient.app.sockets.open)
        await impatient.until(lambda: impatient.app.admission.in_flight == 0)
        assert impatient.served.is_answering()


async def test_who_answers_no_ping_is_gone(sources: Federation) -> None:
    with live(sources, GATEWAY_HEARTBEAT="0.05") as careful:
        async with socket(careful.served) as client:
            await client.ask("1", CHANGES)
            await careful.subscribers(1)
            client.connection.transport.pause_reading()
            await careful.subscribers(0)
            await careful.until(lambda: not careful.app.sockets.open)
            client.connection.transport.abort()


async def test_when_the_server_leaves_subscriptions_end_and_clients_are_sent_elsewhere(sources: Federation) -> None:
    with ExitStack() as stack:
        leaving = stack.enter_context(live(sources))
        async with socket(leaving.served) as client, socket(leaving.served) as idle:
            await client.ask("1", CHANGES)
            await leaving.subscribers(1)
            stopping = asyncio.create_task(asyncio.to_thread(stack.close))
            assert await client.next_of("1") == {"type": "complete"}
            assert await client.closed() == await idle.closed() == (1001, "Server is shutting down")
            await stopping
