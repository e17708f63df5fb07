"""The steps of a plan that the store answers: entities by key or relation, pages, groups, and what the gateway allotted."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from adapters.errors import SourceError
from gateway.engine.index import ASKED, NAMED, RELATED, REMEMBERED, Failure, Row
from gateway.engine.page_taking import take_whole_page
from gateway.engine.plan import Identify, Step, StoreCount, StoreLookup, StoreSearch, Use
from gateway.engine.recalling import recall
from gateway.engine.storage import MOST_RELATED, TooManyRelated

if TYPE_CHECKING:
    from gateway.engine.executor import Execution


class ListNotLive(SourceError):
    """列表不能由来源实时答复"""


def is_idle(execution: "Execution", step: StoreLookup) -> bool:
    """Whether the step would only recall what no source was asked for, and there is no such thing."""
    return all(use.purpose == "recall" and use.parent is None and not execution.asked_from(use) for use in step.uses)


async def run_store_step(execution: "Execution", step: StoreLookup | StoreSearch | StoreCount | Identify) -> None:
    """Run the step. Raises StoreUnavailable."""
    match step:
        case StoreLookup():
            await _store_lookup(execution, step)
        case StoreSearch():
            await _search(execution, step)
        case StoreCount():
            await _count(execution, step)
        case Identify():
            await _identify(execution, step)


async def _store_lookup(execution: "Execution", step: StoreLookup) -> None:
    for use in step.uses:
        if use.purpose == "complete":
            rows = execution.members(use.part)
            await _load(execution, step.entity, [row.key for row in rows], ASKED)
            for row in rows:
                for name in use.elements:
                    if row.lacks(name):
                        row.learn(name, None, NAMED, "")
            continue
        if use.purpose == "recall":
            await _recall_related(execution, step, use)
            await _load(execution, step.entity, [row.key for row in execution.asked_from(use)], REMEMBERED)
            continue
        found = await _find_related(execution, step, use, execution.members(int(use.parent or 0)))
        await _load(execution, step.entity, found, RELATED)


async def _recall_related(execution: "Execution", step: StoreLookup, use: Use) -> None:
    """Along an inverse relation: from those parents that no source was asked from."""
    index = execution.index
    parents = execution.members(use.parent) if use.parent is not None else []
    if parents and not parents[0].entity.relations[str(use.relation)].is_told:
        places = [(parent, (parent.entity.name, parent.key, str(use.relation))) for parent in parents]
        left = [p for p, place in places if place not in index.related and place not in index.related_failures]
        await _find_related(execution, step, use, left)


async def _find_related(execution: "Execution", step: StoreLookup, use: Use, parents: Sequence[Row]) -> list[str]:
    """The keys of the entities that refer to the parents, remembered as what the relation leads to."""
    if not parents:
        return []
    relation = parents[0].entity.relations[str(use.relation)]
    found = await execution.services.storage.related(step.entity, str(relation.inverse), [p.key for p in parents])
    failure = Failure("store", "related", TooManyRelated())
    for parent in parents:
        keys = found[parent.key]
        if len(keys) > MOST_RELATED:
            execution.index.related_failures[(parent.entity.name, parent.key, relation.name)] = failure
        else:
            execution.index.relate(parent.entity.name, parent.key, relation.name, keys, step.number)
    return list(dict.fromkeys(key for keys in found.values() if len(keys) <= MOST_RELATED for key in keys))


def fail_store_step(execution: "Execution", step: Step, failure: Failure) -> None:
    """Leave the failure where the step's answers would have stood."""
    if isinstance(step, StoreLookup) and not any(execution.asked_from(use) for use in step.uses):
        return
    execution.failures.append(failure)
    match step:
        case StoreSearch() | StoreCount():
            execution.root_failures[step.root] = failure
        case StoreLookup():
            for use in step.uses:
                for row in execution.asked_from(use):
                    if use.purpose == "expand":
                        place = (row.entity.name, row.key, str(use.relation))
                        execution.index.related_failures[place] = failure
                    row.failures.update(dict.fromkeys(("*", *use.elements), failure))
        case Identify():
            allotted = str(execution.services.registry.entities[step.entity].allotted)
            if step.root is not None:
                execution.root_failures[step.root] = failure
            for number, relation in step.parts:
                for row in execution.members(number):
                    name = str(row.entity.relations[relation].by) if relation else allotted
                    row.failures[name] = failure


async def _search(execution: "Execution", step: StoreSearch) -> None:
    search = execution.roots[step.root].search
    assert search is not None
    if (read := execution.plan.page_read) is None:
        page = await execution.services.storage.search(search)
    else:
        whole = await execution.services.storage.whole_page(search, read.shown, execution.services.truth)
        page = whole.page
        if take_whole_page(execution, step, read, whole):
            execution.pages[step.root] = page
            return
    execution.pages[step.root] = page
    await load_page(execution, step.entity, page.keys)
    if step.because:
        execution.stale[("store", "search")] = Failure("store", "search", ListNotLive(step.because))


async def load_page(execution: "Execution", entity: str, keys: Sequence[str], failed: Collection[str] = ()) -> None:
    """The stored copies of the entities of a page; those of sources that `failed` to answer are marked STALE."""
    await _load(execution, entity, keys, RELATED, failed)


async def _count(execution: "Execution", step: StoreCount) -> None:
    grouped = execution.roots[step.root].grouped
    assert grouped is not None
    execution.counted[step.root] = await execution.services.storage.count(grouped)


async def _load(
    execution: "Execution", entity: str, keys: Sequence[str], rank: int, failed: Collection[str] = ()
) -> None:
    found = await execution.services.storage.by_keys(entity, keys)
    runs = await execution.services.storage.runs_of(found) if execution.plan.tells_runs else {}
    for stored in found:
        recall(execution, stored, rank, "STALE" if stored.source in failed else "STORE", runs)


async def _identify(execution: "Execution", step: Identify) -> None:
    entity = execution.services.registry.entities[step.entity]
    allotted = str(entity.allotted)
    if step.root is not None:
        asked = execution.roots[step.root].references
        values = [r.allotted for r in asked if r.entity == step.entity and r.allotted is not None]
        found = await execution.services.storage.find_identified(step.entity, values)
        for position, reference in enumerate(asked):
            if reference.entity == step.entity and reference.allotted is not None:
                execution.keys[step.root][position] = found.get(reference.allotted)
        return
    rows: dict[str, Row] = {}
    holders: list[tuple[Row, str, str]] = []
    for number, relation in step.parts:
        for row in execution.members(number):
            if relation is None and row.values.get(allotted) is None:
                rows[row.key] = row
            for key in (row.values.get(relation) or ()) if relation else ():
                rows[key] = execution.index.row(step.entity, key)
                holders.append((row, str(row.entity.relations[str(relation)].by), key))
    real = [key for key, row in rows.items() if row.contributions and not key.startswith("~")]
    codes = await execution.services.storage.identify(step.entity, real)
    for key, row in rows.items():
        row.learn(allotted, codes.get(key), ASKED, "")
    for row, element, key in holders:
        row.learn(element, codes.get(key), ASKED, "")
