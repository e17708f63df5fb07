"""A served gateway to subscribe to, a client of graphql-transport-ws and one of SSE that are not ours, and things that happen."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from adapters.mapping.record import Mapped
from contract_tests.federation import Federation, federation, proven
from contract_tests.serving import PATIENCE, Served, listening_with
from contract_tests.stores import AGENCY, hour, page
from gateway.app import Application, create_app
from gateway.settings import PROJECT
from gateway.store.arriving import Landing
from schema.identity import HASH_MARK, global_id

PROTOCOL = "graphql-transport-ws"
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Live:
    """A served gateway, and its inside, to see what is left there."""

    served: Served
    app: Application

    @property
    def store(self) -> Any:
        """Its store."""
        return self.app.running[0].store

    @property
    def listening(self) -> int:
        """How many subscriptions are under way."""
        return self.app.running[0].subscriptions.count

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for something inside of it that happens in a thread of its own."""
        async with asyncio.timeout(PATIENCE):
            while not is_so():  # noqa: ASYNC110 - it happens in another thread
                await asyncio.sleep(0.01)

    async def subscribers(self, count: int) -> None:
        """Wait until so many are told of what happens."""
        feed = self.app.running[0].subscriptions.feed
        await self.until(
            lambda: (
                self.listening == count
                and (not feed.changes.listeners or feed.changes.state is not None)
                and (not feed.run_updates.listeners or feed.run_updates.state is not None)
            )
        )

    async def land(self, landing: Landing) -> None:
        """A page of a source lands."""
        await asyncio.to_thread(self.store.land, landing)


@contextmanager
def live(sources: Federation, **changed: str) -> Iterator[Live]:
    """A gateway over these sources with these settings."""
    settings = {"GATEWAY_FEED_INTERVAL": "0.05", **changed}
    app = create_app(*proven({**sources.settings.secrets, **settings}))
    with listening_with(app) as served:
        yield Live(served, app)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("subscribing")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(sources: Federation) -> Iterator[Live]:
    with live(sources) as served:
        yield served


@dataclass(slots=True)
class Socket:
    """One connection of a client."""

    connection: ClientConnection
    aside: dict[str, list[Message]] = field(default_factory=dict)

    async def send(self, message: Mapping[str, Any] | str) -> None:
        """Send a message, or any text."""
        await self.connection.send(message if isinstance(message, str) else json.dumps(message))

    async def ask(self, identifier: str, query: str, **variables: Any) -> None:
        """Send an operation."""
        payload = {"query": query, "variables": variables}
        await self.send({"id": identifier, "type": "subscribe", "payload": payload})

    async def receive(self) -> Message:
        """The next message, of any operation."""
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.connection.recv())  # type: ignore[no-any-return]

    async def next_of(self, identifier: str) -> Message:
        """The next message of one operation, without its id."""
        kept = self.aside.setdefault(identifier, [])
        while not kept:
            message = await self.receive()
            self.aside.setdefault(message.pop("id", ""), []).append(message)
        return kept.pop(0)

    async def data(self, identifier: str) -> Any:
        """The data of the next result of one operation, which has no errors."""
        message = await self.next_of(identifier)
        assert (message["type"], list(message["payload"])) == ("next", ["data"]), message
        return message["payload"]["data"]

    async def closed(self) -> tuple[int, str]:
        """The code and the reason with which the server closes."""
        async with asyncio.timeout(PATIENCE):
            await self.connection.wait_closed()
        return self.connection.close_code or 0, self.connection.close_reason or ""


@asynccontextmanager
async def socket(served: Served, is_begun: bool = True, **named: Any) -> AsyncIterator[Socket]:
    """A connection, with its `connection_init` acknowledged unless told otherwise."""
    named = {"subprotocols": [PROTOCOL], "open_timeout": PATIENCE, "ping_interval": None, **named}
    async with connect(f"ws://127.0.0.1:{served.port}/graphql", **named) as connection:
        made = Socket(connection)
        if is_begun:
            await made.send({"type": "connection_init"})
            assert await made.receive() == {"type": "connection_ack"}
        yield made


@dataclass(slots=True)
class Stream:
    """The answer to one request for events."""

    response: httpx.Response
    lines: AsyncIterator[str]

    async def line(self) -> str:
        """The next line as it is."""
        async with asyncio.timeout(PATIENCE):
            return await anext(self.lines)

    async def event(self) -> tuple[str, Any]:
        """The name and the data of the next event; comments are passed over."""
        name, data = "", ""
        while True:
            line = await self.line()
            if not line and name:
                return name, json.loads(data) if data else None
            kind, _, value = line.partition(":")
            if kind == "event":
                name = value.strip()
            elif kind == "data":
                data = value.strip()


@asynccontextmanager
async def events(served: Served, query: str, **named: Any) -> AsyncIterator[Stream]:
    """The answer to a POST that takes events; of a subscription, once it is under way."""
    accept, variables = named.pop("accept", "text/event-stream"), named.pop("variables", None)
    headers = {"accept": accept, **named}
    async with httpx.AsyncClient(base_url=served.address, timeout=PATIENCE) as client:
        body = {"query": query, "variables": variables}
        async with client.stream("POST", "/graphql", json=body, headers=headers) as response:
            yield Stream(response, response.aiter_lines())


# Things that happen


def party(key: str, name: str, version: int) -> Mapped:
    """A natural person as the market system tells of it in the given hour."""
    return Mapped("Party", HASH_MARK + key, AGENCY, {"party_name": name}, {"source_updated_at": hour(version)})


def parties(version: int, **names: str) -> Landing:
    """A page with parties by their keys."""
    told = [party(key, name, version) for key, name in names.items()]
    return page(*told, received=version, source="binhai_market")


def gone(version: int, key: str) -> Landing:
    """A page that says a party is no more."""
    return page(received=version, source="binhai_market", deleted=[("Party", HASH_MARK + key)])


def party_id(key: str) -> str:
    """Its global identifier."""
    return global_id("Party", HASH_MARK + key)


async def sync_elsewhere(sources: Federation, source: str) -> None:
    """A data return in a process of its own."""
    environment = {**sources.settings.secrets, "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT)}  # noqa: TID251
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", "sync", source, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
