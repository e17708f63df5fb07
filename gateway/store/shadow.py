"""The shadow of a stream: everything its source tells now, beside what the store says, until both are compared or swapped."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, select, update

from adapters.mapping.record import Mapped
from gateway.store.arriving import Landing
from gateway.store.database import chunks, key_chunks
from gateway.store.leases import database_now
from gateway.store.tables import Tables, element_column
from gateway.store.tellings import EARLIEST, LOWEST, Version, tell
from schema.formats import CHINA_TIME

Row = Any
WORD = 2**64


@dataclass(slots=True)
class Slice:
    """One part of a source: how many records both sides have there, a digest of each that no order changes, and what differs."""

    theirs: int = 0
    ours: int = 0
    their_digest: int = 0
    our_digest: int = 0
    missing: int = 0
    different: int = 0
    surplus: int = 0


@dataclass(slots=True)
class Differences:
    """What the source tells and the store does not say: by page of the shadow, the keys. `void`: records whose version in the
    store is later than the one the source has now, though it was told before. `surplus`: what the source has no more."""

    slices: dict[str, Slice] = field(default_factory=dict)
    by_page: dict[int, set[str]] = field(default_factory=dict)
    void: list[str] = field(default_factory=list)
    surplus: list[str] = field(default_factory=list)
    live: int = 0


def keep_page(
    connection: Connection, tables: Tables, run_id: int, number: int, landing: Landing, entity: str, by: str | None
) -> None:
    """Put a page into the shadow, and what it tells last of each record."""
    row = {"run_id": run_id, "page": number, "raw": landing.raw, "media_type": landing.media_type}
    connection.execute(
        insert(tables.shadow).values(**row, received_at=landing.received_at, records=[dict(r) for r in landing.records])
    )
    keys = tables.shadow_key
    latest: dict[str, dict[str, Any]] = {}
    for position, mapped in enumerate(landing.mapped):
        is_gone = position in landing.gone
        if mapped.entity != entity or not mapped.is_identified or (mapped.quarantined and not is_gone):
            continue
        told = tell(mapped, position, is_gone)[0]
        rival = latest.get(mapped.key)
        if rival is None or told.version >= _version(rival):
            latest[mapped.key] = _key_row(run_id, number, landing, told, by)
    known: dict[str, Row] = {}
    for some in key_chunks(latest):
        query = select(keys).where(keys.c.run_id == run_id, keys.c.key.in_(some))
        known.update({row.key: row for row in connection.execute(query)})
    newer = [row for key, row in latest.items() if key not in known or _version(row) >= _version(known[key]._mapping)]
    for chunk in key_chunks(row["key"] for row in newer):
        connection.execute(delete(keys).where(keys.c.run_id == run_id, keys.c.key.in_(chunk)))
    for rows in chunks(newer):
        connection.execute(insert(keys), list(rows))


def pages(connection: Connection, tables: Tables, run_id: int, only: Collection[int] | None = None) -> Iterator[Row]:
    """The pages of a shadow in their order, one at a time."""
    shadow = tables.shadow
    numbers = (
        connection.execute(select(shadow.c.page).where(shadow.c.run_id == run_id).order_by(shadow.c.page))
        .scalars()
        .all()
    )
    for number in numbers:
        if only is None or number in only:
            yield connection.execute(select(shadow).where(shadow.c.run_id == run_id, shadow.c.page == number)).one()


def compare(
    connection: Connection, tables: Tables, run_id: int, source: str, entity: str, by: str | None
) -> Differences:
    """Compare a whole shadow with what the store says by the word of its source; told later than the shadow is no difference."""
    keys, told = tables.shadow_key, tables.entities[entity]
    found = Differences()
    began = connection.execute(
        select(func.min(tables.shadow.c.received_at)).where(tables.shadow.c.run_id == run_id)
    ).scalar()
    both = keys.outerjoin(told, and_(told.c.key == keys.c.key, told.c.source == source))
    ours = [
        told.c[name].label(f"our_{name}")
        for name in ("record_digest", "as_of", "source_updated_at", "change_no", "deleted_at")
    ]
    query = select(keys, *ours).select_from(both).where(keys.c.run_id == run_id).execution_options(yield_per=1000)
    for row in connection.execute(query):
        _compare_one(found, row)
    column = None if by is None else told.c.get(element_column(by), told.c.refs)
    columns = [told.c.key, told.c.record_digest, told.c.as_of, keys.c.key.label("shadow")]
    columns += [] if column is None else [column]
    mine = told.outerjoin(keys, and_(keys.c.key == told.c.key, keys.c.run_id == run_id))
    query = select(*columns).select_from(mine).where(told.c.source == source, told.c.deleted_at.is_(None))
    for row in connection.execute(query.execution_options(yield_per=1000)):
        value = None if column is None else row[4].get(by) if column is told.c.refs else row[4]
        part = found.slices.setdefault(slice_of(value), Slice())
        part.ours += 1
        part.our_digest = (part.our_digest + _number(row.key, row.record_digest)) % WORD
        found.live += 1
        if row.shadow is None and began is not None and row.as_of < began:
            part.surplus += 1
            found.surplus.append(row.key)
    return found


def void_versions(connection: Connection, tables: Tables, source: str, entity: str, keys: Sequence[str]) -> None:
    """Forget how recent these said they are: the source's clock went back, or it was restored, and what it tells now holds."""
    table = tables.entities[entity]
    for some in key_chunks(keys):
        mine = update(table).where(table.c.source == source, table.c.key.in_(some))
        connection.execute(mine.values(source_updated_at=None, change_no=None))


