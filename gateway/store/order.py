"""The order of a list as SQL, and what lies behind or before a place in it, so that an index on the first element serves both.

What has no value comes last. Where the first element may lack one the list is read in two stretches, those that have it and
those that do not: no index keeps rows in an order of "is it null, and if not, which value".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Integer, Table, and_, case, cast, false, or_, true

from gateway.store.tables import element_column
from schema.conditions import Condition, Order
from schema.cursors import Position
from schema.evaluation import necessary_tests
from schema.registry import Entity, Registry


@dataclass(frozen=True, slots=True)
class Sort:
    """One level of an order; `may_lack`: rows may have no value here."""

    by: ColumnElement[Any]
    descending: bool
    may_lack: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a list: the condition on its rows, and by what they are ordered within it. `lacks_first`: they have no value
    of what the list is ordered by first."""

    condition: ColumnElement[bool]
    sorts: tuple[Sort, ...]
    lacks_first: bool = False


def sorts_of(
    table: Table, registry: Registry, entity: Entity, order: Sequence[Order], where: Condition | None
) -> tuple[Sort, ...]:
    """The levels of an order, the key as the last. What a condition compares with a value has one."""
    told = {test.element for test in necessary_tests(where) if not (test.operator == "isNull" and test.value)}
    levels = [
        Sort(_sortable(table, registry, entity, item), item.descending, item.element not in told) for item in order
    ]
    return (*levels, Sort(table.c.key, False, False))


def stretches(sorts: tuple[Sort, ...], backwards: bool) -> Sequence[Stretch]:
    """The list in the stretches it is read in, one after the other."""
    first, *rest = sorts
    if not first.may_lack:
        return (Stretch(true(), sorts),)
    with_it = Stretch(first.by.is_not(None), (replace(first, may_lack=False), *rest))
    without = Stretch(first.by.is_(None), tuple(rest), lacks_first=True)
    return (without, with_it) if backwards else (with_it, without)


def ordered(stretch: Stretch, backwards: bool) -> list[ColumnElement[Any]]:
    """What to order a stretch by, read from its front or from its end."""
    return [part for sort in stretch.sorts for part in _ordered(sort, backwards)]


def beyond(stretch: Stretch, position: Position, is_after: bool, or_at: bool = False) -> ColumnElement[bool]:
    """The rows of a stretch behind (or before) a place in the list; with `or_at` the place itself counts as well."""
    values = (*position.values, position.key)
    if stretch.lacks_first:
        if values[0] is not None:
            return true() if is_after else false()
        values = values[1:]
    elif values[0] is None:
        return false() if is_after else true()
    return _beyond(stretch.sorts, values, is_after, or_at)


def at(sorts: Sequence[Sort], position: Position) -> ColumnElement[bool]:
    """The row at a place, as long as it stands there."""
    values = (*position.values, position.key)
    return and_(*(s.by.is_(None) if v is None else s.by == v for s, v in zip(sorts, values, strict=True)))


def _beyond(sorts: Sequence[Sort], values: Sequence[Any], is_after: bool, or_at: bool) -> ColumnElement[bool]:
    sort, value = sorts[0], values[0]
    ascends = sort.descending != is_after
    if len(sorts) == 1:
        return _from_on(sort, value, ascends) if or_at else _past(sort, value, ascends)
    inner = _beyond(sorts[1:], values[1:], is_after, or_at)
    if value is None:
        here = and_(sort.by.is_(None), inner)
        return here if is_after else or_(sort.by.is_not(None), here)
    strictly = _past(sort, value, ascends)
    if not sort.may_lack:  # said twice, so that it bounds what is read of an index
        return and_(_from_on(sort, value, ascends), or_(strictly, inner))
    here = and_(sort.by == value, inner)
    return or_(strictly, sort.by.is_(None), here) if is_after else or_(strictly, here)


def _past(sort: Sort, value: Any, ascends: bool) -> ColumnElement[bool]:
    past: ColumnElement[bool] = sort.by > value if ascends else sort.by < value
    return past


def _from_on(sort: Sort, value: Any, ascends: bool) -> ColumnElement[bool]:
    on: ColumnElement[bool] = sort.by >= value if ascends else sort.by <= value
    return on


def _ordered(sort: Sort, backwards: bool) -> Iterator[ColumnElement[Any]]:
    if sort.may_lack:
        nothing = sort.by.is_(None)
        yield nothing.desc() if backwards else nothing.asc()
    yield sort.by.desc() if sort.descending != backwards else sort.by.asc()


def _sortable(table: Table, registry: Registry, entity: Entity, order: Order) -> ColumnElement[Any]:
    """What an element is ordered by: its value, or for a member of a code table its code, no before yes."""
    element = entity.elements[order.element]
    column = table.c[element_column(order.element)]
    if element.format.kind == "boolean":
        return cast(column, Integer)
    codes = registry.codes[element.codes] if element.codes else None
    if codes is None or codes.type is None:
        return column
    return case({code.member: code.code for code in codes.members.values()}, value=column)
