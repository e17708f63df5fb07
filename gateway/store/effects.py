"""What a page does to the store, worked out from what it tells and what the store knew of that: before anything is written.

Of a page that is mostly new it is worked out before it lands, as if nothing were known of it; mostly that is so.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.store.keys import Keys, storable
from gateway.store.tellings import GONE, Known, Page, Place, Telling, judge

ChangeKind = Literal["created", "changed", "deleted"]
ByEntity = Mapping[str, Sequence[Telling]]


@dataclass(frozen=True, slots=True)
class Effects:
    """`latest`: the latest telling of each entity, judged; `applied` and `confirmed` are those of them, by entity; `changed`: the
    keys of the applied ones, each once; `new`: of those the ones that were not there, and `first` that nobody told of before.
    `kinds`: what becomes of each place, in order."""

    latest: Sequence[Telling]
    applied: ByEntity
    confirmed: ByEntity
    changed: Mapping[str, Keys]
    new: Mapping[str, Sequence[Telling]]
    first: Mapping[str, frozenset[str]]
    kinds: Mapping[Place, ChangeKind]


def effects_of(page: Page, received_at: datetime) -> Effects:
    """Judge the tellings of a page, and tell what follows."""
    latest = judge(page, received_at)
    applied = _by_entity(telling for telling in latest if telling.verdict == "applied")
    new, first, kinds = {}, {}, {}
    for entity, mine in applied.items():
        there = [telling for telling in mine if not telling.is_gone]
        new[entity] = [telling for telling in there if _is_new(page.known.get((entity, telling.mapped.key)))]
        first[entity] = frozenset(key for key in map(_key, new[entity]) if (entity, key) not in page.known)
    for entity in sorted(applied):
        for telling in sorted(applied[entity], key=_key):
            place = (entity, telling.mapped.key)
            if kind := _kind(telling, page.known.get(place)):
                kinds[place] = kind
    return Effects(
        latest,
        applied,
        _by_entity(telling for telling in latest if telling.verdict == "confirmed"),
        {entity: storable(map(_key, mine)) for entity, mine in applied.items()},
        new,
        first,
        kinds,
    )


def _key(telling: Telling) -> str:
    return telling.mapped.key


def _by_entity(tellings: Iterable[Telling]) -> dict[str, list[Telling]]:
    found: dict[str, list[Telling]] = {}
    for telling in tellings:
        found.setdefault(telling.mapped.entity, []).append(telling)
    return found


def _is_new(known: Known | None) -> bool:
    return known is None or known.digest == GONE


def _kind(telling: Telling, known: Known | None) -> ChangeKind | None:
    """What a telling that is applied does; a tombstone of what the source never told, or told to be gone, does nothing."""
    if telling.is_gone:
        return None if _is_new(known) else "deleted"
    return "created" if _is_new(known) else "changed"