def record_comparison(connection: Connection, tables: Tables, run_id: int, found: Differences) -> None:
    """Keep what was found in each slice."""
    rows = [
        {
            "run_id": run_id,
            "slice": name,
            "theirs": part.theirs,
            "ours": part.ours,
            "their_digest": f"{part.their_digest:016x}",
            "our_digest": f"{part.our_digest:016x}",
            "missing": part.missing,
            "different": part.different,
            "surplus": part.surplus,
            "mended": part.missing + part.different + part.surplus,
        }
        for name, part in sorted(found.slices.items())
    ]
    if rows:
        connection.execute(insert(tables.comparison), rows)


def forget(connection: Connection, tables: Tables, run_id: int) -> None:
    """Drop the shadow of a run."""
    for table in (tables.shadow_key, tables.shadow):
        connection.execute(delete(table).where(table.c.run_id == run_id))


def forget_abandoned(connection: Connection, tables: Tables, source: str) -> None:
    """Drop the shadows that runs of this source left behind: whose lease is over nobody can bring in any more."""
    run, lease = tables.run, tables.lease
    holds = and_(lease.c.source == run.c.source, lease.c.operation == run.c.operation, lease.c.fence == run.c.fence)
    alive = select(lease.c.fence).where(holds, lease.c.expires_at > database_now(connection))
    kinds = run.c.kind.in_(("refresh", "reconcile"))
    over = select(run.c.id).where(run.c.source == source, kinds, ~alive.exists())
    for run_id in connection.execute(over.where(run.c.id.in_(select(tables.shadow.c.run_id)))).scalars().all():
        forget(connection, tables, run_id)


def slice_of(value: Any) -> str:
    """The slice a value belongs to: months for dates, everything else by itself, several together."""
    if isinstance(value, date):
        return f"{value.astimezone(CHINA_TIME) if isinstance(value, datetime) else value:%Y-%m}"
    if isinstance(value, (list, tuple)):
        return "、".join(map(str, value))
    return "" if value is None else str(value)


def _compare_one(found: Differences, row: Row) -> None:
    part = found.slices.setdefault(row.slice, Slice())
    if not row.is_gone:
        part.theirs += 1
        part.their_digest = (part.their_digest + _number(row.key, row.digest)) % WORD
    is_there = row.our_record_digest is not None and row.our_deleted_at is None
    if (row.is_gone and not is_there) or (not row.is_gone and is_there and row.our_record_digest == row.digest):
        return
    if row.our_as_of is not None and row.our_as_of >= row.received_at:
        return
    if row.our_record_digest is None:
        part.missing += 1
    else:
        part.different += 1
        if _our_version(row) > _version(row._mapping):
            found.void.append(row.key)
    found.by_page.setdefault(row.page, set()).add(row.key)


def _key_row(run_id: int, number: int, landing: Landing, told: Any, by: str | None) -> dict[str, Any]:
    mapped: Mapped = told.mapped
    version: Version = told.version
    return {
        "run_id": run_id,
        "key": mapped.key,
        "source_updated_at": None if version.updated_at == EARLIEST else version.updated_at,
        "change_no": None if version.change_no == LOWEST else version.change_no,
        "digest": told.digest,
        "slice": slice_of(None if by is None else mapped.values.get(by, mapped.refs.get(by))),
        "is_gone": told.is_gone,
        "page": number,
        "received_at": landing.received_at,
    }


def _version(row: Any) -> Version:
    return _made(row["source_updated_at"], row["change_no"])


def _our_version(row: Row) -> Version:
    return _made(row.our_source_updated_at, row.our_change_no)


def _made(updated_at: datetime | None, change_no: int | None) -> Version:
    return Version(updated_at or EARLIEST, LOWEST if change_no is None else change_no)


def _number(key: str, digest: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{key}\0{digest}".encode("utf-8", "surrogatepass")).digest()[:8], "big")
