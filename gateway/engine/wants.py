"""What the steps of a plan have to read of each entity: what the answer shows, and what leads from one step to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.mapping.model import SourceMapping
from adapters.mapping.wants import Want
from gateway.engine.plan import Identify, Lookup, Step, StoreLookup
from gateway.engine.selection import Part
from schema.registry import Registry


@dataclass(slots=True)
class _Gathered:
    elements: set[str] = field(default_factory=set)
    relations: set[str] = field(default_factory=set)
    is_whole: bool = False


def wants_of(
    parts: Sequence[Part], steps: Sequence[Step], registry: Registry, mappings: Mapping[str, SourceMapping]
) -> frozenset[tuple[str, Want]]:
    """What is wanted by entity. One row may stand at several parts of an answer, so all parts of an entity want the same.

    Where origins are asked for everything is read, since they say which elements each source told.
    """
    gathered: dict[str, _Gathered] = {}

    def of(entity: str) -> _Gathered:
        return gathered.setdefault(entity, _Gathered())

    for part in parts:
        wanted = of(part.entity.name)
        wanted.elements |= part.elements
        wanted.relations |= part.relations.keys()
        wanted.is_whole |= part.tells_origins
    for step in steps:
        match step:
            case Lookup():
                role = mappings[step.source].operations[step.operation].lookup
                assert role is not None
                asked = step.entity
                if role.relation is not None:
                    of(asked).relations.add(role.relation)
                    asked = registry.target_of(asked, role.relation).name
                of(asked).elements.update({role.element, "agency_code"} & registry.entities[asked].elements.keys())
            case Identify():
                for number, relation in step.parts:
                    of(parts[number].entity.name).relations.update([relation] if relation else [])
        for use in step.uses if isinstance(step, Lookup | StoreLookup) else ():
            entity = parts[use.part].entity
            of(entity.name).relations.update(use.elements & entity.relations.keys())
            of(entity.name).elements.update(use.elements - entity.relations.keys())
    return frozenset(
        (entity, Want(frozenset(w.elements), frozenset(w.relations), w.is_whole)) for entity, w in gathered.items()
    )
