"""What a query asks for, as a tree of parts: entities at a place, their elements, and the relations followed from there.

Aliases, fragments and repeated fields fold together; @skip and @include are decided here by the variables' values, which
therefore belong to the key of a cached plan (`boolean_variables`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from graphql import (
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    IntValueNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)
from graphql.language import BooleanValueNode, print_ast
from graphql.language.print_string import print_string

from gateway.engine.live_lists import NotPinned, Pinned
from gateway.errors import QueryTooLarge
from schema.grouping import FUNCTIONS, Function
from schema.names import (
    ENTITIES_FIELD,
    FROM,
    NODE_FIELD,
    NODES_FIELD,
    PROVENANCE,
    element_names,
    groups_field,
    list_field,
    relation_names,
    root_field,
)
from schema.registry import Entity, Registry

MOST_PARTS = 200
RUN = "run"
"""The field of provenance that only the store's log of payloads can tell."""


@dataclass(slots=True)
class Part:
    """Entities of one type at one place of the query. `number` orders parts; `path` is for people; `way` is the number of
    the part they are reached from and the relation, None at a root. `tells_origins`: provenance is asked for; `tells_runs`:
    and in which runs it came.
    """

    number: int
    path: str
    entity: Entity
    elements: set[str] = field(default_factory=set)
    relations: dict[str, "Part"] = field(default_factory=dict)
    way: tuple[int, str] | None = None
    tells_origins: bool = False
    tells_runs: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """An entity that a root which may ask for any entity does ask for; `is_allotted`: also by what the gateway allotted."""

    entity: str
    is_allotted: bool = False


@dataclass(slots=True)
class Root:
    """A root field with one set of arguments. All response keys that ask the same are one root.

    `any` may ask for any entity: `node`, `nodes` and `_entities`; it has a part for each of its kinds, the others have
    one, `groups` none. `totals`: whether the list is to be counted; `live`: who answers it when it is wanted live;
    `measures`: (function, element) of groups.
    """

    kind: Literal["one", "list", "groups", "any"]
    node: FieldNode
    entity: Entity | None
    parts: dict[str, Part] = field(default_factory=dict)
    given: frozenset[str] = frozenset()
    kinds: tuple[Kind, ...] = ()
    totals: bool = False
    live: Pinned | NotPinned | None = None
    measures: dict[tuple[Function, str], None] = field(default_factory=dict)


@dataclass(slots=True)
class Selection:
    """Everything one operation asks of entities, in the order it is written. `places`: name in the answer -> root."""

    roots: list[Root] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)


KindsOf = Callable[[FieldNode], tuple[Kind, ...]]
"""Which entities a root that may ask for any entity asks for, by its arguments."""
LiveOf = Callable[[FieldNode], Pinned | NotPinned | None]
"""Who answers a list live, by its arguments; None when it is not wanted live."""
ANY_ENTITY = (NODE_FIELD, NODES_FIELD, ENTITIES_FIELD)


def boolean_variables(document: DocumentNode) -> tuple[str, ...]:
    """The variables that @skip, @include, @defer and @stream look at."""
    names: dict[str, None] = {}

    def visit(selections: SelectionSetNode | None) -> None:
        for node in selections.selections if selections else ():
            for directive in node.directives or ():
                for argument in directive.arguments or ():
                    if argument.name.value == "if" and isinstance(argument.value, VariableNode):
                        names[argument.value.name.value] = None
            visit(getattr(node, "selection_set", None))

    for definition in document.definitions:
        visit(getattr(definition, "selection_set", None))
    return tuple(names)


