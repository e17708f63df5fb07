"""Lists that the store answers whole: the page and all that is shown of it are read at once, and not step by step.

Only where no source is asked, and the answer tells no origins. The steps of such a plan still say what is read; should the
store find something to be done beyond reading, such as a number to be allotted, they are run as ever.
"""

from collections.abc import Collection

from gateway.engine.plan import (
    Identify,
    Lookup,
    PageRead,
    Plan,
    SourceSearch,
    Step,
    StoreCount,
    StoreLookup,
    StoreSearch,
)
from gateway.engine.storage import MOST_RELATED
from gateway.store.whole_page import Followed, Shown
from schema.registry import Entity, Registry

LOADS = ("complete", "expand")
"""What a step may be for that reads the entities of its part."""


def page_read_of(plan: Plan, registry: Registry) -> PageRead | None:
    """How the list of a plan is read whole; None where it is read step by step, or there is none."""
    if step_by_step_because(plan, registry) is not None:
        return None
    loaded = _loaded(plan)
    places: list[Followed] = []
    for part in plan.parts[1:]:
        assert part.way is not None, "every part but the list's own is reached by a relation"
        places.append(Followed(part.way[0], part.way[1], part.number in loaded))
    elements: dict[str, tuple[str, ...]] = {}
    relations: dict[str, tuple[str, ...]] = {}
    allotted: set[str] = set()
    references: dict[str, tuple[tuple[str, str], ...]] = {}
    for part in plan.parts:
        entity, wanted = part.entity, _wanted(plan, part.entity)
        if leads := _references(registry, entity, wanted):
            references[entity.name] = leads
        wanted -= {element for _, element in leads}
        elements[entity.name] = tuple(sorted(wanted | _in_keys(entity)))
        allotted |= {entity.name} if entity.allotted in wanted else set()
        followed = {name for other in plan.parts if other.entity is entity for name in other.relations}
        followed |= {relation for relation, _ in leads}
        relations[entity.name] = tuple(sorted(name for name in followed if entity.relations[name].is_told))
    return PageRead(Shown(tuple(places), elements, relations, frozenset(allotted), MOST_RELATED, references))


def step_by_step_because(plan: Plan, registry: Registry) -> str | None:
    """Why the list of a plan is not read whole; None where it is."""
    searches = [step for step in plan.steps if isinstance(step, StoreSearch)]
    if len(searches) != 1 or any(root.kind not in ("list", "groups") for root in plan.roots):
        return "it is not the only thing asked for"
    if searches[0].because:
        return "a source should have answered it"
    if asked := sorted({step.source for step in plan.steps if isinstance(step, Lookup | SourceSearch)}):
        return f"sources are asked: {', '.join(asked)}"
    if told := [part.path for part in plan.parts if part.tells_origins]:
        return f"origins are shown: {', '.join(told)}"
    loaded = _loaded(plan)
    for part in plan.parts[1:]:
        allotted = {str(part.entity.allotted), *(name for _, name in _references(registry, part.entity, part.elements))}
        if part.number not in loaded and allotted & set(part.elements):
            return f"what the gateway allots is shown without its entity: {part.path}"
    return None if all(_is_read(step) for step in plan.steps) else "who told of an entity has to be found out first"


def _loaded(plan: Plan) -> set[int]:
    """The parts whose entities are read."""
    uses = [use for step in plan.steps if isinstance(step, StoreLookup) for use in step.uses]
    return {use.part for use in uses if use.purpose in LOADS}


def _wanted(plan: Plan, entity: Entity) -> set[str]:
    return {name for part in plan.parts if part.entity is entity for name in part.elements}


def _references(registry: Registry, entity: Entity, elements: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Relation and element of what is shown of an entity and was allotted to the one that the relation leads to."""
    told = [relation for relation in entity.relations.values() if relation.by in elements]
    found = ((relation.name, str(relation.by)) for relation in told)
    return tuple(sorted((r, e) for r, e in found if registry.is_allotted_reference(entity.elements[e])))


def _is_read(step: Step) -> bool:
    """Whether the step only reads the store."""
    match step:
        case StoreSearch() | StoreCount():
            return True
        case StoreLookup():
            return all(use.purpose != "route" for use in step.uses)
        case Identify():
            return step.root is None
    return False


def _in_keys(entity: Entity) -> frozenset[str]:
    """The elements that keys of the entity may tell."""
    names = {name for combination in entity.identity for name in combination} | dict(entity.told_by_key).keys()
    return frozenset(names | set(dict(entity.told_by_key).values())) & entity.elements.keys()
