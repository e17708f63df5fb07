"""The door into the store: one page from a source goes in whole or not at all, and may come again in any order.

Of several tellings of one entity by one source the latest holds: by the source's own time or number of change, then by when
it was received. So the order in which pages arrive does not matter, and a page that comes twice changes nothing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Literal, NamedTuple

from sqlalchemy import Connection, LargeBinary, insert, select, type_coerce, update

from adapters.mapping.record import Mapped, record_digest
from adapters.mapping.truth import Truth
from gateway.store.arriving import Landing, Ready, Refused, codes_asked, lightened, make_ready
from gateway.store.bulk import Form, Row, joined, written
from gateway.store.current import First, refresh
from gateway.store.database import key_chunks, lock
from gateway.store.effects import ChangeKind, Effects
from gateway.store.feed import record_changes
from gateway.store.identity import CodesExhausted, allot
from gateway.store.issues import record_issues
from gateway.store.keys import Keys, storable
from gateway.store.points import reach
from gateway.store.runs import Landed, Progress, record_progress
from gateway.store.tables import Tables, element_column
from gateway.store.tellings import GONE, Arrival, Page, Place, Telling, read_known
from gateway.store.writing import write
from schema.registry import Registry


class Fate(NamedTuple):
    """What became of one record of a page; `reason` when it was not taken."""

    outcome: Literal["applied", "unchanged", "duplicate", "quarantined"]
    reason: str = ""


Also = Callable[[Connection, Landed, Sequence[Fate]], None]
"""What else is written in the transaction of a page: it is given what became of the page, and of each record of it."""


def land(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    truth: Truth,
    landing: Landing,
    progress: Progress | None,
    moment: datetime,
    also: Also | None = None,
) -> Landed:
    """Take one page in, within a write transaction: payload, entities, links, issues, quarantine, answers, run and ledger."""
    lock(connection, "source", landing.source)
    run_id = progress.run_id if progress else None
    if landing.ready is None:
        landing = make_ready(tables, registry, connection.dialect.name, landing, writes_rows=False)
    landing = lightened(landing)
    ready = landing.ready
    assert ready is not None
    arrival, refused = ready.arrival, ready.refused
    _keep_raw(connection, tables, landing, ready, run_id)
    reach(connection, "landing.after")
    tops, page = _page(connection, tables, landing, ready, {refusal.position for refusal in refused})
    effects = ready.effects(page)
    reach(connection, "upsert.before")
    dropped = write(connection, tables, registry, page, effects, arrival, ready.forms)
    reach(connection, "upsert.after")
    _record_issues(connection, tables, landing, tops, refused)
    reach(connection, "issues.after")
    _quarantine(connection, tables, landing, refused, run_id, arrival)
    reach(connection, "quarantine.after")
    _record_answers(connection, tables, landing)
    landed = _count(landing, tops, effects.latest, len(refused))
    if progress:
        record_progress(connection, tables, progress, len(landing.mapped) + len(landing.deleted), landed, moment)
    codes = _allot(connection, tables, registry, landing.source, ready, effects, moment)
    for entity, keys in sorted(_changed(effects, dropped).items()):
        rows = _shown(connection, tables, registry, entity, ready, effects, codes.get(entity))
        first = First(landing.source, effects.first.get(entity, frozenset()), rows)
        refresh(connection, tables, registry, truth, entity, keys, landing.received_at, first)
    reach(connection, "current.after")
    record_changes(connection, tables, landing.source, _kinds(effects, dropped), moment)
    if also:
        also(connection, landed, _fates(landing, tops, effects.latest, refused))
    return landed


def _changed(effects: Effects, dropped: Collection[Place]) -> dict[str, Keys]:
    """The keys whose rows are to be made anew, by entity."""
    changed = dict(effects.changed)
    for entity in {entity for entity, _ in dropped}:
        changed[entity] = storable([*changed.get(entity, ()), *(key for of, key in dropped if of == entity)])
    return changed


def _kinds(effects: Effects, dropped: Collection[Place]) -> Mapping[Place, ChangeKind]:
    """What became of each place, in order; what stood in a record that has it no longer is deleted, unless it was told anew."""
    if not dropped:
        return effects.kinds
    applied = {telling.place for mine in effects.applied.values() for telling in mine}
    gone: dict[Place, ChangeKind] = {place: "deleted" for place in dropped if place not in applied}
    return dict(sorted({**effects.kinds, **gone}.items()))


def _keep_raw(connection: Connection, tables: Tables, landing: Landing, ready: Ready, run_id: int | None) -> None:
    digest, table = ready.arrival.raw_digest, tables.landing
    if connection.execute(select(table.c.digest).where(table.c.digest == digest)).first() is None:
        row = insert(table).values(
            digest=digest,
            source=landing.source,
            operation=landing.operation,
            media_type=landing.media_type,
            raw=type_coerce(ready.packed, LargeBinary),
            received_at=landing.received_at,
            run_id=run_id,
        )
        connection.execute(row)
    _note_arrival(connection, tables, landing, digest, run_id)


def _note_arrival(connection: Connection, tables: Tables, landing: Landing, digest: str, run_id: int | None) -> None:
    """The same payload may arrive again, from elsewhere or at another time; at the same time it is the same arrival."""
    table = tables.arrival
    here = (table.c.digest == digest, table.c.source == landing.source, table.c.operation == landing.operation)
    same = select(table.c.id).where(*here, table.c.received_at == landing.received_at)
    if connection.execute(same).first() is None:
        row = insert(table).values(
            digest=digest,
            source=landing.source,
            operation=landing.operation,
            received_at=landing.received_at,
            run_id=run_id,
            mapping_version=landing.mapping_version,
            asked=sorted(landing.answered) or None,
        )
        connection.execute(row)


def _page(
    connection: Connection, tables: Tables, landing: Landing, ready: Ready, refused: Collection[int]
) -> tuple[list[Telling], Page]:
    """The top-level tellings that are taken into account, and the page with everything inside them."""
    taken = [told for position, told in ready.told.items() if position not in refused]
    tops, tellings = [told[0] for told in taken], [telling for told in taken for telling in told]
    places = [telling.place for telling in tellings] + list(landing.deleted)
    known = read_known(connection, tables, landing.source, places)
    for position, (entity, key) in enumerate(landing.deleted, len(landing.mapped)):
        if (entity, key) in known:
            telling = Telling(Mapped(entity, key, ""), known[entity, key].version, position, True, digest=GONE)
            tops.append(telling)
            tellings.append(telling)
    return tops, Page(tellings, known)


def _count(landing: Landing, tops: Sequence[Telling], latest: Sequence[Telling], refused: int) -> Landed:
    """What became of the top-level records; a tombstone of what was never known changes nothing."""
    winners = set(map(id, latest))
    counted = [top for top in tops if id(top) in winners]
    unknown = len(landing.mapped) + len(landing.deleted) - refused - len(tops)
    superseded = sum(top.verdict == "superseded" for top in counted)
    return Landed(
        applied=sum(top.verdict == "applied" for top in counted),
        unchanged=sum(top.verdict in ("confirmed", "known") for top in counted) + unknown,
        duplicate=len(tops) - len(counted) + superseded,
        quarantined=refused,
    )


def _fates(
    landing: Landing, tops: Sequence[Telling], latest: Sequence[Telling], refused: Sequence[Refused]
) -> list[Fate]:
    """The fate of each of `mapped`, counted as `_count` does."""
    winners = set(map(id, latest))
    fates = [Fate("duplicate")] * len(landing.mapped)
    for top in tops:
        if top.position < len(fates) and id(top) in winners and top.verdict != "superseded":
            fates[top.position] = Fate("applied" if top.verdict == "applied" else "unchanged")
    for refusal in refused:
        fates[refusal.position] = Fate("quarantined", refusal.reason)
    return fates


def _record_issues(
    connection: Connection,
    tables: Tables,
    landing: Landing,
    tops: Sequence[Telling],
    refused: Sequence[Refused],
) -> None:
    """Issues of the records that hold now and of those refused; a record told to be gone has none any more."""
    current = [top for top in tops if top.is_current]
    bad = [landing.mapped[refusal.position] for refusal in refused]
    told = [top.mapped for top in current if not top.is_gone] + bad
    found = [(issue, (mapped.entity, mapped.key)) for mapped in told for issue in mapped.issues]
    resolves: dict[str, list[str]] = {}
    for top in current:
        resolves.setdefault(top.mapped.entity, []).append(top.mapped.key)
    record_issues(connection, tables, landing.source, found, resolves, landing.received_at)


def _quarantine(
    connection: Connection,
    tables: Tables,
    landing: Landing,
    refused: Sequence[Refused],
    run_id: int | None,
    arrival: Arrival,
) -> None:
    table = tables.quarantine
    rows = {}
    for refusal in refused:
        mapped, payload = landing.mapped[refusal.position], refusal.record
        digest = record_digest(payload)
        rows[mapped.entity, digest] = {
            "source": landing.source,
            "operation": landing.operation,
            "entity": mapped.entity,
            "record_digest": digest,
            "mapping_version": landing.mapping_version,
            "run_id": run_id,
            "payload": payload,
            "reason": refusal.reason,
            "step": refusal.step,
            "rule": refusal.rule,
            "spec_version": arrival.spec_version,
            "raw_digest": arrival.raw_digest,
            "at": landing.received_at,
        }
    for some in key_chunks(digest for _, digest in rows):
        there = select(table.c.entity, table.c.record_digest).where(
            table.c.source == landing.source,
            table.c.operation == landing.operation,
            table.c.mapping_version == landing.mapping_version,
            table.c.record_digest.in_(some),
        )
        for entity, digest in connection.execute(there).all():
            rows.pop((entity, digest), None)
    if rows:
        connection.execute(insert(table), list(rows.values()))


def _record_answers(connection: Connection, tables: Tables, landing: Landing) -> None:
    table = tables.answer
    entity = landing.mapped[0].entity if landing.mapped else None
    for some in key_chunks(landing.answered):
        mine = (table.c.source == landing.source, table.c.operation == landing.operation)
        there = select(table.c.key_text, table.c.as_of).where(*mine, table.c.key_text.in_(some))
        known = {row[0]: row[1] for row in connection.execute(there)}
        new = []
        for text in some:
            answer = {
                "entity": entity,
                "entity_keys": list(dict.fromkeys(landing.answered[text])),
                "as_of": landing.received_at,
            }
            if text not in known:
                new.append({"source": landing.source, "operation": landing.operation, "key_text": text, **answer})
            elif known[text] < landing.received_at:
                connection.execute(update(table).where(*mine, table.c.key_text == text).values(answer))
        if new:
            connection.execute(insert(table), new)


def _allot(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    source: str,
    ready: Ready,
    effects: Effects,
    moment: datetime,
) -> dict[str, dict[str, str]]:
    """Give new entities their codes; returns them. When there is none left the page still goes in; whoever asks for the code is
    told."""
    codes = {}
    wanted = ready.asked if effects is ready.foreseen else codes_asked(registry, source, effects)
    for name, asked in wanted.items():
        with suppress(CodesExhausted):
            codes[name] = allot(connection, tables, registry, registry.entities[name], asked, moment)
    return codes


def _shown(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    entity: str,
    ready: Ready,
    effects: Effects,
    codes: Mapping[str, str] | None,
) -> tuple[Form, Sequence[Row]] | None:
    """What lists are to show of the new entities, where that is written already; the gateway's own codes stand at its end."""
    forms, new = ready.forms.get(entity), effects.new.get(entity, ())
    if forms is None or forms.shown is None:
        return None
    form, rows = forms.shown, [telling.shown for telling in new if telling.shown is not None]
    if (allotted := registry.entities[entity].allotted) is None:
        return form, rows
    name = element_column(allotted)
    if codes is None or name in form.names or len(rows) != len(new):
        return None
    cells = [codes.get(telling.mapped.key) for telling in new]
    last, given = written(tables.current[entity], {name: cells}, len(cells), connection.dialect.name)
    return Form(form.names + last.names), list(map(joined, rows, given))
