"""Pages of lists: conditions and orders as SQL over what holds now, and places in a list found again by their values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
    bindparam,
    exists,
    false,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.selectable import FromClause

from gateway.store.order import at, beyond, ordered, sorts_of, stretches
from gateway.store.prepared import MOST_KEPT, Slot, Statement, Values, text_range, write_statement
from gateway.store.tables import Tables, element_column
from schema.conditions import All, Compare, Condition, Not, Order, Some, Through
from schema.cursors import Position
from schema.registry import Entity, Registry


@dataclass(frozen=True, slots=True)
class Search:
    """A page of a list: `limit` entities from the front (or, `backwards`, from the end), between two places."""

    entity: str
    limit: int
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    after: Position | None = None
    before: Position | None = None
    backwards: bool = False
    counts: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The places of the entities of a page, in order; whether there are more beyond; how many in all, when counted."""

    positions: list[Position]
    has_next: bool
    has_previous: bool
    total: int | None = None

    @property
    def keys(self) -> list[str]:
        """The keys of the entities."""
        return [position.key for position in self.positions]


class _place(GenericFunction[int]):
    """Where one text stands in another, letter by letter: 1 is the front, 0 is nowhere."""

    type = Integer()
    name = "instr"
    inherit_cache = True


@compiles(_place, "postgresql")
def _place_in_postgresql(element: Any, compiler: Any, **words: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **words)})"


def find(connection: Connection, tables: Tables, registry: Registry, search: Search) -> Found:
    """The page. Entities without an identity are not listed."""
    return find_with(connection, tables, registry, search, None)[0]


def find_with(
    connection: Connection, tables: Tables, registry: Registry, search: Search, element: str | None
) -> tuple[Found, list[Any]]:
    """The page, and what its entities have in one element; nothing when none is asked for."""
    values = Values()
    shape = replace(
        search,
        where=None if search.where is None else values.condition(search.where),
        after=values.position(search.after),
        before=values.position(search.before),
        limit=0,
    )
    asked = (connection.dialect.name, shape, element)
    if (statements := tables.statements.get(asked)) is None:
        if len(tables.statements) >= MOST_KEPT:
            tables.statements.clear()
        statements = tables.statements[asked] = _statements(
            connection, tables, registry, shape, element, Slot(len(values.found))
        )
    rows: list[Any] = []
    for statement in statements.stretches:
        rows += statement.rows(connection, [*values.found, search.limit + 1 - len(rows)])
        if len(rows) > search.limit:
            break
    page, width = rows[: search.limit], len(search.order)
    is_more = len(rows) > search.limit
    if search.backwards:
        page.reverse()
    positions = [Position(row[:width], row[width]) for row in page]
    is_other = any(statement.rows(connection, [*values.found, 1]) for statement in statements.behind)
    total = statements.total.rows(connection, values.found)[0][0] if statements.total else None
    sides = (is_other, is_more) if search.backwards else (is_more, is_other)
    return Found(positions, *sides, total), [] if element is None else [row[-1] for row in page]


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is asked for a page: its rows and the one beyond it, stretch by stretch; whether there is anything on the other
    side of the place it begins at, which is nearly always the row that the place was made of; how many there are in all."""

    stretches: Sequence[Statement]
    behind: Sequence[Statement]
    total: Statement | None


def _statements(
    connection: Connection, tables: Tables, registry: Registry, shape: Search, element: str | None, limit: Slot
) -> _Statements:
    table, entity = tables.current[shape.entity], registry.entities[shape.entity]
    dialect, most = connection.dialect, bindparam("most", limit, Integer())
    sorts = sorts_of(table, registry, entity, shape.order, shape.where)
    listed: list[ColumnElement[bool]] = [table.c.key.not_like("~%")]
    if shape.where is not None:
        listed.append(condition(table, tables, registry, entity, shape.where))
    columns = [sort.by.label(f"sort_{number}") for number, sort in enumerate(sorts)]
    columns += [] if element is None else [table.c[element_column(element)].label("element")]
    pages: list[Statement] = []
    for stretch in stretches(sorts, shape.backwards):
        bounds = [stretch.condition]
        for position, is_after in ((shape.after, True), (shape.before, False)):
            if position is not None:
                bounds.append(beyond(stretch, position, is_after))
        query = select(*columns).where(*listed, *bounds).order_by(*ordered(stretch, shape.backwards))
        pages.append(write_statement(query.limit(most), dialect))
    edge = shape.before if shape.backwards else shape.after
    behind: list[Statement] = []
    if edge is not None:
        key = sorts[-1].by
        behind.append(write_statement(select(key).where(*listed, at(sorts, edge)).limit(most), dialect))
        for stretch in stretches(sorts, not shape.backwards):
            others = (*listed, stretch.condition, beyond(stretch, edge, shape.backwards, or_at=True))
            query = select(key).where(*others).order_by(*ordered(stretch, not shape.backwards))
            behind.append(write_statement(query.limit(most), dialect))
    counted = select(func.count()).select_from(table).where(*listed)
    return _Statements(pages, behind, write_statement(counted, dialect) if shape.counts else None)


def condition(
    table: FromClause, tables: Tables, registry: Registry, entity: Entity, what: Condition
) -> ColumnElement[bool]:
    """The condition on a row of `table`, which is (an alias of) what holds now of `entity`."""
    match what:
        case Compare():
            return _test(table.c[element_column(what.element)], what)
        case All():
            return and_(true(), *(condition(table, tables, registry, entity, part) for part in what.parts))
        case Some():
            return or_(false(), *(condition(table, tables, registry, entity, part) for part in what.parts))
        case Not():
            return condition(table, tables, registry, entity, what.part).is_not(true())
        case Through():
            return _through(table, tables, registry, entity, what)


def _through(
    table: FromClause, tables: Tables, registry: Registry, entity: Entity, what: Through
) -> ColumnElement[bool]:
    relation = entity.relations[what.relation]
    target = registry.entities[relation.to]
    other, link = tables.current[target.name].alias(), tables.link.alias()
    if relation.is_told:
        way = (link.c.entity == entity.name, link.c.relation == relation.name, link.c.key == table.c.key)
        joined = other.c.key == link.c.target
    else:
        way = (link.c.entity == target.name, link.c.relation == relation.inverse, link.c.target == table.c.key)
        joined = other.c.key == link.c.key
    return exists().where(*way, link.c.holds, joined, condition(other, tables, registry, target, what.part))


def _test(column: ColumnElement[Any], test: Compare) -> ColumnElement[bool]:
    value: Any = test.value
    found: Any
    match test.operator:
        case "eq":
            found = column == value
        case "in":
            found = column.in_(value)
        case "gte":
            found = column >= value
        case "lte":
            found = column <= value
        case "prefix":
            found = _between(column, *(text_range(value) if isinstance(value, str) else value))
        case "contains":
            found = _place(column, value) > 0
        case "isNull":
            found = column.is_(None) if value else column.is_not(None)
    return found  # type: ignore[no-any-return]


def _between(column: ColumnElement[Any], first: Any, following: Any) -> ColumnElement[bool]:
    if first is None:
        return column.is_not(None)
    return column >= first if following is None else and_(column >= first, column < following)
