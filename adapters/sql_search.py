"""Searches of a database: filters as conditions on its columns, pages in an order that does not change between them."""

from collections.abc import Callable, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.types import NullType

from adapters.mapping.model import OperationMapping, SearchRole, SourceMapping
from adapters.source import Call

Query = sa.Select[tuple[object, ...]] | sa.CompoundSelect[tuple[object, ...]]
ESCAPE = "!"


def searching(
    table: sa.TableClause, mapping: SourceMapping, operation: OperationMapping, role: SearchRole
) -> Callable[[Call], Query]:
    """Pages of rows. Where several rows tell of one record, `size` counts records, and a record comes with all its rows
    when any of them passes: only the latest says whether it is meant."""
    columns = {name: table.c[f.field.path.steps[0][0]] for name, f in role.filters.items() if f.field.path}
    entity, paging = mapping.entities[operation.entity], operation.written.page
    assert paging is not None
    named = {**entity.fields, **entity.provenance}
    keys = [named[name].path for name in (*entity.key, "source_record_id", "batch_no", "change_no") if name in named]
    ties = list(dict.fromkeys(path.steps[0][0] for path in keys if path is not None and path.steps))

    def query(call: Call) -> Query:
        tests = filter_tests(columns, call.filters)
        size = call.size or paging.size
        offset = call.offset or 0
        if operation.latest_of is not None:
            return _whole_records(table, operation.latest_of.steps[0][0], tests, size, offset)
        order = _ordered(table, call.order) if call.order else []
        order += [table.c[name].asc() for name in ties]
        return sa.select(table).where(*tests).order_by(*order).limit(size).offset(offset)

    return query


def filter_tests(
    columns: Mapping[str, sa.ColumnElement[object]], filters: Mapping[str, Sequence[str]]
) -> list[sa.ColumnElement[bool]]:
    """The filters of a call as conditions."""
    tests: list[sa.ColumnElement[bool]] = []
    for number, (name, texts) in enumerate(filters.items()):
        element, _, operator = name.rpartition(".")
        column = columns[element]
        if operator in ("eq", "in"):
            tests.append(column.in_(sa.bindparam(f"filter_{number}", list(texts), expanding=True, type_=NullType())))
            continue
        text = _pattern(operator, texts[0]) if operator in ("prefix", "contains") else texts[0]
        value = sa.bindparam(f"filter_{number}", text, type_=NullType())
        match operator:
            case "gte":
                tests.append(column >= value)
            case "lte":
                tests.append(column <= value)
            case _:
                tests.append(column.like(value, escape=ESCAPE))
    return tests


def _whole_records(
    table: sa.TableClause, of: str, tests: Sequence[sa.ColumnElement[bool]], size: int, offset: int
) -> Query:
    """All rows of the records on a page; those without a number of their own come with the first page."""
    number = table.c[of]
    page = sa.select(number).where(number.is_not(None), *tests).group_by(number).order_by(number)
    chosen = page.limit(size).offset(offset).subquery("page")
    whole = sa.select(*table.c).select_from(table.join(chosen, number == chosen.c[of]))
    if offset:
        return whole
    return sa.union_all(whole, sa.select(*table.c).where(number.is_(None), *tests))


def _pattern(operator: str, text: str) -> str:
    for special in (ESCAPE, "%", "_"):
        text = text.replace(special, ESCAPE + special)
    return f"{text}%" if operator == "prefix" else f"%{text}%"


def _ordered(table: sa.TableClause, order: str) -> list[sa.ColumnElement[object]]:
    """What has no value comes last either way, whatever the database thinks of NULL."""
    column = table.c[order.removeprefix("-")]
    return [column.is_(None), column.desc() if order.startswith("-") else column.asc()]
