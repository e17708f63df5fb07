"""Live answers flow back into the store behind the answer: queued, bounded, never waited for.

The answer leaves the payload here and what was asked; all elements of it are mapped for the store in a thread, one page after
the other. A page that says what the source said a short while ago is left out: then the store knows already.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import xxhash
from sqlalchemy.exc import SQLAlchemyError

from adapters.mapping.compiled import Compiler
from adapters.mapping.model import LookupRole
from adapters.mapping.record import Mapped
from gateway.engine.taking import Answered, name_as_asked, there_and_gone
from gateway.garbage import not_looking
from gateway.log import logger
from gateway.store.arriving import Landing
from gateway.store.store import Store
from schema.formats import CHINA_TIME

Question = tuple[str, str, tuple[object, ...]]
"""Source, operation and the texts it was asked for."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How much write-back may take. Times are in seconds.

    `waiting` and `waiting_bytes` bound the queue. The same answer to the same question is told to the store again after
    `told_again` at the earliest, so that `as_of` there is at most that much too early; `remembered` answers are known, of
    `remembered_bytes` in all. While requests are under way write-back takes `share` of the time, and when more than
    `busy` are, or the event loop is late by `lag`, each landing waits for calm, at most for `patience`.
    """

    waiting: int = 1000
    waiting_bytes: int = 32 * 2**20
    told_again: float = 300.0
    remembered: int = 10_000
    remembered_bytes: int = 16 * 2**20
    share: float = 0.1
    busy: int = 4
    lag: float = 0.02
    patience: float = 2.0


DIGESTED = 4 * 2**10
"""Bytes from which a payload is remembered by its digest; a shorter one is kept. No proof depends on this digest, which is
quick and not cryptographic: landed payloads are known by their SHA-256."""
LOOK = 0.05
"""Seconds between two looks at whether it is calm."""


class Told:
    """What was landed lately: question -> payload, and when, as long as nothing else of that source changed since."""

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        self.pace, self.clock = pace, clock
        self.answers: dict[Question, tuple[bytes, float, int]] = {}
        self.bytes = 0
        self.changes: dict[str, int] = {}

    def knows(self, question: Question, raw: bytes) -> bool:
        """Whether the store holds this answer as the last word, said less than `told_again` ago."""
        known = self.answers.get(question)
        if known is None:
            return False
        payload, at, change = known
        is_recent = self.clock() - at < self.pace.told_again and change == self.changes.get(question[0], 0)
        return is_recent and payload == _mark(raw)

    def keep(self, question: Question, raw: bytes, has_changed: bool) -> None:
        """Remember a landing. When it changed something, what other answers of the source said may hold no longer."""
        source = question[0]
        self.changes[source] = self.changes.get(source, 0) + has_changed
        self._forget(question)
        mark = _mark(raw)
        self.answers[question] = (mark, self.clock(), self.changes[source])
        self.bytes += len(mark)
        while len(self.answers) > self.pace.remembered or self.bytes > self.pace.remembered_bytes:
            self._forget(next(iter(self.answers)))

    def _forget(self, question: Question) -> None:
        gone = self.answers.pop(question, None)
        self.bytes -= len(gone[0]) if gone else 0


def _mark(raw: bytes) -> bytes:
    return raw if len(raw) < DIGESTED else xxhash.xxh3_128_digest(raw)


class _Answering:
    """Counts answers under way; one for all of them."""

    __slots__ = ("of",)

    def __init__(self, of: "StoreWriteBack") -> None:
        self.of = of

    def __enter__(self) -> None:
        self.of.under_way += 1

    def __exit__(self, *_error: object) -> None:
        self.of.under_way -= 1


class StoreWriteBack:
    """A queue and the one task that lands from it. What finds no room is let go: the next sync brings it."""

    def __init__(
        self, store: Store, compiler: Compiler, pace: Pace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store, self.compiler, self.pace = store, compiler, pace or Pace()
        self.waiting: asyncio.Queue[Answered] = asyncio.Queue(self.pace.waiting)
        self.waiting_bytes = 0
        self.told = Told(self.pace, clock)
        self.let_go = self.landed = self.known = 0
        self.under_way = 0
        self.hurried = 0
        self._answering = _Answering(self)

    def offer(self, answered: Answered) -> None:
        """Leave an answer for the store, unless it is there."""
        size = len(answered.page.raw)
        if self.told.knows(_question(answered), answered.page.raw):
            self.known += 1
        elif self.waiting.full() or self.waiting_bytes + size > self.pace.waiting_bytes:
            self.let_go += 1
            logger().warning("writeback.full", source=answered.mapping.name, let_go=self.let_go)
        else:
            self.waiting_bytes += size
            self.waiting.put_nowait(answered)

    def answering(self) -> "_Answering":
        """While inside, somebody waits for an answer, and landing gives way."""
        return self._answering

    async def run(self) -> None:
        """Land what is offered, one after the other, until cancelled; a landing under way is finished first."""
        while True:
            answered = await self.waiting.get()
            try:
                if self.told.knows(_question(answered), answered.page.raw):
                    self.known += 1
                    continue
                await self._calm()
                started = time.perf_counter()
                landing = asyncio.ensure_future(self._land(answered))
                try:
                    await asyncio.shield(landing)
                except asyncio.CancelledError:
                    await landing
                    raise
                await self._rest((time.perf_counter() - started) * (1 / self.pace.share - 1))
            finally:
                self.waiting_bytes -= len(answered.page.raw)
                self.waiting.task_done()

    async def settle(self) -> None:
        """Wait until everything offered so far is in the store; meanwhile landing does not give way."""
        self.hurried += 1
        try:
            await self.waiting.join()
        finally:
            self.hurried -= 1

    async def _calm(self) -> None:
        """Wait, at most for `patience`, until a look at the answers under way and at the event loop finds it calm."""
        loop = asyncio.get_running_loop()
        until, lag = loop.time() + self.pace.patience, math.inf
        while self.under_way and not self.hurried and loop.time() < until:
            if self.under_way <= self.pace.busy and lag <= self.pace.lag:
                return
            due = loop.time() + LOOK
            await asyncio.sleep(LOOK)
            lag = loop.time() - due

    async def _rest(self, seconds: float) -> None:
        """Leave the time to answers that are under way."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := until - loop.time()) > 0:
            if not self.under_way or self.hurried:
                return
            await asyncio.sleep(min(left, LOOK))

    async def _land(self, answered: Answered) -> None:
        try:
            has_changed = await asyncio.to_thread(self._land_unlooked, answered)
            self.landed += 1
            self.told.keep(_question(answered), answered.page.raw, has_changed)
        except SQLAlchemyError as error:
            logger().error("writeback.failed", source=answered.mapping.name, error=type(error).__name__)
        except Exception as error:  # a bug must not end the task that lands everybody's answers
            logger().error("writeback.bug", source=answered.mapping.name, error=type(error).__name__, exc_info=error)

    def _land_unlooked(self, answered: Answered) -> bool:
        with not_looking:
            return self._map_and_land(answered)

    def _map_and_land(self, answered: Answered) -> bool:
        """In a thread. Whether it told the store something new."""
        mapping, page = answered.mapping, answered.page
        role = mapping.operations[answered.operation].role
        compiled = self.compiler.compiled(mapping, role.entity, None)
        mapped = compiled.page(page.records, page.received_at.astimezone(CHINA_TIME).date())
        if isinstance(role, LookupRole):
            there, gone = name_as_asked(mapping, role, page.records, mapped, answered.asked)
            answers = _answers(answered, role.relation, there)
        else:
            there, gone = there_and_gone(role.deleted, page.records, mapped)
            answers = {}
        landing = Landing(
            source=mapping.name,
            operation=answered.operation,
            raw=page.raw,
            media_type=page.media_type,
            received_at=page.received_at,
            mapped=there,
            deleted=[(entity.entity, entity.key) for entity in gone],
            answered=answers,
            mapping_version=mapping.version,
        )
        landed = self.store.land(landing)
        return bool(landed.applied or landed.quarantined)


def _question(answered: Answered) -> Question:
    return answered.mapping.name, answered.operation, (*answered.asked, *answered.about)


def _answers(answered: Answered, relation: str | None, there: list[Mapped]) -> dict[str, list[str]]:
    """The texts asked -> the keys of the entities that answer them."""
    text_of = {key: text for text, keys in answered.asked.items() for key in keys}
    answers: dict[str, list[str]] = {text: [] for text in answered.asked}
    for entity in there:
        for key in (entity.key,) if relation is None else entity.refs.get(relation, ()):
            if key in text_of:
                answers[text_of[key]].append(entity.key)
    return answers
