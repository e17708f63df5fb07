"""Several processes behind one port, and how they are replaced without losing a request.

The parent holds the listening socket and does nothing else: a worker is a process of its own that is handed the socket, so what
a worker leaves in the queue of the kernel the others take. SIGHUP replaces the workers one after another, each only once its
successor is ready, with whatever specification, mappings and program are there by then; a successor that cannot start changes
nothing. SIGTERM ends them all, each after its requests.
"""

import asyncio
import functools
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from gateway.log import logger
from gateway.serving import listen
from gateway.settings import Settings

STARTING = 120.0
"""Seconds a worker may take until it serves."""
ENDING = 15.0
"""Seconds it may take beyond what it is given to finish its requests."""
PAUSES = (0.2, 1.0, 5.0, 30.0)
"""Seconds before one that died is replaced, for each time in a row that it did."""


@dataclass(slots=True)
class Worker:
    """One process. It has a socket to us: it writes when it is ready, and ends when we are gone."""

    process: asyncio.subprocess.Process
    control: socket.socket

    def close(self) -> None:
        """Ask it to end after its requests."""
        if self.process.returncode is None:
            self.process.terminate()

    async def ended(self, seconds: float) -> None:
        """Until it has ended; it is killed after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            logger().error("worker.killed", worker=self.process.pid)
            self.process.kill()
            await self.process.wait()
        self.control.close()


@dataclass(slots=True)
class Supervisor:
    """The workers of one port."""

    settings: Settings
    listening: socket.socket
    observed: Sequence[socket.socket]
    """A socket for the metrics of each worker, when they have a port of their own."""
    workers: list[Worker] = field(default_factory=list)
    changing: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_ending: asyncio.Event = field(default_factory=asyncio.Event)
    watching: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, count: int) -> int:
        """Until SIGTERM or SIGINT; 1 when the first workers could not start, else 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.is_ending.set)
        loop.add_signal_handler(signal.SIGHUP, self._spawn, self._roll)
        async with self.changing:
            started = await asyncio.gather(*(self._start(slot) for slot in range(count)))
            self.workers = [worker for worker in started if worker]
        if len(self.workers) < count:
            await self._end()
            return 1
        for slot in range(count):
            self._spawn(functools.partial(self._keep, slot))
        logger().info("workers.ready", workers=count, port=self.listening.getsockname()[1])
        await self.is_ending.wait()
        async with self.changing:
            await self._end()
        return 0

    def _spawn(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.get_running_loop().create_task(work())
        self.watching.add(task)
        task.add_done_callback(self.watching.discard)

    async def _start(self, slot: int) -> Worker | None:
        """A worker that is ready, or None when it did not get that far."""
        ours, theirs = socket.socketpair()
        handed = [self.listening, theirs, *self.observed[slot : slot + 1]]
        numbers = [one.fileno() for one in handed]
        command = [sys.executable, "-m", "gateway.cli", "serve", "--worker", ",".join(map(str, numbers))]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=numbers, start_new_session=True)
        theirs.close()
        ours.setblocking(False)
        worker = Worker(process, ours)
        try:
            async with asyncio.timeout(STARTING):
                said = await asyncio.get_running_loop().sock_recv(ours, 100)
        except (TimeoutError, OSError):
            said = b""
        if said:
            return worker
        logger().error("worker.not_ready", slot=slot)
        worker.close()
        await worker.ended(ENDING)
        return None

    async def _roll(self) -> None:
        """Replace every worker, each by one that is ready."""
        async with self.changing:
            for slot in range(len(self.workers)):
                if self.is_ending.is_set():
                    return
                successor = await self._start(slot)
                if successor is None:
                    logger().error("workers.kept", slot=slot)
                    return
                former, self.workers[slot] = self.workers[slot], successor
                former.close()
                await former.ended(self._patience())
            logger().info("workers.replaced", workers=len(self.workers))

    async def _keep(self, slot: int) -> None:
        """Replace the worker whenever it ends of itself."""
        deaths = 0
        while not self.is_ending.is_set():
            worker = self.workers[slot]
            await worker.process.wait()
            if self.is_ending.is_set() or self.workers[slot] is not worker:
                deaths = 0
                continue
            logger().error("worker.died", slot=slot, status=worker.process.returncode)
            await asyncio.sleep(PAUSES[min(deaths, len(PAUSES) - 1)])
            deaths += 1
            async with self.changing:
                if self.is_ending.is_set() or self.workers[slot] is not worker:
                    continue
                successor = await self._start(slot)
                if successor:
                    worker.control.close()
                    self.workers[slot] = successor
                    logger().info("worker.replaced", slot=slot)

    async def _end(self) -> None:
        for worker in self.workers:
            worker.close()
        await asyncio.gather(*(worker.ended(self._patience()) for worker in self.workers))
        for task in self.watching:
            task.cancel()
        await asyncio.gather(*self.watching, return_exceptions=True)

    def _patience(self) -> float:
        return self.settings.drain_notice + self.settings.drain_timeout + ENDING


def serve_workers(settings: Settings, host: str, port: int, count: int) -> int:
    """Serve with so many processes; the exit status. Raises OSError when the port cannot be had."""
    observed = []
    if settings.metrics_port is not None:
        observed = [listen(host, settings.metrics_port + slot) for slot in range(count)]
    listening = listen(host, port)

    async def supervise() -> int:
        return await Supervisor(settings, listening, observed).run(count)

    return asyncio.run(supervise())
