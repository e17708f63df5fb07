"""What one source tells of an entity, against what it told before: which telling holds, and the rows that follow from it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from adapters.mapping.record import Mapped, record_digest
from gateway.store.database import key_chunks
from gateway.store.points import reach
from gateway.store.tables import Tables, element_column
from schema.registry import OWNER, Registry

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LOWEST = -(2**63)
GONE = ""
"""The digest of a tombstone: no entity has it."""

Place = tuple[str, str]
"""Entity and key."""

Verdict = Literal["applied", "confirmed", "known", "superseded"]
"""New to the store; what it says, told again; what it says already; older than what it says."""


class Version(NamedTuple):
    """How recent a record is by the source's own word; a record that says nothing is older than any that does."""

    updated_at: datetime = EARLIEST
    change_no: int = LOWEST


UNSAID = Version()


@dataclass(slots=True, eq=False)
class Telling:
    """One entity of one record of a page. `parent` is the one it stood in; `verdict` is set by `judge`."""

    mapped: Mapped
    version: Version
    position: int
    is_gone: bool = False
    parent: "Telling | None" = None
    digest: str = ""
    verdict: Verdict = "superseded"

    @property
    def place(self) -> Place:
        """What it tells of."""
        return self.mapped.entity, self.mapped.key

    @property
    def is_current(self) -> bool:
        """Whether the store says after this page what this telling says, because of it."""
        return self.verdict in ("applied", "confirmed")


