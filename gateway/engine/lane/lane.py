"""Runs the short way of an operation: its calls, and from their bytes the answer; else it leaves what it heard to the executor."""

import asyncio
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from adapters.errors import SourceError
from adapters.json_types import JsonReader, Unlike
from adapters.mapping.compiled import ODD, Compiler
from adapters.mapping.compiled_code import NotCompilable
from adapters.mapping.compiled_typed import NotTyped
from adapters.mapping.compiled_values import MOST_REMEMBERED, Irregular
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import RestConnect
from adapters.source import Page
from gateway import metrics, tracing
from gateway.context import RequestContext
from gateway.engine.heard import Heard
from gateway.engine.lane.course import Ask, Course, courses_of
from gateway.engine.lane.writing import Make, Seen, write_lane
from gateway.engine.plan import Plan
from gateway.engine.projection.shape import ObjectShape
from gateway.engine.taking import Answered
from gateway.log import logger
from schema.formats import CHINA_TIME
from schema.identity import values_in_key
from schema.registry import OWNER, Registry

if TYPE_CHECKING:
    from gateway.engine.executor import Services

STEP = "Lookup"
TAKEN_AFTER = 1
"""Requests that the executor answers before the short way is compiled: most operations that are never asked again."""


class Made:
    """What an answer became as soon as it was read: objects, and what they wait for. Who takes it fills them, so only one may."""

    __slots__ = ("_inside", "count", "is_odd")

    def __init__(self, count: int, inside: tuple[Seen, list[Any]] | None) -> None:
        self.count, self._inside, self.is_odd = count, inside, inside is None

    def __len__(self) -> int:
        return self.count

    def take(self) -> tuple[Seen, list[Any]] | None:
        """The objects, once; None from then on, and where they are not for the short way."""
        inside, self._inside = self._inside, None
        return inside


class MakingReader:
    """A reader that makes objects of the records in the same turn, while they are in the processor's memory."""

    __slots__ = ("json", "make", "needs_day", "parts")

    def __init__(self, json: JsonReader, make: Make, needs_day: bool, parts: Sequence[int]) -> None:
        self.json, self.make, self.needs_day, self.parts = json, make, needs_day, parts

    @property
    def is_learning(self) -> bool:
        """See Reader."""
        return self.json.is_learning

    def learn(self, body: bytes) -> None:
        """See Reader."""
        self.json.learn(body)

    def read(self, body: bytes) -> Made | None:
        """See Reader."""
        records = self.json.read(body)
        if records is None:
            return None
        day = datetime.now(CHINA_TIME).date() if self.needs_day else None
        try:
            return Made(len(records), made_of(records, self.make, day, self.parts))
        except ODD:
            return Made(len(records), None)
        except Exception as error:  # a bug of ours, and no fault of the source
            logger().error("lane.bug", error=type(error).__name__, exc_info=error)
            return Made(len(records), None)


def made_of(records: Iterable[Any], make: Make, day: date | None, parts: Sequence[int]) -> tuple[Seen, list[Any]]:
    """The objects of records, by part and key, and what they wait for. Raises what is ODD."""
    seen: Seen = {part: ({}, {}) for part in parts}
    waiting: list[Any] = []
    for record in records:
        if make(record, day, seen, waiting) is None:
            raise Irregular
    return seen, waiting


