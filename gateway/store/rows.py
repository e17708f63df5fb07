"""The rows of tellings, column by column, as they are written in bulk."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table

from gateway.store.bulk import Form, joined, written
from gateway.store.cells import Cells, Columns, Constant, Looked
from gateway.store.tables import element_column
from gateway.store.tellings import EARLIEST, LOWEST, Arrival, Telling, embedded_keys
from gateway.store.turns import Pause, no_pause
from schema.registry import OWNER, Registry


def write_rows(
    table: Table,
    registry: Registry,
    dialect: str,
    entity: str,
    tellings: Sequence[Telling],
    arrival: Arrival,
    give_way: Pause = no_pause,
) -> tuple[Form, Form | None]:
    """Give each telling its row, as it is inserted; returns the form of these rows. On PostgreSQL a row begins with what lists
    show, which is given to the telling as well and has the second form."""
    columns = row_columns(registry, entity, tellings, arrival)
    if dialect != "postgresql":
        form, rows = written(table, columns, len(tellings), dialect, give_way)
        for telling, row in zip(tellings, rows, strict=True):
            telling.row = row
        return form, None
    shown = {"key", OWNER, *map(element_column, registry.entities[entity].elements)}
    fronts = {name: cells for name, cells in columns.items() if name in shown}
    rest = {name: cells for name, cells in columns.items() if name not in shown}
    front, firsts = written(table, fronts, len(tellings), dialect, give_way)
    back, lasts = written(table, rest, len(tellings), dialect, give_way)
    for telling, first, last in zip(tellings, firsts, lasts, strict=True):
        telling.shown, telling.row = first, joined(first, last)
    return Form(front.names + back.names), front


def row_columns(registry: Registry, entity: str, tellings: Sequence[Telling], arrival: Arrival) -> Columns:
    """The rows of these tellings, column by column, with the elements that any of them tells."""
    values = [telling.mapped.values for telling in tellings]
    said = set[str]().union(*values)
    elements = [name for name in registry.entities[entity].elements if name in said]
    has_inside = any(telling.mapped.embedded for telling in tellings)
    return {
        **{element_column(name): Looked(values, name) for name in elements},
        "key": [telling.mapped.key for telling in tellings],
        "source": Constant(arrival.source),
        OWNER: [telling.mapped.owner for telling in tellings],
        "refs": [telling.mapped.refs for telling in tellings],
        "embedded": [embedded_keys(telling.mapped) for telling in tellings] if has_inside else Constant({}),
        **told_when(tellings, arrival),
        "raw_digest": Constant(arrival.raw_digest),
        "record_digest": [telling.digest for telling in tellings],
        "fetched_at": Constant(arrival.received_at),
        "deleted_at": _sparse([arrival.received_at if telling.is_gone else None for telling in tellings]),
    }


def told_when(tellings: Sequence[Telling], arrival: Arrival) -> Columns:
    """The columns that move with every telling, whether it says something new or not."""
    versions = [telling.version for telling in tellings]
    provenance = [telling.mapped.provenance for telling in tellings]
    said = set[str]().union(*provenance)
    return {
        "source_updated_at": _sparse([None if v.updated_at is EARLIEST else v.updated_at for v in versions]),
        "change_no": _sparse([None if v.change_no == LOWEST else v.change_no for v in versions]),
        **{
            name: Looked(provenance, name) if name in said else Constant(None)
            for name in ("batch_no", "source_record_id")
        },
        "as_of": Constant(arrival.received_at),
        "spec_version": Constant(arrival.spec_version),
        "mapping_version": Constant(arrival.mapping_version),
    }


def _sparse(cells: list[Any]) -> Cells | Constant:
    """Cells of which often none has a value."""
    return Constant(None) if cells.count(None) == len(cells) else cells
