"""Stores to test with: a SQLite file, and a schema of a real PostgreSQL, each new and empty."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.schema import CreateSchema, DropSchema

from contract_tests.servers import postgres_server
from gateway.store.store import Store
from schema.load import load_registry

REGISTRY = load_registry()
SCHEMAS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running PostgreSQL."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a PostgreSQL, or `sqlite`; everything of the store is tested on both."""
    yield "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def url(database: str) -> Iterator[str]:
    """Where a new store may be made."""
    with empty_database(database) as address:
        yield address


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A new store."""
    with opened(url) as made:
        yield made


@contextmanager
def empty_database(database: str) -> Iterator[str]:
    """A file of its own, or a schema of its own."""
    if database == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'store' / 'gateway.db'}"
        return
    name = f"store_{next(SCHEMAS)}"
    engine = create_engine(database)
    try:
        with engine.begin() as connection:
            connection.execute(CreateSchema(name))
        address = make_url(database).update_query_dict({"options": f"-csearch_path={name}"})
        yield address.render_as_string(hide_password=False)
        with engine.begin() as connection:
            connection.execute(DropSchema(name, cascade=True))
    finally:
        engine.dispose()


@contextmanager
def opened(url: str, **words: object) -> Iterator[Store]:
    """The store at `url`, made if need be."""
    made = Store(url, REGISTRY, **words)  # type: ignore[arg-type]
    try:
        made.create()
        yield made
    finally:
        made.close()
