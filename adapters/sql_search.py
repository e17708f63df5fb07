"""Searches of a database: filters as conditions on its columns, pages in an order that does not change between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import NullType

from adapters.mapping.model import OperationMapping, SearchRole, SourceMapping
from adapters.source import Call

Query = sa.Select[Any] | sa.CompoundSelect[Any]
ESCAPE = "!"


@dataclass(frozen=True, slots=True)
class Searching:
    """The columns that are filtered, by their elements, and those that rows of a page come in the order of."""

    columns: Mapping[str, str]
    ties: tuple[str, ...]


def searching(mapping: SourceMapping, operation: OperationMapping, role: SearchRole) -> Searching:
    """What a search needs of its table."""
    entity = mapping.entities[operation.entity]
    named = {**entity.fields, **entity.provenance}
    keys = [named[name].path for name in (*entity.key, "source_record_id", "batch_no", "change_no") if name in named]
    ties = dict.fromkeys(path.steps[0][0] for path in keys if path is not None and path.steps)
    columns = {name: f.field.path.steps[0][0] for name, f in role.filters.items() if f.field.path}
    return Searching(columns, tuple(ties))


def search_query(
    table: sa.TableClause,
    selected: Sequence[sa.ColumnClause[Any]],
    latest_of: str | None,
    searching: Searching,
    call: Call,
    size: int,
) -> tuple[Any, Query, dict[str, Any]]:
    """The shape of the query, the query, and its values.

    Where several rows tell of one record, `size` counts records, and a record comes with all its rows when any of them
    passes: only the latest says whether it is meant.
    """
    offset = call.offset or 0
    values: dict[str, Any] = {"size": size, "skip": offset}
    tests: list[sa.ColumnElement[bool]] = []
    for name, texts in call.filters.items():
        element, _, operator = name.rpartition(".")
        tests.append(_test(table.c[searching.columns[element]], operator, texts, f"f{len(tests)}", values))
    limit, skip = sa.bindparam("size", type_=sa.Integer()), sa.bindparam("skip", type_=sa.Integer())
    shape = ("search", tuple(call.filters), call.order, tuple(values), offset == 0)
    rows = sa.select(*selected)
    if latest_of is None:
        order = _ordered(table, call.order) if call.order else []
        order += [table.c[name].asc() for name in searching.ties]
        return shape, rows.where(*tests).order_by(*order).limit(limit).offset(skip), values
    number = table.c[latest_of]
    page = sa.select(number).where(number.is_not(None), *tests).group_by(number).order_by(number)
    chosen = page.limit(limit).offset(skip).subquery("page")
    whole = rows.select_from(table.join(chosen, number == chosen.c[latest_of]))
    if offset:
        return shape, whole, values
    return shape, sa.union_all(whole, rows.where(number.is_(None), *tests)), values  # records without a number


def _test(
    column: sa.ColumnElement[Any], operator: str, texts: Sequence[str], name: str, values: dict[str, Any]
) -> sa.ColumnElement[bool]:
    """One filter as a condition. Lists have the length of a power of two, so that few texts serve any number of values."""
    if operator in ("eq", "in"):
        longest = 1 << max(0, len(texts) - 1).bit_length()
        listed = [*texts, *[texts[-1]] * (longest - len(texts))]
        values |= {f"{name}_{place}": text for place, text in enumerate(listed)}
        return column.in_([sa.bindparam(f"{name}_{place}", type_=NullType()) for place in range(longest)])
    values[name] = _pattern(operator, texts[0]) if operator in ("prefix", "contains") else texts[0]
    value = sa.bindparam(name, type_=NullType())
    match operator:
        case "gte":
            return column >= value
        case "lte":
            return column <= value
        case _:
            return column.like(value, escape=ESCAPE)


def _pattern(operator: str, text: str) -> str:
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return f"{text}%" if operator == "prefix" else f"%{text}%"


def _ordered(table: sa.TableClause, order: str) -> list[sa.ColumnElement[Any]]:
    """What has no value comes last either way, whatever the database thinks of NULL."""
    column = table.c[order.removeprefix("-")]
    return [column.is_(None), column.desc() if order.startswith("-") else column.asc()]
