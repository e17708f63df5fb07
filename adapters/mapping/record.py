"""A record becomes an entity: values, the keys of what it refers to, what is inside it, and the issues found on the way."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Literal

import msgspec
import xxhash

from adapters.mapping.model import Conditional, Embedded, EntityMapping, Field, SourceMapping, Tombstone
from adapters.mapping.paths import plain
from adapters.mapping.wants import NOTHING, Wants
from adapters.source import Record
from schema.formats import CHINA_TIME
from schema.identity import derived_values, key_of, key_value, refer
from schema.registry import OWNER, Entity

HashId = Callable[[str], str]
Severity = Literal["error", "warning"]
"""error: the value was not taken. warning: it was, and stands, but something is wrong or doubtful about it."""
LONGEST_RAW = 200
AT_ONCE = 200
"""Records whose digest is taken by one call of a library in C."""
CANONICAL = msgspec.json.Encoder(order="deterministic")


class BadValue(ValueError):
    """A value that cannot be taken, or is taken with a warning; `check_type` is its code in CV44 (02 type, 03 length,
    04 codes, 05 check digit, 06 unit)."""

    def __init__(self, check_type: str, reason: str, quarantine: bool = False, severity: Severity = "error") -> None:
        super().__init__(reason)
        self.check_type, self.quarantine, self.severity = check_type, quarantine, severity


Bad = list[tuple[Field, str | None, BadValue]]


@dataclass(frozen=True, slots=True)
class Issue:
    """A bad value in data 质量问题. `raw` is None where the element is sensitive."""

    source: str
    entity: str
    key: str | None
    element: str
    element_id: str
    check_type: str
    reason: str
    raw: str | None
    severity: Severity = "error"


@dataclass(slots=True)
class Mapped:
    """An entity as one source tells it. A record that nothing identifies has a key of its own that starts with `~`.

    `digest` is of what it says, where somebody has taken it already.
    """

    entity: str
    key: str
    owner: str
    values: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    refs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    embedded: dict[str, tuple["Mapped", ...]] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    quarantined: bool = False
    digest: str = field(default="", compare=False, repr=False)

    @property
    def is_identified(self) -> bool:
        """Whether the source told who this is."""
        return not self.key.startswith("~")


def map_record(
    source: SourceMapping,
    entity: str,
    record: Record,
    hash_id: HashId,
    told_on: date | None = None,
    wants: Wants | None = None,
) -> Mapped:
    """The entity in `record`. Never raises for bad data: a value that cannot be taken is absent and has an issue.

    Codes are judged on the day of the fact; where the record dates neither its facts nor itself, on the day it was told.
    With `wants` it tells nothing else: neither provenance nor whether the record belongs into quarantine, and issues only
    of what is wanted; key and owner are the same.
    """
    mapped = _map(source, entity, record, hash_id, told_on, wants)
    if wants is not None:
        _narrow(mapped, wants)
    return mapped


def _map(
    source: SourceMapping, entity: str, record: Record, hash_id: HashId, told_on: date | None, wants: Wants | None
) -> Mapped:
    """All elements, with the embedded entities and the issues that are wanted."""
    mapping = source.entities[entity]
    want = None if wants is None else wants.get(entity, NOTHING)
    mapped = Mapped(entity, "", source.agency)
    bad: Bad = []
    for f in mapping.fields.values():
        if (value := read_value(f, record, bad)) is not None:
            mapped.values[f.name] = value
    for f in mapping.provenance.values():
        if (value := read_value(f, record, bad)) is not None:
            mapped.provenance[f.name] = value
    for rule in mapping.conditional:
        _check_condition(rule, mapped, bad)
    if mapping.dated or mapping.embedded:
        told_on = _day_of(mapping, mapped) or told_on
    if mapping.dated:
        _check_dates(mapping, mapped, record, told_on or datetime.now(CHINA_TIME).date(), bad)
    for name, reference in mapping.references.items():
        texts = _read_all(reference.field, record, bad)
        element = reference.field.element.name
        keys = (refer(reference.to, element, text, source.agency, hash_id) for text in texts)
        _link(mapped, mapping, name, reference.to, tuple(dict.fromkeys(key for key in keys if key is not None)))
    mapped.values.update(derived_values(mapping.entity, mapped.values, hash_id))
    mapped.key = key_of(mapping.entity, {**mapped.values, OWNER: mapped.owner}, hash_id) or _own_key(source, record)
    if want is not None:
        bad = [found for found in bad if want.has_issues(mapping.entity, found[0].name)]
    for name, embedded in mapping.embedded.items():
        if want is not None and not want.follows(mapping.entity.relations[name]):
            continue
        inside = _inside(source, embedded, record, mapped, bad, hash_id, told_on, wants)
        mapped.embedded[name] = inside
        back = mapping.entity.relations[name].inverse
        if back is None:
            target = source.entities[embedded.to].entity
            _link(mapped, mapping, name, target, tuple(child.key for child in inside))
        for child in inside if back else ():
            child.refs[back] = (mapped.key,)  # type: ignore[index]
    for f, raw, problem in bad:
        mapped.quarantined |= problem.quarantine
        mapped.issues.append(_issue(source, mapped, f, raw, problem))
    return mapped


def _narrow(mapped: Mapped, wants: Wants) -> None:
    """Leave out what is not wanted, inside as well."""
    want = wants.get(mapped.entity, NOTHING)
    mapped.values = {name: value for name, value in mapped.values.items() if want.has_element(name)}
    mapped.provenance, mapped.quarantined = {}, False
    mapped.refs = {name: keys for name, keys in mapped.refs.items() if name in want.relations}
    mapped.embedded = {name: inside for name, inside in mapped.embedded.items() if name in want.relations}
    for inside in mapped.embedded.values():
        for child in inside:
            _narrow(child, wants)


def rename(source: SourceMapping, mapped: Mapped, key: str) -> None:
    """Give the entity another key; what is inside it and points back follows, and so do its issues."""
    relations = source.entities[mapped.entity].entity.relations
    for name, children in mapped.embedded.items():
        back = str(relations[name].inverse)
        for child in children:
            if back in child.refs:
                child.refs[back] = (key,)
    named = (mapped.entity, mapped.key)
    mapped.issues = [replace(i, key=key) if (i.entity, i.key) == named else i for i in mapped.issues]
    mapped.key = key


def record_digest(record: Record) -> str:
    """SHA-256 of the record in a canonical form; equal records have equal digests."""
    text = json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def records_digest(records: Sequence[Record]) -> str:
    """A quick digest of all records of a page; equal records have equal digests. It is not kept. A part at a time, so that other
    threads come to their turn."""
    digest = xxhash.xxh3_128()
    try:
        for start in range(0, len(records), AT_ONCE):
            digest.update(CANONICAL.encode(records[start : start + AT_ONCE]))
        return digest.hexdigest()
    except UnicodeEncodeError:  # half of a surrogate pair
        return record_digest({"records": records})


def key_texts(record: Record, f: Field) -> list[str]:
    """The values at a field as the source wrote them: what a lookup's answer is matched to its keys by."""
    return [text for text, _ in texts_at(f, record)]


