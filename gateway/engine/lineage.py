"""Lineage 血缘: from a value that is shown back to the bytes it came in, by the word of every source that tells it."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from adapters.mapping.model import EntityMapping, Field, SourceMapping
from adapters.mapping.record import HashId, key_texts, map_record, read_value
from adapters.mapping.truth import Truth
from adapters.reread import places_in
from gateway.store.return_reading import Provenance, provenance_rows
from gateway.store.store import Store
from schema.formats import CHINA_TIME, print_datetime, print_money
from schema.registry import Element, Entity
from schema.written import read_yaml

SENSITIVE = ("medium", "high")
"""What is never shown as it was sent."""
LONGEST = 500
SEARCHING = 5.0
"""Seconds to look for one record in its payload."""


def lineage(
    store: Store,
    mappings: Mapping[str, SourceMapping],
    truth: Truth,
    hash_id: HashId,
    entity: Entity,
    key: str,
    element: Element,
    clock: Callable[[], float] = time.monotonic,
) -> list[dict[str, Any]]:
    """Every telling of one element of one entity, the one that is shown first; values of sensitive elements are left out."""
    rows = store.database.read(
        lambda connection: provenance_rows(connection, store.tables, store.registry, entity.name, key, element.name)
    )
    rows.sort(key=lambda row: truth.place(entity.name, element.name, row.source))
    shown = next((row for row in rows if row.value is not None and row.deleted_at is None), None)
    return [
        _told(row, mappings.get(row.source), hash_id, entity, key, element, row is shown, clock)
        for row in sorted(rows, key=lambda row: row is not shown)
    ]


def field_of(mapping: EntityMapping, element: str) -> tuple[str, Field] | None:
    """The word of the mapping that tells an element, and its field: its own, or that of the relation which names it."""
    if found := mapping.fields.get(element):
        return element, found
    for name, reference in mapping.references.items():
        if mapping.entity.relations[name].by == element:
            return name, reference.field
    return None


def _told(
    row: Provenance,
    mapping: SourceMapping | None,
    hash_id: HashId,
    entity: Entity,
    key: str,
    element: Element,
    is_shown: bool,
    clock: Callable[[], float],
) -> dict[str, Any]:
    is_masked = element.sensitivity in SENSITIVE
    told: dict[str, Any] = {
        "source": row.source,
        "source_title": mapping.title if mapping else None,
        "operation": row.operation,
        "run": None if row.run_id is None else str(row.run_id),
        "is_shown": is_shown,
        "is_masked": is_masked,
        "value": None if is_masked or row.value is None else _printed(element, row.value)[:LONGEST],
        "as_of": row.as_of,
        "received_at": row.received_at or row.fetched_at,
        "raw_digest": row.raw_digest,
        "raw_bytes": None if row.raw is None else len(row.raw),
        "media_type": row.media_type,
        "source_record_id": row.source_record_id,
        "spec_version": row.spec_version,
        "mapping_version": row.mapping_version,
        "element_id": element.id,
        "is_deleted": row.deleted_at is not None,
        "record_path": None,
        "field_path": None,
        "raw_text": None,
        "mapping_line": None,
        "rule": None,
        "issues": [],
        "note": None,
    }
    known = mapping.entities.get(entity.name) if mapping else None
    if mapping is None or known is None:
        return told | {"note": "现在的映射里没有这个来源或实体"}
    found = field_of(known, element.name)
    if found is None:
        return told | {"note": "由网关编发或由其他数据元推得，不在来源的记录里"}
    word, field = found
    told |= {
        "field_path": field.path.text if field.path else None,
        "rule": _rule(field),
        "mapping_line": _line(mapping, entity.name, word),
    }
    if mapping.version != row.mapping_version:
        told["note"] = "映射在这之后改过；行号、路径和规则是现在的"
    record = _record(row, mapping, hash_id, entity, key, clock)
    if record is None:
        return told | {"note": told["note"] or "在保存的原文里没有找到这条记录"}
    path, node = record
    bad: list[Any] = []
    read_value(field, node, bad)
    texts = key_texts(node, field)
    told |= {
        "record_path": path,
        "raw_text": None if is_masked or not texts else "、".join(texts)[:LONGEST],
        "issues": [
            {"severity": problem.severity, "check_type": problem.check_type, "reason": str(problem)}
            for _, _, problem in bad
        ],
    }
    return told


def _record(
    row: Provenance, mapping: SourceMapping, hash_id: HashId, entity: Entity, key: str, clock: Callable[[], float]
) -> tuple[str, Mapping[str, Any]] | None:
    """The record in its payload that tells of this entity, and its path; of several the last, which is what held."""
    operation = mapping.operations.get(row.operation or "")
    if operation is None or row.raw is None or row.media_type is None:
        return None
    told_on = (row.received_at or row.fetched_at).astimezone(CHINA_TIME).date()
    until = clock() + SEARCHING
    found = None
    for path, node in places_in(mapping, operation, row.raw, row.media_type):
        if map_record(mapping, entity.name, node, hash_id, told_on).key == key:
            found = path, node
        if clock() > until:
            break
    return found


def _printed(element: Element, value: Any) -> str:
    """The value as GraphQL shows it, as a text."""
    if isinstance(value, (tuple, list)):
        return "、".join(_printed(element, one) for one in value)
    if isinstance(value, datetime):
        return print_datetime(value)
    return print_money(value) if element.format.kind == "money" else str(value)


def _rule(field: Field) -> str | None:
    """How the text becomes a value, in the words of the mapping."""
    if field.form is None:
        return None
    written = field.form.model_dump(by_alias=True, exclude_unset=True, exclude={"path"})
    return (
        "，".join(f"{word}: {_shown(value)}" for word, value in written.items() if value not in (None, []))
        or "as: text"
    )


def _shown(value: Any) -> str:
    return "、".join(map(str, value)) if isinstance(value, list) else str(value)


def _line(mapping: SourceMapping, entity: str, word: str) -> int | None:
    """Where the mapping says so."""
    document = read_yaml(mapping.folder / "mapping.yaml")
    mark = document.marks.get(("entities", entity, "fields", word))
    return mark[0] if mark else None