def any_entity_nodes(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[FieldNode, ...]:
    """The roots whose arguments tell what is asked of whom: those that may ask for any entity, and lists that may be
    wanted live; skipped ones among them."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    found: dict[int, FieldNode] = {}
    waiting: list[SelectionNode] = list(operation.selection_set.selections)
    opened: set[str] = set()
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, FieldNode):
            if node.name.value in ANY_ENTITY or any(a.name.value == FROM for a in node.arguments or ()):
                found[id(node)] = node
        elif isinstance(node, InlineFragmentNode):
            waiting += node.selection_set.selections
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in opened:
            opened.add(node.name.value)
            fragment = fragments.get(node.name.value)
            waiting += fragment.selection_set.selections if fragment else ()
    return tuple(found.values())


def read_selection(
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    registry: Registry,
    kinds_of: KindsOf = lambda _: (),
    live_of: LiveOf = lambda _: None,
) -> Selection:
    """The selection of a *validated* document within the limits of `demand`. Raises QueryTooLarge for too many parts."""
    return _Reader(document, variables, registry, kinds_of, live_of).read(operation)


def asked(node: FieldNode) -> str:
    """A root and its arguments, written in one way: equal texts ask the same."""
    arguments = sorted(f"{argument.name.value}: {_printed(argument.value)}" for argument in node.arguments or ())
    return f"{node.name.value}({', '.join(arguments)})"


def _printed(value: ValueNode) -> str:
    """What `print_ast` makes of it, which takes ten times as long for the values that most arguments have."""
    if isinstance(value, StringValueNode) and not value.block:
        return print_string(value.value)
    if isinstance(value, IntValueNode | EnumValueNode):
        return value.value
    return print_ast(value)


class _Reader:
    def __init__(
        self,
        document: DocumentNode,
        variables: Mapping[str, Any],
        registry: Registry,
        kinds_of: KindsOf,
        live_of: LiveOf,
    ) -> None:
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.variables = variables
        self.singles = {root_field(e): e for e in registry.entities.values()}
        self.lists = {list_field(e): e for e in registry.entities.values()}
        self.groups = {groups_field(e): e for e in registry.entities.values()}
        self.registry, self.kinds_of, self.live_of = registry, kinds_of, live_of
        self.selection = Selection()
        self.roots: dict[str, Root] = {}

    def read(self, operation: OperationDefinitionNode) -> Selection:
        for node in self._fields(operation.selection_set):
            name = node.name.value
            if name in ANY_ENTITY:
                self._read_any(self._root(node, "any", None), node)
            elif name in self.singles:
                root = self._root(node, "one", self.singles[name])
                self._read_entity(self._part_of(root, self.singles[name]), node.selection_set)
            elif name in self.lists:
                root = self._root(node, "list", self.lists[name])
                self._read_list(root, self._part_of(root, self.lists[name]), node)
            elif name in self.groups:
                self._read_groups(self._root(node, "groups", self.groups[name]), node)
        return self.selection

    def _root(self, node: FieldNode, kind: Literal["one", "list", "groups", "any"], entity: Entity | None) -> Root:
        name = node.name.value
        what = asked(node)
        if what not in self.roots:
            given = frozenset(a.name.value for a in node.arguments or () if a.value.kind != "null_value")
            self.roots[what] = Root(kind, node, entity, given=given)
            self.selection.roots.append(self.roots[what])
        root = self.roots[what]
        self.selection.places[node.alias.value if node.alias else name] = self.selection.roots.index(root)
        return root

    def _part_of(self, root: Root, entity: Entity) -> Part:
        if entity.name not in root.parts:
            name = root.node.name.value
            path = asked(root.node) if any(part.path.split(".")[0] == name for part in self.selection.parts) else name
            root.parts[entity.name] = self._part(f"{path}.{entity.name}" if root.kind == "any" else path, entity)
        return root.parts[entity.name]

    def _part(self, path: str, entity: Entity, way: tuple[int, str] | None = None) -> Part:
        if len(self.selection.parts) >= MOST_PARTS:
            raise QueryTooLarge(f"查询涉及的关系超过 {MOST_PARTS} 处，请拆分")
        part = Part(len(self.selection.parts), path, entity, way=way)
        self.selection.parts.append(part)
        return part

    def _read_any(self, root: Root, node: FieldNode) -> None:
        root.kinds = self.kinds_of(root.node)
        for kind in root.kinds:
            entity = self.registry.entities[kind.entity]
            self._read_entity(self._part_of(root, entity), node.selection_set)

    def _read_groups(self, root: Root, node: FieldNode) -> None:
        assert root.entity is not None
        elements = element_names(root.entity)
        for listed in self._fields(node.selection_set):
            for group in self._fields(listed.selection_set):
                if group.name.value in FUNCTIONS:
                    for measured in self._fields(group.selection_set):
                        if measured.name.value in elements:
                            root.measures[group.name.value, elements[measured.name.value]] = None  # type: ignore[index]

    def _read_list(self, root: Root, part: Part, node: FieldNode) -> None:
        root.live = self.live_of(root.node)
        for inner in self._fields(node.selection_set):
            if inner.name.value == "totalCount":
                root.totals = True
            elif inner.name.value == "nodes":
                self._read_entity(part, inner.selection_set)
            elif inner.name.value == "edges":
                for edge in self._fields(inner.selection_set):
                    if edge.name.value == "node":
                        self._read_entity(part, edge.selection_set)

    def _read_entity(self, part: Part, selections: SelectionSetNode | None) -> None:
        elements, relations = element_names(part.entity), relation_names(part.entity)
        for node in self._fields(selections, part.entity.name):
            name = node.name.value
            if name in elements:
                part.elements.add(elements[name])
            elif name == PROVENANCE:
                part.tells_origins = True
                part.tells_runs |= any(one.name.value == RUN for one in self._fields(node.selection_set))
            elif name in relations:
                relation = relations[name]
                if relation not in part.relations:
                    target = self.registry.target_of(part.entity.name, relation)
                    way = (part.number, relation)
                    part.relations[relation] = self._part(f"{part.path}.{name}", target, way)
                self._read_entity(part.relations[relation], node.selection_set)

    def _fields(self, selections: SelectionSetNode | None, entity: str | None = None) -> Iterator[FieldNode]:
        """The fields of a selection set, fragments opened once each, those on other entities than `entity` not at all."""
        opened: set[str] = set()
        yield from self._open(selections, opened, entity)

    def _open(self, selections: SelectionSetNode | None, opened: set[str], entity: str | None) -> Iterator[FieldNode]:
        for node in selections.selections if selections else ():
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                if self._applies(node.type_condition, entity):
                    yield from self._open(node.selection_set, opened, entity)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in opened:
                opened.add(node.name.value)
                fragment = self.fragments.get(node.name.value)
                if fragment and self._applies(fragment.type_condition, entity):
                    yield from self._open(fragment.selection_set, opened, entity)

    def _applies(self, condition: NamedTypeNode | None, entity: str | None) -> bool:
        if condition is None or entity is None:
            return True
        return condition.name.value == entity or condition.name.value not in self.registry.entities

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
