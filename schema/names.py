"""The one convention between specification and GraphQL: snake_case there, camelCase here."""

import re
from collections.abc import Mapping
from functools import cache

from schema.registry import Entity

PROVENANCE = "provenance"
GLOBAL_ID = "id"
NODE_FIELD, NODES_FIELD, ENTITIES_FIELD = "node", "nodes", "_entities"
"""The roots that may ask for any entity."""
SERVICE_FIELD = "_service"
FROM, LIVE = "from", "LIVE"
"""The argument of a list that says where it is wanted from, and its value for the sources."""


@cache
def camel(name: str) -> str:
    """`penalty_decisions` as `penaltyDecisions`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def snake(name: str) -> str:
    """`PenaltyDecision` as `penalty_decision`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def root_field(entity: Entity) -> str:
    """The root that looks one entity up by key: `enforcementCase`."""
    return field_of_one(entity.name)


def list_field(entity: Entity) -> str:
    """The root that lists entities: `enforcementCases`, `parties`, `legalBases`."""
    return field_of_list(entity.name)


def field_of_one(entity: str) -> str:
    """`root_field` of the entity with this name."""
    return entity[0].lower() + entity[1:]


def field_of_list(entity: str) -> str:
    """`list_field` of the entity with this name."""
    name = field_of_one(entity)
    if name.endswith("is"):
        return name[:-2] + "es"
    return name[:-1] + "ies" if name.endswith("y") else name + "s"


def groups_field(entity: Entity) -> str:
    """The root that counts entities in groups: `enforcementCaseGroups`."""
    return field_of_groups(entity.name)


def field_of_groups(entity: str) -> str:
    """`groups_field` of the entity with this name."""
    return field_of_one(entity) + "Groups"


@cache
def _fields(names: tuple[str, ...]) -> Mapping[str, str]:
    return {camel(name): name for name in names}


def element_names(entity: Entity) -> Mapping[str, str]:
    """GraphQL field -> element."""
    return _fields(tuple(entity.elements))


def relation_names(entity: Entity) -> Mapping[str, str]:
    """GraphQL field -> relation."""
    return _fields(tuple(entity.relations))


def argument_names(entity: Entity) -> Mapping[str, str]:
    """Argument of the root by key -> element."""
    return _fields(tuple(name for combination in entity.lookups for name in combination))


def describe_lookups(entity: Entity) -> str:
    """The argument combinations of the root by key, for messages: `caseCode，或 agencyCode + sourceCaseNo`."""
    return "，或 ".join(" + ".join(camel(name) for name in combination) for combination in entity.lookups)


def complete_lookup(entity: Entity, given: set[str]) -> tuple[str, ...] | None:
    """The combination that is exactly `given`, or None."""
    return next((c for c in entity.lookups if set(c) == given), None)
