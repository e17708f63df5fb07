"""Counting in groups, by SQL over what holds now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, Text, cast, func, select

from gateway.store.search import condition
from gateway.store.tables import Tables, element_column
from schema.aggregates import Function, Grouping
from schema.conditions import Condition
from schema.registry import Registry

LENGTHS: Mapping[str, int] = {"month": 7, "year": 4, "city": 4}
"""Characters of a date that tell its month and its year, and of a division that tell its city."""
BILLION = 10**9


@dataclass(frozen=True, slots=True)
class Grouped:
    """What to count: the entities that fulfil the condition, in groups; at most `limit` groups."""

    entity: str
    limit: int
    where: Condition | None = None
    groupings: tuple[Grouping, ...] = ()
    measures: tuple[tuple[Function, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One group: what its entities have in common, how many they are, and (function, element) -> value."""

    key: Mapping[str, Any]
    count: int
    measured: Mapping[tuple[Function, str], Any]


@dataclass(frozen=True, slots=True)
class Groups:
    """The largest groups, and whether there are more."""

    groups: list[Group]
    has_more: bool


def count_groups(connection: Connection, tables: Tables, registry: Registry, grouped: Grouped) -> Groups:
    """The groups, the largest first, among equals in the order of what they have in common."""
    table = tables.current[grouped.entity]
    listed: list[ColumnElement[bool]] = [table.c.key.not_like("~%")]
    if grouped.where is not None:
        listed.append(condition(table, tables, registry, registry.entities[grouped.entity], grouped.where))
    levels = [_level(table, grouping).label(f"level_{n}") for n, grouping in enumerate(grouped.groupings)]
    count = func.count().label("members")
    measured = [part for function, element in grouped.measures for part in _measured(table, function, element)]
    query = select(*levels, count, *measured).where(*listed)
    if levels:
        by_level = [part for level in levels for part in (level.is_(None), level)]
        query = query.group_by(*levels).order_by(count.desc(), *by_level)
    rows = connection.execute(query.limit(grouped.limit + 1)).all()
    return Groups([_group(grouped, row) for row in rows[: grouped.limit]], len(rows) > grouped.limit)


def _level(table: Table, grouping: Grouping) -> ColumnElement[Any]:
    column: ColumnElement[Any] = table.c[element_column(grouping.element)]
    if grouping.unit == "value":
        return column
    front = func.substr(cast(column, Text), 1, LENGTHS[grouping.unit])
    return front.concat("00") if grouping.unit == "city" else front


def _measured(table: Table, function: Function, element: str) -> list[ColumnElement[Any]]:
    """Two columns for a sum, which may be larger than the integers of a database: billions and the rest."""
    column = table.c[element_column(element)]
    if function == "sum":
        return [func.sum(_billions(column)), func.sum(column % BILLION)]
    return [func.min(column) if function == "min" else func.max(column)]


def _billions(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return (column - column % BILLION) // BILLION


def _group(grouped: Grouped, row: Any) -> Group:
    levels = len(grouped.groupings)
    key = {grouping.name: value for grouping, value in zip(grouped.groupings, row, strict=False)}
    values = iter(row[levels + 1 :])
    measured: dict[tuple[Function, str], Any] = {}
    for function, element in grouped.measures:
        first = next(values)
        if function == "sum":
            rest = next(values)
            first = None if first is None else int(first) * BILLION + int(rest)
        measured[function, element] = first
    return Group(key, row[levels], measured)