@dataclass(frozen=True, slots=True)
class Known:
    """What the store says so far."""

    version: Version
    as_of: datetime
    digest: str
    embedded: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What the rows of one page have in common."""

    source: str
    received_at: datetime
    raw_digest: str
    spec_version: str
    mapping_version: str


@dataclass(frozen=True, slots=True)
class Page:
    """The tellings of one page, parents before what stood in them, and what the store knew of their entities."""

    tellings: list[Telling] = field(default_factory=list)
    known: dict[Place, Known] = field(default_factory=dict)


def tell(mapped: Mapped, position: int, is_gone: bool = False) -> Iterator[Telling]:
    """The telling in a mapped record and those inside it. What is embedded is as recent as the record, unless it says otherwise."""
    top = Telling(mapped, version_of(mapped), position, is_gone)
    top.digest = GONE if is_gone else _digest(mapped)
    yield top
    if not is_gone:
        yield from _inside(top)


def read_known(connection: Connection, tables: Tables, source: str, places: Iterable[Place]) -> dict[Place, Known]:
    """What the store says of these entities by the word of this source."""
    keys: dict[str, set[str]] = {}
    for entity, key in places:
        keys.setdefault(entity, set()).add(key)
    known: dict[Place, Known] = {}
    for entity, wanted in keys.items():
        table = tables.entities[entity]
        columns = (table.c.key, table.c.source_updated_at, table.c.change_no, table.c.as_of, table.c.record_digest)
        for some in key_chunks(wanted):
            query = select(*columns, table.c.embedded).where(table.c.source == source, table.c.key.in_(some))
            for key, updated_at, change_no, as_of, digest, embedded in connection.execute(query):
                version = Version(updated_at or EARLIEST, LOWEST if change_no is None else change_no)
                known[entity, key] = Known(version, as_of, digest, embedded)
    return known


def judge(page: Page, received_at: datetime) -> list[Telling]:
    """Give every telling its verdict; returns the latest of each entity.

    An entity without an identity lives and falls with the record it stood in: it is taken only when that record is.
    """
    latest: dict[Place, Telling] = {}
    for identified in (True, False):
        of_kind = [telling for telling in page.tellings if telling.mapped.is_identified is identified]
        for telling in of_kind:
            if not identified and (telling.parent is None or not _is_taken(telling.parent)):
                continue
            rival = latest.get(telling.place)
            if rival is None or (telling.version, telling.position) >= (rival.version, rival.position):
                latest[telling.place] = telling
        for telling in latest.values():
            if telling.mapped.is_identified is identified:
                telling.verdict = _verdict(telling, page.known.get(telling.place), received_at)
    return list(latest.values())


def write(
    connection: Connection, tables: Tables, registry: Registry, page: Page, latest: Sequence[Telling], arrival: Arrival
) -> set[Place]:
    """Bring rows and links to what the latest tellings say; returns what it changed."""
    applied = [telling for telling in latest if telling.verdict == "applied"]
    confirmed = [telling for telling in latest if telling.verdict == "confirmed"]
    for entity in {telling.mapped.entity for telling in applied}:
        mine = [telling for telling in applied if telling.mapped.entity == entity]
        _replace(connection, tables, registry, entity, [t for t in mine if not _buries(t, page)], arrival)
        _bury(connection, tables, entity, [t for t in mine if _buries(t, page)], arrival)
        reach(connection, "links.before")
        _link(connection, tables, entity, mine, arrival.source)
    for entity in {telling.mapped.entity for telling in confirmed}:
        _confirm(connection, tables, entity, [t for t in confirmed if t.mapped.entity == entity], arrival)
    reach(connection, "links.after")
    forgotten = _forget_anonymous(connection, tables, registry, page, applied, arrival.source)
    return {telling.place for telling in applied} | forgotten


def _buries(telling: Telling, page: Page) -> bool:
    return telling.is_gone and telling.place in page.known


def _inside(parent: Telling) -> Iterator[Telling]:
    for children in parent.mapped.embedded.values():
        for child in children:
            telling = Telling(child, version_of(child, parent.version), parent.position, parent=parent)
            telling.digest = _digest(child)
            yield telling
            yield from _inside(telling)


def version_of(mapped: Mapped, otherwise: Version = UNSAID) -> Version:
    """How recent a record says it is; `otherwise` when it says nothing."""
    updated_at, change_no = mapped.provenance.get("source_updated_at"), mapped.provenance.get("change_no")
    if updated_at is None and change_no is None:
        return otherwise
    return Version(updated_at or EARLIEST, LOWEST if change_no is None else change_no)


def _digest(mapped: Mapped) -> str:
    return record_digest({"values": mapped.values, "refs": mapped.refs, "embedded": _embedded(mapped)})


def _embedded(mapped: Mapped) -> dict[str, list[str]]:
    return {relation: [child.key for child in children] for relation, children in mapped.embedded.items()}


def _is_taken(parent: Telling) -> bool:
    """Whether what stood in it is taken; parents come first, so an anonymous one has been let in by its own parent, or not."""
    if parent.mapped.is_identified:
        return parent.is_current
    return parent.parent is not None and _is_taken(parent.parent)


def _verdict(telling: Telling, known: Known | None, received_at: datetime) -> Verdict:
    if known is None:
        return "applied"
    is_later = (telling.version, received_at, telling.digest) > (known.version, known.as_of, known.digest)
    if telling.digest == known.digest:
        return "confirmed" if (telling.version, received_at) > (known.version, known.as_of) else "known"
    return "applied" if is_later else "superseded"


def _replace(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    entity: str,
    tellings: Sequence[Telling],
    arrival: Arrival,
) -> None:
    table = tables.entities[entity]
    for some in key_chunks(telling.mapped.key for telling in tellings):
        connection.execute(delete(table).where(table.c.source == arrival.source, table.c.key.in_(some)))
    if tellings:
        blank = dict.fromkeys(map(element_column, registry.entities[entity].elements))
        connection.execute(insert(table), [{**blank, **_row(telling, arrival)} for telling in tellings])


def _row(telling: Telling, arrival: Arrival) -> dict[str, Any]:
    mapped = telling.mapped
    return {
        **{element_column(name): value for name, value in mapped.values.items()},
        "key": mapped.key,
        "source": arrival.source,
        OWNER: mapped.owner,
        "refs": mapped.refs,
        "embedded": _embedded(mapped),
        **_told_when(telling, arrival),
        "raw_digest": arrival.raw_digest,
        "record_digest": telling.digest,
        "fetched_at": arrival.received_at,
        "deleted_at": arrival.received_at if telling.is_gone else None,
    }


def _told_when(telling: Telling, arrival: Arrival) -> dict[str, Any]:
    """The columns that move with every telling, whether it says something new or not."""
    provenance = telling.mapped.provenance
    return {
        "source_updated_at": None if telling.version.updated_at == EARLIEST else telling.version.updated_at,
        "change_no": None if telling.version.change_no == LOWEST else telling.version.change_no,
        "batch_no": provenance.get("batch_no"),
        "source_record_id": provenance.get("source_record_id"),
        "as_of": arrival.received_at,
        "spec_version": arrival.spec_version,
        "mapping_version": arrival.mapping_version,
    }


def _bury(connection: Connection, tables: Tables, entity: str, tellings: Sequence[Telling], arrival: Arrival) -> None:
    """A soft delete: the last values stay, with the payload that said the entity is gone."""
    gone = {"raw_digest": arrival.raw_digest, "record_digest": GONE, "deleted_at": arrival.received_at}
    _update(connection, tables, entity, tellings, arrival, gone)


def _confirm(
    connection: Connection, tables: Tables, entity: str, tellings: Sequence[Telling], arrival: Arrival
) -> None:
    _update(connection, tables, entity, tellings, arrival, {})


def _update(
    connection: Connection,
    tables: Tables,
    entity: str,
    tellings: Sequence[Telling],
    arrival: Arrival,
    values: Mapping[str, Any],
) -> None:
    table = tables.entities[entity]
    mine = update(table).where(table.c.source == arrival.source, table.c.key == bindparam("of_key"))
    if tellings:
        rows = [{"of_key": t.mapped.key, **_told_when(t, arrival), **values} for t in tellings]
        connection.execute(mine, rows)


def _link(connection: Connection, tables: Tables, entity: str, tellings: Sequence[Telling], source: str) -> None:
    link = tables.link
    for some in key_chunks(telling.mapped.key for telling in tellings):
        of_these = (link.c.entity == entity, link.c.source == source, link.c.key.in_(some))
        connection.execute(delete(link).where(*of_these))
    rows = [
        {"entity": entity, "key": telling.mapped.key, "source": source, "relation": relation, "target": target}
        for telling in tellings
        if not telling.is_gone
        for relation, targets in {**_embedded(telling.mapped), **telling.mapped.refs}.items()
        for target in dict.fromkeys(targets)
    ]
    if rows:
        connection.execute(insert(link), rows)


def _forget_anonymous(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    page: Page,
    applied: Sequence[Telling],
    source: str,
) -> set[Place]:
    """Drop entities without an identity that stood in a record which has them no longer, when they stand in no other."""
    forgotten: set[Place] = set()
    dropped: dict[str, set[str]] = {}
    for telling in applied:
        known = page.known.get(telling.place)
        now = {} if telling.is_gone else _embedded(telling.mapped)
        for relation, before in known.embedded.items() if known else ():
            child = registry.target_of(telling.mapped.entity, relation).name
            left = set(before) - set(now.get(relation, ()))
            dropped.setdefault(child, set()).update(key for key in left if key.startswith("~"))
    link = tables.link
    for entity, keys in dropped.items():
        for some in key_chunks(keys):
            held = select(link.c.entity, link.c.relation, link.c.target).where(
                link.c.source == source, link.c.target.in_(some)
            )
            kept = {
                row.target
                for row in connection.execute(held)
                if registry.target_of(row.entity, row.relation).name == entity
            }
            lost = [key for key in some if key not in kept]
            table = tables.entities[entity]
            connection.execute(delete(table).where(table.c.source == source, table.c.key.in_(lost)))
            connection.execute(
                delete(link).where(link.c.source == source, link.c.entity == entity, link.c.key.in_(lost))
            )
            forgotten.update((entity, key) for key in lost)
    return forgotten
