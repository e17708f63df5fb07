"""Places in the order of a table: the values of the last row of a page, and what comes from there on, that row included."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import NullType

from adapters.errors import SourceRejected

NOTHING_LAST = {"postgresql": True, "oracle": True, "sqlite": False, "mysql": False, "mariadb": False, "mssql": False}
"""Whether rows without a value come last of themselves; of other databases it is said in the query."""

Place = list[tuple[str, str | None]]
"""Columns and what the last row has in them."""


def write_place(order: Sequence[str], last: Mapping[str, Any]) -> str:
    """The place of a row, as text."""
    return json.dumps({name: last.get(name) for name in order}, ensure_ascii=False, separators=(",", ":"))


def read_place(text: str, order: Sequence[str]) -> Place:
    """The place that `write_place` wrote. Raises SourceRejected for one of a table with other columns."""
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict) or list(values) != list(order):
        raise SourceRejected("续读位置与映射的排序列不符")
    return [(name, None if value is None else str(value)) for name, value in values.items()]


def in_order(table: sa.TableClause, order: Sequence[str], dialect: str) -> list[Any]:
    """What to order by."""
    if dialect in NOTHING_LAST:
        return [table.c[name] for name in order]
    return [by for name in order for by in (sa.case((table.c[name].is_(None), 1), else_=0), table.c[name])]


def from_place(table: sa.TableClause, place: Place, dialect: str, is_bounded: bool) -> list[sa.ColumnElement[bool]]:
    """Rows at a place or behind it, as the conditions of queries of which each follows the one before.

    Each begins with what an index of the first column can go by: one condition with `OR` in front is tried on every row from the
    first one on, for every page again. `is_bounded`: rows without a value in that column are not asked for at all.
    """
    (name, text), rest = place[0], place[1:]
    column, value, last = table.c[name], _at(0), NOTHING_LAST.get(dialect, True)
    following = _from(table, rest, last, 1)
    if text is None:
        here = sa.and_(column.is_(None), following)
        return [here] if last else [here, column.is_not(None)]
    here = sa.and_(column >= value, sa.or_(column > value, following))
    return [here, column.is_(None)] if last and not is_bounded else [here]


def _from(table: sa.TableClause, place: Place, last: bool, first: int) -> sa.ColumnElement[bool]:
    """Rows at a place or behind it, written out column by column: few databases compare rows, and none with gaps in them."""
    ways: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for position, (name, text) in enumerate(place, first):
        column, value = table.c[name], _at(position)
        behind: sa.ColumnElement[bool] | None
        equal: sa.ColumnElement[bool]
        if text is None:
            behind, equal = None if last else column.is_not(None), column.is_(None)
        else:
            behind = sa.or_(column > value, column.is_(None)) if last else column > value
            equal = column == value
        if behind is not None:
            ways.append(sa.and_(*same, behind))
        same.append(equal)
    return sa.or_(*ways, sa.and_(sa.true(), *same))


def _at(position: int) -> sa.BindParameter[Any]:
    return sa.bindparam(f"at{position}", type_=NullType())
