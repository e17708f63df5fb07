"""Who runs what and when: streams that are due, outside their pauses, one run of each, in any number of processes."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from adapters.mapping.model import ChangesRole, SourceMapping
from gateway.log import logger
from gateway.store.due import Due, Interval, find_due
from gateway.store.faults import store_fault
from gateway.store.store import Store
from schema.formats import CHINA_TIME

LEASE_PER_HEARTBEAT = 1.5
"""A lease outlives one heartbeat, not two; with the look for what is due, another takes over within two."""


class Dispatcher(Protocol):
    """Tells this process which of the streams that are due it should run now."""

    async def dispatch(self, due: Sequence[Due]) -> Sequence[Due]:
        """Those to run here."""
        ...


class Direct:
    """Runs everything that is due; who is second finds the stream busy."""

    async def dispatch(self, due: Sequence[Due]) -> Sequence[Due]:
        """All of them."""
        return due


@dataclass(slots=True)
class Loop:
    """Looks for what is due and runs it, at most so many streams at once. `run` never raises."""

    store: Store
    mappings: Mapping[str, SourceMapping]
    run: Callable[[Due], Coroutine[Any, Any, None]]
    heartbeat: float
    most: int = 4
    dispatcher: Dispatcher = field(default_factory=Direct)
    running: dict[Due, asyncio.Task[None]] = field(default_factory=dict)

    async def forever(self) -> None:
        """Until cancelled; runs that go on then are cancelled too, and go on elsewhere from their last page."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(self.heartbeat / 4)
        finally:
            for task in self.running.values():
                task.cancel()
            await asyncio.gather(*self.running.values(), return_exceptions=True)

    async def until_nothing_is_due(self) -> None:
        """Run all that is due by now."""
        while await self.look() or self.running:
            if self.running:
                await asyncio.wait(self.running.values(), return_when=asyncio.FIRST_COMPLETED)

    async def look(self) -> int:
        """Start what is due and has a place; how many were started. A store that is out of reach is looked at again later."""
        self.running = {due: task for due, task in self.running.items() if not task.done()}
        try:
            due = [one for one in await asyncio.to_thread(self.find) if one not in self.running]
            given = await self.dispatcher.dispatch(due[: self.most - len(self.running)])
            still = await asyncio.to_thread(self.find) if given else []  # another process may have been quicker
        except SQLAlchemyError as error:
            logger().warning("sync.store_out_of_reach", error=store_fault(error))
            return 0
        started = [one for one in given if one in still]
        for one in started:
            self.running[one] = asyncio.create_task(self.run(one))
        return len(started)

    def find(self) -> list[Due]:
        """What is due now, and not in a pause."""
        roles = {(name, operation): role for name, operation, role in streams(self.mappings)}
        known = [interval(name, operation, role) for (name, operation), role in roles.items()]
        due, now = self.store.database.read(lambda connection: find_due(connection, self.store.tables, known))
        return [one for one in due if not is_paused(roles[one.source, one.operation], now)]


def streams(mappings: Mapping[str, SourceMapping]) -> Iterator[tuple[str, str, ChangesRole]]:
    """Every stream there is: source, operation and what the mapping says of it."""
    for mapping in mappings.values():
        for name, operation in mapping.operations.items():
            if operation.changes is not None:
                yield mapping.name, name, operation.changes


def interval(source: str, operation: str, role: ChangesRole) -> Interval:
    """How often a stream wants to be read and reconciled."""
    return Interval(source, operation, role.every, role.reconcile_every)


def is_paused(role: ChangesRole, now: datetime) -> bool:
    """Whether this is one of the times at which the source is left alone: `("23:00", "01:00")` goes over midnight."""
    at = now.astimezone(CHINA_TIME).time()
    return any(_within(at, start, end) for start, end in role.pauses)


def _within(at: time, start: time, end: time) -> bool:
    return start <= at < end if start < end else at >= start or at < end
