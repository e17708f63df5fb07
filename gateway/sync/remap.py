"""History mapped anew from the payloads that were kept, without one call to the source: `gateway remap`.

All in one transaction: whoever reads the store sees what was until everything is there. The result is what a sync from the
beginning would give today, for as far as the payloads go; a database's payloads hold the columns that were read then.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from adapters.errors import SourceError
from adapters.file import reread
from adapters.file_rows import Unreadable
from adapters.mapping.compiled import Compiled, Compiler
from adapters.mapping.model import LookupRole, OperationMapping, SourceMapping
from adapters.mapping.record import Mapped, gone_among, key_texts
from adapters.source import Record, Rereads, Source
from gateway.store import remapping
from gateway.store.arriving import Landing
from gateway.store.points import reach
from gateway.store.remapping import Arrived
from gateway.store.runs import Landed
from gateway.store.store import Store
from gateway.sync.absent import ABSENT, read_absence
from schema.formats import CHINA_TIME
from schema.identity import HashId


class CannotReread(Exception):
    """有载荷不能按现在的映射重新解读"""


@dataclass(frozen=True, slots=True)
class Remapped:
    """What was mapped anew. `different`: entities of which the source now tells something else."""

    payloads: int = 0
    records: int = 0
    quarantined: int = 0
    different: int = 0
    left_out: int = 0

    def __str__(self) -> str:
        left = f"；{self.left_out} 个载荷的操作已不在映射中，未重新解读" if self.left_out else ""
        return f"{self.payloads} 个载荷 {self.records} 条：隔离 {self.quarantined}，与原来不同 {self.different}{left}"


def remap(
    source: Source,
    mapping: SourceMapping,
    store: Store,
    hash_id: HashId,
    entity: str | None = None,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Remapped:
    """Map everything that ever arrived from a source, or all that tells of one entity and of what stands inside it, again.

    Raises CannotReread, and nothing is changed, when a payload is no answer the mapping can read.
    """
    entities = set(store.registry.entities) if entity is None else _told_together(mapping, entity)
    arrived = [
        one
        for one in store.database.read(lambda connection: remapping.arrivals(connection, store.tables, mapping.name))
        if one.operation not in mapping.operations or mapping.operations[one.operation].entity in entities
    ]
    known = [one for one in arrived if one.operation in mapping.operations]
    compiler = Compiler(hash_id)

    def work(connection: Connection) -> Remapped:
        tables, moment = store.tables, store.clock()
        since = remapping.last_change(connection)
        remapping.forget(connection, tables, store.registry, store.truth, mapping.name, entities, moment)
        reach(connection, "remap.forgotten")
        landed: list[Landed] = []
        for number, one in enumerate(known, 1):
            raw = remapping.payload(connection, tables, one.digest)
            landed.append(store.land_within(connection, _landing(source, mapping, compiler, one, raw)))
            reach(connection, "remap.page")
            report(number, len(known))
        different = remapping.settle(connection, tables, mapping.name, since, moment)
        reach(connection, "remap.settled")
        records, quarantined = sum(one.fetched for one in landed), sum(one.quarantined for one in landed)
        return Remapped(len(known), records, quarantined, different, len(arrived) - len(known))

    return store.database.write(work)


def _told_together(mapping: SourceMapping, entity: str) -> set[str]:
    """The entities that have to be told again with this one: what stands inside it, and what else tells of those."""
    found = {entity}
    while True:
        telling = {operation.entity for operation in mapping.operations.values()}
        more = {top for top in telling if not _inside(mapping, top).isdisjoint(found)}
        more = set().union(*(_inside(mapping, top) for top in more)) | found
        if more == found:
            return found
        found = more


def _inside(mapping: SourceMapping, entity: str, seen: frozenset[str] = frozenset()) -> set[str]:
    found = {entity}
    for embedded in mapping.entities[entity].embedded.values():
        if embedded.to not in seen:
            found |= _inside(mapping, embedded.to, seen | {entity, embedded.to})
    return found


def _landing(source: Source, mapping: SourceMapping, compiler: Compiler, one: Arrived, raw: bytes) -> Landing:
    operation = mapping.operations[one.operation]
    if one.media_type == ABSENT:
        return read_absence(mapping, one.operation, raw, one.received_at)
    records, faults = _records(source, mapping, operation, one, raw)
    compiled = compiler.compiled(mapping, operation.entity, None)
    mapped = _mapped(compiled, mapping, records, faults, one)
    role, told = operation.role, {"source": mapping.name, "operation": operation.name, "raw": raw}
    common = {**told, "media_type": one.media_type, "received_at": one.received_at, "mapping_version": mapping.version}
    gone = gone_among(records, role.deleted)
    if operation.changes is not None or operation.deliver is not None:
        return Landing(mapped=mapped, gone=gone - faults.keys(), records=records, faults=faults, **common)  # type: ignore[arg-type]
    there = [entity for at, entity in enumerate(mapped) if at not in gone]
    deleted = [(mapped[at].entity, mapped[at].key) for at in sorted(gone)]
    answered = _answered(role, records, mapped, gone, one.asked) if isinstance(role, LookupRole) else {}
    return Landing(mapped=there, deleted=deleted, answered=answered, **common)  # type: ignore[arg-type]


def _records(
    source: Source, mapping: SourceMapping, operation: OperationMapping, one: Arrived, raw: bytes
) -> tuple[list[Record], dict[int, str]]:
    """The records of a payload, and what could not be read as one. Raises CannotReread."""
    try:
        if operation.deliver is not None:
            return _delivered(mapping, one, raw)
        if isinstance(source, Rereads):
            return list(source.reread(operation, raw, one.media_type).records), {}
    except (SourceError, Unreadable) as error:
        told = error.public_message if isinstance(error, SourceError) else str(error)
        raise CannotReread(f"{CannotReread.__doc__}：{operation.name} 的 {one.digest[:12]}…，{told}") from None
    raise CannotReread(f"{CannotReread.__doc__}：{operation.name} 的 {one.digest[:12]}…，此类来源不能重新解读")


def _delivered(mapping: SourceMapping, one: Arrived, raw: bytes) -> tuple[list[Record], dict[int, str]]:
    rows = list(reread(mapping, raw, one.media_type))
    return [row.record for row in rows], {at: row.fault for at, row in enumerate(rows) if row.fault is not None}


def _mapped(
    compiled: Compiled, mapping: SourceMapping, records: list[Record], faults: dict[int, str], one: Arrived
) -> list[Mapped]:
    told_on = one.received_at.astimezone(CHINA_TIME).date()
    good = iter(compiled.page([record for at, record in enumerate(records) if at not in faults], told_on))
    nobody = Mapped(compiled.entity, f"~{mapping.name}:", mapping.agency)
    return [nobody if at in faults else next(good) for at in range(len(records))]


def _answered(
    role: LookupRole, records: Iterable[Record], mapped: list[Mapped], gone: frozenset[int], asked: list[str]
) -> dict[str, list[str]]:
    """The texts asked -> the keys of the entities that answer them."""
    answers: dict[str, list[str]] = {text: [] for text in asked}
    for at, (record, entity) in enumerate(zip(records, mapped, strict=True)):
        for text in key_texts(record, role.field) if at not in gone else ():
            if text in answers:
                answers[text].append(entity.key)
    return answers
