"""Records in quarantine are taken once more, by the mapping as it is now: as if they had never been refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from adapters.mapping.compiled import Compiler
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import gone_among
from gateway.store import quarantine
from gateway.store.arriving import Landing
from gateway.store.database import chunks
from gateway.store.landing import Fate
from gateway.store.points import reach
from gateway.store.runs import LEASE, Landed, Progress
from gateway.store.store import Store
from gateway.sync.codes import close_finished
from schema.formats import CHINA_TIME
from schema.identity import HashId

AT_ONCE = 500
REPLAYED, SUPERSEDED, REFUSED_AGAIN = "replayed", "superseded", "refused again"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the records: taken, known or overtaken meanwhile, still refused. `closed`: tasks that are done."""

    taken: int = 0
    known: int = 0
    refused: int = 0
    closed: int = 0

    def __str__(self) -> str:
        return (
            f"写入 {self.taken}，已有或已有更新的 {self.known}，仍不合格 {self.refused}；完成的码表任务 {self.closed}"
        )


def replay(
    store: Store, mapping: SourceMapping, hash_id: HashId, operation: str | None = None, holder: str = "?"
) -> Replayed:
    """Take the open records of a source again, with the time and the payload they came with. Raises StreamBusy.

    So the version decides, as always, and what was told later still holds. A page and the word on its records are one
    transaction; who is interrupted begins again with what is left.
    """
    begun = store.begin_run(mapping.name, f"{operation or '*'}#replay", "replay", holder, LEASE)
    arrived = store.database.read(lambda c: quarantine.arrived(c, store.tables, mapping.name, operation))
    compiler = Compiler(hash_id)
    counts = {"applied": 0, "unchanged": 0, "duplicate": 0, "quarantined": 0}
    number = fetched = 0
    try:
        for came_with in arrived:
            rows = store.database.read(
                partial(quarantine.waiting, tables=store.tables, source=mapping.name, came_with=came_with)
            )
            for some in chunks(rows, AT_ONCE):
                number, fetched = number + 1, fetched + len(some)
                landed = _replay_page(store, mapping, compiler, some, Progress(begun.run_id, number, None))
                for name in counts:
                    counts[name] += getattr(landed, name)
                store.database.points("replay.page")
                store.renew_run(begun.run_id)
        store.finish_run(begun.run_id, None, fetched)
    except Exception as error:
        store.fail_run(begun.run_id, type(error).__name__)
        raise
    closed = len(close_finished(store, mapping))
    return Replayed(counts["applied"], counts["unchanged"] + counts["duplicate"], counts["quarantined"], closed)


def _replay_page(
    store: Store, mapping: SourceMapping, compiler: Compiler, rows: Sequence[Any], progress: Progress
) -> Landed:
    first = rows[0]
    records = [row.payload for row in rows]
    operation = mapping.operations.get(first.operation)
    role = operation.role if operation is not None else None
    found = store.database.read(lambda c: quarantine.payload_of(c, store.tables, first.raw_digest))
    raw, media_type = found or (repr(records).encode(), "text/plain")
    landing = Landing(
        source=mapping.name,
        operation=first.operation,
        raw=raw,
        media_type=media_type,
        received_at=first.at,
        mapped=compiler.compiled(mapping, first.entity, None).page(records, first.at.astimezone(CHINA_TIME).date()),
        mapping_version=mapping.version,
        gone=gone_among(records, role.deleted if role is not None else None),
        records=records,
    )

    def also(connection: Connection, _landed: Landed, fates: Sequence[Fate]) -> None:
        names = {"applied": REPLAYED, "unchanged": REPLAYED, "duplicate": SUPERSEDED, "quarantined": REFUSED_AGAIN}
        for outcome, resolution in names.items():
            mine = [row for row, fate in zip(rows, fates, strict=True) if fate.outcome == outcome]
            if outcome == "quarantined":  # refused by this version too: then the record of that stays open
                mine = [row for row in mine if row.mapping_version != mapping.version]
            quarantine.resolve(connection, store.tables, mine, resolution, store.clock())
        reach(connection, "replay.resolved")

    return store.land(landing, progress, also)
