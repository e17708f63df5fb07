"""Which plans have a short way: one entity by its key, with what is inside its record and what the record refers to.

It is only for what a single source tells of every entity in the answer, so that nothing has to be put together, weighed or
recalled. Whatever else there is in a plan must have nothing to do, by the same rules by which the executor would find that
out. When the records themselves turn out to be of another kind, the executor answers as ever.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from adapters.mapping.model import LookupRole, SourceMapping
from gateway.engine.plan import Lookup, Plan, StoreLookup, Use
from gateway.engine.planner import route_of
from gateway.engine.projection.shape import FieldShape, ObjectShape
from gateway.engine.selection import Part
from schema.names import PROVENANCE
from schema.registry import Registry


@dataclass(frozen=True, slots=True)
class Stop:
    """A part of the answer on the way: `inside` are parts that stand in its records, `named` those they refer to."""

    part: Part
    shape: ObjectShape
    inside: "Mapping[str, Stop]"
    named: "Mapping[str, Stop]"

    def all_inside(self) -> "Iterator[Stop]":
        """Itself and what stands in its records."""
        yield self
        for stop in self.inside.values():
            yield from stop.all_inside()


@dataclass(frozen=True, slots=True)
class Ask:
    """A look-up of the course: what it asks, and what its records become."""

    mapping: SourceMapping
    operation: str
    role: LookupRole
    stop: Stop


@dataclass(frozen=True, slots=True)
class Course:
    """The look-up of the root, and those of what its records refer to, in the order of their steps."""

    root: Ask
    named: tuple[Ask, ...] = field(default=())


class NoCourse(Exception):
    """The plan has no short way."""


def courses_of(
    plan: Plan, shape: ObjectShape, mappings: Mapping[str, SourceMapping], registry: Registry
) -> dict[str, Course]:
    """The short ways of a plan by the agency whose entities they find, "" for any; none where there is none."""
    if len(plan.roots) != 1 or plan.roots[0].kind != "one" or len(plan.roots[0].parts) != 1:
        return {}
    fields = [field for field in shape.fields if not field.is_typename]
    if len(fields) != 1 or not fields[0].below or len(fields[0].below) != 1:
        return {}
    (top_shape,) = fields[0].below.values()
    found: dict[str, Course] = {}
    (top,) = plan.roots[0].parts.values()
    for step in plan.steps:
        if isinstance(step, Lookup) and any(use.part == top.number for use in step.uses):
            try:
                owner, course = _Finder(plan, mappings, registry).course(step, top, top_shape)
            except NoCourse:
                continue
            if owner in found:
                return {}
            found[owner] = course
    return {} if "" in found and len(found) > 1 else found


@dataclass(slots=True)
class _Finder:
    plan: Plan
    mappings: Mapping[str, SourceMapping]
    registry: Registry
    stops: dict[int, tuple[Stop, SourceMapping]] = field(default_factory=dict)
    entities: set[str] = field(default_factory=set)
    asked: dict[int, Lookup] = field(default_factory=dict)

    def course(self, step: Lookup, top: Part, shape: ObjectShape) -> tuple[str, Course]:
        """The agency and the course that begins with this step. Raises NoCourse."""
        root = self._ask(step, top, shape)
        named = [
            self._ask(self.asked[stop.part.number], stop.part, stop.shape)
            for inner in root.stop.all_inside()
            for stop in inner.named.values()
        ]
        if any(ask.stop.inside or ask.stop.named for ask in named):
            raise NoCourse
        owner = self._owner(step)
        for other in self.plan.steps:
            if other is not step and not self._is_idle(other, top, owner):
                raise NoCourse
        if any(self._owner(lookup) for lookup in self.asked.values()):
            raise NoCourse
        return owner, Course(root, tuple(named))

    def _owner(self, step: Lookup) -> str:
        """The agency whose entities the step alone is asked for, "" where it is asked for any."""
        mapping = self.mappings[step.source]
        role = mapping.operations[step.operation].lookup
        return mapping.agency if role is not None and route_of(role, self.registry) is not None else ""

    def _ask(self, step: Lookup, part: Part, shape: ObjectShape) -> Ask:
        mapping = self.mappings[step.source]
        operation = mapping.operations[step.operation]
        role = operation.lookup
        uses = [use for use in step.uses if use.part == part.number]
        if role is None or role.relation is not None or role.deleted is not None or len(step.uses) != 1 or not uses:
            raise NoCourse
        (use,) = uses
        if use.purpose != "complete" or use.route is not None or use.trusted or mapping.entities[role.entity].holds:
            raise NoCourse
        if role.field.path is None or role.field.split or role.field.path.many:
            raise NoCourse
        return Ask(mapping, step.operation, role, self._stop(part, shape, mapping))

    def _stop(self, part: Part, shape: ObjectShape, mapping: SourceMapping) -> Stop:
        entity = part.entity
        if part.tells_origins or shape.entity is None or entity.name in self.entities:
            raise NoCourse
        self.entities.add(entity.name)
        told = mapping.entities[entity.name]
        inside: dict[str, Stop] = {}
        named: dict[str, Stop] = {}
        for field_ in shape.fields:
            if field_.read == PROVENANCE:
                raise NoCourse
            if field_.read not in entity.relations:
                continue
            if field_.read in inside or field_.read in named:
                raise NoCourse  # asked for twice, under two names
            inner, below = part.relations[field_.read], _below(field_)
            if field_.read in told.embedded:
                inside[field_.read] = self._stop(inner, below, mapping)
            elif field_.read in told.references and (lookup := self._lookup_of(inner)) is not None:
                self.asked[inner.number] = lookup
                named[field_.read] = Stop(inner, below, {}, {})
            else:
                raise NoCourse
        stop = Stop(part, shape, inside, named)
        self.stops[part.number] = (stop, mapping)
        return stop

    def _lookup_of(self, part: Part) -> Lookup | None:
        """The one step that completes the entities of a part."""
        found = [step for step in self.plan.steps if isinstance(step, Lookup) and _completes(step, part.number)]
        return found[0] if len(found) == 1 else None

    def _is_idle(self, step: object, top: Part, owner: str) -> bool:
        """Whether a step of the plan has nothing to do on this course, or is part of it."""
        if isinstance(step, Lookup):
            if any(use.part == top.number for use in step.uses):
                return len(step.uses) == 1 and "" != self._owner(step) != owner != ""
            return step in self.asked.values() or all(self._is_told(use) for use in step.uses)
        if isinstance(step, StoreLookup):
            return all(use.purpose == "recall" and (use.part == top.number or self._is_told(use)) for use in step.uses)
        return False

    def _is_told(self, use: Use) -> bool:
        """Whether what it would be asked for is told anyway."""
        if use.purpose == "expand" or use.trusted:
            return False
        if use.part in self.asked:
            return True  # asked for, so not asked for again
        if use.part not in self.stops:
            return False
        stop, mapping = self.stops[use.part]
        told = mapping.entities[stop.part.entity.name]
        return use.elements <= told.provides.union(told.references, told.embedded)


def _completes(step: Lookup, part: int) -> bool:
    return any(use.part == part and use.purpose == "complete" for use in step.uses)


def _below(field_: FieldShape) -> ObjectShape:
    if field_.below is None or len(field_.below) != 1:
        raise NoCourse
    (shape,) = field_.below.values()
    return shape
