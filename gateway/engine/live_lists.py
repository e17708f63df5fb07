"""Whether a list can be answered live, and by whom: the one source that has all that its condition leaves.

A source may answer a list when no other source can have an entity that fulfils the condition (each other one is known to
hold only different values of some element), when everything it requires is there, and when condition and order look at
nothing but the entity's own elements as this source tells them. What it cannot filter is filtered here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.mapping.model import Filter, OperationMapping, SearchRole, SourceMapping
from schema.conditions import Compare, Condition, Order
from schema.evaluation import looks_beyond, necessary_tests, passes, tested_elements
from schema.names import camel
from schema.registry import Entity


@dataclass(frozen=True, slots=True)
class Pinned:
    """The source and operation that answer a list, and the comparisons that are left to it (`filed_date.gte`)."""

    source: str
    operation: str
    pushed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotPinned:
    """Why a list that was wanted live comes from the store."""

    reason: str


@dataclass(slots=True)
class Pushed:
    """What a source is asked for: texts by `element.operator`; `is_nothing` when no record can be meant."""

    texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_nothing: bool = False


def pin(
    mappings: Mapping[str, SourceMapping],
    entity: Entity,
    where: Condition | None,
    order: Sequence[Order],
) -> Pinned | NotPinned:
    """Who can answer the list live, or why nobody can."""
    searches = [(m, o, o.search) for m in mappings.values() for o in m.operations.values() if o.search]
    searches = [found for found in searches if found[2].entity == entity.name]
    if not searches:
        return NotPinned(f"没有来源能按条件列出{entity.title}")
    if looks_beyond(where):
        return NotPinned("条件涉及关联的实体")
    looked_at = tested_elements(where) | {item.element for item in order}
    if entity.allotted in looked_at:
        return NotPinned(f"{camel(str(entity.allotted))} 由网关编发，来源不知道")
    tests = list(necessary_tests(where))
    holders = [m for m in mappings.values() if entity.name in m.entities and not is_excluded(m, entity, tests)]
    found = [search for search in searches if search[0] in holders]
    if not found:
        return NotPinned("条件排除了所有能按条件列出它的来源")
    if len(holders) > 1:
        return NotPinned(f"符合条件的可能在多个来源：{'、'.join(m.name for m in holders)}")
    choices = [(mapping, operation, push(role, tests)) for mapping, operation, role in found]
    allowed = [(m, o, pushed) for m, o, pushed in choices if _is_allowed(m, o, pushed, tests)]
    mapping, operation, pushed = max(allowed or choices, key=lambda choice: len(choice[2].texts))
    if not allowed:
        assert operation.search is not None
        wanted = "、".join(camel(name) for name in operation.search.requires)
        return NotPinned(f"{mapping.name} 要求按 {wanted} 筛选")
    return Pinned(mapping.name, operation.name, tuple(sorted(pushed.texts)))


def is_excluded(mapping: SourceMapping, entity: Entity, tests: Iterable[Compare]) -> bool:
    """Whether no entity of the source can pass all tests, by the values it is known to hold."""
    held = mapping.entities[entity.name].holds
    by_element: dict[str, list[Compare]] = {}
    for test in tests:
        by_element.setdefault(test.element, []).append(test)
    return any(
        not any(all(passes(test, value) for test in by_element[name]) for value in values)
        for name, values in held.items()
        if name in by_element
    )


def push(role: SearchRole, tests: Iterable[Compare]) -> Pushed:
    """What of the tests the source can be asked; each only narrows, and where two would stand in one place one is enough."""
    pushed = Pushed()
    for test in tests:
        known = role.filters.get(test.element)
        if known is None:
            continue
        for operator, texts in _said(known, test):
            if not texts:
                pushed.is_nothing = True
            elif known.separator is None or not any(known.separator in text for text in texts):
                pushed.texts.setdefault(f"{test.element}.{operator}", texts)
    return pushed


def _said(known: Filter, test: Compare) -> list[tuple[str, tuple[str, ...]]]:
    """The test in the source's words: as it is, or as a wider one that it takes."""
    values: tuple[Any, ...] = test.value if test.operator == "in" else (test.value,)
    match test.operator:
        case "isNull":
            return []
        case "eq" | "in":
            if not values:
                return [("in", ())]
            texts = _texts(known, "in", values)
            if texts == () or (texts and "in" in known.operators):
                return [("in", texts)]
            if texts and len(texts) == 1 and "eq" in known.operators:
                return [("eq", texts)]
            if "gte" not in known.operators and "lte" not in known.operators:
                return []
            return [*_bound(known, "gte", min(values)), *_bound(known, "lte", max(values))]
        case "gte" | "lte":
            return _bound(known, test.operator, test.value)
        case "prefix" | "contains":
            operator = "contains" if test.operator not in known.operators else test.operator
            return _bound(known, operator, test.value) if test.value else []


def _bound(known: Filter, operator: str, value: Any) -> list[tuple[str, tuple[str, ...]]]:
    texts = known.write(operator, value) if operator in known.operators else None
    return [(operator, texts)] if texts else []


def _texts(known: Filter, operator: str, values: Iterable[Any]) -> tuple[str, ...] | None:
    """All texts of all values; None when one of them cannot be said."""
    found: dict[str, None] = {}
    for value in values:
        texts = known.write(operator, value)
        if texts is None:
            return None
        found.update(dict.fromkeys(texts))
    return tuple(found)


def _is_allowed(mapping: SourceMapping, operation: OperationMapping, pushed: Pushed, tests: Sequence[Compare]) -> bool:
    """Whether everything the source requires is there: asked of it, or tested where it holds only certain values anyway."""
    role = operation.search
    assert role is not None
    asked = {name.rpartition(".")[0] for name in pushed.texts}
    held = mapping.entities[role.entity].holds
    asked |= {test.element for test in tests if test.element in held and test.operator in ("eq", "in", "prefix")}
    return pushed.is_nothing or all(name in asked for name in role.requires)
