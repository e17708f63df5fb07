"""Runs the short way of an operation: its calls, and from their bytes the answer; else it leaves what it heard to the executor."""

import asyncio
import time
from collections.abc import Awaitable, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from adapters.errors import SourceError
from adapters.json_types import JsonReader, Unlike
from adapters.mapping.compiled import ODD, Compiler
from adapters.mapping.compiled_code import NotCompilable
from adapters.mapping.compiled_typed import NotTyped
from adapters.mapping.compiled_values import MOST_REMEMBERED, Irregular
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import RestConnect, SoapConnect
from adapters.source import Page
from gateway import metrics, tracing
from gateway.context import RequestContext
from gateway.engine.heard import Heard
from gateway.engine.lane.course import Ask, Course, courses_of
from gateway.engine.lane.kept import Mark
from gateway.engine.lane.line import Inside, Line, LineReader
from gateway.engine.lane.writing import write_lane
from gateway.engine.plan import Plan
from gateway.engine.projection.shape import ObjectShape
from gateway.engine.taking import Answered
from gateway.log import logger
from schema.identity import values_in_key
from schema.registry import OWNER, Registry

if TYPE_CHECKING:
    from gateway.engine.executor import Services

STEP = "Lookup"
DURATIONS = metrics.step(STEP)
TAKEN_AFTER = 1
"""Requests that the executor answers before the short way is compiled: most operations that are never asked again."""
ENCODER = msgspec.json.Encoder()
NUMBERS = count()

Asks = Sequence[tuple[int, Mapping[str, str]]]
"""What else is to be asked: the part it is for, and text -> key."""


@dataclass(slots=True)
class _Way:
    """A course with everything compiled; `number` is its own among all."""

    root: Line
    named: Mapping[int, Line]
    number: int = field(default_factory=NUMBERS.__next__)


class _Heard:
    """What one call brought: its page, and, when they are looked at, the objects of it."""

    __slots__ = ("asked", "inside", "line", "mark", "page")

    def __init__(self, line: Line, asked: Mapping[str, str], page: Page, mark: Mark | None) -> None:
        self.line, self.asked, self.page, self.mark = line, asked, page, mark
        self.inside: Inside | None = None

    def take(self) -> Inside:
        """The objects of the page, every one that was asked for among them. Raises what is ODD."""
        if self.inside is None:
            self.inside = self.line.take(self.page)
            known, _ = self.inside[0][self.line.ask.stop.part.number]
            if not known.keys() >= set(self.asked.values()):
                raise Irregular
        return self.inside


class _Trip:
    """One request on its short way."""

    __slots__ = ("context", "heard", "question", "services", "shape", "way")

    def __init__(
        self, services: "Services", context: RequestContext, way: _Way, shape: ObjectShape, heard: Heard, key: str
    ) -> None:
        self.services, self.context, self.way, self.shape, self.heard = services, context, way, shape, heard
        self.question: tuple[Hashable, ...] = (way.number, key, context.viewer.scope, context.viewer.masking)

    async def run(self, key: str) -> tuple[Any, Sequence[_Heard]]:
        """The data of the answer, and what it is made of. Raises SourceError or what is ODD."""
        way = self.way
        root = await self.ask(way.root, {way.root.text_of(key): key})
        heard = [root]
        if way.named and (asks := self.asks_after(root)):
            if len(asks) == 1:
                ((part, asked),) = asks
                heard.append(await self.ask(way.named[part], asked))
            else:
                heard += await _all_of([self.ask(way.named[part], asked) for part, asked in asks])
        return self.answer(key, heard), heard

    def answer(self, key: str, heard: Sequence[_Heard]) -> Any:
        """The data of the answer, worked out only where the same was never heard before. Raises what is ODD."""
        marks = tuple([one.mark for one in heard if one.mark is not None])
        if len(marks) < len(heard):
            return self.made(key, heard)
        kept, question = self.services.kept, (*self.question, marks)
        answer = kept.get(question)
        if answer is not None:
            kept.reused += 1
            return answer
        answer = self.made(key, heard)
        if answer.__class__ is msgspec.Raw and kept.put(question, answer, len(memoryview(answer))):
            for one, mark in zip(heard, marks, strict=True):
                one.line.know(one.page, mark)
        return answer

    async def ask(self, line: Line, asked: Mapping[str, str]) -> _Heard:
        """One call. Raises SourceError or Irregular."""
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
            DURATIONS.observe(time.perf_counter() - started)
        self.heard[call] = page
        if page.parts or len(page.keys) not in (0, len(texts)):
            raise Irregular
        return _Heard(line, asked, page, line.mark(page) if self.services.kept.largest else None)

    def asks_after(self, root: _Heard) -> Asks:
        """What the records of the root refer to. Raises what is ODD."""
        question = (*self.question, root.mark)
        asks: Asks | None = None if root.mark is None else self.services.kept.get(question)
        if asks is not None:
            return asks
        wanted: dict[int, dict[str, None]] = {}
        for part, _, keys, _ in root.take()[1]:
            wanted.setdefault(part, {}).update(dict.fromkeys(keys))
        named = self.way.named
        asks = [(part, {named[part].text_of(key): key for key in keys}) for part, keys in wanted.items()]
        for (part, asked), keys in zip(asks, wanted.values(), strict=True):
            if len(asked) < len(keys) or len(asked) > named[part].ask.role.batch:
                raise Irregular
        if root.mark is not None:
            self.services.kept.put(question, asks, sum(2 * len(text) for _, asked in asks for text in asked))
        return asks

    def made(self, key: str, heard: Sequence[_Heard]) -> Any:
        """The data of the answer, written already where it can be. Raises what is ODD."""
        seen: dict[int, dict[str, Any]] = {}
        for one in heard:
            seen.update({part: known for part, (known, _) in one.take()[0].items()})
        for part, made, keys, slot in heard[0].take()[1]:
            found = seen[part]
            if slot is None:
                made.extend([found[key] for key in keys])
            else:
                setattr(made, slot, found[keys[0]])
        found = seen[self.way.root.ask.stop.part.number]
        if len(found) > 1:
            raise Irregular
        root, shape = found[key], self.shape
        data = shape.struct(*[shape.kind if field.is_typename else root for field in shape.fields])
        try:
            return msgspec.Raw(ENCODER.encode(data))
        except UnicodeEncodeError:  # half of a surrogate pair: what becomes of it is for whoever writes the response
            return data


