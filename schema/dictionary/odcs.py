"""The specification as a data contract of the Open Data Contract Standard (ODCS) v3.2: an object per entity."""

from collections.abc import Mapping
from typing import Any

import yaml

from schema.dictionary.json_schema import CHECKED, MONEY, attributes, bounds
from schema.dictionary.yaml_files import Dumper
from schema.formats import Format
from schema.registry import Code, Element, Entity, Registry

API_VERSION = "v3.2.0"
CONTRACT_STATUS = {"candidate": "draft", "recorded": "proposed", "qualified": "proposed", "standard": "active"}
OWN_WORDS = {"id", "synonyms", "sensitivity"}
"""Attributes that the contract has words of its own for."""


def odcs_yaml(registry: Registry) -> str:
    """The contract as YAML."""
    contract = make_contract(registry)
    return yaml.dump(contract, Dumper=Dumper, allow_unicode=True, sort_keys=False, width=10**9)


def make_contract(registry: Registry) -> dict[str, Any]:
    """The contract as plain values. Physical types are the formats of the specification, not those of any database."""
    statuses = {element.status for entity in registry.entities.values() for element in entity.elements.values()}
    return {
        "kind": "DataContract",
        "apiVersion": API_VERSION,
        "id": "minzhifa-data-elements",
        "name": registry.title,
        "version": registry.version,
        "status": CONTRACT_STATUS.get(statuses.pop(), "draft") if len(statuses) == 1 else "draft",
        "domain": "行政执法",
        "description": {"purpose": registry.title, "limitations": registry.note},
        "schema": [_object(registry, entity) for entity in registry.entities.values()],
    }


def _object(registry: Registry, entity: Entity) -> dict[str, Any]:
    positions = {name: place for place, name in enumerate(entity.identity[0], start=1)}
    made: dict[str, Any] = {"id": entity.name, "name": entity.name, "logicalType": "object"}
    made |= {"physicalType": "entity", "businessName": entity.title, "description": entity.description}
    made["customProperties"] = _custom(
        {
            "draft": entity.draft,
            "identity": [list(combination) for combination in entity.identity],
            "allotted": entity.allotted,
            "derived": {name: list(sources) for name, sources in entity.derived.items()},
        }
    )
    made["properties"] = [_property(registry, e, positions.get(e.name)) for e in entity.elements.values()]
    return {word: value for word, value in made.items() if value not in ("", [])}


def _property(registry: Registry, element: Element, key_position: int | None) -> dict[str, Any]:
    made: dict[str, Any] = {"id": element.id, "name": element.name, "businessName": element.title}
    made |= {"description": element.definition, "physicalType": element.format.text}
    made |= {"logicalType": "array", "items": _type(element)} if element.format.many else _type(element)
    made |= {"required": element.need == "M", "classification": element.sensitivity}
    if element.core:
        made["criticalDataElement"] = True
    if key_position is not None:
        made |= {"primaryKey": True, "primaryKeyPosition": key_position}
    table = registry.codes.get(element.codes or "")
    if table is not None and table.type is not None:
        (made["items"] if element.format.many else made)["enum"] = [_enum(code) for code in table.members.values()]
    if element.refers:
        made["relationships"] = [{"type": "foreignKey", "to": ".".join(element.refers)}]
    made["synonyms"] = [{"synonym": synonym} for synonym in element.synonyms]
    told = {word: value for word, value in attributes(element).items() if word not in OWN_WORDS}
    made["customProperties"] = _custom(told)
    return {word: value for word, value in made.items() if value not in ("", [])}


def _type(element: Element) -> dict[str, Any]:
    """The logical type of one value and its options; money is text, since a decimal must never become a float."""
    match element.format.kind:
        case "date":
            return {"logicalType": "date", "logicalTypeOptions": {"format": "yyyy-MM-dd"}}
        case "datetime":
            options = {"format": "yyyy-MM-dd'T'HH:mm:ssXXX", "timezone": True, "defaultTimezone": "Asia/Shanghai"}
            return {"logicalType": "timestamp", "logicalTypeOptions": options}
        case "boolean":
            return {"logicalType": "boolean"}
        case "structure":
            return {"logicalType": "object"}
        case "money":
            return {"logicalType": "string", "logicalTypeOptions": {"pattern": MONEY}}
        case "number":
            lengths = element.format.lengths
            limits = bounds(lengths) if isinstance(lengths, range) else bounds((max(lengths),))
            return {"logicalType": "integer", "logicalTypeOptions": limits}
        case "text":
            pattern = {"pattern": CHECKED[element.check]} if element.check is not None else {}
            return {"logicalType": "string", "logicalTypeOptions": _text_options(element.format) | pattern}


def _text_options(form: Format) -> dict[str, Any]:
    options: dict[str, Any] = {"minLength": min(form.lengths), "maxLength": max(form.lengths)}
    if form.text.removesuffix("[]") == "URI":
        options["format"] = "uri"
    return options


def _enum(code: Code) -> dict[str, Any]:
    made: dict[str, Any] = {"value": code.code, "id": code.member, "label": code.title}
    dates = {"validFrom": code.valid_from, "validTo": code.valid_to}
    told = {word: day.isoformat() for word, day in dates.items() if day} | {"successors": list(code.successors)}
    if custom := _custom(told):
        made["customProperties"] = custom
    return made


def _custom(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    empty: tuple[Any, ...] = (None, "", [], {})
    return [{"property": w, "value": v} for w, v in told.items() if w == "sfRef" or v not in empty]