@dataclass(slots=True)
class Line:
    """One look-up, compiled: from the pages it brings to objects of the answer, by `make` where `reader` did not make them."""

    ask: Ask
    parts: Sequence[int]
    make: Make
    needs_day: bool
    reader: MakingReader | None = None
    texts: dict[str, str | None] = field(default_factory=dict)

    def text_of(self, key: str) -> str:
        """The key as the source writes it. Raises Irregular when it has none."""
        text = self.texts.get(key)
        if text is None:
            role = self.ask.role
            value = values_in_key(self.ask.stop.part.entity, key).get(role.element)
            text = None if value is None or role.field.print_key is None else role.field.print_key(value)
            if text is None:
                raise Irregular
            if len(self.texts) >= MOST_REMEMBERED:
                self.texts.clear()
            self.texts[key] = text
        return text

    def take(self, page: Page) -> tuple[Seen, list[Any]]:
        """The objects of a page, by part and key, and what they wait for. Raises Irregular."""
        if self.reader is not None and page.read_by is not None:
            made: Any = page.read if page.read_by is self.reader else self.reader.read(page.raw)
            inside: tuple[Seen, list[Any]] | None = made and made.take()
            if inside is None and made is not None and not made.is_odd:  # somebody asked the same, and was quicker
                made = self.reader.read(page.raw)
                inside = made and made.take()
            if inside is None:
                raise Irregular
            return inside
        day = page.received_at.astimezone(CHINA_TIME).date() if self.needs_day else None
        return made_of(page.records, self.make, day, self.parts)


@dataclass(slots=True)
class _Trip:
    """One request on its short way: what was heard and made so far, what is waited for, and what flows back into the store."""

    services: "Services"
    context: RequestContext
    seen: dict[int, tuple[dict[str, Any], dict[str, Any]]] = field(default_factory=dict)
    heard: Heard = field(default_factory=dict)
    waiting: list[Any] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)

    async def ask(self, line: Line, asked: Mapping[str, str]) -> None:
        """One call, and objects of what it brings, each under its key. Raises SourceError or Irregular."""
        ask, texts, context = line.ask, tuple(asked), self.context
        call = (ask.mapping.name, ask.operation, texts)
        started = time.perf_counter()
        try:
            with tracing.span("step", {"step.kind": STEP}):
                page = await self.services.calls.make(
                    call[0], call[1], context.deadline, context.viewer, reader=line.reader, keys=texts
                )
        except SourceError as error:
            self.heard[call] = error
            raise
        finally:
            metrics.step(STEP).observe(time.perf_counter() - started)
        self.heard[call] = page
        if page.parts or len(page.keys) not in (0, len(texts)):
            raise Irregular
        seen, waiting = line.take(page)
        self.seen.update(seen)
        self.waiting += waiting
        known, _ = self.seen[ask.stop.part.number]
        if not known.keys() >= set(asked.values()):
            raise Irregular
        if not page.is_cached:
            keys = {text: [key] for text, key in asked.items()}
            self.answered.append(Answered(ask.mapping, ask.operation, page, keys))

    async def follow(self, named: Mapping[int, Line]) -> None:
        """Ask for what records refer to, all of it at once, and put it where it is waited for."""
        wanted: dict[int, dict[str, None]] = {}
        for part, _, keys, _ in self.waiting:
            wanted.setdefault(part, {}).update(dict.fromkeys(keys))
        asks = [(named[part], {named[part].text_of(key): key for key in keys}) for part, keys in wanted.items()]
        for (line, asked), keys in zip(asks, wanted.values(), strict=True):
            if len(asked) < len(keys) or len(asked) > line.ask.role.batch:
                raise Irregular
        if len(asks) == 1:
            await self.ask(*asks[0])
        else:  # to the end of all of them, since the executor may need what the others heard
            ended = await asyncio.gather(*(self.ask(*one) for one in asks), return_exceptions=True)
            for failure in filter(None, ended):
                raise failure
        for part, made, keys, slot in self.waiting:
            found, _ = self.seen[part]
            if slot is None:
                made.extend([found[key] for key in keys])
            else:
                setattr(made, slot, found[keys[0]])


@dataclass(slots=True)
class _Way:
    """A course with everything compiled."""

    root: Line
    named: Mapping[int, Line]


