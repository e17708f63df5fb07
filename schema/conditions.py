"""What a list may be narrowed to and ordered by: plain values, read from GraphQL's `where` and `orderBy`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from schema.doc_numbers import normal_doc_no
from schema.formats import UNSTORABLE
from schema.names import element_names, relation_names
from schema.registry import Element, Entity, Registry

Operator = Literal["eq", "in", "gte", "lte", "prefix", "contains", "isNull"]
MOST_TESTS = 100
MOST_VALUES = 500
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Compare:
    """One element compared with a value (`in`: a tuple of values; `isNull`: a boolean)."""

    element: str
    operator: Operator
    value: Any


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds; with no part it always does."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds; with no part it never does."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold: a comparison with a value that is not there does not hold either."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Through:
    """The relation leads to at least one entity for which the part holds."""

    relation: str
    part: "Condition"


Condition = Compare | All | Some | Not | Through


@dataclass(frozen=True, slots=True)
class Order:
    """One element to order by. What has no value comes last either way."""

    element: str
    descending: bool = False


def read_where(registry: Registry, entity: Entity, given: Mapping[str, Any] | None) -> Condition | None:
    """The condition of a coerced `where`; None when it restricts nothing. Raises ValueError for one that is too large."""
    if not given:
        return None
    reader = _Reader(registry)
    return reader.read(entity, given, 1)


def read_order(given: Sequence[Mapping[str, Any]] | None) -> tuple[Order, ...]:
    """The order of a coerced `orderBy`, an element that is named again left out."""
    found: dict[str, Order] = {}
    for item in given or ():
        name = str(_plain(item["field"]))
        found.setdefault(name, Order(name, _plain(item.get("direction")) == "DESC"))
    return tuple(found.values())


class _Reader:
    def __init__(self, registry: Registry) -> None:
        self.registry, self.tests = registry, 0

    def read(self, entity: Entity, given: Mapping[str, Any], depth: int) -> Condition:
        if depth > DEEPEST:
            raise ValueError(f"where 嵌套超过 {DEEPEST} 层")
        elements, relations = element_names(entity), relation_names(entity)
        parts: list[Condition] = []
        for name, value in given.items():
            if value is None:
                raise ValueError(f"where 中 {name} 不能为 null；查空值用 isNull")
            if name in ("and", "or"):
                inner = tuple(self.read(entity, item, depth + 1) for item in value)
                parts.append(All(inner) if name == "and" else Some(inner))
            elif name == "not":
                parts.append(Not(self.read(entity, value, depth + 1)))
            elif name in relations:
                parts += self._through(entity, relations[name], value, depth)
            else:
                parts += self._tests(entity.elements[elements[name]], value)
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _through(self, entity: Entity, relation: str, given: Mapping[str, Any], depth: int) -> list[Condition]:
        target = self.registry.target_of(entity.name, relation)
        self._count(1)
        if not entity.relations[relation].many:
            return [Through(relation, self.read(target, given, depth + 1))]
        found: list[Condition] = []
        for word, inner in given.items():
            if inner is None:
                raise ValueError(f"where 中 {word} 不能为 null")
            through = Through(relation, self.read(target, inner, depth + 1))
            found.append(through if word == "some" else Not(through))
        return found

    def _tests(self, element: Element, given: Mapping[str, Any]) -> list[Condition]:
        tests: list[Condition] = []
        for operator, value in given.items():
            if value is None:
                raise ValueError(f"where 中 {operator} 不能为 null；查空值用 isNull")
            values = value if operator == "in" else [value]
            self._count(len(values))
            read = tuple(_value(element, item) for item in values) if operator != "isNull" else (value,)
            tests.append(Compare(element.name, operator, read if operator == "in" else read[0]))  # type: ignore[arg-type]
        return tests

    def _count(self, values: int) -> None:
        if values > MOST_VALUES:
            raise ValueError(f"in 最多 {MOST_VALUES} 个值")
        self.tests += 1
        if self.tests > MOST_TESTS:
            raise ValueError(f"where 中的条件超过 {MOST_TESTS} 个")


def _value(element: Element, value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            raise ValueError("where 中的文字含有无法保存的字符")
        return normal_doc_no(value) if element.normal == "doc_no" else value
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"{value} 超出可比较的范围")
    return value


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value
