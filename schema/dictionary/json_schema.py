"""A JSON Schema (draft 2020-12) per entity: what one record of it looks like in the specification's own names and codes."""

from collections.abc import Mapping, Sequence
from typing import Any

from schema.formats import LONGEST_URI, Format
from schema.registry import Code, Element, Entity, Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MONEY = r"^-?(0|[1-9][0-9]{0,16})\.[0-9]{2}$"
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?\+08:00$"
CHECKED = {"uscc": r"^[0-9A-HJ-NPQRTUWXY]{18}$", "id_no": r"^([0-9]{15}|[0-9]{17}[0-9X])$"}
"""The letters of checked numbers; JSON Schema cannot say check digits."""


def entity_schema(registry: Registry, entity: Entity) -> dict[str, Any]:
    """The schema of a record of the entity. Attributes that JSON Schema has no word for are under `x-data-element`."""
    return {
        "$schema": DIALECT,
        "$id": schema_id(registry, entity),
        "title": entity.title,
        "description": entity.description,
        "type": "object",
        "properties": {name: element_schema(registry, element) for name, element in entity.elements.items()},
        "required": [name for name, element in entity.elements.items() if element.need == "M"],
        "additionalProperties": False,
    }


def schema_id(registry: Registry, entity: Entity) -> str:
    """The name of an entity's schema."""
    return f"urn:minzhifa:spec:{registry.version}:{entity.name}"


def element_schema(registry: Registry, element: Element) -> dict[str, Any]:
    """The schema of an element's value: one, or the list."""
    one = value_schema(registry, element)
    shape = {"type": "array", "items": one} if element.format.many else one
    return {"title": element.title, "description": element.definition, **shape, "x-data-element": attributes(element)}


def value_schema(registry: Registry, element: Element) -> dict[str, Any]:
    """The schema of one value."""
    table = registry.codes.get(element.codes or "")
    match element.format.kind:
        case "text" if table is not None and table.type is not None:
            return {"type": "string", "oneOf": [_code(code) for code in table.members.values()]}
        case "text" if element.check is not None:
            return {"type": "string", "pattern": CHECKED[element.check]}
        case "text":
            return {"type": "string", **_lengths(element.format)}
        case "number":
            return {"type": "integer", **_digits(element.format)}
        case "money":
            return {"type": "string", "pattern": MONEY}
        case "date":
            return {"type": "string", "format": "date", "pattern": DAY}
        case "datetime":
            return {"type": "string", "format": "date-time", "pattern": MOMENT}
        case "boolean":
            return {"type": "boolean"}
        case "structure":
            return {"type": ["object", "array"]}


def _code(code: Code) -> dict[str, Any]:
    return {"const": code.code, "title": code.title} | ({"deprecated": True} if code.valid_to else {})


def _lengths(form: Format) -> dict[str, Any]:
    if form.text.removesuffix("[]") == "URI":
        return {"format": "uri", "maxLength": LONGEST_URI}
    if isinstance(form.lengths, range):
        return {"minLength": form.lengths[0], "maxLength": form.lengths[-1]}
    each = [{"minLength": length, "maxLength": length} for length in form.lengths]
    return each[0] if len(each) == 1 else {"anyOf": each}


def _digits(form: Format) -> dict[str, Any]:
    if isinstance(form.lengths, range):
        return bounds(form.lengths)
    return {"anyOf": [bounds((length,), negative) for length in form.lengths for negative in (False, True)]}


def bounds(lengths: Sequence[int], negative: bool = False) -> dict[str, int]:
    """The least and the greatest integer with these numbers of digits; zero has one."""
    largest = 10 ** max(lengths) - 1
    if len(lengths) > 1 or min(lengths) == 1:
        return {"minimum": -largest, "maximum": largest}
    least = 10 ** (lengths[0] - 1)
    return {"minimum": -largest, "maximum": -least} if negative else {"minimum": least, "maximum": largest}


def attributes(element: Element) -> Mapping[str, Any]:
    """The attributes of a data element that schemas and contracts have no word of their own for."""
    told = {
        "id": element.id,
        "sfRef": element.sf_ref,
        "version": element.version,
        "status": element.status,
        "effectiveFrom": element.effective_from and element.effective_from.isoformat(),
        "effectiveTo": element.effective_to and element.effective_to.isoformat(),
        "submittingAgency": element.submitting_agency,
        "englishName": element.english_name,
        "objectClassTerm": element.object_class_term,
        "propertyTerm": element.property_term,
        "representationTerm": element.representation_term,
        "format": element.format.text,
        "unit": element.unit,
        "need": element.need,
        "condition": element.condition,
        "core": element.core,
        "codes": element.codes,
        "check": element.check,
        "normal": element.normal,
        "refers": ".".join(element.refers or ()),
        "sensitivity": element.sensitivity,
        "synonyms": list(element.synonyms),
        "note": element.description,
        "draftName": element.draft_name,
        "basis": element.basis,
    }
    return {word: value for word, value in told.items() if word == "sfRef" or value not in (None, "", [], False)}
