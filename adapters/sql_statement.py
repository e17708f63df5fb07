"""The two queries a mapped table is asked: which rows have these keys, and which moved since a cursor.

Names come from the mapping and are quoted; values are bound, without a type, so that the database reads a text as what
its column holds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import NullType

from adapters.mapping.model import EntityMapping, Field, OperationMapping, SourceMapping
from adapters.mapping.paths import RecordPath
from adapters.source import Call
from adapters.sql_search import searching
from schema.problems import Problem, Problems

MOST_ROWS = 50_000
"""Rows of one lookup; more of them is not an answer to a list of keys."""

TIE_BREAKERS = ("source_record_id", "batch_no", "change_no")
"""What tells rows with equal cursors apart, where the mapping has it."""

Query = sa.Select[tuple[object, ...]] | sa.CompoundSelect[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Statement:
    """What an operation asks of its table; `columns` in the order in which a row has them."""

    table: str
    columns: tuple[str, ...]
    query: Callable[[Call], Query]


def statement_for(mapping: SourceMapping, operation: OperationMapping) -> Statement:
    """The query of an operation. Raises Problems when its key or cursor is no column."""
    name = operation.written.request.table or ""
    columns = tuple(dict.fromkeys(_columns(mapping, operation)))
    schema, _, own_name = name.rpartition(".")
    table = sa.table(
        quoted_name(own_name, True),
        *(sa.column(quoted_name(column, True)) for column in columns),
        schema=quoted_name(schema, True) if schema else None,
    )
    if operation.lookup:
        key = _key_column(mapping, operation, operation.lookup.field, operation.lookup.relation)
        return Statement(name, columns, _lookup(table, key, operation))
    if operation.search:
        return Statement(name, columns, searching(table, mapping, operation, operation.search))
    assert operation.changes is not None
    cursor = _key_column(mapping, operation, operation.changes.cursor, None)
    return Statement(name, columns, _changes(table, cursor, mapping, operation))


def _lookup(table: sa.TableClause, key: str, operation: OperationMapping) -> Callable[[Call], Query]:
    """Rows with the keys; where several rows tell of one record, all rows of the records that ever had them.

    A deletion often carries nothing but the record's own number: asked by another key it would not be found.
    """

    def query(call: Call) -> Query:
        has_key = table.c[key].in_(sa.bindparam("keys", list(call.keys), expanding=True, type_=NullType()))
        if operation.latest_of is None:
            return sa.select(table).where(has_key).limit(MOST_ROWS + 1)
        of = table.c[operation.latest_of.steps[0][0]]
        whole = sa.select(table).where(of.in_(sa.select(of).where(has_key)))
        nameless = sa.select(table).where(of.is_(None), has_key)
        return sa.union_all(whole, nameless).limit(MOST_ROWS + 1)

    return query


def _changes(
    table: sa.TableClause, cursor: str, mapping: SourceMapping, operation: OperationMapping
) -> Callable[[Call], Query]:
    """Rows from the cursor on, it included; without a cursor all rows, those that have none too.

    Pages count from 0, unless the mapping writes `first`.
    """
    entity, paging, moved = mapping.entities[operation.entity], operation.written.page, table.c[cursor]
    assert paging is not None
    first = paging.first if "first" in paging.model_fields_set else 0
    named = {**entity.fields, **entity.provenance}
    paths = [named[name].path for name in (*TIE_BREAKERS, *entity.key) if name in named]
    role = operation.changes
    paths.append(role.deleted.path if role and role.deleted else None)
    order = dict.fromkeys([cursor, *_first_steps(paths)])

    def query(call: Call) -> Query:
        size = call.size or paging.size
        page = 0 if call.page is None else max(0, call.page - first)
        rows = sa.select(table).order_by(*(table.c[name] for name in order)).limit(size).offset(page * size)
        if call.since is not None:
            rows = rows.where(moved >= sa.bindparam("since", call.since, type_=NullType()))
        if call.until is not None:
            rows = rows.where(moved <= sa.bindparam("until", call.until, type_=NullType()))
        return rows

    return query


def _columns(mapping: SourceMapping, operation: OperationMapping) -> Iterator[str]:
    """Every column that is mapped or needed to tell what holds; never `*`."""
    yield from _entity_columns(mapping, mapping.entities[operation.entity], frozenset())
    yield from _first_steps([operation.latest_of, *operation.latest_by])
    yield from _first_steps([operation.role.deleted.path if operation.role.deleted else None])


def _entity_columns(mapping: SourceMapping, entity: EntityMapping, outer: frozenset[str]) -> Iterator[str]:
    fields = [*entity.fields.values(), *entity.provenance.values(), *(r.field for r in entity.references.values())]
    yield from _first_steps(field.path for field in fields)
    for embedded in entity.embedded.values():
        yield from _first_steps([embedded.path])
        if not embedded.path.steps and embedded.to not in outer:
            yield from _entity_columns(mapping, mapping.entities[embedded.to], outer | {embedded.to})


def _first_steps(paths: Iterable[RecordPath | None]) -> list[str]:
    """The columns that paths start from."""
    return [path.steps[0][0] for path in paths if path is not None and path.steps]


def _key_column(mapping: SourceMapping, operation: OperationMapping, field: Field, relation: str | None) -> str:
    """The column that holds a key or cursor."""
    embedded = mapping.entities[operation.entity].embedded.get(relation or "")
    if field.path is None or len(field.path.steps) != 1 or (embedded is not None and embedded.path.steps):
        file = f"{mapping.folder.name}/mapping.yaml"
        what = f"{field.name} 不是一个列，数据库来源不能按它查询"
        raise Problems([Problem(file, 1, 1, f"operations.{operation.name}", what)])
    return field.path.steps[0][0]
