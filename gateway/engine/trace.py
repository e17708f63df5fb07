"""Federated tracing (FTV1): what became of each field and when, as Apollo's routers read it from `extensions.ftv1`.

The message is `Trace` of Apollo's `reports.proto`. Fields have the times of the steps that were made for them, not of the
resolvers, which only read what the steps have found.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    is_object_type,
)

from gateway.engine.plan import Identify, Lookup, Plan, SourceSearch, Span, StoreCount, StoreLookup, StoreSearch
from gateway.engine.preparation import Prepared
from gateway.engine.selection import Part
from schema.names import element_names, relation_names

MOST_NODES = 10_000
"""Fields and list entries of a trace; one that would be longer says that it is incomplete."""


@dataclass(frozen=True, slots=True)
class Times:
    """When a request was answered: `began` by the clock on the wall, `whole`, `reading` of what was found, and each step."""

    began: int
    whole: Span
    reading: Span
    steps: Mapping[int, Span]


@dataclass(slots=True)
class _Node:
    """A field of the answer, an entry of a list, or the root; `head` is everything of the message but errors and children."""

    head: bytes = b""
    errors: list[bytes] = field(default_factory=list)
    children: dict[str | int, "_Node"] = field(default_factory=dict)

    def message(self) -> bytes:
        inner = b"".join(_bytes(12, child.message()) for child in self.children.values())
        return self.head + b"".join(_bytes(11, error) for error in self.errors) + inner


def federated_trace(
    schema: GraphQLSchema,
    prepared: Prepared,
    data: Mapping[str, Any] | None,
    errors: Sequence[GraphQLError],
    times: Times,
) -> str:
    """The trace of an answer, in base64."""
    tree = _Tree(schema, prepared, times)
    root = _Node()
    if data is not None and schema.query_type:
        tree.grow(root, data, [prepared.operation.selection_set], schema.query_type, None)
    for error in errors:
        _place(root, error).errors.append(_error(error))
    ended = times.began + times.whole.end - times.whole.start
    message = _bytes(4, _instant(times.began)) + _bytes(3, _instant(ended)) + _number(11, ended - times.began)
    message += _bytes(14, root.message()) + _number(33, tree.count > MOST_NODES)
    return base64.b64encode(message).decode()


class _Tree:
    """Grows nodes along an answer and its operation."""

    def __init__(self, schema: GraphQLSchema, prepared: Prepared, times: Times) -> None:
        self.schema, self.plan, self.times, self.count = schema, prepared.plan, times, 0
        definitions = prepared.document.definitions
        self.fragments = {d.name.value: d for d in definitions if isinstance(d, FragmentDefinitionNode)}
        self.spans = _spans_of_fields(prepared.plan, times.steps)

    def grow(
        self,
        node: _Node,
        data: Mapping[str, Any],
        selections: Iterable[SelectionSetNode],
        on: GraphQLNamedType,
        parts: Mapping[str, Part] | None,
    ) -> None:
        """The children of an object of the answer. `parts`: the entities of the plan that stand there; None at the root."""
        found: dict[str, tuple[GraphQLNamedType, list[FieldNode]]] = {}
        for parent, asked in (pair for one in selections for pair in self._fields(one, on)):
            key = asked.alias.value if asked.alias else asked.name.value
            if key in data and asked.name.value != "__typename":
                found.setdefault(key, (parent, []))[1].append(asked)
        for key, (parent, nodes) in found.items():
            self._grow_field(node, key, data[key], parent, nodes, parts)

    def _grow_field(
        self,
        node: _Node,
        key: str,
        value: Any,
        parent: GraphQLNamedType,
        nodes: Sequence[FieldNode],
        parts: Mapping[str, Part] | None,
    ) -> None:
        name = nodes[0].name.value
        definition = self.schema.get_field(parent, name) if isinstance(parent, GraphQLObjectType) else None
        if definition is None:
            return
        if parts is None:
            place = self.plan.places.get(key)
            inner: Mapping[str, Part] = {} if place is None else self.plan.roots[place].parts
            span = self.spans.get(("", place)) or self.times.reading
        else:
            part = parts.get(parent.name)
            inner = parts if part is None else _followed(part, name)
            span = self.spans.get((name, part.number) if part else ("", None)) or self._at_once()
        head = _text(1, key) + (_text(14, name) if name != key else b"") + _text(3, str(definition.type))
        start = self.times.whole.start
        head += _text(13, parent.name) + _number(8, span.start - start) + _number(9, span.end - start)
        child = self._add(node, key, head)
        if child is not None:
            selections = [asked.selection_set for asked in nodes if asked.selection_set]
            self._grow_value(child, value, selections, get_named_type(definition.type), inner)

    def _grow_value(
        self,
        node: _Node,
        value: Any,
        selections: Sequence[SelectionSetNode],
        on: GraphQLNamedType,
        parts: Mapping[str, Part],
    ) -> None:
        if not selections:
            return
        if isinstance(value, list):
            for index, entry in enumerate(value):
                if (child := self._add(node, index, _number(2, index, is_shown=True))) is not None:
                    self._grow_value(child, entry, selections, on, parts)
        elif isinstance(value, Mapping):
            told = self.schema.get_type(str(value.get("__typename")))
            self.grow(node, value, selections, told or on, parts)

    def _add(self, node: _Node, key: str | int, head: bytes) -> _Node | None:
        """A child, unless the trace is long enough."""
        self.count += 1
        return node.children.setdefault(key, _Node(head)) if self.count <= MOST_NODES else None

    def _at_once(self) -> Span:
        return Span(self.times.reading.start, self.times.reading.start)

    def _fields(
        self, selections: SelectionSetNode, on: GraphQLNamedType
    ) -> Iterator[tuple[GraphQLNamedType, FieldNode]]:
        """The fields of a selection with the type they are asked of; those of fragments on other object types are left out."""
        for node in selections.selections:
            if isinstance(node, FieldNode):
                yield on, node
                continue
            assert isinstance(node, InlineFragmentNode | FragmentSpreadNode)
            fragment = node if isinstance(node, InlineFragmentNode) else self.fragments[node.name.value]
            named = fragment.type_condition
            condition = self.schema.get_type(named.name.value) if named else on
            if is_object_type(on) and is_object_type(condition) and condition is not on:
                continue
            narrower = condition if condition and not is_object_type(on) else on
            yield from self._fields(fragment.selection_set, narrower)


def _spans_of_fields(plan: Plan, steps: Mapping[int, Span]) -> dict[tuple[str, int | None], Span]:
    """When steps were under way for a field of a part, by (GraphQL name, part), and for a root by ("", root)."""
    found: dict[tuple[str, int | None], Span] = {}

    def add(name: str, number: int, step: int) -> None:
        if step in steps:
            one, known = steps[step], found.get((name, number), steps[step])
            found[name, number] = Span(min(one.start, known.start), max(one.end, known.end))

    fields = [
        {inner: outer for outer, inner in {**element_names(part.entity), **relation_names(part.entity)}.items()}
        for part in plan.parts
    ]
    roots = {part.number: index for index, root in enumerate(plan.roots) for part in root.parts.values()}
    for step in plan.steps:
        match step:
            case Lookup(uses=uses) | StoreLookup(uses=uses):
                for use in uses:
                    for name in use.elements & fields[use.part].keys():
                        add(fields[use.part][name], use.part, step.number)
                    if use.parent is not None and use.relation is not None:
                        add(fields[use.parent][use.relation], use.parent, step.number)
                    if use.part in roots:
                        add("", roots[use.part], step.number)
            case StoreSearch(root=root) | SourceSearch(root=root) | StoreCount(root=root):
                add("", root, step.number)
            case Identify(parts=parts, root=asked):
                if asked is not None:
                    add("", asked, step.number)
                for number, relation in parts:
                    entity = plan.parts[number].entity
                    allotted = entity.relations[relation].by if relation else entity.allotted
                    if allotted in fields[number]:
                        add(fields[number][allotted], number, step.number)
    return found


def _followed(part: Part, name: str) -> Mapping[str, Part]:
    relation = relation_names(part.entity).get(name)
    inner = part.relations.get(relation) if relation else None
    return {} if inner is None else {inner.entity.name: inner}


def _place(root: _Node, error: GraphQLError) -> _Node:
    """The node of the trace that is nearest to where the error happened."""
    node = root
    for key in error.path or ():
        if key not in node.children:
            break
        node = node.children[key]
    return node


def _error(error: GraphQLError) -> bytes:
    places = b"".join(_bytes(2, _number(1, place.line) + _number(2, place.column)) for place in error.locations or ())
    return _text(1, error.message) + places + _text(4, json.dumps(error.formatted, ensure_ascii=False))


# --- the wire format of protocol buffers: as much as a trace needs ---------------------------------------------------


def _instant(nanoseconds: int) -> bytes:
    """`google.protobuf.Timestamp`."""
    return _number(1, nanoseconds // 1_000_000_000) + _number(2, nanoseconds % 1_000_000_000)


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode("utf-8", "replace"))


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _number(number: int, value: int, is_shown: bool = False) -> bytes:
    """Zero is left out, since absent means zero, unless being there `is_shown` to matter (members of a oneof)."""
    return _varint(number << 3) + _varint(value) if value or is_shown else b""


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
