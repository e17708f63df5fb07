"""Lists that the store answers whole: the page and all that is shown of it are read at once, and not step by step.

Only where no source is asked, and the answer tells no origins. The steps of such a plan still say what is read; should the
store find something to be done beyond reading, such as a number to be allotted, they are run as ever.
"""

from gateway.engine.plan import Identify, PageRead, Plan, Step, StoreCount, StoreLookup, StoreSearch
from gateway.engine.storage import MOST_RELATED
from gateway.store.whole_page import Followed, Shown
from schema.registry import Entity, Registry

LOADS = ("complete", "expand")
"""What a step may be for that reads the entities of its part."""


def page_read_of(plan: Plan, registry: Registry) -> PageRead | None:
    """How the list of a plan is read whole; None where there is none, or not one alone, or a source is asked as well."""
    searches = [step for step in plan.steps if isinstance(step, StoreSearch)]
    if len(searches) != 1 or searches[0].because or any(not _is_read(step) for step in plan.steps):
        return None
    if any(root.kind not in ("list", "groups") for root in plan.roots) or any(p.tells_origins for p in plan.parts):
        return None
    uses = [use for step in plan.steps if isinstance(step, StoreLookup) for use in step.uses]
    loaded = {use.part for use in uses if use.purpose in LOADS}
    places: list[Followed] = []
    for part in plan.parts[1:]:
        assert part.way is not None, "every part but the list's own is reached by a relation"
        places.append(Followed(part.way[0], part.way[1], part.number in loaded))
    elements: dict[str, tuple[str, ...]] = {}
    relations: dict[str, tuple[str, ...]] = {}
    allotted: set[str] = set()
    for part in plan.parts:
        entity = part.entity
        if entity.allotted in part.elements and part.way is not None and part.number not in loaded:
            return None
        wanted = {name for other in plan.parts if other.entity is entity for name in other.elements}
        if any(registry.is_allotted_reference(entity.elements[name]) for name in wanted):
            return None
        elements[entity.name] = tuple(sorted(wanted | _in_keys(entity)))
        allotted |= {entity.name} if entity.allotted in wanted else set()
        followed = {name for other in plan.parts if other.entity is entity for name in other.relations}
        relations[entity.name] = tuple(sorted(name for name in followed if entity.relations[name].is_told))
    return PageRead(Shown(tuple(places), elements, relations, frozenset(allotted), MOST_RELATED))


def _is_read(step: Step) -> bool:
    """Whether the step only reads the store."""
    match step:
        case StoreSearch() | StoreCount():
            return True
        case StoreLookup():
            return all(use.purpose != "route" for use in step.uses)
        case Identify():
            return step.root is None and all(relation is None for _, relation in step.parts)
    return False


def _in_keys(entity: Entity) -> frozenset[str]:
    """The elements that keys of the entity may tell."""
    names = {name for combination in entity.identity for name in combination} | dict(entity.told_by_key).keys()
    return frozenset(names | set(dict(entity.told_by_key).values())) & entity.elements.keys()
