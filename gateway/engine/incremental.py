"""@defer and @stream: what of a plan the first answer needs, what may come later, and reads that wait for the latter.

graphql-core's incremental executor does the rest: it groups the deferred fields and words the payloads.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from graphql import (
    REMOVE,
    DirectiveNode,
    DocumentNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.language import BooleanValueNode

from gateway.engine.answer import Answers, View
from gateway.engine.executor import Execution
from gateway.engine.index import Row
from gateway.engine.plan import (
    Identify,
    Lookup,
    Plan,
    SourceSearch,
    Step,
    StoreCount,
    StoreLookup,
    StoreRoute,
    StoreSearch,
    Use,
)
from gateway.engine.selection import Part, Selection, asked

INCREMENTAL = ("defer", "stream")
Place = tuple[str, str]
"""An entity's type and the name of an element or relation; or, for a root, "" and its name in the answer."""


@dataclass(frozen=True, slots=True)
class Phases:
    """The steps the first answer needs, and the rest; a step of which some uses are needed at once is in both, in parts."""

    first: Sequence[Step]
    later: Sequence[Step]


def has_incremental(document: DocumentNode) -> bool:
    """Whether anything of a valid document is deferred or streamed."""
    waiting: list[Any] = [getattr(definition, "selection_set", None) for definition in document.definitions]
    while waiting:
        for node in getattr(waiting.pop(), "selections", ()):
            if node.directives and any(directive.name.value in INCREMENTAL for directive in node.directives):
                return True
            waiting.append(getattr(node, "selection_set", None))
    return False


