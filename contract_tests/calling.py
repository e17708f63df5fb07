"""Calls over a source that stands at the network: a real HTTP server whose answers a test holds back, spoils and counts."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from adapters.mapping.limits import Breaker, Budget, Cache, Hedge, Retry
from adapters.mapping.load import load_mappings
from adapters.mapping.model import SourceMapping
from adapters.open import open_source
from adapters.source import Page
from contract_tests.stores import REGISTRY
from gateway.context import EVERYBODY, Deadline, Viewer
from gateway.engine.calls import Calls
from gateway.engine.calls.shared import Shared

MARKET = load_mappings(REGISTRY)["binhai_market"]
SOURCE, CASES, PARTIES = "binhai_market", "cases_by_no", "cases_of_party"
SECRET = b"tests-only"
LONG = 20.0
"""Seconds that nothing here takes, even on a busy machine."""

Reply = tuple[int, Any, dict[str, str]]


@dataclass
class Upstream:
    """The market system: `records` by case number, every request counted, `behave` what it does with one."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    answered: int = 0
    left: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    behave: Callable[[int], Awaitable[Reply | None]] | None = None
    url: str = ""

    def has(self, *numbers: str, name: str = "甲", **more: Any) -> None:
        """Cases of these numbers."""
        for number in numbers:
            self.records[number] = {"AJBH": number, "AJMC": name, **more}

    async def handle(self, request: web.Request) -> web.Response:
        """One request; `left` counts those whose client went away before the answer."""
        body = await request.json() if request.can_read_body else {}
        keys = body.get("ajbhList") or body.get("tyshxydmList") or []
        self.asked.append(keys)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            reply = None if self.behave is None else await self.behave(len(self.asked))
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            self.in_flight -= 1
        self.answered += 1
        if reply is not None:
            status, content, headers = reply
            return web.Response(status=status, text=content, headers=headers, content_type="application/json")
        found = [
            r for r in self.records.values() if r["AJBH"] in keys or {d["TYSHXYDM"] for d in r.get("DSR", [])} & {*keys}
        ]
        return web.json_response({"code": "0", "data": {"list": found, "total": len(found)}})


OK = (200, json.dumps({"code": "0", "data": {"list": []}}), {})
DOWN = (500, "", {})


async def always(reply: Reply) -> Reply:
    return reply


def market(operation_words: dict[str, Any] | None = None, operation: str = CASES, **connect: Any) -> SourceMapping:
    """The market's mapping with other limits; nothing is retried, cached or hedged unless it says so."""
    plain: dict[str, Any] = {
        "retry": Retry(),
        "breaker": Breaker(failures=1000),
        "budget": None,
        "connect_timeout": None,
    }
    operations = {}
    for name, known in MARKET.operations.items():
        words = {"cache": None, "hedge": None, "at_least": None} | (
            (operation_words or {}) if name == operation else {}
        )
        operations[name] = replace(known, written=known.written.model_copy(update=words))
    return replace(MARKET, connect=MARKET.connect.model_copy(update=plain | connect), operations=operations)


@dataclass
class Calling:
    """Calls over the upstream."""

    calls: Calls
    upstream: Upstream

    async def ask(self, *keys: str, seconds: float = LONG, viewer: Viewer = EVERYBODY, operation: str = CASES) -> Page:
        return await self.calls.make(SOURCE, operation, Deadline.after(seconds), viewer, keys=keys)

    async def names(self, *keys: str, **words: Any) -> list[tuple[str, str]]:
        """Number and name of the cases that the answer has."""
        page = await self.ask(*keys, **words)
        return sorted((str(record["AJBH"]), str(record["AJMC"])) for record in page.records)

    def counted(self, name: str, **labels: str) -> float:
        """A number of the metrics."""
        words = {"source": SOURCE, "operation": CASES, **labels}
        return self.calls.metrics.registry.get_sample_value(name, words) or 0.0


@asynccontextmanager
async def calling(mapping: SourceMapping, redis: str = "", upstream: Upstream | None = None) -> AsyncIterator[Calling]:
    """Calls over a new upstream, or over one that another replica asks too."""
    async with serving(upstream) as running:
        secrets = {"BINHAI_MARKET_URL": running.url, "BINHAI_MARKET_TOKEN": "t"}
        source = open_source(mapping, secrets)
        calls = Calls({SOURCE: source}, {SOURCE: mapping}, Shared(redis) if redis else None, SECRET)
        try:
            yield Calling(calls, running)
        finally:
            await calls.aclose()


@asynccontextmanager
async def serving(known: Upstream | None = None) -> AsyncIterator[Upstream]:
    """The upstream on a socket of its own, unless it is serving already."""
    if known is not None and known.url:
        yield known
        return
    upstream = known or Upstream()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", upstream.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield upstream
    finally:
        upstream.url = ""
        await runner.cleanup()


__all__ = ["Breaker", "Budget", "Cache", "Hedge", "Retry"]
