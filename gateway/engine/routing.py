"""Which of several sources is asked for a key, and which of them are enough: the smallest cover, rules, the store, fan-out.

By rule: what a source holds says it cannot have the key, or it has every entity there is. By store: it is known who told of
the key. Else every source that may have it is asked at once, as long as they are few.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from adapters.errors import SourceError
from adapters.mapping.model import SourceMapping
from gateway.engine.index import Failure, Row
from gateway.engine.plan import StoreRoute, Use
from gateway.engine.storage import StoreUnavailable

if TYPE_CHECKING:
    from gateway.engine.executor import Execution

MOST_EXACT = 6
"""Up to so many sources the smallest cover is found by trying; beyond, by always taking the one that adds most."""


class TooManyHolders(SourceError):
    """不知道该问哪个来源，可能持有它的来源过多"""


def smallest_cover(wanted: frozenset[str], offers: Mapping[str, frozenset[str]]) -> list[str]:
    """The fewest sources that together offer all of `wanted` that any of them does; of equal covers the one that comes
    first in the order of `offers`."""
    useful = {name: offered & wanted for name, offered in offers.items() if offered & wanted}
    reachable = frozenset().union(*useful.values())
    if len(useful) > MOST_EXACT:
        return _greedy(reachable, useful)
    for size in range(len(useful) + 1):
        for chosen in combinations(useful, size):
            if reachable <= frozenset().union(*(useful[name] for name in chosen)):
                return list(chosen)
    return []


def _greedy(wanted: frozenset[str], offers: Mapping[str, frozenset[str]]) -> list[str]:
    chosen: list[str] = []
    while wanted:
        best = max(offers, key=lambda name: len(offers[name] & wanted))
        chosen.append(best)
        wanted -= offers[best]
    return chosen


def offers_of(mapping: SourceMapping, entity: str) -> frozenset[str]:
    """The elements and relations that a record of the source tells."""
    found = mapping.entities.get(entity)
    return frozenset() if found is None else found.provides | frozenset(found.references) | frozenset(found.embedded)


def may_hold(mapping: SourceMapping, row: Row) -> bool:
    """Whether the source may have this entity, by what it is known to hold and what is known of the entity."""
    held = mapping.entities[row.entity.name].holds
    return all(row.values.get(name) is None or row.values[name] in values for name, values in held.items())


def is_asked(execution: "Execution", source: str, operation: str, use: Use, row: Row) -> bool:
    """Whether this source is to be asked for the row. One left out only because there are too many leaves its failure."""
    route, mappings = use.route, execution.services.mappings
    if not may_hold(mappings[source], row):
        return False
    if route is None:
        return True
    able = [name for name in route.sources if may_hold(mappings[name], row)]
    known = execution.routes.get((row.entity.name, row.key), frozenset())
    if seen := [name for name in able if name in known]:
        offers = {name: offers_of(mappings[name], row.entity.name) for name in seen}
        return source in (smallest_cover(route.wanted, offers) or seen[:1])
    if able.index(source) < route.most:
        return True
    failure = Failure(source, operation, TooManyHolders(source=source, operation=operation))
    for name in ("*", *use.elements):
        row.failures.setdefault(name, failure)
    return False


async def run_store_route(execution: "Execution", step: StoreRoute) -> None:
    """Ask the store who told of the keys. Never raises: without the store nobody is known to have them."""
    keys = list(dict.fromkeys(row.key for part in step.parts for row in execution.members(part)))
    try:
        found = await execution.services.storage.sources_of(step.entity, keys)
    except StoreUnavailable:
        return
    execution.routes.update({(step.entity, key): sources for key, sources in found.items()})


def in_order_of(sources: Iterable[str], listed: Sequence[str]) -> tuple[str, ...]:
    """Sources in the order they are listed in, the others behind by name."""
    return tuple(sorted(sources, key=lambda name: (listed.index(name) if name in listed else len(listed), name)))
