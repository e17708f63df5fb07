"""A page on its way in, and what can be made of it before its transaction begins: nothing of that depends on what the store knows.

So a page is made ready while the one before it lands, and a transaction that has to be repeated finds it done.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from adapters.mapping.record import Mapped
from adapters.source import Record
from gateway.store.bulk import Form
from gateway.store.columns import pack
from gateway.store.effects import Effects, effects_of
from gateway.store.identity import Asked, asked_for
from gateway.store.issues import storable
from gateway.store.links import write_links
from gateway.store.rows import write_rows
from gateway.store.tables import Tables
from gateway.store.tellings import Arrival, Page, Telling, tell
from gateway.store.turns import RECORDS, Pause, no_pause
from schema.formats import UNSTORABLE
from schema.registry import Registry


@dataclass(frozen=True, slots=True)
class Landing:
    """One page from a source, mapped, on its way in.

    `mapped` are the top-level entities in the order they were told; what is embedded in them is stored as well. `deleted`
    are (entity, key) that arrived as tombstones without a word on when: they hold against what the store has now. `gone`
    are positions in `mapped` of tombstones that came as whole records, with their time or number of change. `answered`, for
    lookups: the key texts asked -> the keys of the entities they were answered with. `records` are those behind `mapped`,
    position by position, for the quarantine; without them it keeps the mapped form. `faults`: position -> why what stood
    there could not be read as a record at all. `ready`: what was made of it already.
    """

    source: str
    operation: str
    raw: bytes
    media_type: str
    received_at: datetime
    mapped: Sequence[Mapped]
    mapping_version: str
    deleted: Sequence[tuple[str, str]] = ()
    answered: Mapping[str, Sequence[str]] = field(default_factory=dict)
    gone: Collection[int] = ()
    records: Sequence[Record] = ()
    faults: Mapping[int, str] = field(default_factory=dict)
    ready: "Ready | None" = field(default=None, compare=False, repr=False)


class Forms(NamedTuple):
    """How the rows of an entity are written, those of its links, and what lists show of them, if that is written by itself."""

    rows: Form
    links: Form
    shown: Form | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not taken: at which step, why, and by which rules; and as it came."""

    position: int
    step: str
    reason: str
    rule: str
    record: Record


@dataclass(frozen=True, slots=True)
class Ready:
    """A page made ready: its payload as it is kept, the records that are not taken, and what the others tell, by position.
    `forms`: entity -> the forms of the rows that its tellings have, where these are written already. `foreseen`: the
    effects of a page of which nothing is known, and `asked` the codes that are to be given out then."""

    arrival: Arrival
    packed: bytes
    refused: list[Refused]
    told: dict[int, list[Telling]]
    forms: dict[str, Forms]
    foreseen: Effects | None = None
    asked: Mapping[str, Asked] = field(default_factory=dict)

    def effects(self, page: Page) -> Effects:
        """What the page does, once it is known what the store knows: as foreseen, where these very tellings are what lands,
        nothing is known of them, and they were not judged otherwise since, in a transaction that is repeated."""
        seen = self.foreseen
        is_so = seen is not None and not page.known and len(page.tellings) == sum(map(len, self.told.values()))
        if seen is not None and is_so and all(telling.verdict == "applied" for telling in seen.latest):
            return seen
        return effects_of(page, self.arrival.received_at)


def make_ready(
    tables: Tables, registry: Registry, dialect: str, landing: Landing, writes_rows: bool, give_way: Pause = no_pause
) -> Landing:
    """Make a page ready; with rows where most of it is expected to be new."""
    digest = hashlib.sha256(landing.raw).hexdigest()
    arrival = Arrival(landing.source, landing.received_at, digest, registry.version, landing.mapping_version)
    refused = _refusals(landing)
    positions = {refusal.position for refusal in refused}
    told: dict[int, list[Telling]] = {}
    for position, mapped in enumerate(landing.mapped):
        if position % RECORDS == 0:
            give_way()
        if position not in positions:
            told[position] = tell(mapped, position, position in landing.gone)
    forms: dict[str, Forms] = {}
    if writes_rows:
        by_entity: dict[str, list[Telling]] = {}
        for tellings in told.values():
            for telling in tellings:
                by_entity.setdefault(telling.mapped.entity, []).append(telling)
        for entity, mine in by_entity.items():
            rows, shown = write_rows(tables.entities[entity], registry, dialect, entity, mine, arrival, give_way)
            links = write_links(tables.link, registry, dialect, entity, landing.source, mine, give_way)
            forms[entity] = Forms(rows, links, shown)
    foreseen = effects_of(Page([*chain.from_iterable(told.values())]), landing.received_at) if writes_rows else None
    asked = codes_asked(registry, landing.source, foreseen) if foreseen else {}
    return replace(landing, ready=Ready(arrival, pack(landing.raw), refused, told, forms, foreseen, asked))


def codes_asked(registry: Registry, source: str, effects: Effects) -> dict[str, Asked]:
    """Entity -> whose codes are to be given out, of entities that have some: those of what is new."""
    found = {}
    for entity in registry.entities.values():
        if (allotted := entity.allotted) and (new := effects.new.get(entity.name)):
            values = {one.mapped.key: one.mapped.values.get(allotted) for one in new}
            found[entity.name] = asked_for(entity, values, values, source)
    return found


def lightened(landing: Landing) -> Landing:
    """A page that was made ready, with the faults that were found since, and without what landing it does not need: a page and
    the next are much of what a run holds."""
    if landing.ready is None:
        return landing
    refused = _refusals(landing) if landing.faults else landing.ready.refused
    return replace(landing, raw=b"", records=(), faults={}, ready=replace(landing.ready, refused=refused))


def _refusals(landing: Landing) -> list[Refused]:
    """The records of a page that are not taken, in order."""
    found = (_refusal(landing, position) for position in range(len(landing.mapped)))
    return [refusal for refusal in found if refusal is not None]


def _refusal(landing: Landing, position: int) -> Refused | None:
    """Why a record is not taken; a tombstone only has to say of whom."""
    mapped = landing.mapped[position]
    if position in landing.faults:
        return Refused(position, "read", storable(landing.faults[position]), "read", _record(landing, position))
    if not mapped.is_identified or UNSTORABLE.search(mapped.key):
        reason, rule = "记录没有能够识别的编号", f"{mapped.entity}.key"
        return Refused(position, "identify", reason, rule, _record(landing, position))
    if mapped.quarantined and position not in landing.gone:
        bad = [issue for issue in mapped.issues if issue.severity == "error"]
        reasons = dict.fromkeys(f"{issue.element}：{issue.reason}" for issue in bad)
        rules = dict.fromkeys(f"{issue.entity}.{issue.element}/{issue.check_type}" for issue in bad)
        return Refused(position, "map", storable("；".join(reasons)), " ".join(rules), _record(landing, position))
    return None


def _record(landing: Landing, position: int) -> Record:
    if landing.records:
        return landing.records[position]
    mapped = landing.mapped[position]
    return {"key": mapped.key, "values": mapped.values, "refs": mapped.refs, "provenance": mapped.provenance}
