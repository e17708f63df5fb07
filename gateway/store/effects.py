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
    latest, known = judge(page, received_at), page.known
    applied = _by_entity(telling for telling in latest if telling.verdict == "applied")
    new: dict[str, list[Telling]] = {}
    first: dict[str, frozenset[str]] = {}
    kinds: dict[Place, ChangeKind] = {}
    for entity, mine in sorted(applied.items()):
        before = {key: there for (of, key), there in known.items() if of == entity}
        told = {telling.mapped.key: telling for telling in mine}
        new[entity] = [one for key, one in told.items() if not one.is_gone and _is_new(before.get(key))]
        first[entity] = frozenset(one.mapped.key for one in new[entity] if one.mapped.key not in before)
        for key in sorted(told):
            if kind := _kind(told[key], before.get(key)):
                kinds[entity, key] = kind
    return Effects(
        latest,
        applied,
        _by_entity(telling for telling in latest if telling.verdict == "confirmed"),
        {entity: storable([telling.mapped.key for telling in mine]) for entity, mine in applied.items()},
        new,
        first,
        kinds,
    )


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
