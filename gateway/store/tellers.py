"""Which sources ever told of which entities: where only one did, nothing has to be looked for among what others say."""

from sqlalchemy import Connection, Table, insert, select

from gateway.store.tables import Tables


def note_teller(connection: Connection, tables: Tables, entity: str, source: str) -> None:
    """Write down that a source tells of an entity, in the transaction that takes it in."""
    told_in = tables.entities[entity].name
    if source not in _tellers(connection, tables.teller, told_in):
        connection.execute(insert(tables.teller).values(told_in=told_in, source=source))


def others_tell(connection: Connection, tables: Tables, entity: str, source: str) -> bool:
    """Whether any other source ever did. What it tells at this very moment counts once its transaction is over: ask within a
    lock that it holds as well."""
    return not _tellers(connection, tables.teller, tables.entities[entity].name) <= {source}


def _tellers(connection: Connection, table: Table, told_in: str) -> set[str]:
    return set(connection.execute(select(table.c.source).where(table.c.told_in == told_in)).scalars())
