"""What a root was asked for, read once from its coerced arguments: entities by a key, a page of a list, or groups."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphql import FieldNode, GraphQLError

from adapters.mapping.model import SourceMapping
from gateway.engine.live_lists import NotPinned, Pinned, pin
from gateway.engine.selection import Kind, Root
from gateway.store.groups import Grouped
from gateway.store.search import Search
from schema.conditions import Condition, read_order, read_where
from schema.cursors import read_cursor
from schema.doc_numbers import normal_doc_no
from schema.formats import CHECKS, UNSTORABLE
from schema.grouping import LARGEST_GROUPING, MOST_LEVELS, Grouping, groupings
from schema.identity import HashId, check_key, key_of
from schema.names import (
    FROM,
    GLOBAL_ID,
    LIVE,
    NODE_FIELD,
    NODES_FIELD,
    argument_names,
    camel,
    describe_lookups,
    list_field,
)
from schema.query import DEFAULT_PAGE, LARGEST_PAGE
from schema.registry import OWNER, Entity, Registry

DEFAULT_GROUPS = 100
MOST_REFERENCES = LARGEST_PAGE


class Reference(NamedTuple):
    """One entity asked for: by its key, by the value the gateway allotted it, or by what cannot be read (`problem`)."""

    entity: str = ""
    key: str | None = None
    allotted: str | None = None
    problem: str = ""


class RootArguments(NamedTuple):
    """What one root was called with."""

    references: tuple[Reference, ...] = ()
    search: Search | None = None
    grouped: Grouped | None = None


def root_arguments(root: Root, given: Mapping[str, Any], registry: Registry, hash_id: HashId) -> RootArguments:
    """What the root was called with. Raises GraphQLError for what is out of bounds or no cursor of ours."""
    if root.kind == "one" and root.entity is not None and (key := _plain_key(root.entity, given)) is not None:
        return RootArguments((Reference(root.entity.name, key),))
    given = {name: value for name, value in given.items() if value is not None}
    try:
        match root.kind:
            case "any":
                return RootArguments(references_of(root.node.name.value, given, registry, hash_id))
            case "list":
                return RootArguments(search=_search(root, given, registry))
            case "groups":
                return RootArguments(grouped=_grouped(root, given, registry))
            case "one":
                return RootArguments((_one(root, given, hash_id),))
    except ValueError as error:
        raise _bad(f"{root.node.name.value}：{error}") from None


def references_of(name: str, given: Mapping[str, Any], registry: Registry, hash_id: HashId) -> tuple[Reference, ...]:
    """The entities that `node`, `nodes` or `_entities` ask for. Raises ValueError when they are too many."""
    if name == NODE_FIELD:
        return (read_global_id(registry, str(given[GLOBAL_ID])),)
    asked: Sequence[Any] = given["ids"] if name == NODES_FIELD else given["representations"]
    if len(asked) > MOST_REFERENCES:
        raise ValueError(f"一次最多 {MOST_REFERENCES} 个，实为 {len(asked)} 个")
    if name == NODES_FIELD:
        return tuple(read_global_id(registry, str(text)) for text in asked)
    return tuple(_represented(registry, representation, hash_id) for representation in asked)


def live_of(
    node: FieldNode, given: Mapping[str, Any], registry: Registry, mappings: Mapping[str, SourceMapping]
) -> Pinned | NotPinned | None:
    """Who answers a list live, None when it is not wanted live. Raises ValueError for a condition that cannot be read."""
    wanted = given.get(FROM)
    if getattr(wanted, "value", wanted) != LIVE:
        return None
    entity = next(e for e in registry.entities.values() if list_field(e) == node.name.value)
    where = _where(entity, {name: value for name, value in given.items() if value is not None}, registry)
    return pin(mappings, entity, where, read_order(given.get("orderBy")))


def kinds_of(references: Sequence[Reference]) -> tuple[Kind, ...]:
    """Which entities are asked for; an entity that is asked for both ways is asked for by its allotted value as well."""
    kinds: dict[str, bool] = {}
    for reference in references:
        if not reference.problem:
            kinds[reference.entity] = kinds.get(reference.entity, False) or reference.allotted is not None
    return tuple(Kind(entity, is_allotted) for entity, is_allotted in sorted(kinds.items()))


def read_global_id(registry: Registry, text: str) -> Reference:
    """The entity that an `id` stands for; nobody's when none can have the key in it."""
    try:
        name, _, key = (
            base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode().partition(":")
        )
    except ValueError:
        name, key = "", ""
    if name not in registry.entities or not key or UNSTORABLE.search(key):
        return Reference(problem=f"“{text[:100]}” 不是本服务的全局标识")
    try:
        check_key(registry.entities[name], key)
    except ValueError:
        return Reference(name)
    return Reference(name, key)


def _represented(registry: Registry, given: Any, hash_id: HashId) -> Reference:
    """The entity that a representation of a federated graph stands for: by `id`, or by the first key it holds whole.

    Keys may be null in other subgraphs as they may be in ours (a natural person has no `uscc`): such a one is nobody's.
    """
    name = given.get("__typename") if isinstance(given, dict) else None
    if not isinstance(name, str) or name not in registry.entities:
        return Reference(problem="representation 应为对象，且 __typename 是本服务的实体")
    entity = registry.entities[name]
    if given.get(GLOBAL_ID) is not None:
        reference = read_global_id(registry, str(given[GLOBAL_ID]))
        mismatch = Reference(problem=f"id 不是 {entity.name} 的全局标识")
        return reference if reference.problem or reference.entity == entity.name else mismatch
    for combination in entity.lookups:
        values = {name: given.get(camel(name)) for name in combination}
        if all(value is not None for value in values.values()):
            return _by_values(entity, values, hash_id)
    if any(all(camel(name) in given for name in combination) for combination in entity.lookups):
        return Reference(entity.name)
    return Reference(problem=f"{entity.name} 的键应为：id，或 {describe_lookups(entity)}")


