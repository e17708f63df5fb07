"""What the limits of calls mean to whoever asks the gateway: remembered answers are marked, and leaving ends the work."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from adapters.simulator.faults import Fault
from contract_tests.federation import Asking, Federation, copy_mappings, definitions_of, federation
from contract_tests.servers import redis_server
from gateway.app import Gateway
from gateway.definitions import Definitions

pytestmark = pytest.mark.anyio
MARKET = "binhai_market"
CASE = 'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "%s")'
TOLD = "{ sourceCaseNo caseName provenance { source mode fetchedAt } }"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    folder = tmp_path_factory.mktemp("calls")
    mappings = copy_mappings(folder, MARKET)
    file = mappings / MARKET / "mapping.yaml"
    file.write_text(file.read_text("utf-8").replace("fresh: 5s, negative: 2s", "fresh: 1m, negative: 1m"), "utf-8")
    with federation(folder, mappings) as running:
        running.settings_changed["GATEWAY_CACHE_ENTRIES"] = "1000"
        yield running


@pytest.fixture(scope="module")
def definitions(sources: Federation) -> Definitions:
    return definitions_of(sources.settings)


@asynccontextmanager
async def gateway_over(sources: Federation, definitions: Definitions) -> AsyncIterator[Asking]:
    async with Gateway(definitions, sources.settings).running() as gateway:
        yield Asking(gateway)


@pytest.fixture(autouse=True)
def quiet(sources: Federation) -> Iterator[None]:
    sources.forget_calls()
    yield
    for simulator in sources.simulators.values():
        simulator.faults.clear()


def modes(answer: dict[str, Any], name: str = "enforcementCase") -> list[tuple[str, str]]:
    return [(told["source"], told["mode"]) for told in answer["data"][name]["provenance"]]


async def test_an_answer_of_a_moment_ago_is_marked_as_cached(sources: Federation, definitions: Definitions) -> None:
    query = f"{{ {CASE % 'BHSJ-2024-0137'} {TOLD} }}"
    async with gateway_over(sources, definitions) as gateway:
        first, second = await gateway.ask(query), await gateway.ask(query)
        await gateway.settle()
    assert (modes(first), modes(second)) == ([(MARKET, "LIVE")], [(MARKET, "CACHED")])
    one, other = (answer["data"]["enforcementCase"] for answer in (first, second))
    assert [told["fetchedAt"] for told in one["provenance"]] == [told["fetchedAt"] for told in other["provenance"]]
    assert one["caseName"] == other["caseName"]
    assert sources.calls() == {"binhai_market.cases_by_no": [1]}


async def test_a_batch_mixes_what_is_remembered_with_what_is_asked_for(
    sources: Federation, definitions: Definitions
) -> None:
    both = f"{{ a: {CASE % 'BHSJ-2024-0137'} {TOLD} b: {CASE % 'BHSJ-2024-0142'} {TOLD} c: {CASE % 'nobody'} {TOLD} }}"
    async with gateway_over(sources, definitions) as gateway:
        await gateway.ask(f"{{ {CASE % 'BHSJ-2024-0137'} {TOLD} }}")
        answer = await gateway.ask(both)
        again = await gateway.ask(both)
    assert answer["data"]["c"] is None
    assert (modes(answer, "a"), answer["data"]["a"]["sourceCaseNo"]) == ([(MARKET, "CACHED")], "BHSJ-2024-0137")
    assert (modes(answer, "b"), modes(again, "a"), modes(again, "b")) == (
        [(MARKET, "LIVE")],
        [(MARKET, "CACHED")],
        [(MARKET, "CACHED")],
    )
    assert sources.calls() == {"binhai_market.cases_by_no": [1, 2]}


async def test_where_the_source_fails_what_is_remembered_is_still_told_and_the_rest_is_an_error(
    sources: Federation, definitions: Definitions
) -> None:
    both = f"{{ a: {CASE % 'BHSJ-2024-0137'} {TOLD} c: {CASE % 'never asked for'} {TOLD} }}"
    async with gateway_over(sources, definitions) as gateway:
        await gateway.ask(f"{{ {CASE % 'BHSJ-2024-0137'} {TOLD} }}")
        sources.simulators[MARKET].faults.add(Fault("fail"))
        answer = await gateway.ask(both)
    assert (modes(answer, "a"), answer["data"]["c"]) == ([(MARKET, "CACHED")], None)
    assert [(error["path"], error["extensions"]["code"]) for error in answer["errors"]] == [
        (["c"], "SOURCE_UNAVAILABLE")
    ]


async def test_replicas_share_answers_over_redis_and_lose_nothing_with_it(
    sources: Federation, definitions: Definitions
) -> None:
    query = f"{{ {CASE % 'BHSJ-2024-0137'} {TOLD} }}"
    with redis_server() as server:
        sources.settings_changed["GATEWAY_REDIS_URL"] = server.url
        try:
            async with gateway_over(sources, definitions) as one, gateway_over(sources, definitions) as other:
                await one.ask(query)
                await asyncio.gather(*one.gateway.calls._behind)
                server.kill()
                assert modes(await one.ask(query)) == [(MARKET, "CACHED")]
                assert modes(await other.ask(query)) == [(MARKET, "LIVE")]
        finally:
            del sources.settings_changed["GATEWAY_REDIS_URL"]


async def test_who_stops_asking_ends_the_call_to_the_source(sources: Federation, definitions: Definitions) -> None:
    """The source is a socket that takes the request and never answers; the end of the call is the end of the connection."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ended = threading.Event()
        called = threading.Event()

        def listen() -> None:
            connection, _ = silent.accept()
            with connection:
                connection.settimeout(20)
                connection.recv(65536)
                called.set()
                if connection.recv(65536) == b"":
                    ended.set()

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        sources.settings_changed["BINHAI_MARKET_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        try:
            async with gateway_over(sources, definitions) as gateway:
                asking = asyncio.create_task(gateway.ask(f"{{ {CASE % 'BHSJ-2024-0137'} {TOLD} }}"))
                assert await asyncio.to_thread(called.wait, 20)
                asking.cancel()
                assert await asyncio.to_thread(ended.wait, 20)
                assert gateway.gateway.calls.health()[MARKET].in_flight == 0
        finally:
            del sources.settings_changed["BINHAI_MARKET_URL"]
        await asyncio.to_thread(listener.join, 20)
