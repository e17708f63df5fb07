"""From the text of an operation to its plan: parsed, validated and planned once, then remembered."""

from collections import OrderedDict
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

import strawberry
from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    get_argument_values,
    get_operation_ast,
)
from graphql.execution.values import VariableValues, get_variable_values

from adapters.mapping.compiled import Compiler
from adapters.mapping.model import SourceMapping
from adapters.mapping.truth import NOTHING_SAID, Truth
from gateway.engine.arguments import kinds_of, live_of, references_of
from gateway.engine.coercion import PlainArguments, coerced, plain_variables
from gateway.engine.demand import Limits, Measure, Measured, check_page_sizes
from gateway.engine.incremental import Phases, delivered_at_once, has_incremental, phases_of, without_deferred
from gateway.engine.lane.lane import Lane, make_lane
from gateway.engine.live_lists import NotPinned, Pinned
from gateway.engine.offer import check_offered
from gateway.engine.plan import Plan
from gateway.engine.planner import Planner
from gateway.engine.projection.compiled import Projection, compile_projection
from gateway.engine.proof import is_proven
from gateway.engine.reading import parsed
from gateway.engine.remembered import Known, Planned, Text, remember
from gateway.engine.rules import mistakes_in
from gateway.engine.selection import (
    ANY_ENTITY,
    Kind,
    Selection,
    any_entity_nodes,
    boolean_variables,
    read_selection,
)
from gateway.engine.tokens import check_tokens
from gateway.engine.validation import check_conditions, rules_for
from gateway.errors import QueryError
from schema.names import FROM
from schema.registry import Registry

MOST_ERRORS = 100
MOST_MISTAKES = 5
"""Errors of validation and of variables that are told; each prints what it is about, which takes its time."""

OTHERWISE = (OperationType.QUERY, OperationType.MUTATION)
"""What is answered once."""


class Refused(Exception):
    """The operation never runs; `errors` are the reasons, each with a code."""

    def __init__(self, errors: list[GraphQLError], code: str) -> None:
        super().__init__("\n".join(error.message for error in errors))
        self.errors = errors
        for error in errors:
            error.extensions = {"code": code, **(error.extensions or {})}


class Prepared(NamedTuple):
    """An operation ready to run: its plan, the coerced variables, what it is taken to cost, and where it is written.

    `projection` writes its answer; None where the stock executor has to. `phases`: which steps the first of several
    answers needs, where it is to be delivered in parts. `lane` is a short way to the answer, where there is one.
    """

    plan: Plan
    projection: Projection | None
    phases: Phases | None
    lane: Lane | None
    values: VariableValues
    cost: int
    document: DocumentNode
    operation: OperationDefinitionNode


