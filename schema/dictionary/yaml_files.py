"""Writes a registry as the files of a specification folder, such as `load_registry` reads."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from schema.names import snake
from schema.registry import Code, CodeTable, Element, Entity, Registry, Relation

MADE_BY = "# 由 gateway spec import 写成。标识 ZFxxxxx 为临时内部标识符，不是官方编号。\n"
DEFAULTS = ("status", "effective_from", "effective_to", "submitting_agency")
ELEMENT_WORDS = (
    *("id", "title", "english_name", "synonyms", "definition", "object_class_term", "property_term"),
    *("representation_term", "format", "unit", "codes", "check", "normal", "refers", "need", "condition", "core"),
    "unindexed",
    *("sensitivity", "description", "draft_name", "basis", "version", *DEFAULTS, "sf_ref"),
)


class OneLine(dict[str, Any]):
    """A mapping that is written in braces on one line."""


class Dumper(yaml.SafeDumper):
    """Plain YAML, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        """Every value is written where it stands."""
        return True


Dumper.add_representer(
    OneLine, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True)
)
Dumper.add_representer(
    tuple, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def write_specification(registry: Registry, folder: Path) -> None:
    """Write the files of the registry into `folder`; what is not in the registry, such as comments, is not written."""
    for kind in ("entities", "codes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    defaults = _defaults(registry)
    _write(folder / "spec.yaml", _head(registry, defaults))
    for entity in registry.entities.values():
        _write(folder / "entities" / f"{snake(entity.name)}.yaml", _entity(entity, registry.version, defaults))
    for table in registry.codes.values():
        _write(folder / "codes" / f"{table.name}.yaml", _table(table))


def _write(file: Path, tree: Mapping[str, Any]) -> None:
    text = yaml.dump(tree, Dumper=Dumper, allow_unicode=True, sort_keys=False, width=10**9, default_flow_style=False)
    file.write_text(MADE_BY + text, encoding="utf-8")


def _defaults(registry: Registry) -> dict[str, Any]:
    """What all elements say, or of the status most: only this may be said once for all of them."""
    elements = [element for entity in registry.entities.values() for element in entity.elements.values()]
    found: dict[str, Any] = {}
    for word in DEFAULTS:
        counts = Counter(getattr(element, word) for element in elements)
        if len(counts) == 1 or (word == "status" and counts):
            found[word] = counts.most_common(1)[0][0]
    return found


def _head(registry: Registry, defaults: Mapping[str, Any]) -> dict[str, Any]:
    head = {"version": registry.version, "title": registry.title, "note": registry.note, **defaults}
    return {word: _plain(value) for word, value in head.items() if value not in (None, "")}


def _entity(entity: Entity, version: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    classes = Counter(element.object_class_term for element in entity.elements.values())
    own_class = classes.most_common(1)[0][0] if classes else ""
    inherited = {**defaults, "version": version, "object_class_term": own_class}
    tree: dict[str, Any] = {"entity": entity.name, "title": entity.title, "draft": entity.draft}
    tree |= {"object_class": own_class, "description": entity.description}
    tree |= {"identity": list(entity.identity), "allotted": entity.allotted, "derived": dict(entity.derived)}
    tree |= {"fact_date": entity.fact_date or None, "conditional_checks": _conditional(entity)}
    tree["elements"] = {name: _element(element, inherited) for name, element in entity.elements.items()}
    tree["relations"] = {name: _relation(relation) for name, relation in entity.relations.items()}
    return {word: value for word, value in tree.items() if value not in (None, "", {})}


def _conditional(entity: Entity) -> dict[str, Any]:
    return {r.element: OneLine(check=r.check, when=OneLine(r.when)) for r in entity.conditional_checks}


def _element(element: Element, inherited: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for word in ELEMENT_WORDS:
        value = getattr(element, word)
        if word == "format":
            value = element.format.text
        elif word == "refers":
            value = ".".join(element.refers or ())
        elif word == "sensitivity" and value == "public":
            continue
        if value not in (None, "", (), False) and not (word in inherited and value == inherited[word]):
            tree[word] = _plain(value)
    return tree


def _relation(relation: Relation) -> OneLine:
    ways: dict[str, Any] = {"by": relation.by, "inverse": relation.inverse}
    ways["carried"] = relation.by is None and relation.inverse is None
    tree = {"to": relation.to, "many": relation.many, **ways, "title": relation.title}
    return OneLine((word, value) for word, value in tree.items() if value not in (None, False))


def _table(table: CodeTable) -> dict[str, Any]:
    tree: dict[str, Any] = {"codes": table.name, "id": table.id, "title": table.title, "type": table.type}
    tree |= {"basis": table.basis, "version": table.version}
    tree |= {"judged_length": table.judged_length, "foreign_prefixes": table.foreign_prefixes or None}
    tree["members"] = {code.member: _code(code) for code in table.members.values()}
    return {word: value for word, value in tree.items() if value not in (None, "")}


def _code(code: Code) -> OneLine:
    tree: dict[str, Any] = {"code": code.code if code.code != code.member else None, "title": code.title}
    tree |= {"valid_from": _plain(code.valid_from), "valid_to": _plain(code.valid_to), "successors": code.successors}
    tree["no_successor"] = code.valid_to is not None and not code.successors
    return OneLine((word, value) for word, value in tree.items() if value not in (None, (), False))


def _plain(value: Any) -> Any:
    """Dates as text, since every scalar of a specification is text."""
    return value.isoformat() if isinstance(value, date) else value
