"""The queries a mapped table is asked: which rows have these keys, which moved since a cursor, which pass filters.

Names come from the mapping and are quoted; values are bound, without a type, so that the database reads a text as what
its column holds. SQLAlchemy writes a query once for each shape it can take; after that its text is only looked up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name
from sqlalchemy.types import NullType

from adapters.mapping.model import EntityMapping, Field, OperationMapping, SourceMapping
from adapters.mapping.paths import RecordPath
from adapters.source import Call
from adapters.sql_place import from_place, in_order, read_place, write_place
from adapters.sql_search import Searching, search_query, searching
from schema.problems import Problem, Problems

MOST_ROWS = 50_000
"""Rows of one lookup; more of them is not an answer to a list of keys."""

MOST_LISTED = 1024
"""Keys of one `IN` where there are no arrays; a power of two. Oracle takes 1,000, SQLite 32,766 of all kinds."""

TIE_BREAKERS = ("source_record_id", "batch_no", "change_no")
"""What tells rows with equal cursors apart, where the mapping has it."""

Query = sa.Select[Any] | sa.CompoundSelect[Any]
Asked = tuple[str, Any]
"""The text of a query and its parameters, as the driver takes them."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What an operation asks of its table; `columns` in the order in which a row has them, which is that of their names.

    `essential` are the columns without which the question itself is none: key, cursor, order, versions, deletion.
    """

    table: sa.TableClause
    columns: tuple[str, ...]
    essential: frozenset[str]
    dialect: sa.Dialect
    key: str | None
    latest_of: str | None
    order: tuple[str, ...]
    page_size: int
    first_page: int
    search: Searching | None = None
    texts: dict[Any, tuple[str, Sequence[str] | None, dict[str, Any]]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The table as the mapping names it."""
        return ".".join(filter(None, (self.table.schema, self.table.name)))

    def asked(self, call: Call) -> list[Asked]:
        """What to ask for a call: one query, several that each take some of its keys, or of which each goes on where the one
        before ends, until there are `most` rows."""
        if self.search is not None:
            size = call.size or self.page_size
            return [self._written(*search_query(self.table, self._selected(), self.latest_of, self.search, call, size))]
        if self.key is None:
            return self._changes(call)
        keys = list(dict.fromkeys(call.keys))
        if self.dialect.name == "postgresql":
            return [self._written(None, self._lookup(None), {"keys": array_of(keys), "most": MOST_ROWS + 1})]
        return [self._listed(keys[at : at + MOST_LISTED]) for at in range(0, len(keys), MOST_LISTED)]

    def most(self, call: Call) -> int | None:
        """Rows of a page of changes, from all its queries together; None for what is no page."""
        return (call.size or self.page_size) if self.key is None and self.search is None else None

    def without(self, columns: Iterable[str]) -> "Statement":
        """The same question, not asking for these columns."""
        gone = set(columns)
        return replace(self, columns=tuple(name for name in self.columns if name not in gone), texts={})

    def probes(self) -> Iterator[str]:
        """Statements that would write nothing even if they could: for one who may only read, each is an error. They name a column
        without which nothing is asked either: that it is gone must not be taken for a refusal."""
        of, never = self.table, sa.text("1 = 0")
        name = min(self.essential)
        rows = sa.select(of.c[name]).where(never)
        for probe in (
            sa.update(of).values({of.c[name]: of.c[name]}).where(never),
            sa.delete(of).where(never),
            sa.insert(of).from_select([name], rows),
        ):
            yield str(probe.compile(dialect=self.dialect))

    def nothing(self) -> str:
        """A query without rows that tells which columns the table has."""
        return str(
            sa.select(sa.text("*")).select_from(self.table).where(sa.text("1 = 0")).compile(dialect=self.dialect)
        )

    def _listed(self, keys: list[str]) -> Asked:
        """Lists have the length of a power of two, the last key repeated, so that few texts serve any number of keys."""
        size = 1 << max(0, len(keys) - 1).bit_length()
        keys = keys + keys[-1:] * (size - len(keys)) if keys else [""]
        values = {f"key{place}": key for place, key in enumerate(keys)}
        return self._written(size, self._lookup(size), {**values, "most": MOST_ROWS + 1})

    def _lookup(self, size: int | None) -> Query:
        """Rows with the keys; where several rows tell of one record, all rows of the records that ever had them.

        A deletion often carries nothing but the record's own number: asked by another key it would not be found.
        """
        assert self.key is not None
        column = self.table.c[self.key]
        if size is None:
            has_key: sa.ColumnElement[bool] = column == sa.any_(sa.bindparam("keys", type_=NullType()))
        else:
            has_key = column.in_([sa.bindparam(f"key{place}", type_=NullType()) for place in range(size)])
        rows, most = sa.select(*self._selected()), sa.bindparam("most", type_=sa.Integer())
        if self.latest_of is None:
            return rows.where(has_key).limit(most)
        of = self.table.c[self.latest_of]
        whole = rows.where(of.in_(sa.select(of).where(has_key)))
        nameless = rows.where(of.is_(None), has_key)
        return sa.union_all(whole, nameless).limit(most)

    def _changes(self, call: Call) -> list[Asked]:
        """Rows from the cursor on, it included; without a cursor all rows, those that have none too.

        With `call.cursor` the page after one that told so as its `next`: from the last row of that one on, it included, so
        that rows which come, go and move between two pages push nothing out of sight.
        """
        moved, size = self.table.c[self.order[0]], call.size or self.page_size
        rows = sa.select(*self._selected()).order_by(*in_order(self.table, self.order, self.dialect.name))
        rows = rows.limit(sa.bindparam("size", type_=sa.Integer()))
        values: dict[str, Any] = {"size": size}
        if call.since is not None:
            rows = rows.where(moved >= sa.bindparam("since", type_=NullType()))
            values["since"] = call.since
        if call.until is not None:
            rows = rows.where(moved <= sa.bindparam("until", type_=NullType()))
            values["until"] = call.until
        if call.cursor is None:
            page = 0 if call.page is None else max(0, call.page - self.first_page)
            rows = rows.offset(sa.bindparam("skip", type_=sa.Integer()))
            values["skip"] = page * size
            return [self._written(tuple(values), rows, values)]
        place = read_place(call.cursor, self.order)
        is_bounded = call.since is not None or call.until is not None
        parts = from_place(self.table, place, self.dialect.name, is_bounded)
        shape = (*values, *(text is None for _, text in place))
        values |= {f"at{position}": text for position, (_, text) in enumerate(place) if text is not None}
        return [self._written((*shape, number), rows.where(part), values) for number, part in enumerate(parts)]

    def following(self, last: Mapping[str, Any]) -> str:
        """Where the page after the one that ends with this row begins."""
        return write_place(self.order, last)

    def _selected(self) -> list[sa.ColumnClause[Any]]:
        return [self.table.c[name] for name in self.columns]

    def _written(self, shape: Any, query: Query, values: Mapping[str, Any]) -> Asked:
        if shape not in self.texts:
            compiled = query.compile(dialect=self.dialect)
            names = getattr(compiled, "positiontup", None) if compiled.positional else None
            self.texts[shape] = (str(compiled), names, dict(compiled.params))
        text, names, own = self.texts[shape]
        values = {**own, **values}
        return text, values if names is None else tuple(values[name] for name in names)