def _by_values(entity: Entity, values: Mapping[str, Any], hash_id: HashId) -> Reference:
    """Values from outside any type of the schema: they are checked here."""
    checked: dict[str, str] = {}
    for name, value in values.items():
        if not isinstance(value, str) or not value or UNSTORABLE.search(value):
            return Reference(problem=f"{entity.name}.{camel(name)} 应为非空的字符串")
        check = CHECKS["uscc"] if name == OWNER else CHECKS.get(str(entity.elements[name].check))
        try:
            checked[name] = check(value) if check else value
        except ValueError as error:
            return Reference(problem=f"{entity.name}.{camel(name)} 不合法：{error}")
    return lookup_reference(entity, checked, hash_id)


def lookup_reference(entity: Entity, elements: Mapping[str, Any], hash_id: HashId) -> Reference:
    """The entity that these elements tell, the allotted value it has to be found by, or why they can tell none."""
    if entity.allotted and set(elements) == {entity.allotted}:
        return Reference(entity.name, allotted=str(elements[entity.allotted]))
    normal = {
        name: normal_doc_no(value) if name in entity.elements and entity.elements[name].normal == "doc_no" else value
        for name, value in elements.items()
    }
    key = key_of(entity, normal, hash_id)
    try:
        check_key(entity, key or "")
    except ValueError as error:
        return Reference(problem=f"{entity.name} 没有这样的 {'、'.join(camel(name) for name in elements)}：{error}")
    return Reference(entity.name, key)


def _one(root: Root, given: Mapping[str, Any], hash_id: HashId) -> Reference:
    assert root.entity is not None
    names = argument_names(root.entity)
    reference = lookup_reference(root.entity, {names[name]: value for name, value in given.items()}, hash_id)
    if reference.problem:
        raise ValueError(reference.problem)
    if reference.key is None and reference.allotted is None:
        raise ValueError("参数不能为 null")
    return reference


def _plain_key(entity: Entity, given: Mapping[str, Any]) -> str | None:
    """The key that `lookup_reference` finds, where it is the values of the first combination as they are; None for others."""
    parts = _plain_parts(entity)
    if parts is None or len(given) != len(parts):
        return None
    values: list[str] = []
    for argument, longest, is_uscc in parts:
        value = given.get(argument)
        if (
            value.__class__ is not str
            or not value
            or len(value) > longest
            or "/" in value
            or "=" in value
            or value[0] == "~"
        ):
            return None
        if is_uscc and (len(value) != 18 or value[:17].isdigit()):
            return None  # it may be the number of a person
        values.append(value)
    return "/".join(values)


_PARTS: dict[int, tuple[Entity, tuple[tuple[str, int, bool], ...] | None]] = {}


def _plain_parts(entity: Entity) -> tuple[tuple[str, int, bool], ...] | None:
    """The arguments of the first combination, how long each may be, and whether it is a credit code, which the type of the
    argument has checked; None where more has to be asked of one."""
    known = _PARTS.get(id(entity))
    if known is None:
        known = _PARTS[id(entity)] = (entity, _parts(entity))
    return known[1]


def _parts(entity: Entity) -> tuple[tuple[str, int, bool], ...] | None:
    parts = []
    for name in entity.identity[0]:
        element = entity.elements.get(name)
        is_plain = element is not None and element.normal is None and element.check in (None, "uscc")
        if (
            not is_plain
            or element is None
            or element.format.longest is None
            or name in entity.derived
            or name == entity.allotted
        ):
            return None
        parts.append((camel(name), element.format.longest, element.check == "uscc"))
    return tuple(parts)


def _search(root: Root, given: Mapping[str, Any], registry: Registry) -> Search:
    assert root.entity is not None
    if "first" in given and "last" in given:
        raise ValueError("first 与 last 只能写一个")
    backwards = "last" in given
    limit = _bounded("last" if backwards else "first", given, DEFAULT_PAGE, LARGEST_PAGE)
    order = read_order(given.get("orderBy"))
    places = {}
    for name in ("after", "before"):
        try:
            places[name] = read_cursor(root.entity, order, given[name]) if name in given else None
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    where = _where(root.entity, given, registry)
    return Search(
        root.entity.name, limit, where, order, places["after"], places["before"], backwards, counts=root.totals
    )


def _grouped(root: Root, given: Mapping[str, Any], registry: Registry) -> Grouped:
    assert root.entity is not None
    known = groupings(registry, root.entity)
    levels: dict[Grouping, None] = {}
    for name in given.get("groupBy") or ():
        levels[known[str(getattr(name, "value", name))]] = None
    if len(levels) > MOST_LEVELS:
        raise ValueError(f"groupBy 至多 {MOST_LEVELS} 级")
    limit = _bounded("first", given, DEFAULT_GROUPS, LARGEST_GROUPING)
    where = _where(root.entity, given, registry)
    return Grouped(root.entity.name, limit, where, tuple(levels), tuple(root.measures))


def _where(entity: Entity, given: Mapping[str, Any], registry: Registry) -> Condition | None:
    return read_where(registry, entity, given.get("where"))


def _bounded(name: str, given: Mapping[str, Any], otherwise: int, largest: int) -> int:
    value = int(given.get(name, otherwise))
    if not 1 <= value <= largest:
        raise ValueError(f"{name} 应在 1 至 {largest} 之间，实为 {value}")
    return value


def _bad(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": "BAD_USER_INPUT"})
