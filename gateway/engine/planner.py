"""Selection + registry + mappings -> Plan: which source or the store answers which part, in which waves, with which keys.

For each part the planner knows how its entities *arrive* (with what, from which source). What is missing then is completed
by look-ups on their own key, as few as cover it; relations are followed by what records carry, or by look-ups the other
way. A step waits only for the steps its keys come from: a key that an argument tells is known before its record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from adapters.mapping.model import LookupRole, SourceMapping
from gateway.engine.plan import Identify, Lookup, Plan, Step, StoreCount, StoreLookup, StoreSearch, Use
from gateway.engine.selection import Part, Root, Selection
from gateway.engine.wants import wants_of
from gateway.errors import QueryError, QueryTooLarge
from schema.names import argument_names, complete_lookup, describe_lookups, root_field
from schema.registry import OWNER, Entity, Registry

MOST_STEPS = 200
STORE = ""
"""In place of a source's name: the store."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """How entities come to a part: with which elements and relations, by which drafts.

    `source` is whose record tells of them, STORE for a stored copy, None when only their key is told.
    """

    source: str | None
    offers: frozenset[str]
    after: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Way:
    """How a part is reached: along a relation of `parent`, whose entities may be `recalled` by that draft.

    `is_asked`: sources are asked along the relation, which they can be only for some entities.
    """

    parent: int
    relation: str
    recalled: frozenset[int]
    is_asked: bool

    @property
    def is_uncertain(self) -> bool:
        """Whether some entities of the part may be told by the store alone."""
        return bool(self.recalled) or self.is_asked


@dataclass(slots=True)
class _Draft:
    """A step before waves are known."""

    source: str
    operation: str
    entity: str
    use: Use
    after: frozenset[int]


@dataclass(slots=True)
class _Planning:
    """The state of planning one selection."""

    drafts: list[_Draft] = field(default_factory=list)
    identify: dict[str, list[tuple[int, str | None, frozenset[int]]]] = field(default_factory=dict)
    resolve: list[tuple[int, str]] = field(default_factory=list)
    searches: list[tuple[int, str]] = field(default_factory=list)
    counts: list[tuple[int, str]] = field(default_factory=list)
    unsourced: list[tuple[int, str]] = field(default_factory=list)


class Planner:
    """Plans selections over one set of mappings; keeps nothing between them."""

    def __init__(self, registry: Registry, mappings: Mapping[str, SourceMapping]) -> None:
        self.registry, self.mappings = registry, mappings

    def plan(self, selection: Selection) -> Plan:
        """The plan. Raises QueryError for a root whose arguments name no entity, QueryTooLarge for too many steps."""
        planning = _Planning()
        for index, root in enumerate(selection.roots):
            match root.kind:
                case "list":
                    (part,) = root.parts.values()
                    planning.searches.append((index, part.entity.name))
                    after = frozenset({-1 - index})
                    self._plan_part(planning, part, [_Arrival(STORE, self._stored(part.entity), after)], after)
                case "groups":
                    planning.counts.append((index, str(root.entity and root.entity.name)))
                case "one":
                    self._plan_root(planning, index, root)
                case "any":
                    for kind in root.kinds:
                        self._plan_known(planning, index, root.parts[kind.entity], kind.is_allotted)
        steps = _steps(planning)
        if len(steps) > MOST_STEPS:
            raise QueryTooLarge(f"查询需要 {len(steps)} 步，多于 {MOST_STEPS} 步，请拆分")
        unsourced = tuple(dict.fromkeys(planning.unsourced))
        wants = wants_of(selection.parts, steps, self.registry, self.mappings)
        return Plan(tuple(selection.roots), tuple(selection.parts), steps, unsourced, selection.places, wants)

    def _plan_root(self, planning: _Planning, index: int, root: Root) -> None:
        (part,) = root.parts.values()
        entity, names = part.entity, argument_names(part.entity)
        combination = complete_lookup(entity, {names[given] for given in root.given})
        if combination is None:
            raise QueryError(f"{root_field(entity)} 的参数应为：{describe_lookups(entity)}")
        self._plan_known(planning, index, part, entity.allotted is not None and combination == (entity.allotted,))

    def _plan_known(self, planning: _Planning, index: int, part: Part, is_allotted: bool) -> None:
        """Entities whose keys the arguments tell, or the store's identity table when they are asked for by what was allotted."""
        after: frozenset[int] = frozenset()
        if is_allotted:
            planning.resolve.append((index, part.entity.name))
            after = frozenset({-1 - index})
        self._plan_part(planning, part, [], after)

    def _plan_part(
        self,
        planning: _Planning,
        part: Part,
        arrivals: Sequence[_Arrival],
        known_after: frozenset[int],
        way: _Way | None = None,
    ) -> None:
        """Complete the entities of `part`, whose keys are known after `known_after`, then follow its relations."""
        entity = part.entity
        wanted = self._wanted(part)
        completed = self._complete(planning, part, arrivals, wanted, known_after)
        everything = [*arrivals, *completed]
        for name in sorted(wanted - frozenset(entity.relations)):
            if not any(name in arrival.offers for arrival in everything):
                planning.unsourced.append((part.number, name))
        recalled = self._recall(planning, part, way, wanted, everything, known_after)
        if entity.allotted in part.elements:
            seen = known_after.union(*(arrival.after for arrival in everything))
            named = planning.identify.setdefault(entity.name, [])
            named += [(part.number, None, after) for after in (seen, recalled) if after or after is seen]
        for relation, inner in part.relations.items():
            self._plan_relation(planning, part, relation, inner, everything, known_after, recalled)
        self._identify_references(planning, part, everything, recalled)

    def _recall(
        self,
        planning: _Planning,
        part: Part,
        way: _Way | None,
        wanted: frozenset[str],
        arrivals: Sequence[_Arrival],
        known_after: frozenset[int],
    ) -> frozenset[int]:
        """The store answers for entities that no source can be asked for by the key they have, and for what hangs on them.

        Nothing else waits for it, so that it costs nothing where it is not needed.
        """
        is_needed = bool(self._own_lookups(part.entity)) or (way is not None and way.is_uncertain)
        if not is_needed:
            return frozenset()
        before = known_after.union(*(arrival.after for arrival in arrivals))
        before |= way.recalled if way else frozenset()
        use = Use("recall", part.number, wanted, way.parent if way else None, way.relation if way else None)
        planning.drafts.append(_Draft(STORE, "", part.entity.name, use, before))
        return frozenset({len(planning.drafts) - 1})

    def _wanted(self, part: Part) -> frozenset[str]:
        """The elements to be had from somewhere, and the relations that only a record can tell."""
        entity = part.entity
        own = {n for n in part.elements if n not in _in_key(entity) and n != entity.allotted}
        own = {n for n in own if not self.registry.is_allotted_reference(entity.elements[n])}
        references = {name for name in part.relations if entity.relations[name].is_told}
        references |= {r.name for r in entity.relations.values() if r.by in part.elements and r.by not in own}
        return frozenset(own | references)

    def _identify_references(
        self, planning: _Planning, part: Part, arrivals: Sequence[_Arrival], recalled: frozenset[int]
    ) -> None:
        """`PenaltyDecision.caseCode` is allotted to the case it refers to."""
        for relation in part.entity.relations.values():
            if relation.by in part.elements and self.registry.is_allotted_reference(
                part.entity.elements[str(relation.by)]
            ):
                told = frozenset(number for arrival in arrivals for number in arrival.after)
                named = planning.identify.setdefault(relation.to, [])
                named += [(part.number, relation.name, after) for after in (told, recalled) if after or after is told]

    def _complete(
        self,
        planning: _Planning,
        part: Part,
        arrivals: Sequence[_Arrival],
        wanted: frozenset[str],
        after: frozenset[int],
    ) -> list[_Arrival]:
        """Look-ups by own key for what some arrival does not bring: per owner agency, as few as cover it.

        With no arrival at all (a root) at least one look-up is made even if nothing is wanted: does it exist?
        """
        missing = frozenset().union(*(wanted - a.offers for a in arrivals)) if arrivals else wanted
        if not missing and arrivals:
            return []
        completed: list[_Arrival] = []
        own = self._own_lookups(part.entity)
        for candidates in own.values():
            left, is_chosen = missing, bool(arrivals)
            while left or not is_chosen:
                source, operation, offers = min(candidates, key=lambda c: (-len(c[2] & left), c[0], c[1]))
                if is_chosen and not offers & left:
                    break
                use = Use("complete", part.number, offers & (left or wanted))
                completed.append(self._draft(planning, source, operation, part.entity.name, use, after, offers))
                left, is_chosen = left - offers, True
        if not own:
            offers = self._stored(part.entity)
            use = Use("complete", part.number, missing)
            completed.append(self._draft(planning, STORE, "", part.entity.name, use, after, offers))
        return completed

    def _own_lookups(self, entity: Entity) -> dict[str, list[tuple[str, str, frozenset[str]]]]:
        """Operations that find this entity by a part of its own key, by the agency they are limited to ("" for none)."""
        found: dict[str, list[tuple[str, str, frozenset[str]]]] = {}
        for mapping in self.mappings.values():
            for operation in mapping.operations.values():
                role = operation.lookup
                if role and role.entity == entity.name and role.relation is None and not role.many:
                    owner = mapping.agency if is_limited(entity, role.element) else ""
                    found.setdefault(owner, []).append((mapping.name, operation.name, _offers(mapping, entity.name)))
        return found

    def _plan_relation(
        self,
        planning: _Planning,
        part: Part,
        name: str,
        inner: Part,
        arrivals: Sequence[_Arrival],
        known_after: frozenset[int],
        recalled: frozenset[int],
    ) -> None:
        relation = part.entity.relations[name]
        reached: list[_Arrival] = []
        for arrival in arrivals:
            reached.extend(self._carried(part, name, inner, arrival))
        is_asked = False
        if relation.inverse is not None:
            carried = len(reached)
            reached.extend(self._expanded(planning, part, name, inner, known_after))
            is_asked = len(reached) > carried
        if not reached and relation.is_told:
            planning.unsourced.append((part.number, name))
            return
        if not reached:
            use = Use("expand", inner.number, frozenset(inner.elements), part.number, name)
            offers = self._stored(inner.entity)
            reached.append(self._draft(planning, STORE, "", inner.entity.name, use, known_after, offers))
        after = frozenset(number for arrival in reached for number in arrival.after)
        self._plan_part(planning, inner, reached, after, _Way(part.number, name, recalled, is_asked))

    def _carried(self, part: Part, name: str, inner: Part, arrival: _Arrival) -> Iterable[_Arrival]:
        """What a record of this arrival itself says of a relation: embedded entities, or only their keys."""
        if arrival.source == STORE and part.entity.relations[name].is_told:
            yield _Arrival(None, _in_key(inner.entity), arrival.after)
        if not arrival.source:
            return
        mapping = self.mappings[arrival.source].entities[part.entity.name]
        if name in mapping.embedded:
            yield _Arrival(arrival.source, _offers(self.mappings[arrival.source], inner.entity.name), arrival.after)
        elif name in mapping.references:
            yield _Arrival(None, _in_key(inner.entity), arrival.after)

    def _expanded(
        self, planning: _Planning, part: Part, name: str, inner: Part, known_after: frozenset[int]
    ) -> Iterable[_Arrival]:
        """Look-ups the other way: every source that finds `inner` by the relation that leads back to us."""
        back = part.entity.relations[name].inverse
        for mapping in self.mappings.values():
            for operation in mapping.operations.values():
                role = operation.lookup
                if role and role.entity == inner.entity.name and role.relation == back:
                    use = Use("expand", inner.number, frozenset(inner.elements), part.number, name)
                    offers = _offers(mapping, inner.entity.name)
                    yield self._draft(
                        planning, mapping.name, operation.name, inner.entity.name, use, known_after, offers
                    )

    def _draft(
        self,
        planning: _Planning,
        source: str,
        operation: str,
        entity: str,
        use: Use,
        after: frozenset[int],
        offers: frozenset[str],
    ) -> _Arrival:
        planning.drafts.append(_Draft(source, operation, entity, use, after))
        return _Arrival(source, offers, frozenset({len(planning.drafts) - 1}))

    def _stored(self, entity: Entity) -> frozenset[str]:
        return frozenset(entity.elements) | {r.name for r in entity.relations.values() if r.is_told}


