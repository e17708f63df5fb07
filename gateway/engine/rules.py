"""graphql-core's own rules of validation over one document, with the same errors in the same order, without its detours.

`validate` visits every name, though no rule looks at names, asks every rule about every node, and finds what it knows of a
selection by a hash of all that is in it. Here a rule is asked about the nodes it looks at, and what is known of a node is
found by the node. For a document of a thousand tokens that is a quarter of the time.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from graphql import (
    BREAK,
    SKIP,
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLSchema,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeInfoVisitor,
    ValidationContext,
    ValueNode,
    ValuesOfCorrectTypeRule,
    Visitor,
    get_named_type,
    visit,
)
from graphql.language.ast import QUERY_DOCUMENT_KEYS
from graphql.pyutils import RefMap
from graphql.validation.rules.unique_directives_per_location import UniqueDirectivesPerLocationRule
from graphql.validation.validate import FragmentNestingVisitor, ValidationAbortedError
from graphql.validation.validation_context import VariableUsage, VariableUsageVisitor

BELOW = {
    kind: tuple(key for key in keys if key not in ("description", "name", "alias"))
    for kind, keys in QUERY_DOCUMENT_KEYS.items()
}
"""What is visited below a node: by the specification no descriptions, and no names, at which no rule looks."""
LONGEST_TOLD = 1000
"""Characters of a value that a mistake in it is told with; of a longer one it is only told which field it does not have."""
Visit = Callable[..., Any]


def mistakes_in(
    schema: GraphQLSchema,
    document: DocumentNode,
    rules: Sequence[type[ASTValidationRule]],
    most: int,
    hide_suggestions: bool,
) -> list[GraphQLError]:
    """What graphql-core's `validate` finds."""
    errors: list[GraphQLError] = []
    known = TypeInfo(schema)
    context = _Context(schema, document, known, partial(_note, errors, most), hide_suggestions)
    visitors: list[Visitor] = [_REPLACED.get(rule, rule)(context) for rule in rules]
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    try:
        if fragments:
            visitors.insert(0, FragmentNestingVisitor(fragments))
        _Walk(known, visitors).walk(document, None, None, [])
    except ValidationAbortedError as error:
        error.__context__ = None
        errors.append(error.with_traceback(None))
    except RecursionError:
        errors.append(ValidationAbortedError("Validation aborted."))
    return errors


def _note(errors: list[GraphQLError], most: int, error: GraphQLError) -> None:
    if len(errors) >= most:
        raise ValidationAbortedError("Too many validation errors, error limit reached. Validation aborted.")
    errors.append(error)


class _Walk:
    """Every node with all rules that look at its kind."""

    def __init__(self, known: TypeInfo, visitors: Sequence[Visitor]) -> None:
        self.known, self.visitors = known, visitors
        self.skipped: list[Any] = [None] * len(visitors)
        self.kinds: dict[
            str, tuple[Visit | None, list[tuple[int, Visit]], list[tuple[int, Visit | None]], Any, Any]
        ] = {}

    def walk(self, node: Node, key: Any, parent: Any, ancestors: list[Any]) -> None:
        kind = self.kinds.get(node.kind) or self._kind(node.kind)
        learn, entering, leaving, forget, below = kind
        skipped = self.skipped
        if learn is not None:
            learn(node)
        for number, enter in entering:
            if skipped[number] is None:
                told = enter(node, key, parent, (), ancestors)
                if told is not None:
                    skipped[number] = node if told is SKIP or told is False else BREAK
        if below:
            ancestors.append(parent)
            for name in below:
                found = getattr(node, name, None)
                if found.__class__ is tuple:
                    ancestors.append(node)
                    for at, one in enumerate(found):
                        self.walk(one, at, found, ancestors)
                    ancestors.pop()
                elif found is not None:
                    self.walk(found, name, node, ancestors)
            ancestors.pop()
        for number, leave in leaving:
            if skipped[number] is None:
                if leave is not None and leave(node, key, parent, (), ancestors) in (BREAK, True):
                    skipped[number] = BREAK
            elif skipped[number] is node:
                skipped[number] = None
        if forget is not None:
            forget()

    def _kind(self, kind: str) -> Any:
        """What is to be done at a node of this kind."""
        below = BELOW.get(kind, ())
        entering: list[tuple[int, Visit]] = []
        leaving: list[tuple[int, Visit | None]] = []
        for number, visitor in enumerate(self.visitors):
            if isinstance(visitor, UniqueDirectivesPerLocationRule) and "directives" not in below:
                continue
            enter, leave = visitor.get_enter_leave_for_kind(kind)
            if enter is not None:
                entering.append((number, enter))
            if enter is not None or leave is not None:
                leaving.append((number, leave))
        learn, forget = (getattr(self.known, f"{when}_{kind}", None) for when in ("enter", "leave"))
        found = self.kinds[kind] = (learn, entering, leaving, forget, below)
        return found


class _Context(ValidationContext):
    """What rules know of a document, by its nodes, which are all in different places."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._variable_usages: Any = RefMap()
        self._recursive_variable_usages: Any = RefMap()
        self._fragment_spreads: Any = RefMap()

    def get_variable_usages(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> list[VariableUsage]:
        """The variables that stand in an operation or a fragment; fields in whose text there is none are passed over."""
        usages: list[VariableUsage] | None = self._variable_usages.get(node)
        if usages is None:
            looking = _Usages(self._type_info, node if isinstance(node, FragmentDefinitionNode) else None)
            visit(node, TypeInfoVisitor(self._type_info, looking), BELOW)
            usages = self._variable_usages[node] = looking.usages
        return usages


class _Usages(VariableUsageVisitor):
    def enter_field(self, node: FieldNode, *_: Any) -> Any:
        loc = node.loc
        assert loc is not None
        return SKIP if loc.source.body.find("$", loc.start, loc.end) < 0 else None


class _Values(ValuesOfCorrectTypeRule):
    """Of a long value each unknown field is told without all of the value, which the rule would tell again for each of them."""

    def is_valid_value_node(self, node: ValueNode, input_type: GraphQLInputType | None) -> Any:
        """Tell what is wrong with the value."""
        loc = node.loc
        if (
            input_type
            and loc is not None
            and loc.end - loc.start > LONGEST_TOLD
            and self._tell_unknown(node, input_type)
        ):
            return SKIP
        return super().is_valid_value_node(node, input_type)

    def _tell_unknown(self, node: ValueNode, kind: GraphQLInputType) -> bool:
        """Whether it has fields that it cannot have."""
        if isinstance(node, ListValueNode):
            return sum(self._tell_unknown(one, kind) for one in node.values) > 0
        named = get_named_type(kind)
        if not isinstance(node, ObjectValueNode) or not isinstance(named, GraphQLInputObjectType):
            return False
        is_any = False
        for one in node.fields:
            field = named.fields.get(one.name.value)
            if field is None:
                message = f"Expected value of type '{named}' not to include unknown field '{one.name.value}'."
                self.report_error(GraphQLError(message, one))
                is_any = True
            else:
                is_any |= self._tell_unknown(one.value, field.type)
        return is_any


_REPLACED: dict[type[ASTValidationRule], type[ASTValidationRule]] = {ValuesOfCorrectTypeRule: _Values}
