"""Runs a plan: wave after wave, each step one batched call, into one index. A failed call fails only what it was for."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from adapters.errors import SourceContractBroken, SourceError
from adapters.mapping.compiled import Compiler
from adapters.mapping.model import LookupRole, SourceMapping
from adapters.mapping.record import HashId, Mapped
from adapters.mapping.truth import NOTHING_SAID, Truth
from adapters.source import Page
from gateway import metrics, tracing
from gateway.context import RequestContext
from gateway.engine.arguments import RootArguments
from gateway.engine.calls import Calls
from gateway.engine.heard import Heard
from gateway.engine.index import ASKED, NAMED, RELATED, Failure, Index, Mode, Origin, Row
from gateway.engine.lane.kept import Kept
from gateway.engine.plan import (
    Identify,
    Lookup,
    Plan,
    SourceSearch,
    Span,
    Step,
    StoreCount,
    StoreLookup,
    StoreRoute,
    StoreSearch,
    Use,
)
from gateway.engine.planner import route_of
from gateway.engine.routing import is_asked, run_store_route
from gateway.engine.search_steps import run_source_search
from gateway.engine.storage import Storage, StoreUnavailable
from gateway.engine.store_steps import fail_store_step, is_idle, run_store_step
from gateway.engine.taking import Adopter, Answered, Taker, name_as_asked
from gateway.store.groups import Groups
from gateway.store.search import Found
from gateway.store.store import Stored
from schema.formats import CHINA_TIME
from schema.registry import OWNER, Registry

LEAST_RECALL = 0.05
"""Seconds that the store has to answer instead of a source whose call took all the time there was."""


class WriteBack(Protocol):
    """Where live answers are left for the store; never waits."""

    def offer(self, answered: Answered) -> None:
        """Take the answer, or let it go when there is no room."""
        ...

    def answering(self) -> AbstractContextManager[None]:
        """While inside, somebody waits for an answer: what can wait is to give way."""
        ...


class Submissions(Protocol):
    """Where records that agencies hand in by mutations are taken in. Methods raise GraphQLError."""

    async def submit(
        self, context: RequestContext, source: str, operation: str, key: str, records: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The receipt, with what became of each record."""
        ...

    async def receipt(self, context: RequestContext, identifier: str) -> Mapping[str, Any] | None:
        """A receipt, asked for again."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What executing needs besides the plan; one for the process."""

    registry: Registry
    mappings: Mapping[str, SourceMapping]
    calls: Calls
    storage: Storage
    write_back: WriteBack
    hash_id: HashId
    compiler: Compiler
    kept: Kept
    truth: Truth = NOTHING_SAID
    submissions: Submissions | None = None