def is_limited(entity: Entity, element: str) -> bool:
    """Whether a number identifies only within one agency, so that a look-up by it is asked only for that agency's."""
    return any(element in c and ("agency_code" in c or OWNER in c) and len(c) > 1 for c in entity.identity)


def route_of(role: LookupRole, registry: Registry) -> str | None:
    """The entity whose owner agency decides which keys this look-up may be asked for, or None when any may be."""
    asked = registry.entities[role.entity]
    if role.relation is not None:
        asked = registry.target_of(role.entity, role.relation)
    return asked.name if is_limited(asked, role.element) else None


def _in_key(entity: Entity) -> frozenset[str]:
    """The elements that a key tells by itself."""
    return frozenset(entity.identity[0]) - {OWNER}


def _offers(mapping: SourceMapping, entity: str) -> frozenset[str]:
    found = mapping.entities.get(entity)
    return frozenset() if found is None else found.provides | frozenset(found.references) | frozenset(found.embedded)


def _steps(planning: _Planning) -> tuple[Step, ...]:
    """Waves for the drafts; drafts of one operation in one wave become one step. Negative numbers stand for roots."""
    resolved = {-1 - index: 1 for index, _ in (*planning.resolve, *planning.searches)}
    waves: dict[int, int] = dict(resolved)
    for number, draft in enumerate(planning.drafts):
        waves[number] = 1 + max((waves[before] for before in draft.after), default=0)
    steps: list[Step] = [StoreSearch(0, 1, entity, index) for index, entity in planning.searches]
    steps += [StoreCount(0, 1, entity, index) for index, entity in planning.counts]
    steps += [Identify(0, 1, entity, root=index) for index, entity in planning.resolve]
    grouped: dict[tuple[int, str, str, str], list[Use]] = {}
    for number, draft in enumerate(planning.drafts):
        grouped.setdefault((waves[number], draft.source, draft.operation, draft.entity), []).append(draft.use)
    for (wave, source, operation, entity), uses in grouped.items():
        distinct = tuple(dict.fromkeys(uses))
        if source == STORE:
            steps.append(StoreLookup(0, wave, entity, distinct))
        else:
            steps.append(Lookup(0, wave, source, operation, entity, distinct))
    for entity, parts in planning.identify.items():
        by_wave: dict[int, list[tuple[int, str | None]]] = {}
        for part, relation, after in parts:
            wave = 1 + max((waves[before] for before in after), default=0)
            by_wave.setdefault(wave, []).append((part, relation))
        steps += [Identify(0, wave, entity, tuple(dict.fromkeys(named))) for wave, named in by_wave.items()]
    ordered = sorted(steps, key=lambda step: step.wave)
    return tuple(replace(step, number=number) for number, step in enumerate(ordered, 1))