def is_gone(record: Record, tombstone: Tombstone | None) -> bool:
    """Whether the record says that its entity is gone."""
    if tombstone is None:
        return False
    try:
        values = [plain(value) for value in tombstone.path.find(record)]
    except ValueError:
        return False
    return any(isinstance(value, str) and value in tombstone.values for value in values)


def gone_among(records: Sequence[Record], tombstone: Tombstone | None) -> frozenset[int]:
    """The positions of the records that say that their entity is gone."""
    if tombstone is None:
        return frozenset()
    steps = tombstone.path.steps
    if len(steps) != 1 or steps[0][1]:
        return frozenset(i for i, record in enumerate(records) if is_gone(record, tombstone))
    name, values = steps[0][0], tombstone.values
    return frozenset(
        i
        for i, record in enumerate(records)
        if (value in values if type(value := record.get(name)) is str else is_gone(record, tombstone))
    )


def always_tells(mapping: EntityMapping) -> bool:
    """Whether an embedded entity is told of even when its record has no value: its relations are."""
    relations = mapping.entity.relations
    return bool(mapping.references) or any(relations[name].inverse is None for name in mapping.embedded)


def _link(mapped: Mapped, mapping: EntityMapping, relation: str, target: Entity, keys: tuple[str, ...]) -> None:
    """Remember where a relation leads, and fill the element behind it where a key is that element's value."""
    mapped.refs[relation] = keys
    spec = mapping.entity.relations[relation]
    told = [value for key in keys if (value := key_value(target, key)) is not None]
    if spec.by and told:
        mapped.values[spec.by] = tuple(told) if spec.many else told[0]


