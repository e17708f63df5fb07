"""What one source tells of an entity, against what it told before: which telling holds."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec
from sqlalchemy import Connection

from adapters.mapping.record import Mapped, record_digest
from gateway.store.bulk import Row, instant_of, rows_of, rows_under
from gateway.store.tables import Tables

EARLIEST = datetime(1, 1, 2, tzinfo=UTC)
LOWEST = -(2**63)
GONE = ""
"""The digest of a tombstone: no entity has it."""
DIGEST = 38
"""Characters of a digest: 152 bits of a SHA-256. Those that were kept before 2026-11-30 have other lengths: see `_EARLIER`."""
CANONICAL = msgspec.json.Encoder(order="deterministic")

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
    """One entity of one record of a page. `parent` is the one it stood in; `verdict` is set by `judge`; `row` and `links` are its
    rows, once they are written; `shown` is the part of its row that lists show, if that can be written by itself."""

    mapped: Mapped
    version: Version
    position: int
    is_gone: bool = False
    parent: "Telling | None" = None
    digest: str = ""
    verdict: Verdict = "superseded"
    row: Row | None = None
    shown: Row | None = None
    links: Sequence[Row] = ()

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
    inside: str | None = None

    @property
    def embedded(self) -> Mapping[str, Sequence[str]]:
        """Relation -> keys of what stood inside the record."""
        return json.loads(self.inside) if self.inside else {}


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


def tell(mapped: Mapped, position: int, is_gone: bool = False) -> list[Telling]:
    """The telling in a mapped record, and those inside it. What is embedded is as recent as the record, unless it says otherwise."""
    top = Telling(mapped, version_of(mapped), position, is_gone, digest=GONE if is_gone else _digest(mapped))
    return [top, *_inside(top)] if mapped.embedded and not is_gone else [top]


def read_known(connection: Connection, tables: Tables, source: str, places: Iterable[Place]) -> dict[Place, Known]:
    """What the store says of these entities by the word of this source."""
    keys: dict[str, list[str]] = {}
    for entity, key in places:
        keys.setdefault(entity, []).append(key)
    known: dict[Place, Known] = {}
    for entity, wanted in keys.items():
        told, listed = rows_under(connection, tables.entities[entity].name, "source = %s", wanted)
        query = (
            "SELECT told.key, source_updated_at, change_no, as_of, record_digest, NULLIF(CAST(embedded AS text), '{}')"
            f" FROM {told}"
        )
        for key, updated_at, change_no, as_of, digest, inside in rows_of(connection, query, (listed, source)):
            moment = EARLIEST if updated_at is None else instant_of(updated_at)
            version = Version(moment, LOWEST if change_no is None else change_no)
            known[entity, key] = Known(version, instant_of(as_of), digest, inside)
    return known


def judge(page: Page, received_at: datetime) -> list[Telling]:
    """Give every telling its verdict; returns the latest of each entity.

    An entity without an identity lives and falls with the record it stood in: it is taken only when that record is.
    """
    latest: dict[Place, Telling] = {}
    anonymous: list[Telling] = []
    for telling in page.tellings:
        telling.verdict = "superseded"  # of a transaction that is repeated they have verdicts already
        if telling.mapped.is_identified:
            _compare(latest, telling)
        else:
            anonymous.append(telling)
    for place, telling in latest.items():
        telling.verdict = _verdict(telling, page.known.get(place), received_at)
    inside: dict[Place, Telling] = {}
    for telling in anonymous:
        if telling.parent is not None and _is_taken(telling.parent):
            _compare(inside, telling)
    for place, telling in inside.items():
        telling.verdict = _verdict(telling, page.known.get(place), received_at)
    return [*latest.values(), *inside.values()]


def _compare(latest: dict[Place, Telling], telling: Telling) -> None:
    rival = latest.setdefault(telling.place, telling)
    if rival is not telling and (telling.version, telling.position) >= (rival.version, rival.position):
        latest[telling.place] = telling


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


def take_digests(mapped: Iterable[Mapped]) -> None:
    """Take the digests of records, and of what stands in them, before they are landed."""
    for one in mapped:
        one.digest = _digest(one)
        for inside in one.embedded.values():
            take_digests(inside)


def _digest(mapped: Mapped) -> str:
    """Of what a record says: equal for equal values, references and contents."""
    if mapped.digest:
        return mapped.digest
    try:
        return hashlib.sha256(_said(mapped)).hexdigest()[:DIGEST]
    except (TypeError, UnicodeEncodeError):  # half of a surrogate pair, which only the first way can write
        return _first_digest(mapped)


def _said(mapped: Mapped) -> bytes:
    return CANONICAL.encode((mapped.values, mapped.refs, embedded_keys(mapped)))


def _first_digest(mapped: Mapped) -> str:
    return record_digest({"values": mapped.values, "refs": mapped.refs, "embedded": embedded_keys(mapped)})


_EARLIER: Mapping[int, Callable[[Mapped], str]] = {
    64: _first_digest,
    40: lambda mapped: hashlib.blake2b(_said(mapped), digest_size=20).hexdigest(),
}
"""How digests were taken before, by their length."""


def _digest_as_before(mapped: Mapped, length: int) -> str | None:
    """A digest of this length, None where none was ever taken so."""
    try:
        return _EARLIER[length](mapped)
    except (KeyError, TypeError, UnicodeEncodeError):
        return None


def embedded_keys(mapped: Mapped) -> dict[str, list[str]]:
    """Relation -> keys of what stands inside."""
    if not mapped.embedded:
        return {}
    return {relation: [child.key for child in children] for relation, children in mapped.embedded.items()}


def _is_taken(parent: Telling) -> bool:
    """Whether what stood in it is taken; parents come first, so an anonymous one has been let in by its own parent, or not."""
    if parent.mapped.is_identified:
        return parent.is_current
    return parent.parent is not None and _is_taken(parent.parent)


def _verdict(telling: Telling, known: Known | None, received_at: datetime) -> Verdict:
    if known is None:
        return "applied"
    digest = telling.digest
    if digest != GONE and len(digest) != len(known.digest):
        digest = _digest_as_before(telling.mapped, len(known.digest)) or digest
    is_later = (telling.version, received_at, digest) > (known.version, known.as_of, known.digest)
    if digest == known.digest:
        return "confirmed" if (telling.version, received_at) > (known.version, known.as_of) else "known"
    return "applied" if is_later else "superseded"