class Preparation:
    """Remembers texts and their plans, the least recently used go first. One for the process.

    `is_open`: the schema may be read; otherwise introspection is refused, and errors suggest no names.
    """

    def __init__(
        self,
        schema: strawberry.Schema,
        registry: Registry,
        mappings: Mapping[str, SourceMapping],
        limits: Limits,
        plans_kept: int,
        is_open: bool,
        truth: Truth = NOTHING_SAID,
        compiler: Compiler | None = None,
    ) -> None:
        self.schema, self.registry = schema._schema, registry
        self.planner = Planner(registry, mappings, truth)
        self.mappings, self.compiler = mappings, compiler
        self.limits, self.measure = limits, Measure(self.schema, registry.entities, mappings, limits)
        self.plans_kept, self.is_open = plans_kept, is_open
        self.plain_arguments = PlainArguments()
        self.texts: OrderedDict[tuple[str, str | None], Text] = OrderedDict()
        self.plans: OrderedDict[tuple[object, ...], Planned] = OrderedDict()
        self.costs: OrderedDict[tuple[object, ...], int] = OrderedDict()
        self.known: OrderedDict[tuple[str, str | None], Known] = OrderedDict()

    def prepare(
        self,
        text: str,
        variables: Mapping[str, Any],
        operation_name: str | None,
        in_parts: bool = False,
        role: str = "",
    ) -> Prepared:
        """The plan of the operation and its coerced variables, within what somebody in this role may ask. Raises Refused; a
        subscription is not prepared here.

        `in_parts`: the client takes what is deferred or streamed later; others get everything at once.
        """
        found = None if in_parts else self.texts.get((text, operation_name))
        if found is not None and found.settled is not None and (settled := self._settled(found, variables, role)):
            self.texts.move_to_end((text, operation_name))
            return settled
        known, values = self._coerced(text, variables, operation_name, OTHERWISE)
        cost = self._cost(text, operation_name, known, values)
        self._check_role(cost, role)
        planned = self._plan(text, operation_name, known, values)
        self._know(text, operation_name, known.operation, cost)
        if in_parts and known.in_parts is not None:
            return Prepared(planned.plan, None, planned.phases, None, values, cost, known.in_parts, known.operation)
        if planned.lane is not None and known.cost is not None and not (known.booleans or known.any_entity):
            known.settled = planned
        return Prepared(
            planned.plan, planned.projection, None, planned.lane, values, cost, known.document, known.operation
        )

    def _settled(self, known: Text, variables: Mapping[str, Any], role: str) -> Prepared | None:
        """As it was prepared before, None where its variables have to be looked at more closely. Raises Refused."""
        assert known.settled is not None and known.cost is not None  # noqa: PT018 - one thing, and asked each time
        if known.plain is None or (plain := coerced(known.plain, variables)) is None:
            return None
        self._check_role(known.cost, role)
        plan, projection, _, lane = known.settled
        return Prepared(plan, projection, None, lane, plain, known.cost, known.document, known.operation)

    def read(self, text: str, operation_name: str | None) -> None:
        """Parse and validate a text that is to be prepared. Raises Refused."""
        self._text(text, operation_name, OTHERWISE)

    def prepare_subscription(
        self, text: str, variables: Mapping[str, Any], operation_name: str | None, role: str = ""
    ) -> tuple[DocumentNode, OperationDefinitionNode, VariableValues]:
        """A subscription within what somebody in this role may ask, and its coerced variables. Raises Refused."""
        known, values = self._coerced(text, variables, operation_name, (OperationType.SUBSCRIPTION,))
        cost = self._cost(text, operation_name, known, values)
        self._check_role(cost, role)
        self._know(text, operation_name, known.operation, cost)
        return known.document, known.operation, values

    def _coerced(
        self, text: str, variables: Mapping[str, Any], operation_name: str | None, kinds: Container[OperationType]
    ) -> tuple[Text, VariableValues]:
        known = self._text(text, operation_name, kinds)
        try:
            check_page_sizes(known.sizes, variables)
        except GraphQLError as error:
            raise Refused([error], "BAD_USER_INPUT") from None
        if known.plain is not None and (plain := coerced(known.plain, variables)) is not None:
            return known, plain
        definitions = known.operation.variable_definitions or ()
        try:
            check_conditions(self.schema, definitions, variables)
        except GraphQLError as error:
            raise Refused([error], "QUERY_TOO_LARGE") from None
        values = get_variable_values(
            self.schema, definitions, dict(variables), max_errors=MOST_MISTAKES, hide_suggestions=not self.is_open
        )
        if isinstance(values, list):
            raise Refused(values, "BAD_USER_INPUT")
        return known, values

    def operation_type(self, text: str, operation_name: str | None) -> str:
        """`query`, `mutation` or `subscription`; known before anything is validated. Raises Refused."""
        if known := self.texts.get((text, operation_name)):
            return known.operation.operation.value
        return self._operation(self._parse(text), operation_name).operation.value

    def known_of(self, text: str, operation_name: str | None) -> Known | None:
        """What is known of an operation that was prepared before; None when to prepare it would be work."""
        key = (text, operation_name)
        return self.known.get(key) if key in self.texts else None

    def is_used(self, text: str, operation_name: str | None) -> bool:
        """Whether an operation is remembered, which it is for longer now."""
        key = (text, operation_name)
        if key not in self.texts:
            return False
        self.texts.move_to_end(key)
        return True

    def check(self, text: str) -> None:
        """That each operation of the text could be asked for, whatever its variables. Raises Refused."""
        document = self._parse(text)
        self._validate(text, document)
        if not any(isinstance(node, OperationDefinitionNode) for node in document.definitions):
            raise Refused([GraphQLError("没有操作（query）")], "OPERATION_RESOLUTION_FAILURE")

    def arguments(self, node: FieldNode, values: VariableValues) -> dict[str, Any]:
        """What a root was called with, coerced. Raises GraphQLError."""
        query = self.schema.query_type
        assert query is not None
        field = query.fields[node.name.value]
        plain = self.plain_arguments.of(field, node, values)
        return get_argument_values(field, node, values) if plain is None else plain

    def _text(self, text: str, operation_name: str | None, kinds: Container[OperationType]) -> Text:
        key = (text, operation_name)
        if known := self.texts.get(key):
            _check_kind(known.operation, kinds)
            self.texts.move_to_end(key)
            return known
        written = self._parse(text)
        _check_kind(get_operation_ast(written, operation_name), kinds)
        measured = self._validate(text, written)
        is_marked = "@" in text
        in_parts = written if is_marked and has_incremental(written) else None
        document = delivered_at_once(written) if in_parts else written
        operation = self._operation(document, operation_name)
        booleans = boolean_variables(written) if is_marked else ()
        any_entity = any_entity_nodes(document, operation)
        plain = plain_variables(self.schema, operation)
        name = operation.name.value if operation.name else None
        cost = None if measured.sizes else measured.costs[name]
        found = Text(document, in_parts, operation, booleans, any_entity, measured.sizes, cost, plain)
        remember(self.texts, key, found, self.plans_kept)
        return found

    def _parse(self, text: str) -> DocumentNode:
        limits = self.limits
        try:
            check_tokens(text, limits.length, limits.tokens, limits.depth, limits.directives)
            return parsed(text)
        except GraphQLError as error:
            raise Refused([error], "GRAPHQL_PARSE_FAILED") from None
        except RecursionError:
            raise Refused([GraphQLError("查询嵌套过深")], "QUERY_TOO_LARGE") from None

    def _validate(self, text: str, document: DocumentNode) -> Measured:
        """What it costs. Within the limits first: to validate what is too large would be the attack."""
        try:
            check_offered(document, self.schema, self.is_open)
            measured = self.measure.check(document)
            if is_proven(self.schema, document):
                return measured
            rules = rules_for(text)
            errors = mistakes_in(self.schema, document, rules, MOST_MISTAKES, hide_suggestions=not self.is_open)
        except GraphQLError as error:
            raise Refused([error], "GRAPHQL_VALIDATION_FAILED") from None
        except RecursionError:
            raise Refused([GraphQLError("查询嵌套过深")], "QUERY_TOO_LARGE") from None
        if errors:
            raise Refused(errors, "GRAPHQL_VALIDATION_FAILED")
        return measured

    def _operation(self, document: DocumentNode, operation_name: str | None) -> OperationDefinitionNode:
        if operation := get_operation_ast(document, operation_name):
            return operation
        what = f"没有名为 “{operation_name}” 的操作" if operation_name else "有多个操作，请给出 operationName"
        raise Refused([GraphQLError(what)], "OPERATION_RESOLUTION_FAILURE")

    def _cost(self, text: str, name: str | None, known: Text, values: VariableValues) -> int:
        if known.cost is not None:
            return known.cost
        given = (values.coerced.get(variable) for variable in known.sizes)
        sizes = (
            len(value) if isinstance(value, list) else value if isinstance(value, int) else None for value in given
        )
        key = (text, name, *sizes)
        if (cost := self.costs.get(key)) is None:
            try:
                cost = self.measure.cost(known.document, known.operation, values.coerced)
            except GraphQLError as error:
                raise Refused([error], "QUERY_TOO_LARGE") from None
            remember(self.costs, key, cost, self.plans_kept)
        return cost

    def _check_role(self, cost: int, role: str) -> None:
        try:
            self.measure.check_role(cost, role)
        except GraphQLError as error:
            raise Refused([error], "QUERY_TOO_LARGE") from None

    def _plan(self, text: str, name: str | None, known: Text, values: VariableValues) -> Planned:
        try:
            asked = {id(node): self._asked(node, values) for node in known.any_entity}
        except GraphQLError as error:
            raise Refused([error], "BAD_USER_INPUT") from None
        key = (text, name, *(values.coerced.get(variable) for variable in known.booleans), *asked.values())
        if found := self.plans.get(key):
            self.plans.move_to_end(key)
            return found
        try:
            selection = self._selected(known.document, known.operation, values, lambda node: asked[id(node)])
            plan = self.planner.plan(selection)
        except QueryError as error:
            raise Refused([GraphQLError(str(error))], error.code) from None
        projection = compile_projection(self.schema, self.registry, known.document, known.operation, values, plan)
        phases = None
        if known.in_parts is not None:
            at_once = without_deferred(known.in_parts, values.coerced)
            operation = self._operation(at_once, name)
            phases = phases_of(
                plan, selection, self._selected(at_once, operation, values, lambda node: self._asked(node, values))
            )
        lane = None
        if projection is not None and self.compiler is not None:
            lane = make_lane(plan, projection.shape, self.mappings, self.registry, self.compiler)
        planned = Planned(plan, projection, phases, lane)
        remember(self.plans, key, planned, self.plans_kept)
        return planned

    def _selected(
        self, document: DocumentNode, operation: OperationDefinitionNode, values: VariableValues, asked: Any
    ) -> Selection:
        """The selection; `asked` says of a root whose arguments matter what it asks of whom."""

        def live_of_list(node: FieldNode) -> Pinned | NotPinned | None:
            is_said = any(argument.name.value == FROM for argument in node.arguments or ())
            return asked(node) if is_said else None

        return read_selection(document, operation, values.coerced, self.registry, asked, live_of_list)

    def _know(self, text: str, name: str | None, operation: OperationDefinitionNode, cost: int) -> None:
        before = self.known.get((text, name))
        if before is None or before.cost < cost:
            fields = (node.name.value for node in operation.selection_set.selections if isinstance(node, FieldNode))
            said = operation.name.value if operation.name else None
            remember(self.known, (text, name), Known(said, tuple(dict.fromkeys(fields)), cost), self.plans_kept)

    def _asked(self, node: FieldNode, values: VariableValues) -> tuple[Kind, ...] | Pinned | NotPinned | None:
        """Which entities a root that may ask for any entity asks for, or who answers a list: what its plan depends on."""
        try:
            given = self.arguments(node, values)
            if node.name.value not in ANY_ENTITY:
                return live_of(node, given, self.registry, self.planner.mappings)
            return kinds_of(references_of(node.name.value, given, self.registry, hash_id=str))
        except ValueError as error:
            raise GraphQLError(f"{node.name.value}：{error}", node) from None


def _check_kind(operation: OperationDefinitionNode | None, kinds: Container[OperationType]) -> None:
    """That the operation, if it is known which, is of a kind that is taken here. Said before anything is validated."""
    if operation is None or operation.operation in kinds:
        return
    if operation.operation is OperationType.SUBSCRIPTION:
        what = "订阅（subscription）请用 WebSocket（graphql-transport-ws）或 SSE（Accept: text/event-stream）"
        raise Refused([GraphQLError(what, operation)], "SUBSCRIPTION_NOT_SUPPORTED")
    raise Refused([GraphQLError("此处只接受订阅（subscription）", operation)], "BAD_USER_INPUT")
