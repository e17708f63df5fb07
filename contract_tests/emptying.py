"""Stores of a PostgreSQL used again by test after test: emptying one takes a twentieth of the time of making 81 tables anew.

A store is used again only when all that a test left in it were rows: a table, an index or a trigger more or less, or other
rows where a new store has some already, and it is dropped.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema, DropSchema

NUMBERS = count(1)
SHAPE = """
    SELECT 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE c.relnamespace = current_schema()::regnamespace AND a.attnum > 0
    UNION ALL SELECT 'index', tablename, indexname, indexdef, '' FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), ''
      FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, tgenabled::text, ''
      FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid WHERE c.relnamespace = current_schema()::regnamespace
    UNION ALL SELECT 'function', proname, '', '', '' FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    ORDER BY 1, 2, 3"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
RESTART = """SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
      FROM pg_sequences WHERE schemaname = current_schema()"""
FREE: dict[str, list["_Made"]] = {}
"""Stores that nobody uses now, by the URL of their PostgreSQL."""


class _Made:
    """A store in a schema of its own, and what is in it when it is new."""

    def __init__(self, address: str) -> None:
        self.address = address
        engine = create_engine(address)
        with engine.connect() as connection:
            self.shape, self.rows = _shape(connection), _rows(connection)
        engine.dispose()

    def is_empty_again(self) -> bool:
        """Whether it is as good as new, once its rows are gone."""
        engine = create_engine(self.address)
        try:
            return self._empty(engine)
        except SQLAlchemyError:  # somebody still holds on to it
            return False
        finally:
            engine.dispose()

    def _empty(self, engine: Engine) -> bool:
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL lock_timeout = '2s'"))
            if _shape(connection) != self.shape:
                return False
            rows = _rows(connection)
            if {name: rows.get(name) for name in self.rows} != self.rows:
                return False
            if full := [f'"{name}"' for name in rows if name not in self.rows]:
                connection.execute(text(f"TRUNCATE {', '.join(full)}"))
            connection.execute(text(RESTART))
            return True


@contextmanager
def schema_of_its_own(postgres: str) -> Iterator[str]:
    """The URL of a new, empty schema of this PostgreSQL; it is dropped in the end."""
    address = _new_schema(postgres)
    yield address
    _drop_schema(address)


@contextmanager
def used_again(postgres: str, make: Callable[[str], None]) -> Iterator[str]:
    """The URL of a store with nothing in it, in a schema of this PostgreSQL; `make` makes one at a URL."""
    free = FREE.setdefault(postgres, [])
    if not free:
        address = _new_schema(postgres)
        make(address)
        free.append(_Made(address))
    taken = free.pop()
    yield taken.address
    if taken.is_empty_again():
        free.append(taken)
    else:
        _drop_schema(taken.address)


def _new_schema(postgres: str) -> str:
    name = f"store_{next(NUMBERS)}"
    _execute(postgres, CreateSchema(name))
    address = make_url(postgres).update_query_dict({"options": f"-csearch_path={name}"})
    return address.render_as_string(hide_password=False)


def _drop_schema(address: str) -> None:
    _execute(address, DropSchema(str(make_url(address).query["options"]).partition("=")[2], cascade=True))


def _execute(address: str, statement: CreateSchema | DropSchema) -> None:
    engine = create_engine(address)
    try:
        with engine.begin() as connection:
            connection.execute(statement)
    finally:
        engine.dispose()


def _shape(connection: Connection) -> Sequence[Any]:
    return [tuple(row) for row in connection.execute(text(SHAPE))]


def _rows(connection: Connection) -> dict[str, Sequence[Any]]:
    """What is in the tables that are not empty."""
    names = connection.execute(text(TABLES)).scalars().all()
    look = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM \"{name}\")" for name in names)
    full = connection.execute(text(look)).scalars().all()
    return {name: sorted(map(repr, connection.execute(text(f'SELECT * FROM "{name}"')))) for name in full}
