"""Selection + registry + mappings -> Plan: which source or the store answers which part, in which waves, with which keys.

For each part the planner knows how its entities *arrive* (with what, from which source). What is missing then is completed
by look-ups on their own key, as few as cover it; relations are followed by what records carry, or by look-ups the other
way. A step waits only for the steps its keys come from: a key that an argument tells is known before its record.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from adapters.mapping.model import LookupRole, SourceMapping
from adapters.mapping.truth import NOTHING_SAID, Truth
from gateway.engine.live_lists import Pinned
from gateway.engine.page_read import page_read_of
from gateway.engine.plan import (
    Plan,
    Route,
    Use,
)
from gateway.engine.routing import in_order_of, offers_of, smallest_cover
from gateway.engine.selection import Part, Root, Selection
from gateway.engine.wants import wants_of
from gateway.engine.waves import ROUTE, STORE, Completion, Draft, Planning, steps_of
from gateway.errors import QueryError, QueryTooLarge
from schema.names import argument_names, complete_lookup, describe_lookups, root_field
from schema.registry import OWNER, Entity, Registry

MOST_STEPS = 200
_Candidate = tuple[str, str, frozenset[str]]
"""A source, its look-up, and what a record of it tells."""


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


class Planner:
    """Plans selections over one set of mappings."""

    def __init__(self, registry: Registry, mappings: Mapping[str, SourceMapping], truth: Truth = NOTHING_SAID) -> None:
        self.registry, self.mappings, self.truth = registry, mappings, truth
        self._lookups: dict[str, dict[str, list[_Candidate]]] = {}

    def plan(self, selection: Selection) -> Plan:
        """The plan. Raises QueryError for a root whose arguments name no entity, QueryTooLarge for too many steps."""
        planning = Planning()
        for index, root in enumerate(selection.roots):
            match root.kind:
                case "list":
                    (part,) = root.parts.values()
                    planning.searches.append((index, part.entity.name, root.live))
                    after = frozenset({-1 - index})
                    arrival = _Arrival(STORE, self._stored(part.entity), after)
                    if isinstance(root.live, Pinned):
                        arrival = _Arrival(
                            root.live.source, offers_of(self.mappings[root.live.source], part.entity.name), after
                        )
                    self._plan_part(planning, part, [arrival], after)
                case "groups":
                    planning.counts.append((index, str(root.entity and root.entity.name)))
                case "one":
                    self._plan_root(planning, index, root)
                case "any":
                    for kind in root.kinds:
                        self._plan_known(planning, index, root.parts[kind.entity], kind.is_allotted)
        steps = steps_of(planning)
        if len(steps) > MOST_STEPS:
            raise QueryTooLarge(f"查询需要 {len(steps)} 步，多于 {MOST_STEPS} 步，请拆分")
        unsourced = tuple(dict.fromkeys(planning.unsourced))
        wants = wants_of(selection.parts, steps, self.registry, self.mappings)
        plan = Plan(tuple(selection.roots), tuple(selection.parts), steps, unsourced, selection.places, wants)
        return replace(plan, page_read=page_read_of(plan, self.registry))

    def _plan_root(self, planning: Planning, index: int, root: Root) -> None:
        (part,) = root.parts.values()
        entity, names = part.entity, argument_names(part.entity)
        combination = complete_lookup(entity, {names[given] for given in root.given})
        if combination is None:
            raise QueryError(f"{root_field(entity)} 的参数应为：{describe_lookups(entity)}")
        self._plan_known(planning, index, part, entity.allotted is not None and combination == (entity.allotted,))

    def _plan_known(self, planning: Planning, index: int, part: Part, is_allotted: bool) -> None:
        """Entities whose keys the arguments tell, or the store's identity table when they are asked for by what was allotted."""
        after: frozenset[int] = frozenset()
        if is_allotted:
            planning.resolve.append((index, part.entity.name))
            after = frozenset({-1 - index})
        self._plan_part(planning, part, [], after)

    def _plan_part(
        self,
        planning: Planning,
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
        planning: Planning,
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
        planning.drafts.append(Draft(STORE, "", part.entity.name, use, before))
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
        self, planning: Planning, part: Part, arrivals: Sequence[_Arrival], recalled: frozenset[int]
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
        planning: Planning,
        part: Part,
        arrivals: Sequence[_Arrival],
        wanted: frozenset[str],
        after: frozenset[int],
    ) -> list[_Arrival]:
        """Look-ups by own key for what some arrival does not bring: per owner agency, as few as cover it.

        With no arrival at all (a root) at least one look-up is made even if nothing is wanted: does it exist? An element
        that names its sources is asked of the first of them, even when a copy was brought along.
        """
        told = tuple((arrival.source, arrival.offers) for arrival in arrivals)
        key = (part.entity.name, wanted, told)
        if (asked := planning.completions.get(key)) is None:
            asked = planning.completions[key] = self._completion(part.entity, wanted, told)
        completed: list[_Arrival] = []
        for calls, route in asked:
            behind = after
            if route is not None:
                planning.drafts.append(
                    Draft(STORE, ROUTE, part.entity.name, Use("route", part.number, frozenset()), after)
                )
                behind = frozenset({len(planning.drafts) - 1})
            for call in calls:
                use = Use("complete", part.number, call.elements, trusted=call.trusted, route=route)
                completed.append(
                    self._draft(planning, call.source, call.operation, part.entity.name, use, behind, call.offers)
                )
        return completed

    def _completion(
        self, entity: Entity, wanted: frozenset[str], arrivals: Sequence[tuple[str | None, frozenset[str]]]
    ) -> list[tuple[list[Completion], Route | None]]:
        """Who is asked for what of an entity, the same wherever it stands: per owner agency."""
        missing = frozenset().union(*(wanted - offers for _, offers in arrivals)) if arrivals else wanted
        own = self._own_lookups(entity)
        trusted = self._trusted(entity.name, wanted, [source for source, _ in arrivals], own)
        missing |= frozenset(trusted)
        if not missing and arrivals:
            return []
        if not own:
            return [([Completion(STORE, "", self._stored(entity), missing)], None)]
        found: list[tuple[list[Completion], Route | None]] = []
        for candidates in own.values():
            left = missing or wanted
            chosen, route = self._choose(entity.name, left, not arrivals, trusted, candidates)
            calls: list[Completion] = []
            for source, operation, offers in chosen:
                word = frozenset(name for name in offers if trusted.get(name) == source)
                calls.append(Completion(source, operation, offers, offers & left, word))
                left = left if route else (left - offers or missing)
            found.append((calls, route))
        return found

    def _trusted(
        self,
        entity: str,
        wanted: frozenset[str],
        arrivals: Sequence[str | None],
        own: Mapping[str, Sequence[_Candidate]],
    ) -> dict[str, str]:
        """Wanted elements whose authority can be asked, and is to be: it brings not every one of them by itself."""
        if entity not in self.truth.entities:
            return {}
        sources = {candidate[0]: candidate[2] for candidates in own.values() for candidate in candidates}
        found: dict[str, str] = {}
        for name in wanted:
            able = [s for s in self.truth.authorities(entity, name) if name in sources.get(s, frozenset())]
            if able and (not arrivals or any(source not in (STORE, able[0]) for source in arrivals)):
                found[name] = able[0]
        return found

    def _choose(
        self,
        entity: str,
        wanted: frozenset[str],
        is_root: bool,
        trusted: Mapping[str, str],
        candidates: Sequence[_Candidate],
    ) -> tuple[list[_Candidate], Route | None]:
        """Whom of these to ask for what is wanted. Where some have every entity, or there is but one, the fewest that tell
        it; else any of them may have a key, and who does is found out when the keys are known."""
        by_source: dict[str, _Candidate] = {}
        for candidate in sorted(candidates):
            by_source.setdefault(candidate[0], candidate)
        listed = self.truth.entities[entity].order if entity in self.truth.entities else ()
        ordered = {name: by_source[name][2] for name in in_order_of(by_source, listed)}
        sure = {name: offers for name, offers in ordered.items() if self.mappings[name].entities[entity].has_all}
        reachable = frozenset().union(*ordered.values()) & wanted
        is_split = len(ordered) > 1 and not (sure and reachable <= frozenset().union(*sure.values()))
        if is_split:
            asked = [name for name, offers in ordered.items() if offers & wanted or is_root]
            if len(asked) > 1:
                return [by_source[name] for name in asked], Route(tuple(asked), wanted, self.truth.fan_out(entity))
            return [by_source[name] for name in asked], None
        offers = sure or ordered
        must = [name for name in offers if any(trusted.get(element) == name for element in wanted & offers[name])]
        left = wanted.difference(*(offers[name] for name in must))
        chosen = must + [name for name in smallest_cover(left, offers) if name not in must]
        if not chosen and is_root:
            chosen = list(offers)[:1]
        return [by_source[name] for name in chosen], None

    def _own_lookups(self, entity: Entity) -> dict[str, list[_Candidate]]:
        """Operations that find this entity by a part of its own key, by the agency they are limited to ("" for none)."""
        if (known := self._lookups.get(entity.name)) is not None:
            return known
        found = self._lookups[entity.name] = {}
        for mapping in self.mappings.values():
            for operation in mapping.operations.values():
                role = operation.lookup
                if role and role.entity == entity.name and role.relation is None and not role.many:
                    owner = mapping.agency if is_limited(entity, role.element) else ""
                    found.setdefault(owner, []).append((mapping.name, operation.name, offers_of(mapping, entity.name)))
        return found

    def _plan_relation(
        self,
        planning: Planning,
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
            yield _Arrival(arrival.source, offers_of(self.mappings[arrival.source], inner.entity.name), arrival.after)
        elif name in mapping.references:
            yield _Arrival(None, _in_key(inner.entity), arrival.after)

    def _expanded(
        self, planning: Planning, part: Part, name: str, inner: Part, known_after: frozenset[int]
    ) -> Iterable[_Arrival]:
        """Look-ups the other way: every source that finds `inner` by the relation that leads back to us."""
        back = part.entity.relations[name].inverse
        for mapping in self.mappings.values():
            for operation in mapping.operations.values():
                role = operation.lookup
                if role and role.entity == inner.entity.name and role.relation == back:
                    use = Use("expand", inner.number, frozenset(inner.elements), part.number, name)
                    offers = offers_of(mapping, inner.entity.name)
                    yield self._draft(
                        planning, mapping.name, operation.name, inner.entity.name, use, known_after, offers
                    )

    def _draft(
        self,
        planning: Planning,
        source: str,
        operation: str,
        entity: str,
        use: Use,
        after: frozenset[int],
        offers: frozenset[str],
    ) -> _Arrival:
        planning.drafts.append(Draft(source, operation, entity, use, after))
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
