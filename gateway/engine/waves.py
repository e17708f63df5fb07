"""Steps before waves are known, and the waves they fall into: each step waits only for the steps its keys come from."""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from gateway.engine.live_lists import NotPinned, Pinned
from gateway.engine.plan import (
    Identify,
    Lookup,
    Route,
    SourceSearch,
    Step,
    StoreCount,
    StoreLookup,
    StoreRoute,
    StoreSearch,
    Use,
)

STORE = ""
"""In place of a source's name: the store."""
ROUTE = "?"
"""In place of an operation's name: asking the store who is known to have a key."""


@dataclass(slots=True)
class Draft:
    """A step before waves are known."""

    source: str
    operation: str
    entity: str
    use: Use
    after: frozenset[int]


class Completion(NamedTuple):
    """What of an entity's elements one look-up is asked for; `offers` is all that it tells, `trusted` what it has the last word on."""

    source: str
    operation: str
    offers: frozenset[str]
    elements: frozenset[str]
    trusted: frozenset[str] = frozenset()


@dataclass(slots=True)
class Planning:
    """The state of planning one selection. `completions`: who completes an entity, by what is wanted of it and who told of it;
    the same is wanted at many places of a large selection."""

    drafts: list[Draft] = field(default_factory=list)
    identify: dict[str, list[tuple[int, str | None, frozenset[int]]]] = field(default_factory=dict)
    resolve: list[tuple[int, str]] = field(default_factory=list)
    searches: list[tuple[int, str, Pinned | NotPinned | None]] = field(default_factory=list)
    counts: list[tuple[int, str]] = field(default_factory=list)
    unsourced: list[tuple[int, str]] = field(default_factory=list)
    completions: dict[Any, list[tuple[list[Completion], Route | None]]] = field(default_factory=dict)


def _search(root: int, entity: str, live: Pinned | NotPinned | None) -> Step:
    if isinstance(live, Pinned):
        return SourceSearch(0, 1, live.source, live.operation, entity, root, live.pushed)
    return StoreSearch(0, 1, entity, root, live.reason if live else "")


def steps_of(planning: Planning) -> tuple[Step, ...]:
    """Waves for the drafts; drafts of one operation in one wave become one step. Negative numbers stand for roots."""
    resolved = {-1 - index: 1 for index in (*(r[0] for r in planning.resolve), *(s[0] for s in planning.searches))}
    waves: dict[int, int] = dict(resolved)
    for number, draft in enumerate(planning.drafts):
        waves[number] = 1 + max((waves[before] for before in draft.after), default=0)
    steps: list[Step] = [_search(*search) for search in planning.searches]
    steps += [StoreCount(0, 1, entity, index) for index, entity in planning.counts]
    steps += [Identify(0, 1, entity, root=index) for index, entity in planning.resolve]
    grouped: dict[tuple[int, str, str, str], list[Use]] = {}
    for number, draft in enumerate(planning.drafts):
        grouped.setdefault((waves[number], draft.source, draft.operation, draft.entity), []).append(draft.use)
    for (wave, source, operation, entity), uses in grouped.items():
        distinct = tuple(dict.fromkeys(uses))
        if operation == ROUTE:
            steps.append(StoreRoute(0, wave, entity, tuple(use.part for use in distinct)))
        elif source == STORE:
            steps.append(StoreLookup(0, wave, entity, distinct))
        else:
            steps.append(Lookup(0, wave, source, operation, entity, distinct))
    for entity, parts in planning.identify.items():
        by_wave: dict[int, list[tuple[int, str | None]]] = {}
        for part, relation, after in parts:
            wave = 1 + max((waves[before] for before in after), default=0)
            by_wave.setdefault(wave, []).append((part, relation))
        steps += [Identify(0, wave, entity, tuple(dict.fromkeys(named))) for wave, named in by_wave.items()]
    ordered = sorted(steps, key=lambda step: step.wave)
    return tuple(replace(step, number=number) for number, step in enumerate(ordered, 1))
