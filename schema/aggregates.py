"""Counting in groups: for each entity a root that counts, sums and finds extremes (see `schema.grouping`)."""

import enum
from collections.abc import Iterator, Mapping
from typing import Any

import strawberry
from strawberry.types.field import StrawberryField

from schema.grouping import FUNCTIONS, LARGEST_GROUPING, MOST_LEVELS, UNITS, Function, Grouping, groupings, measures
from schema.making import answered_field, argument, item_field, make_enum, make_object, many, read_field
from schema.names import groups_field
from schema.registry import Element, Entity, Registry
from schema.scalars import Long
from schema.types import element_type


def make_groups(
    registry: Registry, enums: Mapping[str, type[enum.Enum]], filters: Mapping[str, type]
) -> dict[str, StrawberryField]:
    """The root that groups, for each entity."""
    return {e.name: _root(registry, e, enums, filters[e.name]) for e in registry.entities.values()}


def _root(registry: Registry, entity: Entity, enums: Mapping[str, type[enum.Enum]], where: Any) -> StrawberryField:
    levels = groupings(registry, entity)
    fields = [item_field("count", int, "个数"), *_measures(registry, entity, enums)]
    arguments = [argument("where", where, "筛选条件")]
    if levels:
        by, key = _levels(entity, levels, enums)
        fields.append(item_field("key", key, "本组的共同之处；没有作为分组依据的为 null"))
        arguments.append(argument("group_by", many(by), f"分组依据，至多 {MOST_LEVELS} 级；不写则全部为一组"))
    arguments.append(argument("first", int, f"最多几组，1 至 {LARGEST_GROUPING}，不写为 100；个数多的在前"))
    group = make_object(f"{entity.name}Group", fields, f"一组{entity.title}")
    listed = [item_field("groups", many(group), "各组"), item_field("has_more", bool, "是否还有没列出的组")]
    grouped = make_object(f"{entity.name}Groups", listed, f"{entity.title}的分组统计")
    description = f"{entity.title}分组统计，取自本地存储（数据回流）"
    return answered_field(groups_field(entity), grouped, description, arguments)


def _measures(registry: Registry, entity: Entity, enums: Mapping[str, type[enum.Enum]]) -> Iterator[StrawberryField]:
    """`sum`, and `min` and `max`, which have one type; none where the entity has nothing to measure."""
    sums, extremes = measures(registry, entity, "sum"), measures(registry, entity, "min")
    if sums:
        values = [item_field(e.name, _measured(e, "sum", enums), f"{e.title}合计") for e in sums.values()]
        yield item_field("sum", make_object(f"{entity.name}Sum", values, f"{entity.title}的合计值"), FUNCTIONS["sum"])
    if extremes:
        values = [item_field(e.name, _measured(e, "min", enums), e.title) for e in extremes.values()]
        found = make_object(f"{entity.name}Extremes", values, f"{entity.title}的最小值或最大值")
        yield item_field("min", found, FUNCTIONS["min"])
        yield item_field("max", found, FUNCTIONS["max"])


def _levels(entity: Entity, levels: Mapping[str, Grouping], enums: Mapping[str, type[enum.Enum]]) -> tuple[Any, Any]:
    members: Any = {
        name: strawberry.enum_value(name, description=entity.elements[level.element].title + UNITS[level.unit])
        for name, level in levels.items()
    }
    by = make_enum(f"{entity.name}GroupBy", members, f"{entity.title}的分组依据")
    fields = [_level_field(level, entity.elements[level.element], enums) for level in levels.values()]
    return by, make_object(f"{entity.name}GroupKey", fields, f"一组{entity.title}的共同之处")


def _level_field(level: Grouping, element: Element, enums: Mapping[str, type[enum.Enum]]) -> StrawberryField:
    """Codes come out of the store as member names."""
    made = enums.get(str(element.codes))
    kind: Any = str if level.unit in ("month", "year") else element_type(element, enums)

    def read(root: Mapping[str, Any]) -> Any:
        value = root[level.name]
        return value if value is None or made is None else made(value)

    return read_field(level.name, kind | None, element.title + UNITS[level.unit], read)


def _measured(element: Element, function: Function, enums: Mapping[str, type[enum.Enum]]) -> Any:
    """Sums may grow past what one value may be."""
    is_long = element.format.kind == "number" and function == "sum"
    return (Long if is_long else element_type(element, enums)) | None
