"""What the store remembers of entities, put into the index: as the source told it, with the origin that says so."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.engine.index import Mode, Origin
from gateway.store.store import Stored

if TYPE_CHECKING:
    from gateway.engine.executor import Execution


def provided_by(execution: "Execution", entity: str, source: str) -> frozenset[str] | None:
    """The elements of an entity that a source tells by its mapping of today; None for a source that is not mapped any more,
    of which everything it told is taken."""
    mapping = execution.services.mappings.get(source)
    told = mapping.entities.get(entity) if mapping else None
    return told.provides if told else None


def recall(
    execution: "Execution", stored: Stored, rank: int, mode: Mode = "STORE", runs: Mapping[str, int] | None = None
) -> None:
    """Add a stored copy, and name what it refers to."""
    mapped, version, digest = stored.mapped, execution.services.registry.version, stored.raw_digest
    when, run = (stored.as_of, stored.fetched_at), (runs or {}).get(str(digest))
    origin = Origin(stored.source, "", mode, *when, version, stored.mapping_version, digest, run)
    provides = provided_by(execution, mapped.entity, stored.source)
    row = execution.index.add(mapped, origin, rank, frozenset(mapped.values) if provides is None else provides)
    for relation in mapped.refs:
        if row.entity.relations[relation].is_told:
            execution.index.name_references(row, relation, origin, set())
