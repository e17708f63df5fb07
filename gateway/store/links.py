"""Where relations lead, as rows: of every telling, and of what holds now."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, Table

from adapters.mapping.record import Mapped
from gateway.store.bulk import Constant, insert_columns
from gateway.store.tellings import embedded_keys

Ways = Mapping[str, Sequence[str]]
"""Relation -> keys it leads to."""


def ways_of(mapped: Mapped) -> Ways:
    """Where the relations of a record lead, to what stands in it as well."""
    return {**embedded_keys(mapped), **mapped.refs} if mapped.embedded else mapped.refs


def insert_links(
    connection: Connection,
    table: Table,
    entity: str,
    ways: Mapping[str, Ways],
    relations: Collection[str] | None = None,
    source: str | None = None,
) -> None:
    """Write a row for each key, relation and target, each once; of all relations, or only of some."""
    rows = [
        (key, relation, target)
        for key, leading in ways.items()
        for relation, targets in leading.items()
        if relations is None or relation in relations
        for target in (targets if len(targets) < 2 else dict.fromkeys(targets))
    ]
    if rows:
        keys, names, targets = zip(*rows, strict=True)
        told = {"entity": Constant(entity), **({} if source is None else {"source": Constant(source)})}
        insert_columns(connection, table, {**told, "key": keys, "relation": names, "target": targets}, len(rows))