def delivered_at_once(document: DocumentNode) -> DocumentNode:
    """The same document with nothing deferred or streamed, as a service may always answer it."""

    class Strip(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> Any:
            return REMOVE if node.name.value in INCREMENTAL else None

    stripped: DocumentNode = visit(document, Strip())
    return stripped


def without_deferred(document: DocumentNode, variables: Mapping[str, Any]) -> DocumentNode:
    """What of the document is not deferred."""

    def is_deferred(node: FragmentSpreadNode | InlineFragmentNode) -> bool:
        for directive in node.directives or ():
            if directive.name.value == "defer":
                condition = next((a.value for a in directive.arguments or () if a.name.value == "if"), None)
                if isinstance(condition, VariableNode):
                    return variables.get(condition.name.value) is not False
                return not isinstance(condition, BooleanValueNode) or condition.value
        return False

    class Leave(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> Any:
            return REMOVE if is_deferred(node) else None

        def enter_inline_fragment(self, node: InlineFragmentNode, *_: Any) -> Any:
            return REMOVE if is_deferred(node) else None

    left: DocumentNode = visit(document, Leave())
    return left


def phases_of(plan: Plan, whole: Selection, first: Selection) -> Phases:
    """The phases of a plan that was made for the `whole` selection, of which `first` is not deferred."""
    needed = _Needed(whole, first)
    now: list[Step] = []
    later: list[Step] = []
    for step in plan.steps:
        match step:
            case Lookup() | StoreLookup():
                uses = [use for use in step.uses if needed.is_use(use)]
                rest = [use for use in step.uses if not needed.is_use(use)]
                now += [replace(step, uses=tuple(uses))] if uses else []
                later += [replace(step, uses=tuple(rest))] if rest else []
            case StoreRoute():
                (now if any(part in needed.parts for part in step.parts) else later).append(step)
            case StoreSearch() | SourceSearch() | StoreCount():
                (now if step.root in needed.roots else later).append(step)
            case Identify():
                is_needed = step.root in needed.roots or any(part in needed.parts for part, _ in step.parts)
                (now if is_needed else later).append(step)
    return Phases(now, later)


class _Needed:
    """The roots and parts that are not deferred, and of each such part the names that are."""

    def __init__(self, whole: Selection, first: Selection) -> None:
        self.roots: set[int] = set()
        self.parts: dict[int, frozenset[str]] = {}
        at_once = {asked(root.node): root for root in first.roots}
        for number, root in enumerate(whole.roots):
            if (found := at_once.get(asked(root.node))) is not None:
                self.roots.add(number)
                for name, part in root.parts.items():
                    self._mark(part, found.parts.get(name))

    def _mark(self, part: Part, found: Part | None) -> None:
        if found is None:
            return
        selected = part.elements | set(part.relations)
        self.parts[part.number] = frozenset(selected - found.elements - set(found.relations))
        for name, inner in part.relations.items():
            self._mark(inner, found.relations.get(name))

    def is_use(self, use: Use) -> bool:
        """Whether the first answer needs what this use is for. Keys and the like, which nobody selected, it does."""
        if use.part not in self.parts:
            return False
        return not use.elements or bool(use.elements - self.parts[use.part])


@dataclass(slots=True)
class Later:
    """The rest of an execution under way: which reads have to wait, and for what."""

    gates: Mapping[Place, Sequence[asyncio.Event]]
    is_first: bool = True
    """Nothing waits as long as the first answer is being read: all that it needs is there."""

    def waiting(self, place: Place) -> list[asyncio.Event]:
        """What a read of the place has to wait for."""
        if self.is_first:
            return []
        return [event for event in self.gates.get(place, ()) if not event.is_set()]


@dataclass(slots=True)
class PhasedRun:
    """Runs an execution in its phases: within each wave the first answer's steps go first.

    A later step waits for no more than the steps that fill the places it asks from.
    """

    execution: Execution
    phases: Phases
    done: dict[int, asyncio.Event] = field(default_factory=dict)
    waves: dict[int, asyncio.Event] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.execution.begin()
        self.done = {id(step): asyncio.Event() for step in self.phases.later}
        self.waves = {step.wave: asyncio.Event() for step in self.execution.plan.steps}

    async def first(self) -> None:
        """What the first answer needs."""
        for wave in sorted(self.waves):
            await self.execution.run_steps([step for step in self.phases.first if step.wave == wave])
            self.waves[wave].set()

    async def rest(self) -> None:
        """What may come later; each step opens the gates of those who wait for it."""
        async with asyncio.TaskGroup() as group:
            for step in self.phases.later:
                group.create_task(self._one(step))

    async def _one(self, step: Step) -> None:
        plan = self.execution.plan
        try:
            await self.waves[step.wave].wait()
            asks_from = _above(plan, _filled(plan, step))
            for before in self.phases.later:
                if before.wave < step.wave and not asks_from.isdisjoint(_filled(plan, before)):
                    await self.done[id(before)].wait()
            await self.execution.run_steps([step])
        finally:
            self.done[id(step)].set()

    def later(self) -> Later:
        """The gates: place -> the steps that may tell of it."""
        plan = self.execution.plan
        gates: dict[Place, list[asyncio.Event]] = {}
        for step in self.phases.later:
            for place in _told_by(plan, step):
                gates.setdefault(place, []).append(self.done[id(step)])
        return Later(gates)


def _filled(plan: Plan, step: Step) -> set[int]:
    """The numbers of the parts a step fills."""
    match step:
        case Lookup() | StoreLookup():
            return {use.part for use in step.uses}
        case StoreRoute():
            return set(step.parts)
        case Identify() if step.root is None:
            return {number for number, _ in step.parts}
    assert step.root is not None
    return {part.number for part in plan.roots[step.root].parts.values()}


def _above(plan: Plan, parts: set[int]) -> set[int]:
    """The parts and all that they are reached from."""
    found = set(parts)
    for number in parts:
        way = plan.parts[number].way
        while way is not None:
            found.add(way[0])
            way = plan.parts[way[0]].way
    return found


def _told_by(plan: Plan, step: Step) -> Iterable[Place]:
    """The places of the answer that a step may fill."""
    numbers: set[int] = set()
    match step:
        case Lookup() | StoreLookup():
            for use in step.uses:
                part = plan.parts[use.part]
                yield from ((part.entity.name, name) for name in (*use.elements, *part.relations))
                if use.parent is not None and use.relation is not None:
                    yield plan.parts[use.parent].entity.name, use.relation
                numbers |= {number for number, root in enumerate(plan.roots) if part in root.parts.values()}
        case StoreSearch() | SourceSearch() | StoreCount():
            numbers = {step.root}
        case Identify():
            numbers = set() if step.root is None else {step.root}
            for number, relation in step.parts:
                entity = plan.parts[number].entity
                name = entity.relations[relation].by if relation else entity.allotted
                yield entity.name, str(name)
    yield from (("", name) for name, number in plan.places.items() if number in numbers)


class PatientView(View):
    """A row of an answer that comes in parts: what a later step may tell of is waited for."""

    __slots__ = ()

    def answer(self, element: str) -> Any:
        """The element's value, or an awaitable of it."""
        return self._patiently(element, lambda: View.answer(self, element))

    def one(self, relation: str) -> Any:
        """Where a relation to one leads, or an awaitable of it."""
        return self._patiently(relation, lambda: View.one(self, relation))

    def several(self, relation: str, path: Sequence[str | int]) -> Any:
        """Where a relation to several leads, or an awaitable of it."""
        return self._patiently(relation, lambda: View.several(self, relation, path))

    def _patiently(self, name: str, read: Any) -> Any:
        answers = self.answers
        assert isinstance(answers, PatientAnswers)
        return _when(answers.later.waiting((self.row.entity.name, name)), read)


class PatientAnswers(Answers):
    """The answers to an operation that is delivered in parts."""

    def __init__(self, execution: Execution, document: DocumentNode, later: Later) -> None:
        super().__init__(execution, document, _patient)
        self.later = later

    def root(self, name: str) -> Any:
        """What was found for a root, or an awaitable of it."""
        return _when(self.later.waiting(("", name)), lambda: Answers.root(self, name))


def _patient(row: Row, answers: Answers) -> PatientView:
    return PatientView(row, answers)


def _when(events: Sequence[asyncio.Event], read: Any) -> Any:
    if not events:
        return read()

    async def wait() -> Any:
        for event in events:
            await event.wait()
        found = read()
        return await found if isinstance(found, Awaitable) else found

    return wait()