@dataclass(slots=True)
class Execution:
    """One run of one plan."""

    services: Services
    plan: Plan
    roots: Sequence[RootArguments]
    context: RequestContext
    index: Index
    keys: list[list[str | None]] = field(default_factory=list)
    pages: dict[int, Found] = field(default_factory=dict)
    counted: dict[int, Groups] = field(default_factory=dict)
    asked: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    routes: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    stale: dict[tuple[str, str], Failure] = field(default_factory=dict)
    root_failures: dict[int, Failure] = field(default_factory=dict)
    heard: Heard = field(default_factory=dict)
    """Calls that were made before it began: their answers are taken instead of asking again."""
    done: set[int] = field(default_factory=set)
    """The numbers of steps that have nothing left to do."""
    spans: dict[int, Span] = field(default_factory=dict)
    """When each step was under way, by its number."""

    async def run(self) -> None:
        """Fill the index. Never raises for a source: failures stand where the answer would have been."""
        self.begin()
        for wave in self.plan.waves:
            await self.run_steps(wave)

    def begin(self) -> None:
        """Take up what the arguments tell; before the first step."""
        self.index.truth = self.services.truth
        self.keys = [[reference.key for reference in root.references] for root in self.roots]

    async def run_steps(self, steps: Sequence[Step]) -> None:
        """Run steps that wait for nothing but what has been run before."""
        with self.services.write_back.answering():
            if len(steps) == 1:
                await self._step(steps[0])
            else:
                await together([self._step(step) for step in steps])

    async def _step(self, step: Step) -> None:
        started = time.perf_counter_ns()
        kind = type(step).__name__
        with tracing.span("step", {"step.kind": kind, "step.number": step.number}):
            try:
                match step:
                    case _ if step.number in self.done:
                        pass
                    case Lookup():
                        await self._lookup(step)
                    case StoreRoute():
                        await run_store_route(self, step)
                    case SourceSearch():
                        await run_source_search(self, step)
                    case StoreLookup() if is_idle(self, step):
                        pass
                    case StoreLookup() | StoreSearch() | StoreCount() | Identify():
                        async with asyncio.timeout(self.context.deadline.left):
                            await run_store_step(self, step)
            except StoreUnavailable as error:
                fail_store_step(self, step, Failure("store", error.operation, error))
            except TimeoutError:
                late = StoreUnavailable("请求时限已到", source="store", operation=kind)
                fail_store_step(self, step, Failure("store", kind, late))
            finally:
                ended = time.perf_counter_ns()
                self.spans[step.number] = Span(started, ended)
                metrics.step(kind).observe((ended - started) / 1e9)

    def members(self, number: int) -> list[Row]:
        """The rows that stand at a part, as far as they are known by now."""
        part = self.plan.parts[number]
        name = part.entity.name
        if part.way is None:
            index = next(index for index, root in enumerate(self.plan.roots) if root.parts.get(name) is part)
            return [self.index.row(name, key) for key in self._keys_of(index, name)]
        parent, relation = part.way
        return self.index.led_to(self.members(parent), relation)

    def _keys_of(self, root: int, entity: str) -> list[str]:
        """The keys of the entities of one kind that a root leads to, as far as they are known by now."""
        if self.plan.roots[root].kind == "list":
            return self.pages[root].keys if root in self.pages else []
        asked = zip(self.roots[root].references, self.keys[root], strict=True)
        return list(dict.fromkeys(key for reference, key in asked if reference.entity == entity and key is not None))

    # --- live look-ups -------------------------------------------------------------------------------------------

    async def _lookup(self, step: Lookup) -> None:
        mapping = self.services.mappings[step.source]
        role = mapping.operations[step.operation].lookup
        assert role is not None
        wanted: dict[str, list[tuple[Use, Row]]] = {}
        is_routed = route_of(role, self.services.registry) is not None
        for use in step.uses:
            for row in self.asked_from(use):
                if (text := self._key_text(mapping, step.operation, role, use, row, is_routed)) is not None:
                    row.was_asked |= use.purpose == "complete"
                    wanted.setdefault(text, []).append((use, row))
        asked = self.asked.setdefault((step.source, step.operation), set())
        fresh = [text for text in wanted if text not in asked]
        asked.update(fresh)
        batches = [fresh[start : start + role.batch] for start in range(0, len(fresh), role.batch)]
        if len(fresh) == len(wanted) and len(batches) == 1:
            await self._call(step, mapping, role, wanted)
            return
        await together([self._call(step, mapping, role, {text: wanted[text] for text in texts}) for texts in batches])

    def _key_text(
        self, mapping: SourceMapping, operation: str, role: LookupRole, use: Use, row: Row, is_routed: bool
    ) -> str | None:
        """The row's key as the source writes it, or None when this source is not to be asked for it."""
        if use.purpose == "complete":
            is_known = use.elements and not any(row.lacks(name) for name in use.elements)
            if is_known and all(row.is_told_by(name, mapping.name) for name in use.trusted):
                return None
            if not use.elements and row.contributions:
                return None
            if not is_asked(self, mapping.name, operation, use, row):
                return None
        if is_routed:
            owner = row.values.get("agency_code") or row.values.get(OWNER)
            if owner != mapping.agency:
                return None
        value = row.values.get(role.element)
        return None if value is None or role.field.print_key is None else role.field.print_key(value)

    async def _call(
        self, step: Lookup, mapping: SourceMapping, role: LookupRole, wanted: Mapping[str, list[tuple[Use, Row]]]
    ) -> None:
        calls, context = self.services.calls, self.context
        keys = tuple(wanted)
        try:
            page = self.heard.pop((step.source, step.operation, keys), None)
            if page is None:
                page = await calls.make(step.source, step.operation, context.deadline, context.viewer, keys=keys)
            elif isinstance(page, SourceError):
                raise page
        except SourceError as error:
            for held in error.held:
                self._answered(step, mapping, role, wanted, held)
            rest = {text: uses for text, uses in wanted.items() if not any(text in held.keys for held in error.held)}
            await self._failed(step, mapping, role, rest, Failure(step.source, step.operation, error))
            return
        for part in page.parts or (page,):
            self._answered(step, mapping, role, wanted, part)

    def _answered(
        self,
        step: Lookup,
        mapping: SourceMapping,
        role: LookupRole,
        asked_for: Mapping[str, list[tuple[Use, Row]]],
        page: Page,
    ) -> None:
        """Take what one answer tells of those keys that it answers; what is new also flows back into the store."""
        wanted = {text: asked_for[text] for text in page.keys} if page.keys else asked_for
        compiled = self.services.compiler.compiled(mapping, role.entity, self.plan.wants)
        mapped = compiled.page(page.records, page.received_at.astimezone(CHINA_TIME).date())
        asked = {text: [row.key for _, row in uses] for text, uses in wanted.items()}
        told, _ = name_as_asked(mapping, role, page.records, mapped, asked)
        origin = self._origin(step, "CACHED" if page.is_cached else "LIVE", page.received_at, page.received_at)
        self._take(step, role, wanted, Adopter(self.index, mapping, compiled.wants or {}, step.number), told, origin)
        self._mark_answered(step, role, wanted)
        if not page.is_cached:
            self.services.write_back.offer(Answered(mapping, step.operation, page, asked))

    def _take(
        self,
        step: Lookup,
        role: LookupRole,
        wanted: Mapping[str, list[tuple[Use, Row]]],
        taker: Taker,
        entities: Iterable[Mapped],
        origin: Origin,
    ) -> None:
        """Put entities into the index where they were asked for."""
        text_of = {row.key: text for text, uses in wanted.items() for _, row in uses}
        for entity in entities:
            if role.relation is None:
                if entity.key in text_of:
                    taker.add(entity, origin, ASKED)
                continue
            parents = [key for key in entity.refs.get(role.relation, ()) if key in text_of]
            if parents:
                taker.add(entity, origin, RELATED)
            for key in parents:
                for use, row in wanted[text_of[key]]:
                    self.index.relate(row.entity.name, key, str(use.relation), (entity.key,), step.number)

    def _mark_answered(self, step: Lookup, role: LookupRole, wanted: Mapping[str, list[tuple[Use, Row]]]) -> None:
        """What the source did not mention it does not have: null or an empty list, and no error."""
        wanting: dict[tuple[frozenset[str], frozenset[str]], frozenset[str]] = {}
        for uses in wanted.values():
            for use, row in uses:
                if role.relation is not None:
                    self.index.relate(row.entity.name, row.key, str(use.relation), (), step.number)
                    continue
                names = wanting.get((use.elements, row.told))
                if names is None:
                    names = wanting[use.elements, row.told] = use.elements - row.told
                for name in names:
                    if row.lacks(name):
                        row.learn(name, None, NAMED, step.source)

    async def _failed(
        self,
        step: Lookup,
        mapping: SourceMapping,
        role: LookupRole,
        wanted: Mapping[str, list[tuple[Use, Row]]],
        failure: Failure,
    ) -> None:
        """What the store still knows answers, marked STALE; for the rest the failure stands where the data would."""
        answers: dict[str, list[Stored]] = {}
        if failure.error.retryable or isinstance(failure.error, SourceContractBroken):
            keys = {text: uses[0][1].key for text, uses in wanted.items()}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(self.context.deadline.left, LEAST_RECALL)):
                    answers = await self.services.storage.last_told(mapping, step.operation, role, keys)
        known = {text: uses for text, uses in wanted.items() if text in answers}
        if known:
            self.stale[(step.source, step.operation)] = failure
            taker = Taker(self.index, mapping, step.number)
            for found in answers.values():
                for stored in found:
                    origin = self._origin(step, "STALE", stored.as_of, stored.fetched_at)
                    self._take(step, role, known, taker, [stored.mapped], origin)
            self._mark_answered(step, role, known)
        for text, uses in wanted.items():
            for use, row in uses if text not in known else ():
                if role.relation is not None:
                    self.index.related_failures[(row.entity.name, row.key, str(use.relation))] = failure
                    continue
                row.failures["*"] = failure
                for name in use.elements:
                    row.failures[name] = failure
        if len(known) < len(wanted):
            self.failures.append(failure)

    def _origin(self, step: Lookup, mode: Mode, as_of: datetime, fetched_at: datetime) -> Origin:
        version = self.services.registry.version
        return Origin(step.source, step.operation, mode, as_of, fetched_at, version)

    def asked_from(self, use: Use) -> list[Row]:
        """The entities a step asks for, or asks from when it follows a relation."""
        if use.purpose == "expand":
            return self.members(int(use.parent or 0))
        rows = self.members(use.part)
        return rows if use.purpose == "complete" else _left_to_the_store(use, rows)


async def together(work: Sequence[Coroutine[None, None, None]]) -> None:
    """Do all of it at once. A single piece needs no task of its own."""
    if len(work) < 2:
        for piece in work:
            await piece
        return
    async with asyncio.TaskGroup() as group:
        for piece in work:
            group.create_task(piece)


def _left_to_the_store(use: Use, rows: Iterable[Row]) -> list[Row]:
    """The rows that nobody was asked for, and of which something is wanting."""
    left: list[Row] = []
    wanting: dict[frozenset[str], frozenset[str]] = {}
    for row in rows:
        if row.was_asked:
            continue
        names = wanting.get(row.told)
        if names is None:
            names = wanting[row.told] = use.elements - row.told
        if (use.parent is None and not row.is_told) or (names and not names <= row.ranks.keys()):
            left.append(row)
    return left
