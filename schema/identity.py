"""Who is who: the key that tells one entity from another, from whatever identifying elements are known."""

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from schema.formats import CHECKS, characters_in
from schema.identifiers import is_rather_id_no
from schema.registry import OWNER, Entity

HASH_MARK = "p1-"
"""Every hashed key starts with it, whatever turns numbers into hashes."""

HashId = Callable[[str], str]
"""Turns the number of an identity document into a key; keyed, so that the number can never be had back from it."""


def key_of(entity: Entity, values: Mapping[str, Any], hash_id: HashId) -> str | None:
    """The key of the entity with these `values` (OWNER among them), or None when nothing identifies it.

    The first complete combination of `entity.identity` makes the key: its values joined with `/`, and, when it is not the
    first combination, the names in front (`cert_code=闽交0001`), so that two kinds of number never meet.
    """
    known = {**values, **derived_values(entity, values, hash_id)}
    for index, combination in enumerate(entity.identity):
        parts = [known.get(name) for name in combination]
        if all(part is not None for part in parts):
            text = "/".join(map(str, parts))
            return text if index == 0 else f"{'+'.join(combination)}={text}"
    return None


def derived_values(entity: Entity, values: Mapping[str, Any], hash_id: HashId) -> dict[str, Any]:
    """The elements that are computed from others: `party_key` is the USCC, else the hash of the identity document."""
    found: dict[str, Any] = {}
    for name, sources in entity.derived.items():
        for source in sources:
            if values.get(name) is None and (value := values.get(source)) is not None:
                found[name] = value if entity.is_public_key_part(source) else hash_id(str(value))
                break
    return found


def refer(target: Entity, element: str, value: Any, owner: str, hash_id: HashId) -> str | None:
    """The key of the `target` that a record of `owner` names by one of its elements.

    Numbers that are unique only within an agency (a case number, a document number) are read as the owner's.
    """
    return key_of(target, {"agency_code": owner, OWNER: owner, element: value}, hash_id)


def global_id(entity: str, key: str) -> str:
    """The opaque `id` of an entity in GraphQL."""
    return base64.urlsafe_b64encode(f"{entity}:{key}".encode()).decode().rstrip("=")


def values_in_key(entity: Entity, key: str) -> dict[str, Any]:
    """The element values that a key tells by itself: the way back from `key_of`; empty for hashes and `~` keys."""
    if key.startswith("~"):
        return {}
    for front, combination in entity.other_keys:
        if key.startswith(front):
            return dict(zip(combination, key.removeprefix(front).split("/", len(combination) - 1), strict=False))
    first = entity.identity[0]
    front, slash, rest = key.partition("/") if len(first) > 1 else (key, "", "")
    values: dict[str, Any] = {first[0]: front}
    if slash:
        values |= zip(first[1:], rest.split("/", len(first) - 2), strict=False) if len(first) > 2 else {first[1]: rest}
    for name, public in entity.told_by_key:
        if name in values and not key.startswith(HASH_MARK):
            values[public] = key
    return values


def element_in_keys(entity: Entity, name: str, keys: Iterable[str]) -> dict[str, str]:
    """Key -> the value of one element that it tells by itself, without the keys that tell none: `values_in_key` of many."""
    first, unusual = entity.identity[0], entity.unusual_fronts
    tells_front, is_usual = len(first) > 1 and name == first[0], name in entity.usual_key
    found: dict[str, str] = {}
    for key in keys:
        if key.startswith(unusual):
            value = values_in_key(entity, key).get(name)
        elif tells_front:
            value = key.partition("/")[0]
        else:
            value = values_in_key(entity, key).get(name) if is_usual else None
        if value is not None:
            found[key] = value
    return found


def check_key(entity: Entity, key: str) -> None:
    """That an entity of this kind could have the key. Raises ValueError, which does not quote it, otherwise.

    A number is checked as its element asks; what is neither a 统一社会信用代码 nor a hash, such as the plain number of an
    identity document, is no party's key and must not travel to sources as if it were one.
    """
    for name, value in values_in_key(entity, key).items():
        element = entity.elements.get(name)
        if element is not None:
            longest = element.format.longest
            if longest is not None and len(value) > longest and characters_in(value) > longest:
                raise ValueError(f"最长 {longest} 个字符")
            if element.check is None:
                continue
        check = CHECKS.get("uscc" if element is None else str(element.check))
        if check is not None and is_rather_id_no(check(value)):
            raise ValueError("是公民身份号码")


def key_value(entity: Entity, key: str) -> Any:
    """The value of the one element that the key is, or None where a key is several elements, another number or `~`."""
    first = entity.identity[0]
    if len(first) > 1:
        return None
    is_usual = not key.startswith(entity.unusual_fronts)
    return key if is_usual else values_in_key(entity, key).get(first[0])