def _inside(
    source: SourceMapping,
    embedded: Embedded,
    record: Record,
    parent: Mapped,
    bad: Bad,
    hash_id: HashId,
    told_on: date | None,
    wants: Wants | None,
) -> tuple[Mapped, ...]:
    entity = embedded.to
    try:
        nodes = embedded.path.find(record)
    except ValueError as error:
        first = next(iter(source.entities[entity].fields.values()))
        bad.append((first, None, BadValue("02", str(error))))
        return ()
    children = [_map(source, entity, node, hash_id, told_on, wants) for node in nodes if isinstance(node, dict)]
    mapping = source.entities[entity]
    read = {f.name for f in mapping.fields.values() if f.path is not None}
    kept = tuple(child for child in children if always_tells(mapping) or not read.isdisjoint(child.values))
    for child in children:
        if not child.is_identified:
            rename(source, child, _own_key(source, {"inside": parent.key, "as": child.key}))
        parent.issues.extend(child.issues)
        parent.quarantined |= child.quarantined
    return tuple({child.key: child for child in kept}.values())


def _check_condition(rule: Conditional, mapped: Mapped, bad: Bad) -> None:
    """Take a value away again that its check refuses."""
    name = rule.field.name
    if (value := mapped.values.get(name)) is None:
        return
    try:
        mapped.values[name] = rule.check(value, mapped.values)
    except ValueError as error:
        del mapped.values[name]
        bad.append((rule.field, str(value), BadValue("05", str(error))))


def _day_of(mapping: EntityMapping, mapped: Mapped) -> date | None:
    """The day of the facts in a record; else the day on which the source says it last wrote it."""
    dates = (mapped.values.get(name) for name in mapping.fact_date)
    when = next((value for value in dates if value is not None), mapped.provenance.get("source_updated_at"))
    return when.date() if isinstance(when, datetime) else when


def _check_dates(mapping: EntityMapping, mapped: Mapped, record: Record, day: date, bad: Bad) -> None:
    """Warn of codes that did not count on the day; they stay, since it is known what they mean."""
    for rule in mapping.dated:
        value = mapped.values.get(rule.field.name)
        for code in value if isinstance(value, tuple) else () if value is None else (value,):
            if reason := rule.doubt(code, day):
                bad.append(
                    (rule.field, _written_as(rule.field, record, code), BadValue("04", reason, severity="warning"))
                )


def _written_as(f: Field, record: Record, value: Any) -> str | None:
    """How the source writes a value that was read from its record."""
    for text in key_texts(record, f):
        with suppress(BadValue):
            if f.convert(text) == value:
                return text
    return None


def read_value(f: Field, record: Record, bad: Bad) -> Any:
    """The field's value, None when there is none; what is wrong with it is added to `bad`."""
    values = _read_all(f, record, bad)
    if f.element.format.many:
        return tuple(values) or None
    return values[0] if values else None


def _read_all(f: Field, record: Record, bad: Bad) -> list[Any]:
    values: list[Any] = []
    try:
        for text, problem in texts_at(f, record):
            if problem:
                bad.append((f, text, problem))
                continue
            try:
                value = f.convert(text)
            except BadValue as error:
                bad.append((f, text, error))
                continue
            values.append(value)
            if f.doubt is not None and (reason := f.doubt(value)):
                bad.append((f, text, BadValue("05", reason, severity="warning")))
    except ValueError as error:
        bad.append((f, None, BadValue("02", str(error))))
    return values


def texts_at(f: Field, record: Record) -> list[tuple[str, BadValue | None]]:
    """The texts at the field, blanks left out and joined ones split. What is no text comes with its problem."""
    if f.path is None:
        return [(f.constant or "", None)]
    is_structure = f.element.format.kind == "structure"
    texts: list[tuple[str, BadValue | None]] = []
    for value in map(plain, f.path.whole(record) if is_structure else f.path.find(record)):
        if value is None:
            continue
        if is_structure and isinstance(value, (dict, list)):
            texts.append((json.dumps(value, ensure_ascii=False), None))
            continue
        if not isinstance(value, str):
            texts.append((str(value)[:LONGEST_RAW], BadValue("02", "应为单个值，实为嵌套结构")))
            continue
        for text in split_text(value, f.split):
            if text and text not in f.blank:
                texts.append((text, None))
    return texts


def split_text(text: str, separators: tuple[str, ...]) -> list[str]:
    """The texts in one, at any of the separators, stripped."""
    for separator in separators[1:]:
        text = text.replace(separator, separators[0])
    parts = text.split(separators[0]) if separators else [text]
    return [part.strip() for part in parts]


def _own_key(source: SourceMapping, record: Record) -> str:
    return f"~{source.name}:{record_digest(record)[:32]}"


def _issue(source: SourceMapping, mapped: Mapped, f: Field, raw: str | None, problem: BadValue) -> Issue:
    is_sensitive = f.element.sensitivity in ("medium", "high")
    shown = None if is_sensitive or raw is None else raw[:LONGEST_RAW]
    return Issue(
        source.name,
        mapped.entity,
        mapped.key,
        f.name,
        f.element.id,
        problem.check_type,
        str(problem),
        shown,
        problem.severity,
    )
