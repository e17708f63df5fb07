"""Which records of an answer belong to which of its keys, and pages put together from what is held and what is new."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from adapters.mapping.model import LookupRole, SourceMapping
from adapters.mapping.record import key_texts
from adapters.source import Page, Record
from gateway.engine.calls.cache import Held


def share_out(mapping: SourceMapping, role: LookupRole, page: Page, keys: Sequence[str]) -> dict[str, Held] | None:
    """What the page says to each of its keys; None when that is not beyond doubt.

    It is when every record names at least one key that was asked for, letter for letter as it was asked. A source that
    spells keys its own way, or sends what nobody asked for, can only be remembered whole.
    """
    found: dict[str, list[tuple[int, Record]]] = {key: [] for key in keys}
    for place, record in enumerate(page.records):
        try:
            texts = _keys_in(mapping, role, record)
        except (ValueError, TypeError, AttributeError):
            return None
        named = [text for text in dict.fromkeys(texts) if text in found]
        if not named:
            return None
        for text in named:
            found[text].append((place, record))
    size = len(page.raw) // max(1, len(page.records))
    return {key: Held(tuple(told), page.received_at, size * len(told)) for key, told in found.items()}


def whole(page: Page) -> Held:
    """The page as one answer to all of its keys together."""
    return Held(tuple(enumerate(page.records)), page.received_at, len(page.raw))


def page_of(held: Mapping[str, Held]) -> Page:
    """The page that answers these keys from what is held; its `parts` are as many as the moments it was received at."""
    by_moment: dict[datetime, list[str]] = {}
    for key, one in held.items():
        by_moment.setdefault(one.received_at, []).append(key)
    parts = [_part(moment, {key: held[key] for key in keys}) for moment, keys in by_moment.items()]
    return joined(parts)


def joined(parts: Sequence[Page]) -> Page:
    """All records of several pages in one, which keeps them as its `parts`; the payload is that of what is new."""
    if len(parts) == 1:
        return parts[0]
    records = [record for part in parts for record in part.records]
    new = next((part for part in parts if not part.is_cached), None)
    if new is not None:
        return replace(new, records=records, total=None, keys=(), parts=tuple(parts))
    oldest = min(part.received_at for part in parts)
    return replace(parts[0], records=records, received_at=oldest, keys=(), parts=tuple(parts))


def _part(moment: datetime, held: Mapping[str, Held]) -> Page:
    """Records of one answer; one that belongs to several keys is there once."""
    records = {place: record for one in held.values() for place, record in one.records}
    return Page([records[place] for place in sorted(records)], b"", "", moment, is_cached=True, keys=tuple(held))


def _keys_in(mapping: SourceMapping, role: LookupRole, record: Any) -> list[str]:
    """The texts at the element the lookup is by: of the record, or of what is inside it."""
    embedded = mapping.entities[role.entity].embedded.get(role.relation or "")
    if role.field.path is None:
        return []
    nodes = [record] if embedded is None else embedded.path.find(record)
    return [text for node in nodes for text in key_texts(node, role.field)]
