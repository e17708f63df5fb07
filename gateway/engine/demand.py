"""What a document asks for, measured before it is validated, visiting each fragment once however often it is spread.

Sizes multiply on the way in (`first`, the fan-out of a relation) and each entity weighs as much as the kind of source that
answers for it; everything saturates, so that no document makes the numbers large. Limiters that walk the *expanded* tree take
seconds for 748 bytes of fragments that spread each other twice.
"""

from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_list_type,
)

from adapters.mapping.model import SourceMapping
from gateway.engine.tokens import too_large
from schema.names import FROM, LIVE
from schema.query import DEFAULT_PAGE, LARGEST_PAGE

FAN_OUT = 5
"""How many entities a relation to several is taken to lead to, and any other list to hold."""
WEIGHTS: Mapping[str, int] = {"sql": 1, "rest": 2, "platform": 3, "soap": 5}
"""What asking for one entity weighs, by the kind of source, where its mapping says no `weight`; 1 where only the store
answers."""
RECORDS_A_POINT = 10
"""Records that a live list may walk weigh less than entities asked for: so many of them are one."""
DEEPEST_SPREAD = 50
MOST_PAIRS = 3000
"""Pairs of equal names in one place: the rules of validation compare each with each. Thirty fragments may have six fields
in common."""
MOST_OBJECT_REPEATS = 10
"""How often one name with a selection may be asked for in one place: what is selected there is compared as well."""
MOST_DEFINITIONS = 60
"""Fragments and operations of a document; the rules of validation walk them for each other."""
MOST_ARGUMENTS = 50
"""Arguments of a field, and variables of an operation."""
PAGES = ("first", "last")
INTROSPECTED = {"fields": 20, "inputFields": 20, "args": 2, "enumValues": 10, "directives": 10}
"""How long the lists of introspection are taken to be; `types` by the schema, 3 for any other."""
INTROSPECTION_A_TYPE = 1200
"""How much introspection may tell, for each type of the schema: a quarter more than the query every tool sends."""
FULL = 1 << 40


@dataclass(frozen=True, slots=True)
class Limits:
    """What one operation may ask for; fragments count as often as they are spread."""

    length: int
    tokens: int
    depth: int
    fields: int
    root_fields: int
    aliases: int
    directives: int
    cost: int
    role_costs: Mapping[str, int] = field(default_factory=dict)

    def cost_for(self, role: str) -> int:
        """What an operation of somebody in this role may cost."""
        return self.role_costs.get(role, self.cost)


@dataclass(frozen=True, slots=True)
class Size:
    """A variable that tells how long a page or a list is: to which argument, and the bound if it has one of ours."""

    argument: str
    largest: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """The variables that tell sizes in a document; where there are none, what each operation costs by its name."""

    sizes: Mapping[str, Size]
    costs: Mapping[str | None, int]


@dataclass(slots=True)
class Demand:
    """What a selection asks for. `cost` is of entities, `told` of introspection; `names` and `objects` count the response
    keys at its own level, `objects` those with a selection of their own."""

    fields: int = 0
    aliases: int = 0
    directives: int = 0
    depth: int = 0
    cost: int = 0
    told: int = 0
    names: Counter[str] | None = None
    objects: Counter[str] | None = None


