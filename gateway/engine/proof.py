"""Proves in one walk that a document is valid, as most are; graphql-core's rules, which cost ten times that, then need not look.

What is proven is stricter than the specification. Everything it says nothing about, every mistake among it, is left to the rules.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn, cast

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLDirective,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    NamedTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_input_type,
    is_leaf_type,
    is_list_type,
    print_ast,
    type_from_ast,
)
from graphql.type import is_required_argument
from graphql.utilities import do_types_overlap, validate_input_literal
from graphql.validation.rules.variables_in_allowed_position import allowed_variable_usage

MOST_STEPS = 5000
"""Selections looked at; whoever has more leaves them to the rules."""
TYPENAME = "__typename"
DECIDED = ("skip", "include")


class _Field(NamedTuple):
    """A response key of an object: where it is first asked for, what it is (None for `__typename`), what is selected below it."""

    node: FieldNode
    what: GraphQLField | None
    below: list[SelectionSetNode]


class Unproven(Exception):
    """Whether the document is valid is for the rules to say."""


def is_proven(schema: GraphQLSchema, document: DocumentNode) -> bool:
    """Whether the document is known to be valid by all rules of the specification. To be called within the limits of `demand`."""
    try:
        _Proof(schema, document).prove()
    except Unproven:
        return False
    return True


class _Proof:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.schema = schema
        self.operations: list[OperationDefinitionNode] = []
        self.fragments: dict[str, FragmentDefinitionNode] = {}
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                self.operations.append(node)
            elif isinstance(node, FragmentDefinitionNode) and node.name.value not in self.fragments:
                self.fragments[node.name.value] = node
            else:
                raise Unproven
        self.variables: dict[str, tuple[GraphQLInputType, ValueNode | None]] = {}
        self.used: set[str] = set()
        self.spread: set[str] = set()
        self.steps = 0

    def prove(self) -> None:
        """Raises Unproven."""
        root = self.schema.query_type
        names = {operation.name.value for operation in self.operations if operation.name}
        if root is None or len(self.operations) != max(len(names), 1):
            raise Unproven
        if any(node.directives or node.variable_definitions for node in self.fragments.values()):
            raise Unproven
        self._check_circles()
        for operation in self.operations:
            if operation.operation is not OperationType.QUERY or operation.directives:
                raise Unproven
            self.variables, self.used = {}, set()
            self._define(operation)
            self._object(root, [operation.selection_set])
            if self.used != self.variables.keys():
                raise Unproven
        if self.spread != self.fragments.keys():
            raise Unproven

    def _check_circles(self) -> None:
        """That no fragment leads to itself. Each is looked through once."""
        leads_to = {name: _spreads_of(node.selection_set) for name, node in self.fragments.items()}
        while leads_to:
            ends = [name for name, others in leads_to.items() if not (others & leads_to.keys())]
            if not ends:
                raise Unproven
            for name in ends:
                del leads_to[name]

    def _define(self, operation: OperationDefinitionNode) -> None:
        for node in operation.variable_definitions or ():
            kind: Any = type_from_ast(self.schema, node.type)
            name = node.variable.name.value
            if node.directives or name in self.variables or kind is None or not is_input_type(kind):
                raise Unproven
            if node.default_value is not None:
                self._literal(node.default_value, kind)
            self.variables[name] = (kind, node.default_value)

    def _object(self, kind: GraphQLNamedType, sets: Sequence[SelectionSetNode]) -> None:
        """Selections that are made of one object, wherever they are written."""
        found: dict[str, _Field] = {}
        opened: set[str] = set()
        for selections in sets:
            self._collect(kind, selections, found, opened)
        for _, field, below in found.values():
            if field is None:
                continue
            named = get_named_type(field.type)
            if is_leaf_type(named):
                if below:
                    raise Unproven
            elif not below or not is_composite_type(named):
                raise Unproven
            else:
                self._object(named, below)

    def _collect(
        self,
        kind: GraphQLNamedType,
        selections: SelectionSetNode,
        found: dict[str, _Field],
        opened: set[str],
    ) -> None:
        if not selections.selections:
            raise Unproven
        self.steps += len(selections.selections)
        if self.steps > MOST_STEPS:
            raise Unproven
        for node in selections.selections:
            if node.directives:
                self._directives(node.directives)
            if isinstance(node, FieldNode):
                self._field(kind, node, found)
            elif isinstance(node, InlineFragmentNode):
                self._collect(self._condition(kind, node.type_condition), node.selection_set, found, opened)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                fragment = self.fragments.get(name)
                if fragment is None or getattr(node, "arguments", None):
                    raise Unproven
                on = self._condition(kind, fragment.type_condition)
                if name not in opened:
                    opened.add(name)
                    self.spread.add(name)
                    self._collect(on, fragment.selection_set, found, opened)

    def _condition(self, kind: GraphQLNamedType, condition: NamedTypeNode | None) -> GraphQLNamedType:
        if condition is None or condition.name.value == kind.name:
            return kind
        on: Any = self.schema.get_type(condition.name.value)
        if on is None or not is_composite_type(on) or not do_types_overlap(self.schema, on, cast("Any", kind)):
            raise Unproven
        return on

    def _field(
        self,
        kind: GraphQLNamedType,
        node: FieldNode,
        found: dict[str, _Field],
    ) -> None:
        name = node.name.value
        what: GraphQLField | None = None
        if name != TYPENAME and (what := getattr(kind, "fields", {}).get(name)) is None:
            raise Unproven
        key = node.alias.value if node.alias else name
        before = found.get(key)
        if before is None:
            found[key] = _Field(node, what, [] if node.selection_set is None else [node.selection_set])
        else:
            self._check_same(before, node, what)
        if what is None:
            if node.arguments or node.selection_set is not None:
                raise Unproven
        elif node.arguments or what.args:
            self._arguments(node.arguments or (), what.args)

    def _check_same(self, before: _Field, node: FieldNode, what: GraphQLField | None) -> None:
        """That the same is asked for under one name; what is selected of it is looked at together."""
        if before.node.name.value != node.name.value or _printed(before.node) != _printed(node):
            raise Unproven
        if (before.what and before.what.type) != (what and what.type) or bool(before.below) != bool(node.selection_set):
            raise Unproven
        if node.selection_set is not None:
            before.below.append(node.selection_set)

    def _arguments(self, nodes: Sequence[ArgumentNode], known: Mapping[str, GraphQLArgument]) -> None:
        given: set[str] = set()
        for node in nodes:
            name = node.name.value
            argument = known.get(name)
            if argument is None or name in given:
                raise Unproven
            given.add(name)
            self._variables(node.value, argument.type, argument)
            self._literal(node.value, argument.type)
        for name, argument in known.items():
            if name not in given and is_required_argument(argument):
                raise Unproven

    def _directives(self, nodes: Sequence[Any]) -> None:
        """Only @skip and @include, each once."""
        names = [node.name.value for node in nodes]
        if len(set(names)) < len(names):
            raise Unproven
        for node in nodes:
            known: GraphQLDirective | None = self.schema.get_directive(node.name.value)
            if known is None or node.name.value not in DECIDED:
                raise Unproven
            self._arguments(node.arguments or (), known.args)

    def _literal(self, node: ValueNode, kind: GraphQLInputType) -> None:
        """That the value is one of this kind, whatever its variables are."""
        if not isinstance(node, VariableNode):
            validate_input_literal(node, kind, _unproven, None, None, True)

    def _variables(
        self, node: ValueNode, kind: GraphQLInputType, place: GraphQLArgument | GraphQLInputField | None
    ) -> None:
        """The variables in a value, each where it may stand; names of input fields, each once."""
        if isinstance(node, VariableNode):
            name = node.name.value
            if name not in self.variables:
                raise Unproven
            declared, default = self.variables[name]
            self.used.add(name)
            if declared is not kind and not allowed_variable_usage(
                self.schema, declared, default, kind, _default(place)
            ):
                raise Unproven
        elif isinstance(node, ListValueNode):
            within: Any = get_nullable_type(kind)
            if not is_list_type(within):
                raise Unproven
            for value in node.values:
                self._variables(value, within.of_type, None)
        elif isinstance(node, ObjectValueNode):
            within = get_named_type(kind)
            if not isinstance(within, GraphQLInputObjectType) or within.is_one_of:
                raise Unproven
            if len({one.name.value for one in node.fields}) < len(node.fields):
                raise Unproven
            for one in node.fields:
                field = within.fields.get(one.name.value)
                if field is None:
                    raise Unproven
                self._variables(one.value, field.type, field)


def _default(place: GraphQLArgument | GraphQLInputField | None) -> Any:
    if place is None:
        return Undefined
    return place.default_value if place.default is None else place.default


def _printed(node: FieldNode) -> list[str]:
    return [print_ast(argument) for argument in node.arguments or ()]


def _unproven(*_: Any) -> NoReturn:
    raise Unproven


def _spreads_of(selections: SelectionSetNode) -> set[str]:
    """The fragments that stand anywhere below."""
    found: set[str] = set()
    waiting: list[SelectionSetNode | None] = [selections]
    while waiting:
        for node in getattr(waiting.pop(), "selections", ()):
            if isinstance(node, FragmentSpreadNode):
                found.add(node.name.value)
            else:
                waiting.append(node.selection_set)
    return found
