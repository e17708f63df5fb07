"""A whole federation for tests: every mapped source simulated on a real socket, and a gateway over them."""

import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from adapters.mapping.load import load_mapping
from adapters.simulator.serve import Simulator, address_variable, invent_secrets, start
from gateway.app import Gateway, create_app
from gateway.context import Deadline, RequestContext
from gateway.definitions import Definitions, load_definitions
from gateway.settings import PROJECT, Settings, read_settings
from schema.load import load_registry

SOURCES = (
    "binhai_exchange",
    "binhai_market",
    "national_registry",
    "provincial_platform",
    "traffic_police",
    "transport_licence",
)


def definitions_of(settings: Settings) -> Definitions:
    """What is written down, read again only when a file of it has changed: half of the time of a gateway's start."""
    folders = (settings.specification, settings.mappings)
    files = [file for folder in folders for file in sorted(folder.rglob("*"))]
    state = (*folders, *((file, file.stat().st_mtime_ns) for file in files))
    if state not in KEPT:
        KEPT[state] = load_definitions(settings)
        while len(KEPT) > MOST_KEPT:
            KEPT.pop(next(iter(KEPT)))
    return KEPT[state]


KEPT: dict[tuple[object, ...], Definitions] = {}
MOST_KEPT = 4


def proven(environment: Mapping[str, str]) -> tuple[Settings, Definitions]:
    """Settings and definitions of an environment that is known to be right."""
    settings = read_settings(environment)
    return settings, definitions_of(settings)


@dataclass(slots=True)
class Federation:
    """The simulators by source, and the environment that leads a gateway to them."""

    simulators: dict[str, Simulator]
    environment: dict[str, str]
    folder: Path
    settings_changed: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings of a gateway over these simulators."""
        return read_settings({**self.environment, **self.settings_changed})

    def calls(self) -> dict[str, list[int]]:
        """How many keys each business call carried, by `source.operation`."""
        counted: dict[str, list[int]] = {}
        for name, simulator in self.simulators.items():
            for call in simulator.calls.seen():
                counted.setdefault(f"{name}.{call.operation}", []).append(call.keys)
        return counted

    def forget_calls(self) -> None:
        """Start counting again."""
        for simulator in self.simulators.values():
            simulator.calls.clear()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator["Asking"]:
        """A gateway over the simulators, asked without HTTP in between."""
        settings = self.settings
        async with Gateway(definitions_of(settings), settings).running() as gateway:
            yield Asking(gateway)

    @contextmanager
    def served(self) -> Iterator[str]:
        """A gateway over the simulators on a real socket; its address."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            app = create_app(*proven(self.settings.secrets))
            server = uvicorn.Server(uvicorn.Config(app, log_level="error", loop="asyncio"))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                while not server.started:
                    assert thread.is_alive()
                    time.sleep(0.01)
                yield f"http://127.0.0.1:{listening.getsockname()[1]}"
            finally:
                server.should_exit = True
                thread.join()


@dataclass(frozen=True, slots=True)
class Asking:
    """A gateway to ask."""

    gateway: Gateway

    async def ask(self, query: str, seconds: float = 15.0, explain: bool = False, **variables: Any) -> dict[str, Any]:
        """The body of the answer."""
        context = RequestContext(Deadline.after(seconds), explain=explain)
        result = await self.gateway.engine.execute(query, variables, None, context)
        return msgspec.to_builtins(result.body())  # type: ignore[no-any-return]

    async def settle(self) -> None:
        """Wait until the live answers so far are in the store."""
        await self.gateway.write_back.settle()


@contextmanager
def federation(folder: Path, mappings: Path | None = None) -> Iterator[Federation]:
    """Every source of `mappings` simulated; the store is a SQLite file in `folder`.

    Answers are not kept for the next request, so that the calls a request makes can be counted (`settings_changed`).
    """
    mappings = mappings or PROJECT / "mappings"
    registry = load_registry()
    environment = {
        "GATEWAY_DATABASE_URL": f"sqlite:///{folder / 'gateway.db'}",
        "GATEWAY_PARTY_KEY_SECRET": "tests-only",
        "GATEWAY_SYNC_EMBEDDED": "false",
        "GATEWAY_INTROSPECTION": "true",
        "GATEWAY_CACHE_ENTRIES": "0",
        "GATEWAY_MAPPINGS": str(mappings),
    }
    with ExitStack() as stack:
        simulators = {}
        for file in sorted(mappings.glob("*/mapping.yaml")):
            mapping = load_mapping(registry, file.parent)
            if mapping.connect.kind == "file":
                continue  # nobody is asked for files
            secrets = invent_secrets(mapping)
            simulator = start(mapping, secrets)
            stack.callback(simulator.stop)
            simulators[mapping.name] = simulator
            environment |= {**secrets, address_variable(mapping): simulator.url}
        yield Federation(simulators, environment, folder)


def copy_mappings(folder: Path, *sources: str) -> Path:
    """A copy of the mappings, or of those of some sources only, that a test may spoil."""
    for source in sources:
        shutil.copytree(PROJECT / "mappings" / source, folder / "mappings" / source)
    return folder / "mappings" if sources else Path(shutil.copytree(PROJECT / "mappings", folder / "mappings"))
