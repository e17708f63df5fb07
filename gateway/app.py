"""Where everything meets: settings in, an ASGI application out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from adapters.mapping.compiled import Compiler
from adapters.mapping.record import HashId
from adapters.open import open_source
from adapters.source import Source
from gateway import metrics
from gateway.console.page import console_page, read_examples, static_routes
from gateway.definitions import Definitions, delivered_sources
from gateway.engine.calls.opening import open_calls
from gateway.engine.calls.patient import PatientSource
from gateway.engine.demand import Limits
from gateway.engine.engine import Engine
from gateway.engine.executor import Services
from gateway.engine.lane.kept import Kept
from gateway.engine.listening import Feed
from gateway.engine.preparation import Preparation
from gateway.engine.storage import Storage
from gateway.engine.subscriptions import Subscriptions
from gateway.engine.writeback import StoreWriteBack
from gateway.log import logger, write_what_waits
from gateway.receiving.deliveries import Deliveries
from gateway.receiving.keys import Rates, read_keys
from gateway.receiving.receive import Receiver
from gateway.receiving.spool import Spool
from gateway.receiving.submit import Submissions
from gateway.settings import PROJECT, Settings
from gateway.store.identity import make_hash_id
from gateway.store.store import Store
from gateway.sync.run import Manner
from gateway.sync.schedule import LEASE_PER_HEARTBEAT, Loop
from gateway.sync.stream import Streams, holder
from gateway.tracing import flush_traces, set_up_tracing
from gateway.web.admission import Admission
from gateway.web.answering import Answering
from gateway.web.deliver import Deliver
from gateway.web.delivery_access import DeliveryAccess
from gateway.web.documents import Documents
from gateway.web.endpoint import Endpoint
from gateway.web.live import Live
from gateway.web.operations import Operations
from gateway.web.origin import cross_origin
from gateway.web.uploads import Uploads
from gateway.web.websocket import Sockets

EXAMPLES = PROJECT / "schema" / "examples"
SETTLING = 5.0
"""Seconds that write-back may take to finish when the gateway stops."""
STATIC = Path(__file__).parent / "console" / "static"


def make_preparation(definitions: Definitions, settings: Settings, compiler: Compiler | None = None) -> Preparation:
    """What plans operations; needs no source and no store. Short ways are only for whom `compiler` maps records."""
    limits = Limits(
        length=settings.longest_query,
        tokens=settings.most_tokens,
        depth=settings.deepest_query,
        fields=settings.most_fields,
        root_fields=settings.most_root_fields,
        aliases=settings.most_aliases,
        directives=settings.most_directives,
        cost=settings.most_cost,
        role_costs=settings.role_costs,
    )
    return Preparation(
        definitions.schema,
        definitions.registry,
        definitions.mappings,
        limits,
        settings.plans_kept,
        settings.introspection,
        definitions.truth,
        compiler,
    )


def prove_store(settings: Settings, definitions: Definitions) -> None:
    """Bring the store to today's form before anything is served. Raises Problems, in words, when that cannot be."""
    store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
    try:
        store.create()
    finally:
        store.close()


