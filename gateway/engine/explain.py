"""A plan as people read it: waves, steps, where keys come from, what each step is for."""

from collections.abc import Mapping

from adapters.mapping.model import OperationMapping, SourceMapping
from gateway.engine.page_read import step_by_step_because
from gateway.engine.plan import (
    Identify,
    Lookup,
    Plan,
    SourceSearch,
    Step,
    StoreCount,
    StoreLookup,
    StoreRoute,
    StoreSearch,
    Use,
)
from gateway.engine.planner import route_of
from schema.names import camel
from schema.registry import Registry


def explain(plan: Plan, registry: Registry, mappings: Mapping[str, SourceMapping]) -> str:
    """The plan as text; the same for everybody who sends this operation."""
    sources = sorted({step.source for step in plan.steps if isinstance(step, Lookup | SourceSearch)})
    lines = [f"{len(plan.waves)} waves, {len(plan.steps)} steps, {len(sources)} sources: {', '.join(sources) or '-'}"]
    for number, wave in enumerate(plan.waves, 1):
        lines += ["", f"wave {number}"]
        for step in wave:
            lines += _step(step, plan, registry, mappings)
    if plan.unsourced:
        names = (f"{plan.parts[part].path}.{camel(name)}" for part, name in plan.unsourced)
        lines += ["", f"no source (null): {', '.join(names)}"]
    return "\n".join(lines)


def _step(step: Step, plan: Plan, registry: Registry, mappings: Mapping[str, SourceMapping]) -> list[str]:
    front = f"  [{step.number}] "
    match step:
        case Lookup():
            mapping = mappings[step.source]
            operation = mapping.operations[step.operation]
            head = f"{front}{step.source}.{step.operation} -> {step.entity}"
            return [head, *_limits(mapping, operation), *_uses(step.uses, plan, registry, operation, mapping)]
        case StoreRoute():
            parts = (plan.parts[part].path for part in step.parts)
            return [f"{front}store who told of -> {step.entity}", f"      for  {', '.join(parts)}"]
        case StoreLookup():
            return [f"{front}store -> {step.entity}", *_uses(step.uses, plan, registry, None, None)]
        case SourceSearch():
            mapping = mappings[step.source]
            head = f"{front}{step.source}.{step.operation} page -> {step.entity}"
            return [head, *_searched(mapping, mapping.operations[step.operation], step, _path(plan, step.root))]
        case StoreSearch():
            why = [f"           not live: {step.because}"] if step.because else []
            read = f"      {_how_read(plan, registry)}"
            return [f"{front}store page -> {step.entity}", f"      for  {_path(plan, step.root)}", *why, read]
        case StoreCount():
            return [f"{front}store groups -> {step.entity}", f"      for  {_path(plan, step.root)}"]
        case Identify():
            allotted = camel(str(registry.entities[step.entity].allotted))
            if step.root is not None:
                return [
                    f"{front}store identity {allotted} -> {step.entity}",
                    f"      for  {_path(plan, step.root)}",
                ]
            places = (
                plan.parts[part].path + (f".{camel(relation)}" if relation else "") for part, relation in step.parts
            )
            return [f"{front}store identity {step.entity} -> {allotted}", f"      for  {', '.join(places)}"]


def _how_read(plan: Plan, registry: Registry) -> str:
    """Whether what the following steps say is read with the page, or step by step, and why."""
    if plan.page_read is None:
        return f"read step by step: {step_by_step_because(plan, registry)}"
    read = zip(plan.parts[1:], plan.page_read.shown.places, strict=True)
    beside = ", ".join(part.path for part, place in read if place.is_read)
    return f"read whole, with {beside}" if beside else "read whole"


def _searched(mapping: SourceMapping, operation: OperationMapping, step: SourceSearch, path: str) -> list[str]:
    assert operation.search is not None
    connect, paging = mapping.connect, operation.written.page
    pages = f"<= {operation.search.pages} pages of {paging.size if paging else 0}"
    asked = (f"{camel(name.rpartition('.')[0])} {name.rpartition('.')[2]}" for name in step.pushed)
    return [
        f"      {connect.kind}, {pages}, timeout {connect.timeout:g}s, concurrency {connect.concurrency}",
        f"      for  {path}  filtered there: {', '.join(asked) or '-'}; here: the whole condition",
    ]


