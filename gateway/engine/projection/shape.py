"""The shape of an operation's answer: which fields stand in which order, what they read, and the Struct each object becomes.

graphql-core itself collects the fields, so that merging, fragments, @skip and @include are what they are everywhere else.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

from schema.making import ANSWERED
from schema.registry import Entity, Registry

DEFINITION: Final = "strawberry-definition"
"""Where Strawberry keeps its own definition among the extensions of a GraphQL field."""
DECIDED = frozenset(("skip", "include"))
TYPENAME: Final = "__typename"
MOST_STRUCTS = 1000


class NotCompilable(Exception):
    """The operation has something that only the stock executor answers; the text says what."""


@dataclass(frozen=True, slots=True)
class FieldShape:
    """A field of the answer. `name` stands in the answer, `slot` in the Struct; `read` is what it reads, in snake_case.

    `below` are the shapes of the objects under it by their type, None for a leaf.
    """

    name: str
    slot: str
    read: str
    type: GraphQLOutputType
    parent: str
    nodes: Sequence[FieldNode]
    below: "Mapping[str, ObjectShape] | None"

    @property
    def is_typename(self) -> bool:
        """Whether it tells the type of its object, which is known beforehand."""
        return self.read == TYPENAME

    @property
    def what(self) -> str:
        """Its name in the schema."""
        return self.nodes[0].name.value


@dataclass(frozen=True, slots=True)
class ObjectShape:
    """An object of the answer, of the type `kind`; `entity` where it is one, else it is read from a mapping.

    `struct` holds its fields in order.
    """

    kind: str
    entity: Entity | None
    fields: Sequence[FieldShape]
    struct: type[msgspec.Struct]


def read_shape(
    schema: GraphQLSchema,
    registry: Registry,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    values: VariableValues,
    roots: Mapping[str, int],
) -> ObjectShape:
    """The shape of a validated operation of which `roots` are the names in the answer that the plan answers.

    Raises NotCompilable.
    """
    if operation.operation is not OperationType.QUERY or schema.query_type is None:
        raise NotCompilable(operation.operation.value)
    reader = _Reader(schema, registry, document, operation, values)
    collected = collect_fields(schema, reader.fragments, values, schema.query_type, operation)
    shape = reader.object(schema.query_type, collected.grouped_field_set)
    for field in shape.fields:
        if not field.is_typename and not (field.name in roots and _is_answered(schema, field)):
            raise NotCompilable(field.what)
    return shape


@lru_cache(MOST_STRUCTS)
def _struct(kind: str, names: Sequence[str]) -> type[msgspec.Struct]:
    """A Struct with a slot for each name; to make one takes as long as to plan ten fields, and they are alike more often than not."""
    slots = {f"f{number}": name for number, name in enumerate(names)}
    return msgspec.defstruct(kind, [(slot, Any) for slot in slots], rename=slots, gc=False)


def _is_answered(schema: GraphQLSchema, field: FieldShape) -> bool:
    """Whether the engine answers this root, and not a resolver of its own."""
    assert schema.query_type is not None
    return ANSWERED in schema.query_type.fields[field.what].extensions[DEFINITION].metadata


class _Reader:
    def __init__(
        self,
        schema: GraphQLSchema,
        registry: Registry,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        values: VariableValues,
    ) -> None:
        self.schema, self.registry, self.operation, self.values = schema, registry, operation, values
        self.fragments = {
            node.name.value: FragmentDetails(node)
            for node in document.definitions
            if isinstance(node, FragmentDefinitionNode)
        }

    def object(self, kind: GraphQLObjectType, collected: Mapping[str, list[FieldDetails]]) -> ObjectShape:
        fields = [
            self._field(kind, name, f"f{number}", details) for number, (name, details) in enumerate(collected.items())
        ]
        struct = _struct(kind.name, tuple(field.name for field in fields))
        return ObjectShape(kind.name, self.registry.entities.get(kind.name), fields, struct)

    def _field(self, kind: GraphQLObjectType, name: str, slot: str, details: list[FieldDetails]) -> FieldShape:
        nodes = [detail.node for detail in details]
        self._check(details)
        what = nodes[0].name.value
        if what == TYPENAME:
            return FieldShape(name, slot, TYPENAME, self.schema.type_map["String"], kind.name, nodes, None)  # type: ignore[arg-type]
        if what not in kind.fields:
            raise NotCompilable(what)
        field = kind.fields[what]
        read = field.extensions[DEFINITION].python_name
        return FieldShape(name, slot, read, field.type, kind.name, nodes, self._below(field.type, details))

    def _check(self, details: list[FieldDetails]) -> None:
        for detail in details:
            if detail.defer_usage is not None:
                raise NotCompilable("@defer")
            for directive in detail.node.directives or ():
                if directive.name.value not in DECIDED:
                    raise NotCompilable(f"@{directive.name.value}")

    def _below(self, kind: GraphQLOutputType, details: list[FieldDetails]) -> Mapping[str, ObjectShape] | None:
        named = get_named_type(kind)
        if is_leaf_type(named):
            return None
        kinds = self.schema.get_possible_types(named) if is_abstract_type(named) else [named]
        return {kind.name: self.object(kind, fields) for kind, fields in self._collected(kinds, details)}

    def _collected(
        self, kinds: Sequence[Any], details: list[FieldDetails]
    ) -> Iterator[tuple[GraphQLObjectType, Mapping[str, list[FieldDetails]]]]:
        for kind in kinds:
            found = collect_subfields(self.schema, self.fragments, self.values, self.operation, kind, details)
            yield kind, found.grouped_field_set
