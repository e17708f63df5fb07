"""Stores that are emptied between schedules and opened again by every worker: a file, or a schema of a PostgreSQL."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.sql import Executable

from contract_tests.stores import REGISTRY, empty_database
from gateway.store.store import Store


@dataclass
class Place:
    """A store at a URL. This process may fork at any time: it keeps no connection to a file, and those to a server are left
    alone by whoever is forked."""

    url: str
    store: Store
    engine: Engine
    template: Path | None = None
    held: Connection | None = None

    @contextmanager
    def connected(self) -> Iterator[None]:
        """One connection for all that is asked within; to be called while no worker is made."""
        with self.engine.connect() as connection:
            self.held = connection
            try:
                yield
                connection.commit()
            finally:
                self.held = None

    def pause(self) -> None:
        """A worker of this very process has ended, and others may be forked: no file stays open."""
        if self.template is not None:
            self.store.close()

    def leave(self) -> None:
        """In a process that was forked: what its parent has open is not its own."""
        self.store.database.engine.dispose(close=False)

    def reset(self) -> None:
        """Make it empty."""
        if self.template is not None:
            file = Path(str(make_url(self.url).database))
            for end in ("-wal", "-shm"):
                file.with_name(file.name + end).unlink(missing_ok=True)
            shutil.copyfile(self.template, file)
            return
        with self.connected():
            if used := self._used():
                tables = [t.name for t in reversed(self.store.tables.metadata.sorted_tables) if t.name in used]
                self.write(text("; ".join(f'DELETE FROM "{name}"' for name in tables)))

    def read(self, query: Executable) -> list[Any]:
        """The rows of a query."""
        if self.held is not None:
            return [tuple(row) for row in self.held.execute(query)]
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def write(self, statement: Executable) -> None:
        """Do it, and commit."""
        if self.held is not None:
            self.held.execute(statement)
            return
        with self.engine.begin() as connection:
            connection.execute(statement)

    def _used(self) -> set[str]:
        names = [table.name for table in self.store.tables.metadata.sorted_tables]
        query = " UNION ALL ".join(f"(SELECT '{name}' FROM \"{name}\" LIMIT 1)" for name in names)
        return {str(row[0]) for row in self.read(text(query))}


@contextmanager
def place(database: str) -> Iterator[Place]:
    """A place in a database: `sqlite`, or the URL of a PostgreSQL."""
    with empty_database(database) as url:
        store = Store(url, REGISTRY)
        store.create()
        store.close()
        template: Path | None = None
        if database == "sqlite":
            file = Path(str(make_url(url).database))
            template = file.with_suffix(".template")
            with create_engine(url, poolclass=NullPool).connect() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copyfile(file, template)
        engine = create_engine(url, poolclass=NullPool if template else None)
        try:
            yield Place(url, store, engine, template)
        finally:
            engine.dispose()
            store.close()