def _route(use: Use, mapping: SourceMapping, limited: str | None, entity: str) -> str:
    """How it is decided whether this source is asked for a key, when others may have it as well."""
    if use.route is not None:
        return f"  route: by store, else fan-out <= {min(use.route.most, len(use.route.sources))}"
    found = mapping.entities.get(entity)
    by_rule = limited or (use.purpose == "complete" and found and (found.has_all or found.holds))
    return "  route: by rule" if by_rule else ""


def _path(plan: Plan, number: int) -> str:
    root = plan.roots[number]
    return ", ".join(part.path for part in root.parts.values()) or root.node.name.value


def _limits(mapping: SourceMapping, operation: OperationMapping) -> list[str]:
    """What bounds the calls of a step, line by line: connection and places, what the source declares, what the operation does."""
    assert operation.lookup is not None
    connect, written = mapping.connect, operation.written
    calls = "1 key a call (N+1)" if operation.lookup.batch == 1 else f"<= {operation.lookup.batch} keys a call"
    times = f"timeout {_time(connect.timeout)}"
    for word, limit in (("connecting", connect.connect_timeout), ("reading", connect.read_timeout)):
        times += "" if limit is None else f" ({word} {_time(limit)})"
    places = f"concurrency {connect.concurrency}, queue {connect.queue}"
    slow = " or silence" if connect.breaker.slow is None else f" or {_time(connect.breaker.slow)} of silence"
    more = [f"breaker after {connect.breaker.failures} failures{slow} for {_time(connect.breaker.pause)}"]
    if connect.retry.times:
        more.append(f"retries {connect.retry.times} (<= {connect.retry.share}% of calls)")
    if (budget := connect.budget) is not None:
        rates = ((budget.per_second, "s"), (budget.per_minute, "min"), (budget.per_day, "day"))
        counts = " ".join(f"{most}/{unit}" for most, unit in rates if most is not None)
        kept = f", {budget.reserve}% kept from syncs" if budget.reserve else ""
        more.append(f"budget {counts}{kept}" + (", closed without Redis" if budget.otherwise == "closed" else ""))
    own = [] if written.at_least is None else [f"at least {_time(written.at_least)}"]
    if (cache := written.cache) is not None:
        extra = (("stale", cache.stale), ("negative", cache.negative))
        own.append(f"cache {_time(cache.fresh)}" + "".join(f" {word} {_time(t)}" for word, t in extra if t))
    if (hedge := written.hedge) is not None:
        own.append(f"hedge after {hedge.after if hedge.after == 'p95' else _time(float(hedge.after))}")
    first = f"{connect.kind}, {calls}, {times}, {places}"
    return [f"      {line}" for line in (first, ", ".join(more), ", ".join(own)) if line]


def _time(seconds: float) -> str:
    return f"{seconds:g}s" if seconds >= 1 or not seconds else f"{seconds * 1000:g}ms"


def _uses(
    uses: tuple[Use, ...],
    plan: Plan,
    registry: Registry,
    operation: OperationMapping | None,
    mapping: SourceMapping | None,
) -> list[str]:
    lines = []
    for use in uses:
        part = plan.parts[use.part]
        origin = plan.parts[int(use.parent or 0)].path if use.purpose == "expand" else part.path
        if use.purpose == "recall":
            lines.append(f"      for  {part.path}  whatever no source could be asked for")
            continue
        line = f"      for  {part.path}"
        if operation and operation.lookup and mapping:
            limited = route_of(operation.lookup, registry)
            where = f" where agencyCode = {mapping.agency}" if limited else ""
            line += f"  keys: {camel(operation.lookup.element)} of {origin}{where}"
            line += _route(use, mapping, limited, part.entity.name)
        else:
            line += f"  keys: of {origin}"
        lines.append(line)
        if use.elements:
            lines.append(f"           {', '.join(camel(name) for name in sorted(use.elements))}")
        if use.trusted:
            lines.append(f"           source of truth for: {', '.join(camel(name) for name in sorted(use.trusted))}")
    return lines
