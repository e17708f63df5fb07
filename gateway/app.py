"""Where everything meets: settings in, an ASGI application out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import strawberry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from adapters.mapping.compiled import Compiler
from adapters.mapping.load import load_mappings
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import HashId
from adapters.mapping.truth import NOTHING_SAID, Truth, load_truth
from adapters.open import open_source
from adapters.secrets import names_in
from adapters.source import Source
from gateway.console.page import console_page, read_examples, static_routes
from gateway.engine.calls import Calls
from gateway.engine.demand import Limits
from gateway.engine.engine import Engine
from gateway.engine.executor import Services
from gateway.engine.preparation import Preparation
from gateway.engine.storage import Storage
from gateway.engine.writeback import StoreWriteBack
from gateway.log import logger
from gateway.settings import PROJECT, Settings, look_at_settings
from gateway.store.identity import make_hash_id
from gateway.store.store import Store
from gateway.web.endpoint import Endpoint
from gateway.web.origin import cross_origin
from schema.build import build_schema
from schema.load import load_registry
from schema.problems import Problem, Problems
from schema.registry import Registry

EXAMPLES = PROJECT / "schema" / "examples"
SETTLING = 5.0
"""Seconds that write-back may take to finish when the gateway stops."""
STATIC = Path(__file__).parent / "console" / "static"


@dataclass(frozen=True, slots=True)
class Definitions:
    """What is known without opening anything: the specification, the mappings, the schema, whose word counts."""

    registry: Registry
    mappings: dict[str, SourceMapping]
    schema: strawberry.Schema
    truth: Truth = NOTHING_SAID


def load_definitions(settings: Settings) -> Definitions:
    """Read and check everything that is written down. Raises Problems with every mistake at once."""
    registry = load_registry(settings.specification)
    mappings = load_mappings(registry, settings.mappings)
    truth = load_truth(registry, mappings, settings.mappings)
    return Definitions(registry, mappings, build_schema(registry), truth)


def prove(environment: Mapping[str, str] | None = None, with_secrets: bool = True) -> tuple[Settings, Definitions]:
    """Settings and definitions, proven without opening anything; `with_secrets`: also that every `env:NAME` is set.

    Raises Problems with everything that is wrong with any of them.
    """
    settings, problems = look_at_settings(environment)
    definitions: Definitions | None = None
    try:
        definitions = load_definitions(settings)
    except Problems as error:
        problems.extend(error.problems)
    if definitions and with_secrets:
        problems += missing_secrets(definitions, settings)
    if problems or definitions is None:
        raise Problems(problems)
    return settings, definitions


def missing_secrets(definitions: Definitions, settings: Settings) -> list[Problem]:
    """The variables that mappings name and the environment does not have."""
    problems = []
    for mapping in definitions.mappings.values():
        file = f"{settings.mappings.name}/{mapping.name}/mapping.yaml"
        absent = [name for name in names_in(mapping) if not settings.secrets.get(name)]
        problems += [Problem(file, 1, 1, f"env:{name}", "环境变量没有设置") for name in absent]
    return problems


def make_preparation(definitions: Definitions, settings: Settings) -> Preparation:
    """What plans operations; needs no source and no store."""
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
    )


class Gateway:
    """A running gateway: its sources, its store, its engine."""

    def __init__(self, definitions: Definitions, settings: Settings) -> None:
        self.definitions, self.settings = definitions, settings
        self.hash_id: HashId = make_hash_id(str(settings.party_key_secret))
        self.store = Store(settings.database_url, definitions.registry, truth=definitions.truth)
        self.store.create()
        compiler = Compiler(self.hash_id)
        self.write_back = StoreWriteBack(self.store, compiler)
        sources: dict[str, Source] = {
            name: open_source(mapping, settings.secrets) for name, mapping in definitions.mappings.items()
        }
        self.calls = Calls(sources, definitions.mappings)
        services = Services(
            definitions.registry,
            definitions.mappings,
            self.calls,
            Storage(self.store),
            self.write_back,
            self.hash_id,
            compiler,
            definitions.truth,
        )
        self.engine = Engine(definitions.schema, services, make_preparation(definitions, settings))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Gateway"]:
        """Work behind the answers; in the end what was offered to the store is landed, and everything is closed."""
        work = asyncio.create_task(self.write_back.run())
        try:
            yield self
        finally:
            try:
                async with asyncio.timeout(SETTLING):
                    await self.write_back.settle()
            except TimeoutError:
                logger().warning("writeback.unsettled", waiting=self.write_back.waiting.qsize())
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await self.calls.aclose()
            self.store.close()


def create_app(settings: Settings, definitions: Definitions) -> Starlette:
    """The ASGI application over what was proven."""
    running: list[Gateway] = []

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with Gateway(definitions, settings).running() as gateway:
            running.append(gateway)
            yield

    examples = read_examples(EXAMPLES)
    endpoint = Endpoint(lambda: running[0].engine, settings, lambda: console_page(examples, STATIC))

    async def home(_request: Request) -> Response:
        return RedirectResponse("/graphql")

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/", home),
            Route("/graphql", endpoint),
            Route("/healthz", health),
            static_routes(STATIC),
        ],
        lifespan=lifespan,
        middleware=[cross_origin(settings.allowed_origins)] if settings.allowed_origins else [],
    )
