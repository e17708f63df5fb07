"""The rows that follow from the tellings that hold: entities, their links, and the history of what no longer holds."""

from collections.abc import Mapping, Sequence
from itertools import chain

from sqlalchemy import Connection, delete, select

from gateway.store.arriving import Forms
from gateway.store.bulk import Form, among, insert_rows, update_columns
from gateway.store.cells import Cells, Columns, Constant
from gateway.store.effects import Effects
from gateway.store.history import keep_replaced, keep_superseded
from gateway.store.links import insert_links
from gateway.store.points import reach
from gateway.store.rows import told_when, write_rows
from gateway.store.tables import ANONYMOUS, Tables
from gateway.store.tellers import note_teller
from gateway.store.tellings import GONE, Arrival, Page, Place, Telling, embedded_keys
from schema.registry import Registry


def write(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    page: Page,
    effects: Effects,
    arrival: Arrival,
    written: Mapping[str, Forms],
) -> set[Place]:
    """Bring rows and links to what the latest tellings say; returns what else it dropped: entities without an identity. `written`:
    entity -> the forms of the rows that its tellings have already."""
    for entity, mine in effects.applied.items():
        forms = written.get(entity)
        note_teller(connection, tables, entity, arrival.source)
        known = [telling for telling in mine if telling.place in page.known] if page.known else []
        keep_replaced(connection, tables, entity, known, arrival)
        _bury(connection, tables, entity, [t for t in known if t.is_gone], arrival)
        _replace(
            connection,
            tables,
            registry,
            entity,
            [t for t in mine if not t.is_gone or t.place not in page.known] if known else mine,
            known,
            arrival,
            forms.rows if forms else None,
        )
        reach(connection, "links.before")
        _link(connection, tables, registry, entity, mine, known, arrival.source, forms.links if forms else None)
    for entity, mine in effects.confirmed.items():
        _update(connection, tables, entity, mine, arrival, {"record_digest": [t.digest for t in mine]})
    reach(connection, "links.after")
    keep_superseded(connection, tables, registry, page, effects.latest, arrival)
    return _forget_anonymous(connection, tables, registry, page, effects, arrival.source)


def _replace(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    entity: str,
    tellings: Sequence[Telling],
    known: Sequence[Telling],
    arrival: Arrival,
    form: Form | None,
) -> None:
    table = tables.entities[entity]
    if there := [telling.mapped.key for telling in known if not telling.is_gone]:
        connection.execute(delete(table).where(table.c.source == arrival.source, among(connection, table.c.key, there)))
    if tellings:
        form = form or write_rows(table, registry, connection.dialect.name, entity, tellings, arrival)[0]
        insert_rows(connection, table, form, [telling.row for telling in tellings if telling.row is not None])


def _bury(connection: Connection, tables: Tables, entity: str, tellings: Sequence[Telling], arrival: Arrival) -> None:
    """A soft delete: the last values stay, with the payload that said the entity is gone."""
    gone: Columns = {
        "raw_digest": Constant(arrival.raw_digest),
        "record_digest": Constant(GONE),
        "deleted_at": Constant(arrival.received_at),
    }
    _update(connection, tables, entity, tellings, arrival, gone)


def _update(
    connection: Connection,
    tables: Tables,
    entity: str,
    tellings: Sequence[Telling],
    arrival: Arrival,
    columns: Mapping[str, Cells | Constant],
) -> None:
    keys = [telling.mapped.key for telling in tellings]
    told = {**told_when(tellings, arrival), **columns}
    update_columns(connection, tables.entities[entity], arrival.source, keys, told)


def _link(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    entity: str,
    tellings: Sequence[Telling],
    known: Sequence[Telling],
    source: str,
    form: Form | None,
) -> None:
    link = tables.link
    if known:
        keys = among(connection, link.c.key, [telling.mapped.key for telling in known])
        connection.execute(delete(link).where(link.c.entity == entity, link.c.source == source, keys))
    there = [telling for telling in tellings if not telling.is_gone]
    if form is None:
        insert_links(connection, link, registry, entity, source, [telling.mapped for telling in there])
    else:
        insert_rows(connection, link, form, list(chain.from_iterable(telling.links for telling in there)))


def _forget_anonymous(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    page: Page,
    effects: Effects,
    source: str,
) -> set[Place]:
    """Drop entities without an identity that stood in a record which has them no longer, when they stand in no other."""
    forgotten: set[Place] = set()
    dropped: dict[str, set[str]] = {}
    for telling in chain.from_iterable(effects.applied.values()) if page.known else ():
        known = page.known.get(telling.place)
        if known is None or known.inside is None:
            continue
        now = {} if telling.is_gone else embedded_keys(telling.mapped)
        for relation, before in known.embedded.items():
            child = registry.target_of(telling.mapped.entity, relation).name
            left = set(before) - set(now.get(relation, ()))
            dropped.setdefault(child, set()).update(key for key in left if key.startswith("~"))
    link = tables.link
    for entity, keys in dropped.items():
        if not keys:
            continue
        held = select(link.c.entity, link.c.relation, link.c.target).where(
            link.c.source == source, ANONYMOUS, among(connection, link.c.target, keys)
        )
        kept = {
            row.target
            for row in connection.execute(held)
            if registry.target_of(row.entity, row.relation).name == entity
        }
        if lost := keys - kept:
            table = tables.entities[entity]
            of_these = (table.c.source == source, among(connection, table.c.key, lost))
            connection.execute(delete(table).where(*of_these))
            of_them = (link.c.source == source, link.c.entity == entity, among(connection, link.c.key, lost))
            connection.execute(delete(link).where(*of_them))
            forgotten.update((entity, key) for key in lost)
    return forgotten