def array_of(keys: Iterable[str]) -> str:
    """Texts as PostgreSQL writes an array; it becomes an array of what the column holds."""
    quoted = (key.replace("\\", "\\\\").replace('"', '\\"') for key in keys)
    return "{" + ",".join(f'"{key}"' for key in quoted) + "}"


def statement_for(mapping: SourceMapping, operation: OperationMapping, dialect: sa.Dialect) -> Statement:
    """The query of an operation. Raises Problems when its key or cursor is no column."""
    name = operation.written.request.table or ""
    columns = tuple(sorted(set(_columns(mapping, operation))))
    schema, _, own_name = name.rpartition(".")
    table = sa.table(
        quoted_name(own_name, True),
        *(sa.column(quoted_name(column, True)) for column in columns),
        schema=quoted_name(schema, True) if schema else None,
    )
    versions = _first_steps([operation.latest_of, *operation.latest_by])
    deleted = _first_steps([operation.role.deleted.path if operation.role.deleted else None])
    search: Searching | None = None
    paging = operation.written.page
    size = paging.size if paging else 0
    first = paging.first if paging and "first" in paging.model_fields_set else 0
    if operation.lookup:
        key: str | None = _key_column(mapping, operation, operation.lookup.field, operation.lookup.relation)
        order: tuple[str, ...] = ()
    elif operation.search:
        search = searching(mapping, operation, operation.search)
        key, order = None, search.ties
        deleted += search.columns.values()
    else:
        assert operation.changes is not None
        key = None
        cursor = _key_column(mapping, operation, operation.changes.cursor, None)
        order = _order(cursor, mapping, operation)
    essential = frozenset([*([key] if key else []), *order, *versions, *deleted])
    return Statement(
        table, columns, essential, dialect, key, versions[0] if versions else None, order, size, first, search
    )


def _order(cursor: str, mapping: SourceMapping, operation: OperationMapping) -> tuple[str, ...]:
    """The columns that rows come in the order of; pages of equal cursors must not shift. Pages count from 0, unless the
    mapping writes `first`."""
    entity = mapping.entities[operation.entity]
    named = {**entity.fields, **entity.provenance}
    paths = [named[name].path for name in (*TIE_BREAKERS, *entity.key) if name in named]
    role = operation.changes
    paths.append(role.deleted.path if role and role.deleted else None)
    return tuple(dict.fromkeys([cursor, *_first_steps(paths)]))


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
