"""What conditions and orders of lists mean, over plain values: the same as the store answers by SQL over the same values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from schema.conditions import All, Compare, Condition, Not, Order, Some, Through
from schema.cursors import Position
from schema.registry import Entity, Registry

Values = Mapping[str, Any]
Follow = Callable[[Through], bool]
"""Whether a relation leads to something for which the rest of the condition holds."""


def holds(condition: Condition, values: Values, follow: Follow) -> bool:
    """Whether the condition holds: a comparison with a value that is not there does not."""
    match condition:
        case All():
            return all(holds(part, values, follow) for part in condition.parts)
        case Some():
            return any(holds(part, values, follow) for part in condition.parts)
        case Not():
            return not holds(condition.part, values, follow)
        case Through():
            return follow(condition)
        case Compare():
            return passes(condition, values.get(condition.element))


def passes(test: Compare, value: Any) -> bool:
    """Whether one value passes one comparison. Texts are compared code point by code point."""
    if test.operator == "isNull":
        return bool((value is None) == test.value)
    if value is None:
        return False
    match test.operator:
        case "eq":
            return bool(value == test.value)
        case "in":
            return bool(value in test.value)
        case "gte":
            return bool(value >= test.value)
        case "lte":
            return bool(value <= test.value)
        case "prefix":
            return bool(value.startswith(test.value))
        case "contains":
            return bool(test.value in value)


def necessary_tests(condition: Condition | None) -> Iterator[Compare]:
    """Comparisons that must all hold where the condition does; there may be more to it."""
    match condition:
        case Compare():
            yield condition
        case All():
            for part in condition.parts:
                yield from necessary_tests(part)
        case Some():
            yield from _one_of(condition)


def _one_of(condition: Some) -> Iterator[Compare]:
    """`a = 1 or a = 2` is `a in (1, 2)`."""
    values: list[Any] = []
    elements: set[str] = set()
    for part in condition.parts:
        tests = list(necessary_tests(part))
        if len(tests) != 1 or tests[0].operator not in ("eq", "in"):
            return
        elements.add(tests[0].element)
        values += tests[0].value if tests[0].operator == "in" else [tests[0].value]
    if len(elements) == 1:
        yield Compare(elements.pop(), "in", tuple(dict.fromkeys(values)))


def tested_elements(condition: Condition | None) -> set[str]:
    """The elements of the entity itself that the condition looks at."""
    match condition:
        case Compare():
            return {condition.element}
        case All() | Some():
            return set().union(*(tested_elements(part) for part in condition.parts))
        case Not():
            return tested_elements(condition.part)
    return set()


def looks_beyond(condition: Condition | None) -> bool:
    """Whether the condition looks at other entities."""
    match condition:
        case Through():
            return True
        case All() | Some():
            return any(looks_beyond(part) for part in condition.parts)
        case Not():
            return looks_beyond(condition.part)
    return False


def position_of(registry: Registry, entity: Entity, order: Sequence[Order], key: str, values: Values) -> Position:
    """Where an entity stands: a member of a code table is ordered by its code, no before yes."""
    return Position(tuple(_sortable(registry, entity, item.element, values.get(item.element)) for item in order), key)


def _sortable(registry: Registry, entity: Entity, name: str, value: Any) -> Any:
    element = entity.elements[name]
    if value is None or element.format.kind == "boolean":
        return None if value is None else int(value)
    codes = registry.codes[element.codes] if element.codes else None
    return value if codes is None or codes.type is None else codes.members[value].code


def in_order(order: Sequence[Order], positions: Sequence[Position]) -> list[Position]:
    """The positions as the list shows them: what has no value last either way, equal ones by their key."""
    key: Callable[[Position], Any] = cmp_to_key(lambda a, b: compare(order, a, b))
    return sorted(positions, key=key)


def compare(order: Sequence[Order], a: Position, b: Position) -> int:
    """Negative when `a` stands before `b`, 0 when they are the same place."""
    for item, mine, other in zip(order, a.values, b.values, strict=True):
        if mine != other:
            if mine is None or other is None:
                return 1 if mine is None else -1
            return -1 if (mine < other) != item.descending else 1
    return (a.key > b.key) - (a.key < b.key)