class Lane:
    """The short ways of one planned operation, compiled when they are first taken."""

    def __init__(self, shape: ObjectShape, courses: Mapping[str, Course], wants: Any, compiler: Compiler) -> None:
        self.shape, self.courses, self.wants, self.compiler = shape, courses, dict(wants), compiler
        self._ways: dict[str, _Way | None] = {}
        self.asked = self.taken = 0
        self._is_left_to_others = self._is_given = False

    def due(self) -> Iterator[None] | None:
        """What is to be compiled, in portions, once the operation is asked for again; to be asked for when there was no answer.
        None when there is nothing, or somebody has it already. Who asks has to do it: `answer` leaves it to them from then on.
        """
        self._is_left_to_others = True
        if self._is_given or self.asked <= TAKEN_AFTER:
            return None
        self._is_given = True
        return self._portions()

    def _portions(self) -> Iterator[None]:
        for owner, course in self.courses.items():
            self._ways[owner] = yield from self._compiled(course)

    async def answer(self, services: "Services", context: RequestContext, key: str) -> tuple[Any, Heard]:
        """The answer to the operation about the entity with this key; None, and what was heard, when it is for the executor."""
        self.asked += 1
        way = self._way(key) if self.asked > TAKEN_AFTER else None
        trip = _Trip(services, context)
        if way is None:
            return None, trip.heard
        try:
            with services.write_back.answering():
                await trip.ask(way.root, {way.root.text_of(key): key})
                if trip.waiting:
                    await trip.follow(way.named)
            found, _ = trip.seen[way.root.ask.stop.part.number]
            if len(found) > 1:
                raise Irregular
            made = found[key]
        except (SourceError, *ODD):
            return None, trip.heard
        except Exception as error:  # a bug of ours; the executor answers without it
            logger().error("lane.bug", error=type(error).__name__, exc_info=error)
            return None, trip.heard
        self.taken += 1
        for one in trip.answered:
            services.write_back.offer(one)
        values = [self.shape.kind if field.is_typename else made for field in self.shape.fields]
        return self.shape.struct(*values), trip.heard

    def _way(self, key: str) -> _Way | None:
        owner = ""
        if "" not in self.courses:
            told = values_in_key(next(iter(self.courses.values())).root.stop.part.entity, key)
            owner = told.get("agency_code") or told.get(OWNER) or ""
        if not self._ways and not self._is_left_to_others:
            for _ in self._portions():
                pass
        return self._ways.get(owner)

    def _compiled(self, course: Course) -> Generator[None, None, _Way | None]:
        named: dict[int, Line] = {}
        try:
            root = yield from self._line(course.root)
            for ask in course.named:
                named[ask.stop.part.number] = yield from self._line(ask)
        except NotCompilable:
            return None
        return _Way(root, named)

    def _line(self, ask: Ask) -> Generator[None, None, Line]:
        memos = self.compiler.memos_of(ask.mapping)
        make, needs_day = write_lane(ask, self.wants, self.compiler.hash_id, memos, None)
        line = Line(ask, [stop.part.number for stop in ask.stop.all_inside()], make, needs_day)
        yield
        if (reader := reader_for(ask.mapping, ask.operation)) is not None:
            try:
                make, needs_day = write_lane(ask, self.wants, self.compiler.hash_id, memos, reader.record)
                line.reader = MakingReader(reader, make, needs_day, line.parts)
            except (NotTyped, Unlike, NotCompilable):
                pass
            yield
        return line


def reader_for(mapping: SourceMapping, operation: str) -> JsonReader | None:
    """What decodes the answers of an operation into types, where they are plain JSON that is told by one code at most."""
    connect, asked = mapping.connect, mapping.operations[operation]
    if not isinstance(connect, RestConnect) or connect.answer != ["json"] or asked.latest_of or asked.latest_by:
        return None
    if any(many for _, many in asked.records.steps) or asked.written.page is not None:
        return None
    outcome, ok = (connect.outcome.path.split("."), connect.outcome.ok) if connect.outcome else ([], [])
    try:
        return JsonReader([name for name, _ in asked.records.steps], outcome, ok)
    except Unlike:
        return None


def make_lane(
    plan: Plan, shape: ObjectShape, mappings: Mapping[str, SourceMapping], registry: Registry, compiler: Compiler
) -> Lane | None:
    """The short ways of a plan, None where it has none."""
    courses = courses_of(plan, shape, mappings, registry)
    return Lane(shape, courses, plan.wants, compiler) if courses else None
