"""Starts a simulator: `start(mapping, secrets)` in its own thread, `serve_forever` for the command line."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from adapters.mapping.delivered import FileConnect
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import SoapConnect, SqlConnect
from adapters.secrets import names_in
from adapters.simulator.faults import Calls, Faults
from adapters.simulator.samples import Dataset, load_samples
from adapters.simulator.simulation import Simulation

STARTING = 30.0
STOPPING = 15.0


def address_variable(mapping: SourceMapping) -> str:
    """The name of the variable that says where this source is."""
    match mapping.connect:
        case SqlConnect() as connect:
            written = connect.url
        case SoapConnect() as connect:
            written = connect.endpoint
        case FileConnect():
            raise ValueError(f"{mapping.name} 的文件由机关交付，没有可模拟的系统；交付样例：gateway deliver")
        case connect:
            written = connect.base_url
    return written.removeprefix("env:")


def invent_secrets(mapping: SourceMapping) -> dict[str, str]:
    """A fictitious value for every variable the mapping needs but its address; always the same ones."""
    names = set(names_in(mapping)) - {address_variable(mapping)}
    return {name: f"{name.lower().replace('_', '-')}-sample" for name in sorted(names)}


def start(
    mapping: SourceMapping,
    secrets: Mapping[str, str],
    port: int = 0,
    control_port: int = 0,
    host: str = "127.0.0.1",
    *,
    samples: Path | None = None,
    secret_lifetime: float | None = None,
    clock: Callable[[], float] = time.time,
) -> "Simulator":
    """A running simulator of this source. Raises OSError (a port is taken) or ValueError (a bad sample)."""
    dataset = load_samples(mapping, samples)
    simulation = Simulation(mapping, secrets, dataset, clock=clock, secret_lifetime=secret_lifetime)
    simulator = Simulator(simulation, host, port, control_port)
    simulator.start()
    return simulator


def serve_forever(
    simulators: Sequence["Simulator"], exit_with_parent: bool = False, announce: Callable[[], None] = lambda: None
) -> None:
    """Run until SIGTERM or SIGINT (or, if asked, until standard input ends), then stop every simulator.

    Must be called in the main thread. `announce` is called when a signal would already end it in order.
    """
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    if exit_with_parent:
        threading.Thread(target=_wait_for_end_of_input, args=(ending,), daemon=True).start()
    announce()
    while not ending.wait(3600):
        pass
    with ThreadPoolExecutor() as pool:
        list(pool.map(Simulator.stop, simulators))


class Simulator:
    """One simulated source on its port, and its control server; after a stop it can be started again on the same ports."""

    def __init__(self, simulation: Simulation, host: str, port: int, control_port: int) -> None:
        self.simulation = simulation
        self.host, self.port, self.control_port = host, port, control_port
        self.url = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def mapping(self) -> SourceMapping:
        """The source that is played."""
        return self.simulation.mapping

    @property
    def dataset(self) -> Dataset:
        """Its records."""
        return self.simulation.dataset

    @property
    def faults(self) -> Faults:
        """What it is to do wrong."""
        return self.simulation.faults

    @property
    def calls(self) -> Calls:
        """What it was asked."""
        return self.simulation.calls

    @property
    def control_url(self) -> str:
        """Where its control server is."""
        return f"http://{self.host}:{self.control_port}"

    def start(self) -> None:
        """Listen on both ports; returns when requests are answered. Raises OSError, ValueError or MissingSecret."""
        with ExitStack() as opened:
            listening = opened.enter_context(_listening(self.host, self.port))
            control = opened.enter_context(_listening(self.host, self.control_port))
            self.port, self.control_port = listening.getsockname()[1], control.getsockname()[1]
            self.simulation = replace(self.simulation, stopping=asyncio.Event())
            server, self.url = _protocol(self.simulation, f"{self.host}:{self.port}")
            opened.pop_all()
        ready: Future[None] = Future()
        serving = self._serve(((server, listening), (_control(self.simulation, self.url), control)), ready)
        self._thread = threading.Thread(target=_run, args=(serving, ready), name=self.mapping.name, daemon=True)
        self._thread.start()
        ready.result(STARTING)

    def stop(self) -> None:
        """Close every connection and both ports; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self.simulation.stopping.set)
            thread.join(STOPPING)

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, servers: Sequence[tuple["_Server", socket.socket]], ready: "Future[None]") -> None:
        self._loop = asyncio.get_running_loop()
        for server, listening in servers:
            await server.start(listening)
        ready.set_result(None)
        await self.simulation.stopping.wait()
        await asyncio.gather(*(server.stop() for server, _ in servers))


class _Server(Protocol):
    async def start(self, listening: socket.socket) -> None: ...

    async def stop(self) -> None: ...


def _run(serving: Coroutine[Any, Any, None], ready: "Future[None]") -> None:
    try:
        asyncio.run(serving)
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


def _protocol(simulation: Simulation, address: str) -> tuple[_Server, str]:
    """The server of the source's protocol, and its address as the mapping's variable has it. Imports what it needs."""
    connect = simulation.mapping.connect
    if isinstance(connect, SqlConnect):
        from adapters.simulator.sql import SqlServer

        url = _database_url(simulation, address)
        return SqlServer(simulation, url), url
    from adapters.simulator.http import HttpServer

    if isinstance(connect, SoapConnect):
        from adapters.simulator.soap import soap_app

        app, path = soap_app(simulation)
        return HttpServer(app, simulation.clock), f"http://{address}{path}"
    from adapters.simulator.rest import rest_app

    return HttpServer(rest_app(simulation), simulation.clock), f"http://{address}"


def _control(simulation: Simulation, url: str) -> _Server:
    from adapters.simulator.control import control_app
    from adapters.simulator.http import HttpServer

    return HttpServer(control_app(simulation, url), simulation.clock)


def _database_url(simulation: Simulation, address: str) -> str:
    """User, password, database and options of the URL that was given (else invented), at the simulator's address."""
    name = simulation.mapping.name
    invented = f"mysql+pymysql://gateway_reader:{name.replace('_', '-')}-sample@localhost/{name}?charset=utf8mb4"
    parts = urlsplit(simulation.secrets.get(address_variable(simulation.mapping)) or invented)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{address}"))


def _listening(host: str, port: int) -> socket.socket:
    listening = socket.socket(
        socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # asyncio: TCP_NODELAY if it says TCP
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(256)
    except OSError:
        listening.close()
        raise
    return listening


def _wait_for_end_of_input(ending: threading.Event) -> None:
    while os.read(0, 65536):
        pass
    ending.set()
