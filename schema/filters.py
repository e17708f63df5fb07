"""The input types of lists: `where` and `orderBy` of each entity, with a field for every element the store has an index of."""

import enum
from collections.abc import Iterator, Mapping
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from schema.making import input_field, make_enum, make_input, many
from schema.names import camel
from schema.registry import Element, Entity, Registry
from schema.types import element_type

RANGES = ("eq", "in", "gte", "lte", "isNull")
OPERATORS: Mapping[str, str] = {
    "eq": "等于",
    "in": "等于其中之一",
    "gte": "不小于（含）",
    "lte": "不大于（含）",
    "prefix": "以此开头",
    "contains": "包含（区分大小写）",
    "isNull": "是否没有值",
}


@strawberry.enum(description="排序方向；没有值的总在最后")
class Direction(enum.Enum):
    """Which way to order."""

    ASC = strawberry.enum_value("ASC", description="从小到大")
    DESC = strawberry.enum_value("DESC", description="从大到小")


def make_filters(registry: Registry, enums: Mapping[str, type[enum.Enum]]) -> dict[str, type]:
    """The `where` type of each entity. Relations lead in circles, so they are added when all types exist."""
    leaves: dict[str, Any] = {}
    filters: dict[str, type] = {}
    for entity in registry.entities.values():
        fields = [
            input_field(camel(e.name), _leaf(e, enums, leaves), f"{e.title}（{e.id}）")
            for e in registry.filterable(entity.name).values()
        ]
        filters[entity.name] = make_input(f"{entity.name}Where", fields, f"{entity.title}的筛选条件，并列的都须满足")
    lists: dict[str, type] = {}
    for entity in registry.entities.values():
        what = filters[entity.name]
        of_many = [input_field("some", what, "至少有一个满足"), input_field("none", what, "没有一个满足")]
        lists[entity.name] = make_input(f"{entity.name}ListWhere", of_many, f"关联的多个{entity.title}的筛选条件")
    for entity in registry.entities.values():
        own: Any = filters[entity.name]
        more = [
            input_field(camel(r.name), lists[r.to] if r.many else filters[r.to], r.title)
            for r in entity.relations.values()
        ]
        more += [
            input_field("and", many(own), "都满足"),
            input_field("or", many(own), "至少满足一个"),
            input_field("not", own, "不满足"),
        ]
        own.__strawberry_definition__.fields.extend(more)
    return filters


def make_orders(registry: Registry) -> dict[str, type]:
    """The `orderBy` type of each entity."""
    return {entity.name: _order(registry, entity) for entity in registry.entities.values()}


def _order(registry: Registry, entity: Entity) -> Any:
    members: Any = {
        e.name.upper(): strawberry.enum_value(e.name, description=f"{e.title}（{e.id}）")
        for e in registry.filterable(entity.name).values()
    }
    by = make_enum(f"{entity.name}OrderField", members, f"{entity.title}可以排序的数据元")
    fields = [
        input_field("field", by, "按哪个数据元", is_required=True),
        input_field("direction", Direction, "方向，默认从小到大"),
    ]
    return make_input(f"{entity.name}Order", fields, f"{entity.title}的一级排序；代码按代码值排序，没有值的在最后")


def _leaf(element: Element, enums: Mapping[str, type[enum.Enum]], made: dict[str, Any]) -> Any:
    """The comparisons of one kind of value; kinds are shared by all elements that have them."""
    value: Any = element_type(element, enums)
    name = _leaf_name(element, value)
    if name not in made:
        fields = list(_comparisons(element, value, element.codes in enums))
        made[name] = make_input(name, fields, "比较条件，并列的都须满足")
    return made[name]


def _leaf_name(element: Element, value: Any) -> str:
    plain = {str: "String", int: "Int", bool: "Boolean"}
    return f"{plain.get(value) or getattr(value, '__name__', element.name.title())}Filter"


def _comparisons(element: Element, value: Any, is_enum: bool) -> Iterator[StrawberryField]:
    match element.format.kind:
        case "boolean":
            words: tuple[str, ...] = ("eq", "isNull")
        case "text" if is_enum:
            words = ("eq", "in", "isNull")
        case "text" if value is str:
            words = ("eq", "in", "prefix", "contains", "isNull")
        case "text":
            words = ("eq", "in", "prefix", "isNull")
        case _:
            words = RANGES
    for word in words:
        if word == "in":
            kind: Any = many(value)
        elif word == "isNull":
            kind = bool
        else:
            kind = str if word in ("prefix", "contains") else value
        yield input_field(word, kind, OPERATORS[word])