class Measure:
    """Measures documents against a schema. One for the process."""

    def __init__(
        self, schema: GraphQLSchema, entities: Container[str], mappings: Mapping[str, SourceMapping], limits: Limits
    ) -> None:
        self.schema, self.entities, self.limits = schema, entities, limits
        self.most_told = INTROSPECTION_A_TYPE * len(schema.type_map)
        self.weights: dict[str, int] = {}
        for mapping in mappings.values():
            for entity in mapping.entities:
                self.weights[entity] = max(weight_of(mapping), self.weights.get(entity, 1))
        self.walks: dict[str, int] = {}
        for mapping in mappings.values():
            for operation in mapping.operations.values():
                if operation.search and operation.written.page:
                    walked = operation.search.pages * -(-operation.written.page.size // RECORDS_A_POINT)
                    known = self.walks.get(operation.entity, 0)
                    self.walks[operation.entity] = max(walked * weight_of(mapping), known)
        for name, kind in schema.type_map.items():
            if is_abstract_type(kind):  # `Node` and `_Entity`: as much as the heaviest of what they may be
                members = (self.weights.get(member.name, 0) for member in schema.get_possible_types(kind))
                self.weights[name] = max(members, default=0)

    def check(self, document: DocumentNode) -> Measured:
        """What the operations cost, once each of them stays within the limits with sizes that variables tell taken as 1.

        Raises GraphQLError.
        """
        if len(document.definitions) > MOST_DEFINITIONS:
            raise _beyond("definitions", f"片段与操作超过 {MOST_DEFINITIONS} 个", MOST_DEFINITIONS, None)
        walk = _Walk(self, document, None)
        costs: dict[str | None, int] = {}
        for node in document.definitions:
            if isinstance(node, FragmentDefinitionNode):
                walk.fragment(node.name.value, 0, 0)
            elif isinstance(node, OperationDefinitionNode):
                found = walk.operation(node)
                self._check(found, node)
                costs[node.name.value if node.name else None] = found.cost
        return Measured(walk.sizes, costs)

    def cost(self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
        """What the operation costs with these variables. Raises GraphQLError when that is too much for anybody."""
        found = _Walk(self, document, variables).operation(operation)
        self._check(found, operation)
        return found.cost

    def check_role(self, cost: int, role: str) -> None:
        """That somebody in this role may ask for so much. Raises GraphQLError."""
        most = self.limits.cost_for(role)
        if cost > most:
            raise _beyond("cost", f"估算代价超过上限 {most}（片段展开后）", most, None)

    def _check(self, found: Demand, node: OperationDefinitionNode) -> None:
        limits = self.limits
        for limit, what, number, most in (
            ("depth", "嵌套层数", found.depth, limits.depth),
            ("fields", "字段", found.fields, limits.fields),
            ("rootFields", "根字段", (found.names or Counter()).total(), limits.root_fields),
            ("aliases", "别名", found.aliases, limits.aliases),
            ("directives", "指令", found.directives, limits.directives),
            ("introspection", "内省的规模", found.told, self.most_told),
            ("cost", "估算代价", found.cost, max((limits.cost, *limits.role_costs.values()))),
        ):
            if number > most:
                raise _beyond(limit, f"{what}超过上限 {most}（片段展开后）", most, node)


class _Walk:
    """One pass over one document. Without `variables`, sizes that they tell are 1."""

    def __init__(self, measure: Measure, document: DocumentNode, variables: Mapping[str, Any] | None) -> None:
        self.measure, self.schema, self.variables = measure, measure.schema, variables
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.known: dict[str, Demand] = {}
        self.sizes: dict[str, Size] = {}
        self.pairs = 0

    def operation(self, node: OperationDefinitionNode) -> Demand:
        found = self._selections(node.selection_set, self.schema.get_root_type(node.operation), 1, 0)
        if len(node.variable_definitions or ()) > MOST_ARGUMENTS:
            raise _beyond("arguments", f"变量超过 {MOST_ARGUMENTS} 个", MOST_ARGUMENTS, node)
        found.directives += len(node.directives or ())
        found.directives += sum(len(variable.directives or ()) for variable in node.variable_definitions or ())
        return found

    def fragment(self, name: str, level: int, spreads: int) -> Demand:
        """Of a fragment, once; nothing for one that is missing or leads to itself, which validation will say."""
        if name in self.known:
            return self.known[name]
        node = self.fragments.get(name)
        if node is None:
            return Demand()
        if spreads > DEEPEST_SPREAD:
            raise _beyond("depth", f"片段嵌套超过 {DEEPEST_SPREAD} 层", DEEPEST_SPREAD, node)
        self.known[name] = Demand()
        on = self.schema.get_type(node.type_condition.name.value)
        self.known[name] = self._selections(node.selection_set, on, level, spreads)
        return self.known[name]

    def _selections(
        self, selections: SelectionSetNode, on: GraphQLNamedType | None, level: int, spreads: int
    ) -> Demand:
        if level > self.measure.limits.depth:
            most = self.measure.limits.depth
            raise _beyond("depth", f"查询嵌套超过 {most} 层", most, selections)
        total = Demand(depth=1, names=Counter(), objects=Counter())
        for node in selections.selections:
            total.directives = min(total.directives + len(node.directives or ()), FULL)
            if isinstance(node, FieldNode):
                self._field(total, node, on, level, spreads)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner_type = self.schema.get_type(condition.name.value) if condition else on
                _join(total, self._selections(node.selection_set, inner_type, level, spreads + 1))
            elif isinstance(node, FragmentSpreadNode):
                _join(total, self.fragment(node.name.value, level, spreads + 1))
        assert total.names is not None
        assert total.objects is not None
        if total.objects and (max(total.objects.values()) > MOST_OBJECT_REPEATS):
            most = MOST_OBJECT_REPEATS
            raise _beyond("fields", f"同一处有子字段的同名字段超过 {most} 个", most, selections)
        self.pairs += sum(count * (count - 1) // 2 for count in total.names.values())
        if self.pairs > MOST_PAIRS:
            raise _beyond("fields", f"同一处的同名字段过多（成对计超过 {MOST_PAIRS}）", MOST_PAIRS, selections)
        if len(total.names) > self.measure.limits.fields:
            raise _beyond("fields", f"字段超过 {self.measure.limits.fields} 个", self.measure.limits.fields, selections)
        return total

    def _field(self, total: Demand, node: FieldNode, on: GraphQLNamedType | None, level: int, spreads: int) -> None:
        name = node.name.value
        key = node.alias.value if node.alias else name
        assert total.names is not None
        assert total.objects is not None
        if len(node.arguments or ()) > MOST_ARGUMENTS:
            raise _beyond("arguments", f"参数超过 {MOST_ARGUMENTS} 个", MOST_ARGUMENTS, None)
        total.names[key] += 1
        total.fields = min(total.fields + 1, FULL)
        total.aliases = min(total.aliases + (key != name), FULL)
        if node.selection_set is None:
            return
        total.objects[key] += 1
        field = _field_of(self.schema, on, name)
        target = get_named_type(field.type) if field else None
        inner = self._selections(node.selection_set, target, level + 1, spreads)
        total.fields = min(total.fields + inner.fields, FULL)
        total.aliases = min(total.aliases + inner.aliases, FULL)
        total.directives = min(total.directives + inner.directives, FULL)
        total.depth = max(total.depth, 1 + inner.depth)
        if field is None or target is None:
            return
        if target.name.startswith("__"):
            size = self._introspected(name) if is_list_type(get_nullable_type(field.type)) else 1
            total.told = min(total.told + size * (1 + inner.told), FULL)
        else:
            weight = self.measure.weights.get(target.name, 0)
            total.cost = min(total.cost + self._size(node, field, on) * (weight + inner.cost), FULL)
            total.cost = min(total.cost + self._walk(node, target), FULL)
            total.told = min(total.told + inner.told, FULL)

    def _introspected(self, name: str) -> int:
        return len(self.schema.type_map) if name == "types" else INTROSPECTED.get(name, 3)

    def _size(self, node: FieldNode, field: GraphQLField, on: GraphQLNamedType | None) -> int:
        """How many the field leads to: what its page says; for a list the longest list it is given, else FAN_OUT."""
        pages = [name for name in PAGES if name in field.args]
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if pages:
            largest = self._largest(field)
            asked = [self._page(name, given[name], largest) for name in pages if name in given]
            return max((size for size in asked if size is not None), default=DEFAULT_PAGE)
        if not is_list_type(get_nullable_type(field.type)) or "pageInfo" in getattr(on, "fields", ()):
            return 1
        lengths = [len(value.values) for value in given.values() if isinstance(value, ListValueNode)]
        for name, value in given.items():
            if isinstance(value, VariableNode) and "[" in str(field.args[name].type if name in field.args else ""):
                told = (self.variables or {}).get(value.name.value)
                self.sizes[value.name.value] = Size(name, None)
                lengths.append(len(told) if isinstance(told, list) else 1)
        return max(lengths, default=FAN_OUT)

    def _walk(self, node: FieldNode, target: GraphQLNamedType) -> int:
        """What walking a source for a live list may cost; a variable that may say so is taken to say so."""
        wanted = next((a.value for a in node.arguments or () if a.name.value == FROM), None)
        is_live = isinstance(wanted, VariableNode) or getattr(wanted, "value", None) == LIVE
        nodes = getattr(target, "fields", {}).get("nodes")
        return self.measure.walks.get(get_named_type(nodes.type).name, 0) if is_live and nodes else 0

    def _largest(self, field: GraphQLField) -> int | None:
        """The longest page of a list of entities; other lists have bounds of their own, which their resolvers know."""
        nodes = getattr(get_named_type(field.type), "fields", {}).get("nodes")
        return LARGEST_PAGE if nodes and get_named_type(nodes.type).name in self.measure.entities else None

    def _page(self, name: str, value: Any, largest: int | None) -> int | None:
        """The size of the page asked for; None when it is left to the default. Raises GraphQLError out of bounds."""
        size: Any = None
        if isinstance(value, VariableNode):
            self.sizes[value.name.value] = Size(name, largest)
            if self.variables is None:
                return 1
            size = self.variables.get(value.name.value)
        elif isinstance(value, IntValueNode):
            size = int(value.value)
        elif isinstance(value, NullValueNode) and largest is not None:
            raise _out_of_bounds(name, "null", largest, value)
        if isinstance(size, bool) or not isinstance(size, int):
            return None
        if largest is not None and not 1 <= size <= largest:
            raise _out_of_bounds(name, str(size), largest, value)
        return max(size, 1)


def weight_of(mapping: SourceMapping) -> int:
    """What asking this source for one entity weighs."""
    return mapping.connect.weight or WEIGHTS.get(mapping.connect.kind, 1)


def check_page_sizes(sizes: Mapping[str, Size], variables: Mapping[str, Any]) -> None:
    """No variable asks for a page out of bounds; told here, where the argument can be named. Raises GraphQLError."""
    for variable, size in sizes.items():
        value = variables.get(variable)
        if size.largest is not None and isinstance(value, int) and not isinstance(value, bool):
            if 1 <= value <= size.largest:
                continue
            raise _out_of_bounds(size.argument, f"{value}（变量 ${variable}）", size.largest, None)


def _field_of(schema: GraphQLSchema, on: GraphQLNamedType | None, name: str) -> GraphQLField | None:
    if on is None:
        return None
    return schema.get_field(on, name) if hasattr(on, "fields") or name == "__typename" else None  # type: ignore[arg-type]


def _join(total: Demand, more: Demand) -> None:
    total.fields = min(total.fields + more.fields, FULL)
    total.aliases = min(total.aliases + more.aliases, FULL)
    total.directives = min(total.directives + more.directives, FULL)
    total.depth = max(total.depth, more.depth)
    total.cost = min(total.cost + more.cost, FULL)
    total.told = min(total.told + more.told, FULL)
    for mine, theirs in ((total.names, more.names), (total.objects, more.objects)):
        if mine is not None and theirs:
            mine.update(theirs)


def _beyond(limit: str, message: str, most: int, node: Any) -> GraphQLError:
    error = too_large(limit, most, message)
    return GraphQLError(message, node, extensions=error.extensions)


def _out_of_bounds(name: str, size: str, largest: int, node: Any) -> GraphQLError:
    message = f"{name} 应在 1 至 {largest} 之间，实为 {size}"
    return GraphQLError(message, node, extensions={"code": "BAD_USER_INPUT", "argument": name})
