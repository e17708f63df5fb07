"""What an answer wants of the entities in records, so that nothing else need be read."""

from collections.abc import Mapping
from dataclasses import dataclass

from schema.registry import Entity, Relation


@dataclass(frozen=True, slots=True)
class Want:
    """What is wanted of the entities of one kind: elements, and the relations to follow.

    `is_whole`: every element is to be told, though the issues are still those of `elements` and `relations`.
    """

    elements: frozenset[str] = frozenset()
    relations: frozenset[str] = frozenset()
    is_whole: bool = False

    def has_element(self, name: str) -> bool:
        """Whether the element is to be told."""
        return self.is_whole or name in self.elements

    def follows(self, relation: Relation) -> bool:
        """Whether the relation has to be read: for itself, or for the element that it fills."""
        return relation.name in self.relations or (relation.by is not None and self.has_element(relation.by))

    def has_issues(self, entity: Entity, name: str) -> bool:
        """Whether issues of this field are told: of an element, or of a relation or the element that it fills."""
        relation = entity.relations.get(name)
        by = relation.by if relation else None
        return name in self.elements or name in self.relations or by in self.elements


Wants = Mapping[str, Want]
"""What is wanted, by entity; of an entity that is not in it only the key is."""
NOTHING = Want()
