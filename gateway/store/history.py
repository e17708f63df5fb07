"""Every version of an entity: what a source tells now, what it told before, and what came too late to hold at all.

A row that is about to be replaced moves here as it is, so the first telling of an entity costs nothing. Valid time is the
source's own (`valid_from`, to the next version of that source), system time is the store's (`recorded_at`, `superseded_at`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Column, Connection, Date, Table, select

from adapters.mapping.record import Mapped
from gateway.store.bulk import driver, insert_columns, listed_in, rows_of
from gateway.store.cells import Columns, Constant
from gateway.store.columns import READ_FROM_TEXT, Instant, Listed, in_china
from gateway.store.entities import stored_row
from gateway.store.rows import row_columns
from gateway.store.tables import Tables
from gateway.store.tellings import EARLIEST, GONE, LOWEST, Arrival, Page, Telling, Version
from schema.formats import CHINA_TIME
from schema.registry import Registry


@dataclass(frozen=True, slots=True)
class Told:
    """One version of an entity, as one source told it.

    It held from `valid_from` (the source's own time; where it says none, when it was received) to `valid_to`, None for the
    latest. The store said so from `recorded_at` to `superseded_at`, None for what it says now. With `is_gone` the source said
    that the entity is there no more, and `mapped` has the last values.
    """

    mapped: Mapped
    source: str
    is_gone: bool
    valid_from: datetime
    valid_to: datetime | None
    recorded_at: datetime
    superseded_at: datetime | None
    raw_digest: str
    spec_version: str
    mapping_version: str


def keep_replaced(
    connection: Connection, tables: Tables, entity: str, tellings: Sequence[Telling], arrival: Arrival
) -> None:
    """Move the rows that these tellings replace into the history, before they are replaced."""
    keys = [telling.mapped.key for telling in tellings if telling.mapped.is_identified]
    if not keys:
        return
    table = tables.entities[entity]
    is_postgresql = connection.dialect.name == "postgresql"
    row = "row_to_json(t)" if is_postgresql else _json_object(table)
    text, listed = listed_in(connection, keys)
    statement = (
        'INSERT INTO "history" (entity, key, source, source_updated_at, change_no, record_digest, recorded_at, superseded_at,'
        ' "row") SELECT %s, key, source, source_updated_at, change_no, record_digest, COALESCE(deleted_at, fetched_at), %s,'
        f' {row} FROM "{table.name}" t WHERE source = %s AND key {text}'
    )
    superseded_at = arrival.received_at if is_postgresql else _sqlite_text(arrival.received_at)
    with driver(connection) as raw:
        raw.execute(
            statement if is_postgresql else statement.replace("%s", "?"),
            (entity, superseded_at, arrival.source, listed),
        ).close()


def keep_superseded(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    page: Page,
    latest: Sequence[Telling],
    arrival: Arrival,
) -> None:
    """Write down tellings that are older than what holds and say something else; each once, however often it comes."""
    if len(latest) == len(page.tellings) and all(telling.verdict != "superseded" for telling in latest):
        return
    winners = {telling.place: telling for telling in latest}
    late: dict[tuple[str, str, Version, str], Telling] = {}
    for telling in page.tellings:
        winner = winners.get(telling.place)
        if (
            winner is None
            or (winner is telling and telling.verdict != "superseded")
            or not telling.mapped.is_identified
        ):
            continue
        known = page.known.get(telling.place)
        holds = known.digest if winner.verdict == "superseded" and known else winner.digest
        if telling.digest not in (holds, known.digest if known else None):
            late[telling.mapped.entity, telling.mapped.key, telling.version, telling.digest] = telling
    for entity in {name for name, *_ in late}:
        mine = {(key, version, digest): t for (name, key, version, digest), t in late.items() if name == entity}
        there = _identified(connection, tables, entity, arrival.source, [key for key, _, _ in mine])
        new = [telling for what, telling in mine.items() if what not in there]
        _insert(connection, tables, registry, entity, new, arrival)


def history(
    connection: Connection, tables: Tables, registry: Registry, entity: str, key: str, source: str | None
) -> list[Told]:
    """Every version of one entity, by source, each source's in the order in which they held."""
    past, now = tables.history, tables.entities[entity]
    by_source = () if source is None else (source,)
    query = select(past).where(past.c.entity == entity, past.c.key == key)
    rows: list[tuple[Mapping[str, Any], datetime, datetime | None]] = []
    for found in connection.execute(query.where(past.c.source.in_(by_source)) if by_source else query).mappings():
        rows.append((_read(now, found["row"]), found["recorded_at"], found["superseded_at"]))
    present = select(now).where(now.c.key == key)
    for found in connection.execute(present.where(now.c.source.in_(by_source)) if by_source else present).mappings():
        rows.append((dict(found), found["deleted_at"] or found["fetched_at"], None))
    rows.sort(key=lambda told: (told[0]["source"], _order(told[0], told[1])))
    versions = [_told(registry, entity, *row) for row in rows]
    return [
        replace(told, valid_to=following.valid_from if following and following.source == told.source else None)
        for told, following in zip(versions, [*versions[1:], None], strict=False)
    ]


def _identified(
    connection: Connection, tables: Tables, entity: str, source: str, keys: Sequence[str]
) -> set[tuple[str, Version, str]]:
    past = tables.history
    found: set[tuple[str, Version, str]] = set()
    text, listed = listed_in(connection, keys)
    query = f'SELECT id FROM "history" WHERE entity = %s AND source = %s AND key {text}'
    ids = [row[0] for row in rows_of(connection, query, (entity, source, listed))]
    columns = (past.c.key, past.c.source_updated_at, past.c.change_no, past.c.record_digest)
    for start in range(0, len(ids), 500):
        for row in connection.execute(select(*columns).where(past.c.id.in_(ids[start : start + 500]))):
            version = Version(row[1] or EARLIEST, LOWEST if row[2] is None else row[2])
            found.add((row[0], version, row[3]))
    return found


def _insert(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    entity: str,
    tellings: Sequence[Telling],
    arrival: Arrival,
) -> None:
    columns = row_columns(registry, entity, tellings, arrival)
    lists = [cells.value if isinstance(cells, Constant) else cells for cells in columns.values()]
    rows = [
        {
            name: cells if isinstance(columns[name], Constant) else cells[n]
            for name, cells in zip(columns, lists, strict=True)
        }
        for n in range(len(tellings))
    ]
    told: Columns = {
        "entity": Constant(entity),
        "source": Constant(arrival.source),
        **{name: columns[name] for name in ("key", "source_updated_at", "change_no", "record_digest")},
        "recorded_at": Constant(arrival.received_at),
        "superseded_at": Constant(arrival.received_at),
        "row": [
            {name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()}
            for row in rows
        ],
    }
    insert_columns(connection, tables.history, told, len(tellings))


def _json_object(table: Table) -> str:
    """The row as one JSON object, as SQLite writes it."""
    pairs = []
    for column in table.columns:
        value = f'json("{column.name}")' if isinstance(column.type, JSON | Listed) else f'"{column.name}"'
        pairs.append(f"'{column.name}', {value}")
    return f"json_object({', '.join(pairs)})"


def _sqlite_text(moment: datetime) -> str:
    return in_china(moment).replace(tzinfo=None).isoformat(" ", "microseconds")


def _read(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row that was kept as JSON, as the table would give it; columns that came since are empty."""
    return {column.name: _value(column, row.get(column.name)) for column in table.columns}


def _value(column: Column[Any], value: Any) -> Any:
    if value is None:
        return None
    match column.type:
        case Instant():
            moment = datetime.fromisoformat(value)
            return moment.replace(tzinfo=CHINA_TIME) if moment.tzinfo is None else in_china(moment)
        case Listed():
            read = READ_FROM_TEXT.get(column.type.kind)
            return tuple(value) if read is None else tuple(read(item) for item in value)
        case Date():
            return date.fromisoformat(value)
        case Boolean():
            return bool(value)
    return value


def _order(row: Mapping[str, Any], recorded_at: datetime) -> tuple[Any, ...]:
    change_no = row["change_no"]
    version = Version(row["source_updated_at"] or EARLIEST, LOWEST if change_no is None else change_no)
    return version, recorded_at, row["record_digest"]


def _told(
    registry: Registry, entity: str, row: Mapping[str, Any], recorded_at: datetime, superseded_at: datetime | None
) -> Told:
    return Told(
        stored_row(registry, entity, row).mapped,
        row["source"],
        row["record_digest"] == GONE,
        row["source_updated_at"] or recorded_at,
        None,
        recorded_at,
        superseded_at,
        row["raw_digest"],
        row["spec_version"],
        row["mapping_version"],
    )
