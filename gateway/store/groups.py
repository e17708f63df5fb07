"""Counting in groups, by SQL over what holds now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Index, Table, Text, cast, func, select

from gateway.store.prepared import write_statement
from gateway.store.search import condition
from gateway.store.tables import Tables, element_column
from schema.conditions import Condition
from schema.grouping import Function, Grouping
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
    columns = {grouping.element: table.c[element_column(grouping.element)] for grouping in grouped.groupings}
    counted = Counted(columns, func.count(), {part: _measured(table, *part) for part in grouped.measures})
    is_coarse = any(grouping.unit != "value" for grouping in grouped.groupings)
    if is_coarse and (kept := kept_together(table, columns.values())):
        counted, listed = counted.by_value(table, listed, kept), []
    levels = [_level(counted.by[one.element], one).label(f"level_{n}") for n, one in enumerate(grouped.groupings)]
    count = counted.members.label("members")
    query = select(*levels, count, *(part for parts in counted.measured.values() for part in parts)).where(*listed)
    if levels:
        by_level = [part for level in levels for part in (level.is_(None), level)]
        query = query.group_by(*levels).order_by(count.desc(), *by_level)
    rows = write_statement(query.limit(grouped.limit + 1), connection.dialect).rows(connection, ())
    return Groups([_group(grouped, row) for row in rows[: grouped.limit]], len(rows) > grouped.limit)


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted: element -> what it is grouped by, how many there are, and what is measured, each in one or two parts."""

    by: Mapping[str, ColumnElement[Any]]
    members: ColumnElement[int]
    measured: Mapping[tuple[Function, str], Sequence[ColumnElement[Any]]]

    def by_value(
        self, table: Table, listed: Sequence[ColumnElement[bool]], kept: Sequence[ColumnElement[Any]]
    ) -> "Counted":
        """The same of what has been counted by value: of a month by its days, each of which is then turned into its month
        once and not for every row. `kept` are the columns in the order in which an index keeps them, in which counting them
        needs neither memory nor sorting."""
        parts = {
            what: [part.label(f"part_{number}_{half}") for half, part in enumerate(halves)]
            for number, (what, halves) in enumerate(self.measured.items())
        }
        members = self.members.label("members")
        flat = [part for of in parts.values() for part in of]
        inner = select(*self.by.values(), members, *flat).select_from(table).where(*listed).group_by(*kept)
        days = inner.subquery()
        combined = {what: [getattr(func, what[0])(days.c[part.name]) for part in of] for what, of in parts.items()}
        by = {name: days.c[column.name] for name, column in self.by.items()}
        return Counted(by, cast(func.sum(days.c.members), BigInteger), combined)


def kept_together(table: Table, columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """The columns in the order in which an index of all rows keeps together those that have the same in them; empty when
    none does."""
    wanted = {column.name for column in columns}
    for index in table.indexes:
        front = list(index.columns)[: len(wanted)]
        if {column.name for column in front} == wanted and all(of["where"] is None for of in _dialects(index)):
            return list(front)
    return []


def _dialects(index: Index) -> Iterable[Mapping[str, Any]]:
    return (index.dialect_options[name] for name in ("postgresql", "sqlite"))


def _level(column: ColumnElement[Any], grouping: Grouping) -> ColumnElement[Any]:
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
