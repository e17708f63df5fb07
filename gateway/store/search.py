"""Pages of lists: conditions and orders as SQL over what holds now, and places in a list found again by their values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    and_,
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

from gateway.store.order import Sort, at, beyond, ordered, sorts_of, stretches
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
    table = tables.current[search.entity]
    entity = registry.entities[search.entity]
    sorts = sorts_of(table, registry, entity, search.order, search.where)
    listed: list[ColumnElement[bool]] = [table.c.key.not_like("~%")]
    if search.where is not None:
        listed.append(condition(table, tables, registry, entity, search.where))
    also = [] if element is None else [table.c[element_column(element)]]
    rows = _read(connection, search, sorts, listed, also)
    page, width = rows[: search.limit], len(sorts) - 1
    is_more = len(rows) > search.limit
    if search.backwards:
        page.reverse()
    positions = [Position(tuple(row[:width]), row[width]) for row in page]
    edge = search.before if search.backwards else search.after
    is_other = edge is not None and _is_any(connection, sorts, listed, edge, search.backwards)
    total = (
        connection.execute(select(func.count()).select_from(table).where(*listed)).scalar_one()
        if search.counts
        else None
    )
    sides = (is_other, is_more) if search.backwards else (is_more, is_other)
    return Found(positions, *sides, total), [] if element is None else [row[-1] for row in page]


def _read(
    connection: Connection,
    search: Search,
    sorts: tuple[Sort, ...],
    listed: Sequence[ColumnElement[bool]],
    also: Sequence[ColumnElement[Any]],
) -> list[Any]:
    """What the rows of the page, and the one beyond it, are ordered by, and what they have `also`."""
    columns = [*(sort.by.label(f"sort_{number}") for number, sort in enumerate(sorts)), *also]
    rows: list[Any] = []
    for stretch in stretches(sorts, search.backwards):
        bounds = [stretch.condition]
        for position, is_after in ((search.after, True), (search.before, False)):
            if position is not None:
                bounds.append(beyond(stretch, position, is_after))
        query = select(*columns).where(*listed, *bounds).order_by(*ordered(stretch, search.backwards))
        rows += connection.execute(query.limit(search.limit + 1 - len(rows))).all()
        if len(rows) > search.limit:
            break
    return rows


def _is_any(
    connection: Connection,
    sorts: tuple[Sort, ...],
    listed: Sequence[ColumnElement[bool]],
    edge: Position,
    is_after: bool,
) -> bool:
    """Whether there is anything at a place or beyond it: nearly always the row that the place was made of."""
    key = sorts[-1].by
    if connection.execute(select(key).where(*listed, at(sorts, edge))).first() is not None:
        return True
    for stretch in stretches(sorts, not is_after):
        others = (*listed, stretch.condition, beyond(stretch, edge, is_after, or_at=True))
        query = select(key).where(*others).order_by(*ordered(stretch, not is_after))
        if connection.execute(query.limit(1)).first() is not None:
            return True
    return False


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
            found = _starts_with(column, value)
        case "contains":
            found = _place(column, value) > 0
        case "isNull":
            found = column.is_(None) if value else column.is_not(None)
    return found  # type: ignore[no-any-return]


def _starts_with(column: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """As a range, which every database answers from its index: texts are compared code point by code point."""
    if not prefix:
        return column.is_not(None)
    end = prefix.rstrip("\U0010ffff")
    if not end:
        return column >= prefix
    last = ord(end[-1]) + 1
    following = end[:-1] + chr(0xE000 if 0xD800 <= last <= 0xDFFF else last)
    return and_(column >= prefix, column < following)
