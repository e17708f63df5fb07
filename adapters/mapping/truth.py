"""Whose word counts where several sources tell of one entity: `mappings/source_of_truth.yaml`, and the one rule made of it.

An element's value is that of the first source, in the order of its element, else of its entity, that tells one. Sources that
are not listed come after: those whose records are the entity before those that only carry copies of it, then by name. The
store merges by this rule and the engine answers by it.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from adapters.mapping.limits import Written
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import Issue
from adapters.mapping.words import Name, Texts
from schema.formats import print_datetime
from schema.problems import Path as ProblemPath
from schema.problems import Problems
from schema.registry import Element, Entity, Registry
from schema.written import Document, check_shape, read_yaml

FILE = "source_of_truth.yaml"
CONFLICT = "11"
"""跨源不一致 in CV44: two sources tell different values of one element."""
UNLISTED = 1 << 20
FAN_OUT = 3
Place = tuple[int, int, int, str]
"""How much a source's word counts for an element, the smallest the most; the last part is the source."""


class EntityTruthForm(Written):
    """Whose word counts for one entity: for each element, and for all others (`order`)."""

    order: Texts = []
    elements: dict[Name, Texts] = {}
    fan_out: int | None = Field(default=None, ge=1, le=20)


class TruthForm(Written):
    """The file `mappings/source_of_truth.yaml`. `fan_out` is how many sources may be asked for a key nobody is known to have."""

    fan_out: int = Field(default=FAN_OUT, ge=1, le=20)
    entities: dict[str, EntityTruthForm] = {}


@dataclass(frozen=True, slots=True)
class EntityTruth:
    """The order of sources of one entity, and of single elements of it."""

    order: tuple[str, ...] = ()
    elements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fan_out: int | None = None


@dataclass(frozen=True)
class Truth:
    """Whose word counts. `own` are, by entity, the sources whose records are the entity; `holders` all that tell of it."""

    entities: Mapping[str, EntityTruth] = field(default_factory=dict)
    own: Mapping[str, frozenset[str]] = field(default_factory=dict)
    holders: Mapping[str, frozenset[str]] = field(default_factory=dict)
    most: int = FAN_OUT
    places: dict[tuple[str, str, str], Place] = field(default_factory=dict, compare=False, repr=False)

    def place(self, entity: str, element: str, source: str) -> Place:
        """How much the source's word counts for the element. What the gateway itself gives out (no source) counts most."""
        known = self.places.get((entity, element, source))
        if known is None:
            known = self.places[entity, element, source] = self._place(entity, element, source)
        return known

    def _place(self, entity: str, element: str, source: str) -> Place:
        if not source:
            return (-1, 0, 0, "")
        said = self.entities.get(entity, EntityTruth())
        listed = said.elements.get(element, ())
        first = listed.index(source) if source in listed else UNLISTED
        then = said.order.index(source) if source in said.order else UNLISTED
        return (first, then, int(source not in self.own.get(entity, frozenset())), source)

    def authorities(self, entity: str, element: str) -> tuple[str, ...]:
        """The sources that were named for this very element, the first counting most."""
        said = self.entities.get(entity)
        return said.elements.get(element, ()) if said else ()

    def fan_out(self, entity: str) -> int:
        """How many sources may be asked for a key that nobody is known to have."""
        said = self.entities.get(entity)
        return said.fan_out if said and said.fan_out is not None else self.most

    def digest(self, entity: str) -> str:
        """What the rule says of an entity, where there is anything to decide; stores are merged anew when it changes."""
        holders = sorted(self.holders.get(entity, ()))
        if len(holders) < 2:
            return ""
        said = self.entities.get(entity, EntityTruth())
        text = repr((said.order, sorted(said.elements.items()), sorted(self.own.get(entity, ())), holders))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


NOTHING_SAID = Truth()


