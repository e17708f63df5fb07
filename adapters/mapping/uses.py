"""Where a mapping as it is written uses what of the specification, to the line; for those who change the specification."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schema.problems import Path as Way
from schema.problems import dotted
from schema.registry import Registry
from schema.written import Document, read_yaml


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A place in a mapping file that names something of the specification: an entity, a part of one, or a code."""

    file: str
    line: int
    column: int
    path: str
    owner: str
    name: str


def uses_in(folder: Path, registry: Registry) -> list[Use]:
    """Every use in every mapping of `folder`, by file and line. `registry` is the specification they were written for."""
    found: list[Use] = []
    for file in sorted(folder.glob("*/mapping.yaml")):
        document = read_yaml(file, f"{folder.name}/{file.parent.name}/mapping.yaml")
        if isinstance(document.tree, dict):
            found.extend(_uses(document, registry))
    return sorted(set(found))


def _uses(document: Document, registry: Registry) -> Iterator[Use]:
    def use(way: Way, owner: str, name: str = "") -> Use:
        line, column = document.marks.get(way, (1, 1))
        return Use(document.file, line, column, dotted(way), owner, name)

    for name, written in _mapping(document.tree.get("entities")).items():
        if name not in registry.entities:
            continue
        yield use(("entities", name), name)
        entity = registry.entities[name]
        key = _mapping(written).get("key")
        for index, word in enumerate(key if isinstance(key, list) else [key]):
            yield use(("entities", name, "key", *([index] if isinstance(key, list) else [])), name, str(word))
        for word, form in _mapping(_mapping(written).get("fields")).items():
            way = ("entities", name, "fields", word)
            yield use(way, name, word)
            target = str(_mapping(form).get("ref", ""))
            if "." in target:
                yield use((*way, "ref"), *target.split(".", 1))
            if word in entity.elements and (table := entity.elements[word].codes) and "codes" in _mapping(form):
                for at, member in _members(document, str(form["codes"])):
                    yield use(at, table, member)
    yield from _asked(document, registry, use)


def _members(document: Document, name: str) -> Iterator[tuple[Way, str]]:
    """The members that a code map of the mapping leads to."""
    for code, member in _mapping(_mapping(document.tree.get("codes")).get(name)).items():
        if isinstance(member, str):
            yield ("codes", name, code), member


def _asked(document: Document, registry: Registry, use: Any) -> Iterator[Use]:
    """What sources are asked by: `lookup: {entity: X, by: element}` or `by: relation.element`."""
    for name, operation in _mapping(document.tree.get("operations")).items():
        lookup = _mapping(_mapping(operation).get("lookup"))
        entity = registry.entities.get(str(lookup.get("entity")))
        relation, _, element = str(lookup.get("by", "")).rpartition(".")
        if entity is None:
            continue
        way = ("operations", name, "lookup", "by")
        if not relation:
            yield use(way, entity.name, element)
        elif relation in entity.relations:
            yield use(way, entity.name, relation)
            yield use(way, entity.relations[relation].to, element)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