async def _all_of(asking: Iterable[Awaitable[_Heard]]) -> list[_Heard]:
    """What all of them brought, each heard to its end, since the executor may need it. Raises what one of them raised."""
    heard = []
    for one in await asyncio.gather(*asking, return_exceptions=True):
        if isinstance(one, BaseException):
            raise one
        heard.append(one)
    return heard


class Lane:
    """The short ways of one planned operation, compiled when they are first taken."""

    def __init__(self, shape: ObjectShape, courses: Mapping[str, Course], wants: Any, compiler: Compiler) -> None:
        self.shape, self.courses, self.wants, self.compiler = shape, courses, dict(wants), compiler
        self._ways: dict[str, _Way | None] = {}
        self._owners: dict[str, str] = {}
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
        heard: Heard = {}
        way = self._way(key) if self.asked > TAKEN_AFTER else None
        if way is None:
            return None, heard
        try:
            with services.write_back.answering():
                answer, pages = await _Trip(services, context, way, self.shape, heard, key).run(key)
        except (SourceError, *ODD):
            return None, heard
        except Exception as error:  # a bug of ours; the executor answers without it
            logger().error("lane.bug", error=type(error).__name__, exc_info=error)
            return None, heard
        self.taken += 1
        for one in pages:
            if not one.page.is_cached:
                keys = {text: [key] for text, key in one.asked.items()}
                services.write_back.offer(Answered(one.line.ask.mapping, one.line.ask.operation, one.page, keys))
        return answer, heard

    def _way(self, key: str) -> _Way | None:
        owner = "" if "" in self.courses else self._owner_of(key)
        if not self._ways and not self._is_left_to_others:
            for _ in self._portions():
                pass
        return self._ways.get(owner)

    def _owner_of(self, key: str) -> str:
        """The agency that the key says is the owner, "" for none."""
        owner = self._owners.get(key)
        if owner is None:
            told = values_in_key(next(iter(self.courses.values())).root.stop.part.entity, key)
            owner = told.get("agency_code") or told.get(OWNER) or ""
            if len(self._owners) >= MOST_REMEMBERED:
                self._owners.clear()
            self._owners[key] = owner
        return owner

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
        if isinstance(ask.mapping.connect, RestConnect | SoapConnect):
            line.reader = LineReader(None, make, needs_day, line.parts)
        if (json := json_reader_for(ask.mapping, ask.operation)) is not None:
            try:
                make, needs_day = write_lane(ask, self.wants, self.compiler.hash_id, memos, json.record)
                line.reader = LineReader(json, make, needs_day, line.parts)
            except (NotTyped, Unlike, NotCompilable):
                pass
            yield
        return line


def json_reader_for(mapping: SourceMapping, operation: str) -> JsonReader | None:
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
