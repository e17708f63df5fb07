"""What a subscription asks for: which events, what of them, and the query that answers for the entity an event is about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    GraphQLSchema,
    NamedTypeNode,
    NameNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    get_argument_values,
    get_named_type,
    print_ast,
    visit,
)
from graphql.execution.collect_fields import FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

from schema.names import GLOBAL_ID, NODE_FIELD
from schema.subscription import CHANGED_NODE


@dataclass(frozen=True, slots=True)
class EventQuery:
    """The query for the entity of an event: it has the same fragments and variables, and one more for the entity's id.

    Every name under which the event's entity was selected is one of its roots.
    """

    text: str
    variable: str
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A subscription, with its @skip and @include decided: the `field` subscribed to, under which name it is answered,
    and the fields of its events, each name in the answer with the name of the field."""

    field: str
    answered_as: str
    arguments: Mapping[str, Any]
    fields: Mapping[str, str]
    query: EventQuery | None


def read_subscription(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    values: VariableValues,
    variables: Mapping[str, Any],
) -> Asked:
    """What a *validated* subscription asks for; `variables` as they were given. Raises GraphQLError for bad arguments."""
    root_type = schema.subscription_type
    assert root_type is not None
    definitions = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    fragments = {name: FragmentDetails(definition) for name, definition in definitions.items()}
    roots = collect_fields(schema, fragments, values, root_type, operation).grouped_field_set
    answered_as, details = next(iter(roots.items()))
    node = details[0].node
    field = root_type.fields[node.name.value]
    of = get_named_type(field.type)
    assert isinstance(of, GraphQLObjectType)
    inner = collect_subfields(schema, fragments, values, operation, of, details).grouped_field_set
    fields = {name: found[0].node.name.value for name, found in inner.items()}
    nodes = [found.node for name in inner for found in inner[name] if fields[name] == CHANGED_NODE]
    query = _query(nodes, definitions, operation, variables) if nodes else None
    return Asked(node.name.value, answered_as, get_argument_values(field, node, values), fields, query)


def _query(
    nodes: list[FieldNode],
    fragments: Mapping[str, FragmentDefinitionNode],
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> EventQuery:
    definitions = {d.variable.name.value: d for d in operation.variable_definitions or ()}
    variable = "id"
    while variable in definitions:
        variable = f"event_{variable}"
    by_id = ArgumentNode(name=_name(GLOBAL_ID), value=VariableNode(name=_name(variable)))
    roots = tuple(
        FieldNode(
            alias=node.alias,
            name=_name(NODE_FIELD),
            arguments=(by_id,),
            directives=(),
            selection_set=node.selection_set,
        )
        for node in nodes
    )
    used = dict(_fragments_in(SelectionSetNode(selections=roots), fragments))
    names = set().union(*(_variables_in(tree) for tree in (*roots, *used.values())))
    given = [definition for name, definition in definitions.items() if name in names]
    identifier = VariableDefinitionNode(
        variable=VariableNode(name=_name(variable)),
        type=NonNullTypeNode(type=NamedTypeNode(name=_name("ID"))),
        directives=(),
    )
    derived = OperationDefinitionNode(
        operation=OperationType.QUERY,
        name=operation.name,
        variable_definitions=(identifier, *given),
        directives=(),
        selection_set=SelectionSetNode(selections=roots),
    )
    text = print_ast(DocumentNode(definitions=(derived, *used.values())))
    return EventQuery(text, variable, {name: value for name, value in variables.items() if name in names})


def _fragments_in(
    tree: Any, fragments: Mapping[str, FragmentDefinitionNode]
) -> Iterator[tuple[str, FragmentDefinitionNode]]:
    """The fragments that are spread in the tree, directly or by others, each once."""
    waiting, seen = [tree], set()
    while waiting:
        for name in sorted(_spreads_in(waiting.pop())):
            if name not in seen:
                seen.add(name)
                waiting.append(fragments[name])
                yield name, fragments[name]


def _spreads_in(tree: Any) -> set[str]:
    found: set[str] = set()

    class Look(Visitor):
        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            found.add(node.name.value)

    visit(tree, Look())
    return found


def _variables_in(tree: Any) -> set[str]:
    found: set[str] = set()

    class Look(Visitor):
        def enter_variable(self, node: VariableNode, *_: Any) -> None:
            found.add(node.name.value)

    visit(tree, Look())
    return found


def _name(text: str) -> NameNode:
    return NameNode(value=text)
