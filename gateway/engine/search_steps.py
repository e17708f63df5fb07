"""A list answered live: the pages of one source walked, mapped, and filtered, ordered, counted and cut as the store would.

Every record is looked at again with the whole condition, so that what the source filters only saves transport. The walk ends
early only where the source keeps the wanted order. When it would be too long, or the source fails, the store answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from adapters.errors import SourceContractBroken, SourceError
from adapters.mapping.model import OperationMapping, SearchRole, SourceMapping
from adapters.mapping.record import Mapped, is_gone
from adapters.mapping.wants import NOTHING, Wants
from adapters.source import Page
from gateway.engine.index import RELATED, Failure, Origin
from gateway.engine.live_lists import Pushed, push
from gateway.engine.plan import SourceSearch
from gateway.engine.storage import StoreUnavailable
from gateway.engine.store_steps import load_page
from gateway.engine.taking import Answered, Taker
from gateway.store.search import Found, Search
from gateway.store.tellings import version_of
from schema.cursors import Position
from schema.evaluation import compare, holds, in_order, necessary_tests, position_of
from schema.formats import CHINA_TIME
from schema.registry import Registry

if TYPE_CHECKING:
    from gateway.engine.executor import Execution


class SearchTooWide(SourceError):
    """符合条件的记录多于来源一次查询可翻的页数，请缩小条件"""


@dataclass(slots=True)
class _Walk:
    """What the pages so far have told: the latest record of each key, whether it is a tombstone, and all in their order."""

    found: dict[str, tuple[Mapped, Page, bool]] = field(default_factory=dict)
    told: list[Mapped] = field(default_factory=list)


async def run_source_search(execution: "Execution", step: SourceSearch) -> None:
    """Run the step. Never raises: where the source cannot answer the store does, or the failure stands at the root."""
    try:
        await _search(execution, step)
    except SourceError as error:
        await _instead(execution, step, Failure(step.source, step.operation, error))


async def _search(execution: "Execution", step: SourceSearch) -> None:
    services = execution.services
    mapping = services.mappings[step.source]
    operation = mapping.operations[step.operation]
    search, role = execution.roots[step.root].search, operation.search
    assert search is not None
    assert role is not None
    pushed = push(role, necessary_tests(search.where))
    if pushed.is_nothing:
        execution.pages[step.root] = Found([], False, False, 0 if search.counts else None)
        return
    walk = _Walk()
    places = await _walk(execution, step, mapping, operation, role, search, pushed, walk)
    page = cut(search, places)
    execution.pages[step.root] = page
    wants = dict(execution.plan.wants)
    taker = Taker(execution.index, mapping, step.number)
    for key in page.keys:
        mapped, told, _ = walk.found[key]
        version = services.registry.version
        origin = Origin(step.source, step.operation, "LIVE", told.received_at, told.received_at, version)
        _tell_wanted_issues(services.registry, wants, mapped)
        taker.add(mapped, origin, RELATED)
        execution.index.row(mapped.entity, key).was_asked = True


def _tell_wanted_issues(registry: Registry, wants: Wants, mapped: Mapped) -> None:
    """Only issues of what is wanted are told, as in any answer; the store is told all."""
    entity, want = registry.entities[mapped.entity], wants.get(mapped.entity, NOTHING)
    mapped.issues = [i for i in mapped.issues if i.entity != mapped.entity or want.has_issues(entity, i.element)]
    for children in mapped.embedded.values():
        for child in children:
            _tell_wanted_issues(registry, wants, child)
            inner, of = registry.entities[child.entity], wants.get(child.entity, NOTHING)
            mapped.issues = [i for i in mapped.issues if i.entity != child.entity or of.has_issues(inner, i.element)]


async def _walk(
    execution: "Execution",
    step: SourceSearch,
    mapping: SourceMapping,
    operation: OperationMapping,
    role: SearchRole,
    search: Search,
    pushed: Pushed,
    walk: _Walk,
) -> list[Position]:
    """The places of all entities that are meant, in order, as far as the page needs them. Raises SourceError."""
    paging = operation.written.page
    assert paging is not None
    first = search.order[0] if search.order else None
    order = role.order.get((first.element, first.descending)) if first else None
    is_short = order is not None and not search.backwards and not search.counts
    cursor: str | None = None
    for number in range(role.pages):
        page = await execution.services.calls.make(
            step.source,
            step.operation,
            execution.context.deadline,
            filters=pushed.texts,
            order=order,
            page=number + paging.first,
            offset=number * paging.size,
            cursor=cursor,
            size=paging.size,
        )
        _take(execution, mapping, step, page, walk)
        about = (*pushed.texts.items(), order, cursor or number)
        execution.services.write_back.offer(Answered(mapping, step.operation, page, {}, about))
        places = _meant(execution.services.registry, search, walk)
        cursor = page.next
        if _is_last(paging.size, paging.next is not None, page, walk):
            return places
        if is_short and (found := _enough(execution.services.registry, search, places, walk.told)) is not None:
            return found
        if not is_short and page.total is not None and page.total > role.pages * paging.size:
            break
    raise SearchTooWide()


def _take(execution: "Execution", mapping: SourceMapping, step: SourceSearch, page: Page, walk: _Walk) -> None:
    """Map the records of a page whole, since a condition may look at any element. The latest record of a key holds."""
    compiled = execution.services.compiler.compiled(mapping, step.entity, None)
    deleted = mapping.operations[step.operation].role.deleted
    mapped = compiled.page(page.records, page.received_at.astimezone(CHINA_TIME).date())
    for record, entity in zip(page.records, mapped, strict=True):
        walk.told.append(entity)
        known = walk.found.get(entity.key)
        if known is None or version_of(entity) >= version_of(known[0]):
            walk.found[entity.key] = (entity, page, deleted is not None and is_gone(record, deleted))


def _meant(registry: Registry, search: Search, walk: _Walk) -> list[Position]:
    """The places of the entities that are meant: identified, fit for the store, not gone, and fulfilling the condition."""
    entity = registry.entities[search.entity]
    listed = [
        mapped
        for mapped, _, is_gone in walk.found.values()
        if mapped.is_identified and not mapped.quarantined and not is_gone
    ]
    if search.where is not None:
        where = search.where
        listed = [mapped for mapped in listed if holds(where, mapped.values, lambda _: False)]
    places = [position_of(registry, entity, search.order, mapped.key, mapped.values) for mapped in listed]
    return in_order(search.order, places)


def _is_last(size: int, has_cursor: bool, page: Page, walk: _Walk) -> bool:
    if has_cursor:
        return page.next is None
    if page.total is not None:
        return len(walk.told) >= page.total or not page.records
    return len(page.records) < size


def _enough(
    registry: Registry, search: Search, places: Sequence[Position], told: Sequence[Mapped]
) -> list[Position] | None:
    """The places that no later page can come before, once they fill the page wanted and one more; None before that.

    Only the first element of the order is the source's: what is equal to the last value read may still be coming.
    """
    item, entity = search.order[0], registry.entities[search.entity]
    values = [position_of(registry, entity, (item,), "", mapped.values) for mapped in told]
    if not values or any(compare((item,), a, b) > 0 for a, b in pairwise(values)):
        return None
    last = values[-1]
    if last.values[0] is None:
        return None
    sure = [place for place in places if compare((item,), Position(place.values[:1], ""), last) < 0]
    behind = [p for p in sure if search.after is None or compare(search.order, p, search.after) > 0]
    return sure if len(behind) > search.limit or _is_beyond(search, behind) else None


def _is_beyond(search: Search, places: Sequence[Position]) -> bool:
    return search.before is not None and any(compare(search.order, place, search.before) >= 0 for place in places)


def cut(search: Search, places: Sequence[Position]) -> Found:
    """The page of a list whose places are these, in order: what `Store.search` answers."""
    after, before, order = search.after, search.before, search.order
    inside = [p for p in places if after is None or compare(order, p, after) > 0]
    inside = [p for p in inside if before is None or compare(order, p, before) < 0]
    is_more = len(inside) > search.limit
    page = inside[-search.limit :] if search.backwards else inside[: search.limit]
    if search.backwards:
        is_other = before is not None and any(compare(order, p, before) >= 0 for p in places)
    else:
        is_other = after is not None and any(compare(order, p, after) <= 0 for p in places)
    total = len(places) if search.counts else None
    return Found(page, is_other if search.backwards else is_more, is_more if search.backwards else is_other, total)


async def _instead(execution: "Execution", step: SourceSearch, failure: Failure) -> None:
    """The store's page: STALE where the source could not answer, STORE where it was only too much."""
    search, error = execution.roots[step.root].search, failure.error
    assert search is not None
    is_wide = isinstance(error, SearchTooWide)
    if is_wide or error.retryable or isinstance(error, SourceContractBroken):
        error.source, error.operation = step.source, step.operation
        try:
            page = await execution.services.storage.search(search)
            await load_page(execution, step.entity, page.keys, () if is_wide else (step.source,))
        except StoreUnavailable:
            pass
        else:
            execution.pages[step.root] = page
            execution.stale[(step.source, step.operation)] = failure
            return
    execution.failures.append(failure)
    execution.root_failures[step.root] = failure