class Gateway:
    """A running gateway: its sources, its store, its engine."""

    def __init__(self, definitions: Definitions, settings: Settings, rates: Rates | None = None) -> None:
        self.definitions, self.settings = definitions, settings
        self.hash_id: HashId = make_hash_id(str(settings.party_key_secret))
        self.store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
        self.store.create()
        self.storage = Storage(self.store)
        compiler = Compiler(self.hash_id)
        self.write_back = StoreWriteBack(self.store, compiler)
        sources: dict[str, Source] = {
            name: open_source(mapping, settings.secrets) for name, mapping in definitions.mappings.items()
        }
        self.calls = open_calls(sources, definitions.mappings, settings)
        receiver = Receiver(self.store, compiler)
        spool = Spool(settings.delivery_folder)
        self.deliveries = Deliveries(receiver, definitions.mappings, spool, settings.largest_delivery)
        rates = rates or Rates(settings.deliveries_per_minute)
        kept = Kept(settings.reused_bytes)
        metrics.REUSED.set_function(lambda: kept.reused)
        metrics.REUSED_BYTES.set_function(lambda: kept.bytes)
        services = Services(
            definitions.registry,
            definitions.mappings,
            self.calls,
            self.storage,
            self.write_back,
            self.hash_id,
            compiler,
            kept,
            definitions.truth,
            Submissions(self.deliveries, rates),
        )
        self.engine = Engine(definitions.schema, services, make_preparation(definitions, settings, compiler))
        feed = Feed(self.store, settings.feed_interval, settings.subscription_queue)
        self.subscriptions = Subscriptions(self.engine, feed, settings.most_subscriptions)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Work behind the answers; in the end what was offered to the store is landed, and everything is closed."""
        work = asyncio.create_task(self.write_back.run())
        taking_up = asyncio.create_task(self.deliveries.watch()) if self.settings.delivery_keys else None
        try:
            yield self
        finally:
            self.subscriptions.close()
            try:
                async with asyncio.timeout(SETTLING):
                    await self.write_back.settle()
            except TimeoutError:
                logger().warning("writeback.unsettled", waiting=self.write_back.waiting.qsize())
            work.cancel()
            if taking_up is not None:
                taking_up.cancel()
            await asyncio.gather(work, *([taking_up] if taking_up else []), return_exceptions=True)
            await asyncio.to_thread(self.deliveries.close)
            await self.calls.aclose()
            self.storage.close()
            self.store.close()


@asynccontextmanager
async def embedded(gateway: Gateway) -> AsyncIterator[None]:
    """Data return within this process, when its settings say so: by the same calls and budgets as queries, behind them."""
    settings, mappings = gateway.settings, gateway.definitions.mappings
    if not settings.sync_embedded:
        yield
        return
    manner = Manner(holder(), LEASE_PER_HEARTBEAT * settings.sync_heartbeat)

    def source(name: str) -> PatientSource:
        return PatientSource(gateway.calls, name)

    running = Streams(gateway.store, mappings, source, gateway.hash_id, manner, lambda _page: None)
    loop = Loop(gateway.store, mappings, running.run_due, settings.sync_heartbeat, settings.most_syncs)
    task = asyncio.create_task(loop.forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Application:
    """The ASGI application: GraphQL requests go straight to their endpoint, everything else by the routes of Starlette."""

    def __init__(self, settings: Settings, definitions: Definitions, admission: Admission) -> None:
        self.running: list[Gateway] = []
        self.settings, self.definitions = settings, definitions
        self.admission = admission
        self.rates = Rates(settings.deliveries_per_minute)
        keys = read_keys(settings.delivery_keys, delivered_sources(definitions.mappings))
        access = DeliveryAccess(keys, settings.allowed_hosts, self.rates, settings.most_deliveries)
        admission.threads = lambda: self.running[0].storage.threads if self.running else None
        admission.busyness.clocks = lambda: self.running[0].storage.clocks if self.running else ()
        examples = read_examples(EXAMPLES)
        documents = Documents(settings.persisted_kept, settings.trusted_documents, settings.only_trusted)
        answering = Answering(self._engine, settings, documents, admission)
        live = Live(lambda: self.running[0].subscriptions, answering, documents, settings, admission)
        self.sockets = Sockets(live)
        endpoint = Endpoint(
            settings, lambda: console_page(examples, STATIC), admission, documents, answering, live, access
        )
        self.operations = Operations(admission, self._reach_store, self._health, self._counted)
        patience, stall = settings.request_timeout, settings.body_timeout
        deliver = Deliver(lambda: self.running[0].deliveries, access, settings.largest_delivery, patience, stall)
        self.routed = Starlette(
            routes=[
                Route("/", _home),
                Route("/graphql", endpoint),
                WebSocketRoute("/graphql", self.sockets),
                *self.operations.routes(with_metrics=settings.metrics_port is None),
                *Uploads(deliver).routes(),
                static_routes(STATIC),
            ],
            lifespan=self._lifespan,
            middleware=[cross_origin(settings.allowed_origins)] if settings.allowed_origins else [],
        )
        self.direct = None if settings.allowed_origins else endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if self.direct is not None and scope["type"] == "http" and scope["path"] == "/graphql":
            await self.direct(scope, receive, send)
        else:
            await self.routed(scope, receive, send)

    async def leave(self, seconds: float) -> None:
        """Send those who are connected for long elsewhere: subscriptions end, WebSockets close once their queries are answered,
        which they have so many seconds for. To be called before the server ends, which waits for all of them."""
        if self.running:
            await self.sockets.leave(seconds)

    def observed(self) -> Starlette:
        """The application of the port for metrics."""
        return Starlette(routes=self.operations.routes(with_metrics=True))

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        if self.settings.otlp_endpoint:
            set_up_tracing(self.settings.otlp_endpoint, self.definitions.registry.version)
        async with Gateway(self.definitions, self.settings, self.rates).running() as gateway:
            self.running.append(gateway)
            async with embedded(gateway):
                yield
        write_what_waits()  # uvicorn ends the process by the signal it was sent, and nothing runs after that
        await asyncio.to_thread(flush_traces)

    def _engine(self) -> Engine:
        return self.running[0].engine

    def _reach_store(self) -> bool:
        return self.running[0].store.is_reachable()

    def _health(self) -> Mapping[str, object]:
        return {name: msgspec.to_builtins(told) for name, told in sorted(self.running[0].calls.health().items())}

    def _counted(self) -> CollectorRegistry:
        return self.running[0].calls.metrics.registry


async def _home(_request: Request) -> Response:
    return RedirectResponse("/graphql")


def create_app(settings: Settings, definitions: Definitions) -> Application:
    """The ASGI application over what was proven."""
    admission = Admission(settings.most_in_flight, settings.latest_turn, settings.critical_header)
    return Application(settings, definitions, admission)
