"""What a query asks for, as a tree of parts: entities at a place, their elements, and the relations followed from there.

Aliases, fragments and repeated fields fold together; @skip and @include are decided here by the variables' values, which
therefore belong to the key of a cached plan (`boolean_variables`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    VariableNode,
)
from graphql.language import BooleanValueNode, print_ast

from gateway.errors import QueryTooLarge
from schema.names import element_names, list_field, relation_names, root_field
from schema.registry import Entity, Registry

MOST_PARTS = 200
DEEPEST = 15


@dataclass(slots=True)
class Part:
    """Entities of one type at one place of the query. `number` orders parts; `path` is for people."""

    number: int
    path: str
    entity: Entity
    elements: set[str] = field(default_factory=set)
    relations: dict[str, "Part"] = field(default_factory=dict)


@dataclass(slots=True)
class Root:
    """A root field with one set of arguments. All response keys that ask the same are one root."""

    kind: Literal["one", "list"]
    node: FieldNode
    part: Part
    given: frozenset[str] = frozenset()


@dataclass(slots=True)
class Selection:
    """Everything one operation asks of entities, in the order it is written."""

    roots: list[Root] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


def boolean_variables(document: DocumentNode) -> tuple[str, ...]:
    """The variables that @skip and @include look at."""
    names: dict[str, None] = {}

    def visit(selections: SelectionSetNode | None) -> None:
        for node in selections.selections if selections else ():
            for directive in node.directives or ():
                for argument in directive.arguments or ():
                    if directive.name.value in ("skip", "include") and isinstance(argument.value, VariableNode):
                        names[argument.value.name.value] = None
            visit(getattr(node, "selection_set", None))

    for definition in document.definitions:
        visit(getattr(definition, "selection_set", None))
    return tuple(names)


def read_selection(
    document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any], registry: Registry
) -> Selection:
    """The selection of a *validated* document. Raises QueryTooLarge before fragments can blow it up."""
    return _Reader(document, variables, registry).read(operation)


class _Reader:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any], registry: Registry) -> None:
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.variables = variables
        self.singles = {root_field(e): e for e in registry.entities.values()}
        self.lists = {list_field(e): e for e in registry.entities.values()}
        self.registry = registry
        self.selection = Selection()
        self.roots: dict[str, Root] = {}
        self.visited = 0

    def read(self, operation: OperationDefinitionNode) -> Selection:
        for node in self._fields(operation.selection_set):
            name = node.name.value
            entity = self.singles.get(name) or self.lists.get(name)
            if entity is None:
                continue
            root = self._root(node, "one" if name in self.singles else "list", entity)
            if root.kind == "one":
                self._read_entity(root.part, node.selection_set, 1)
            else:
                self._read_list(root.part, node)
        return self.selection

    def _root(self, node: FieldNode, kind: Literal["one", "list"], entity: Entity) -> Root:
        name = node.name.value
        arguments = sorted(print_ast(argument) for argument in node.arguments or ())
        asked = f"{name}({', '.join(arguments)})"
        if asked not in self.roots:
            given = frozenset(a.name.value for a in node.arguments or () if a.value.kind != "null_value")
            path = name if not any(r.node.name.value == name for r in self.selection.roots) else asked
            self.roots[asked] = Root(kind, node, self._part(path, entity), given)
            self.selection.roots.append(self.roots[asked])
        return self.roots[asked]

    def _part(self, path: str, entity: Entity) -> Part:
        if len(self.selection.parts) >= MOST_PARTS:
            raise QueryTooLarge(f"查询涉及的关系超过 {MOST_PARTS} 处，请拆分")
        part = Part(len(self.selection.parts), path, entity)
        self.selection.parts.append(part)
        return part

    def _read_list(self, part: Part, node: FieldNode) -> None:
        for inner in self._fields(node.selection_set):
            if inner.name.value == "nodes":
                self._read_entity(part, inner.selection_set, 2)
            elif inner.name.value == "edges":
                for edge in self._fields(inner.selection_set):
                    if edge.name.value == "node":
                        self._read_entity(part, edge.selection_set, 3)

    def _read_entity(self, part: Part, selections: SelectionSetNode | None, depth: int) -> None:
        if depth > DEEPEST:
            raise QueryTooLarge(f"查询嵌套超过 {DEEPEST} 层")
        elements, relations = element_names(part.entity), relation_names(part.entity)
        for node in self._fields(selections):
            name = node.name.value
            if name in elements:
                part.elements.add(elements[name])
            elif name in relations:
                relation = relations[name]
                if relation not in part.relations:
                    target = self.registry.target_of(part.entity.name, relation)
                    part.relations[relation] = self._part(f"{part.path}.{name}", target)
                self._read_entity(part.relations[relation], node.selection_set, depth + 1)

    def _fields(self, selections: SelectionSetNode | None) -> Iterator[FieldNode]:
        """The fields of a selection set, fragments opened once each."""
        opened: set[str] = set()
        yield from self._open(selections, opened)

    def _open(self, selections: SelectionSetNode | None, opened: set[str]) -> Iterator[FieldNode]:
        for node in selections.selections if selections else ():
            self.visited += 1
            if self.visited > 20_000:
                raise QueryTooLarge("查询展开后过大")
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self._open(node.selection_set, opened)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in opened:
                opened.add(node.name.value)
                if fragment := self.fragments.get(node.name.value):
                    yield from self._open(fragment.selection_set, opened)

    def _is_included(self, node: SelectionNode) -> bool:
        for directive in node.directives or ():
            if directive.name.value in ("skip", "include"):
                for argument in directive.arguments or ():
                    if self._boolean(argument.value) is (directive.name.value == "skip"):
                        return False
        return True

    def _boolean(self, value: Any) -> bool:
        if isinstance(value, VariableNode):
            return bool(self.variables.get(value.name.value, False))
        return isinstance(value, BooleanValueNode) and value.value