def truth_of(mappings: Mapping[str, SourceMapping], entities: Mapping[str, EntityTruth], most: int = FAN_OUT) -> Truth:
    """The rule for these sources."""
    own: dict[str, set[str]] = {}
    holders: dict[str, set[str]] = {}
    for mapping in mappings.values():
        for entity in mapping.entities:
            holders.setdefault(entity, set()).add(mapping.name)
        for operation in mapping.operations.values():
            own.setdefault(operation.entity, set()).add(mapping.name)
    return Truth(
        entities,
        {entity: frozenset(names) for entity, names in own.items()},
        {entity: frozenset(names) for entity, names in holders.items()},
        most,
    )


def load_truth(registry: Registry, mappings: Mapping[str, SourceMapping], folder: Path) -> Truth:
    """The rule written in `folder`, or what follows from the mappings alone. Raises Problems with every mistake."""
    file = folder / FILE
    if not file.exists():
        return truth_of(mappings, {})
    document = read_yaml(file, f"{folder.name}/{FILE}")
    form = check_shape(document, TruthForm)
    if form is not None:
        for name, said in form.entities.items():
            _check(document, registry, mappings, name, said)
    if form is None or document.problems:
        raise Problems(document.problems)
    entities = {
        name: EntityTruth(tuple(said.order), {e: tuple(s) for e, s in said.elements.items()}, said.fan_out)
        for name, said in form.entities.items()
    }
    return truth_of(mappings, entities, form.fan_out)


def _check(
    document: Document, registry: Registry, mappings: Mapping[str, SourceMapping], name: str, said: EntityTruthForm
) -> None:
    path: ProblemPath = ("entities", name)
    entity = registry.entities.get(name)
    if entity is None:
        document.unknown(path, name, "规范中没有实体", registry.entities)
        return
    telling = {m.name: m.entities[name] for m in mappings.values() if name in m.entities}
    _check_sources(document, (*path, "order"), said.order, telling, f"没有映射 {name} 的来源")
    for element, sources in said.elements.items():
        here = (*path, "elements", element)
        if element not in entity.elements:
            document.unknown(here, element, f"规范的 {name} 没有数据元", entity.elements)
            continue
        able = [source for source, mapped in telling.items() if element in mapped.provides]
        _check_sources(document, here, sources, able, f"没有映射 {name}.{element} 的来源")


def _check_sources(document: Document, path: ProblemPath, sources: list[str], known: Iterable[str], what: str) -> None:
    for index, source in enumerate(sources):
        at = (*path, index) if (*path, index) in document.marks else path
        if source not in known:
            document.unknown(at, source, what, known)
        elif source in sources[:index]:
            document.problem(at, f"{source} 写了两次")


def conflicts(truth: Truth, entity: Entity, key: str, tellings: Mapping[str, Mapping[str, Any]]) -> list[Issue]:
    """An issue for every value that is not the one that counts, by the source that tells it."""
    found: list[Issue] = []
    for element in entity.elements.values():
        told = {s: v for s, values in tellings.items() if (v := values.get(element.name)) is not None}
        if len(told) < 2 or element.name == entity.allotted:
            continue
        right = min(told, key=lambda source: truth.place(entity.name, element.name, source))
        found += [
            _conflict(entity, key, element, source, right, value)
            for source, value in told.items()
            if source != right and _plain(value) != _plain(told[right])
        ]
    return found


def _conflict(entity: Entity, key: str, element: Element, source: str, right: str, value: Any) -> Issue:
    reason = f"与 {right} 的值不一致，以 {right} 的为准"
    raw = None if element.is_sensitive or not isinstance(value, str | date) else _text(value)
    return Issue(source, entity.name, key, element.name, element.id, CONFLICT, reason, raw, "warning")


def _text(value: str | date) -> str:
    return print_datetime(value) if isinstance(value, datetime) else str(value)


def _plain(value: Any) -> Any:
    """Full-width and half-width letters, and blanks, are no difference between two sources' texts."""
    if isinstance(value, str):
        return "".join(unicodedata.normalize("NFKC", value).split())
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
