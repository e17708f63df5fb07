"""Pages of lists: conditions and orders as SQL over what holds now, and places in a list found again by their values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.sql.selectable import FromClause

from gateway.store.columns import JsonText
from gateway.store.order import Stretch, at, beyond, ordered, sorts_of, stretches
from gateway.store.prepared import MOST_KEPT, Statement, Values, text_range, write_statement
from gateway.store.tables import Tables, element_column
from schema.conditions import All, Compare, Condition, Not, Order, Some, Through
from schema.cursors import Position
from schema.registry import Entity, Registry

ONE = literal_column("1", Integer())
"""Limits stand in the text of a statement, where they are no values of the question."""


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


@dataclass(frozen=True, slots=True)
class Beside:
    """What is read of each entity of a page together with it: what lists have in `element`, and the copy of each source that
    tells of it: where the relations `ways` lead, and the elements `names`."""

    element: str | None
    ways: tuple[str, ...]
    names: tuple[str, ...]


def find_with(
    connection: Connection, tables: Tables, registry: Registry, search: Search, beside: Beside | None
) -> tuple[Found, list[list[tuple[Any, ...]]]]:
    """The page, and for each of its entities a row for each source that tells of it: its key, what lists have in the element
    (or None), the source, where the relations lead, and the elements; of what nobody tells, one without a source."""
    values = Values()
    shape = replace(
        search,
        where=None if search.where is None else values.condition(search.where),
        after=values.position(search.after),
        before=values.position(search.before),
    )
    asked = (connection.dialect.name, shape, beside)
    if (statements := tables.statements.get(asked)) is None:
        if len(tables.statements) >= MOST_KEPT:
            tables.statements.clear()
        statements = tables.statements[asked] = _statements(connection, tables, registry, shape, beside)
    width = len(search.order)
    found: list[list[tuple[Any, ...]]] = []
    for statement in statements.stretches:
        for row in statement.rows(connection, values.found):
            if found and found[-1][0][width] == row[width]:
                found[-1].append(row)
            else:
                found.append([row])
        if len(found) > search.limit:
            break
    page, is_more = found[: search.limit], len(found) > search.limit
    if search.backwards:
        page.reverse()
    positions = [Position(rows[0][:width], rows[0][width]) for rows in page]
    is_other = any(statement.rows(connection, values.found) for statement in statements.behind)
    total = statements.total.rows(connection, values.found)[0][0] if statements.total else None
    sides = (is_other, is_more) if search.backwards else (is_more, is_other)
    return Found(positions, *sides, total), [[row[width:] for row in rows] for rows in page] if beside else []


@dataclass(frozen=True, slots=True)
class _Statements:
    """What is asked for a page: its rows and the one beyond it, stretch by stretch; whether there is anything on the other
    side of the place it begins at, which is nearly always the row that the place was made of; how many there are in all."""

    stretches: Sequence[Statement]
    behind: Sequence[Statement]
    total: Statement | None


def _statements(
    connection: Connection, tables: Tables, registry: Registry, shape: Search, beside: Beside | None
) -> _Statements:
    table, entity = tables.current[shape.entity], registry.entities[shape.entity]
    dialect, most = connection.dialect, shape.limit + 1
    sorts = sorts_of(table, registry, entity, shape.order, shape.where)
    listed: list[ColumnElement[bool]] = [table.c.key.not_like("~%")]
    if shape.where is not None:
        listed.append(condition(table, tables, registry, entity, shape.where))
    columns = [sort.by.label(f"sort_{number}") for number, sort in enumerate(sorts)]
    if beside is not None:
        given = null() if beside.element is None else table.c[element_column(beside.element)]
        columns.append(given.label("given"))
    pages: list[Statement] = []
    for stretch in stretches(sorts, shape.backwards):
        bounds = [stretch.condition]
        for position, is_after in ((shape.after, True), (shape.before, False)):
            if position is not None:
                bounds.append(beyond(stretch, position, is_after))
        query = select(*columns).where(*listed, *bounds).order_by(*ordered(stretch, shape.backwards))
        page = query.limit(literal_column(str(most), Integer()))
        pages.append(
            write_statement(page if beside is None else _with_copies(tables, shape, page, stretch, beside), dialect)
        )
    edge = shape.before if shape.backwards else shape.after
    behind: list[Statement] = []
    if edge is not None:
        key = sorts[-1].by
        behind.append(write_statement(select(key).where(*listed, at(sorts, edge)).limit(ONE), dialect))
        for stretch in stretches(sorts, not shape.backwards):
            others = (*listed, stretch.condition, beyond(stretch, edge, shape.backwards, or_at=True))
            query = select(key).where(*others).order_by(*ordered(stretch, not shape.backwards))
            behind.append(write_statement(query.limit(ONE), dialect))
    counted = select(func.count()).select_from(table).where(*listed)
    return _Statements(pages, behind, write_statement(counted, dialect) if shape.counts else None)


def _with_copies(tables: Tables, shape: Search, query: Select[Any], stretch: Stretch, beside: Beside) -> Select[Any]:
    """A page, in its order, with what each source tells of its entities."""
    page, told = query.subquery("page"), tables.entities[shape.entity].alias("told")
    places = range(len(shape.order) + 1)[-len(stretch.sorts) :]
    sorts = tuple(replace(sort, by=page.c[f"sort_{n}"]) for n, sort in zip(places, stretch.sorts, strict=True))
    joined = page.outerjoin(told, and_(told.c.key == sorts[-1].by, told.c.deleted_at.is_(None)))
    targets = [type_coerce(told.c.refs[way].as_string(), JsonText()) for way in beside.ways]
    leads = [target.label(f"way_{number}") for number, target in enumerate(targets)]
    cells = [told.c[element_column(name)].label(f"cell_{number}") for number, name in enumerate(beside.names)]
    order = ordered(replace(stretch, sorts=sorts), shape.backwards)
    return select(*page.c, told.c.source, *leads, *cells).select_from(joined).order_by(*order)


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
