"""Answers of the roots that tell of data return: asked of the store in a thread, with nothing that is sensitive."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from graphql import GraphQLError
from strawberry import UNSET

from adapters.mapping.model import SourceMapping
from gateway.engine.arguments import read_global_id
from gateway.engine.executor import Execution
from gateway.engine.lineage import SENSITIVE, lineage
from gateway.engine.storage import StoreUnavailable
from gateway.store import return_reading as reading
from gateway.store.return_reading import Listed, Quarantined, StreamState
from gateway.store.store import Store
from schema.names import element_names
from schema.returning import DEFAULT_PAGE, LARGEST_PAGE

LONGEST_VALUE = 200
LATEST_RUN = 2**31 - 1
Answer = TypeVar("Answer")


async def returned(execution: Execution, question: str, given: Mapping[str, Any]) -> Any:
    """The answer to one root. Raises GraphQLError."""
    said = {name: value for name, value in given.items() if value is not None and value is not UNSET}
    try:
        return await QUESTIONS[question](execution, said)
    except StoreUnavailable as error:
        told = {"code": error.code, "retryable": True}
        raise GraphQLError(error.public_message, extensions=told) from None


async def _streams(execution: Execution, _given: Mapping[str, Any]) -> list[dict[str, Any]]:
    store, mappings = execution.services.storage.store, execution.services.mappings
    return await _ask(execution, lambda: streams(store, mappings))


def streams(store: Store, mappings: Mapping[str, SourceMapping]) -> list[dict[str, Any]]:
    """Every stream that is mapped or that the store has heard of, by source and operation."""
    known = store.database.read(lambda c: reading.stream_states(c, store.tables))
    mapped = {
        (mapping.name, name): operation
        for mapping in mappings.values()
        for name, operation in mapping.operations.items()
        if operation.changes or operation.deliver
    }
    now = store.clock()
    told = []
    for place in sorted({*mapped, *known}):
        state, operation = known.get(place, StreamState(*place)), mapped.get(place)
        ended = state.finished_at
        told.append(
            {
                "source": state.source,
                "operation": state.operation,
                "entity": operation.entity if operation else None,
                "kind": "deliver" if operation and operation.deliver else "changes",
                "cursor": state.cursor,
                "updated_at": state.updated_at,
                "fresh_at": ended,
                "lag": None if ended is None else max(0, int((now - ended).total_seconds())),
                "due_at": state.due_at,
                "failures": state.failures,
                "halt_reason": state.halt_reason,
                "last_run": None if state.last_run is None else str(state.last_run),
                "in_quarantine": state.in_quarantine,
            }
        )
    return told


async def _runs(execution: Execution, given: Mapping[str, Any]) -> Mapping[str, Any]:
    store, first = execution.services.storage.store, _first(given)
    (before,) = _position(given, [int]) or (None,)
    where = {n: str(getattr(v, "value", v)) for n, v in _where(given).items()}
    found = await _ask(
        execution,
        lambda: store.database.read(lambda c: reading.list_runs(c, store.tables, where, first, before)),
    )
    return _connection(found, given, lambda run: {**asdict(run), "id": str(run.run_id)}, lambda run: [run.run_id])


async def _ledger(execution: Execution, given: Mapping[str, Any]) -> Mapping[str, Any]:
    store, first = execution.services.storage.store, _first(given)
    run = str(given["run"])
    if not (run.isascii() and run.isdecimal() and len(run) < 11 and int(run) <= LATEST_RUN):
        raise _refused("run 应为运行的编号")
    (after,) = _position(given, [int]) or (-1,)
    found = await _ask(
        execution,
        lambda: store.database.read(lambda c: reading.list_ledger(c, store.tables, int(run), first, after)),
    )
    return _connection(found, given, asdict, lambda page: [page.page])


async def _quarantine(execution: Execution, given: Mapping[str, Any]) -> Mapping[str, Any]:
    store, first = execution.services.storage.store, _first(given)
    position = _position(given, [datetime.fromisoformat, *[str] * len(reading.QUARANTINE_KEY)])
    after = None if position is None else (position[0], tuple(position[1:]))
    where = _where(given)
    is_open = where.pop("is_open", None)
    found = await _ask(
        execution,
        lambda: store.database.read(lambda c: reading.list_quarantine(c, store.tables, where, is_open, first, after)),
    )
    mappings = execution.services.mappings
    return _connection(
        found,
        given,
        lambda one: quarantined_as_told(one, mappings.get(one.source)),
        lambda one: [one.at.isoformat(), *(getattr(one, name) for name in reading.QUARANTINE_KEY)],
    )


def quarantined_as_told(one: Quarantined, mapping: SourceMapping | None) -> dict[str, Any]:
    """A record in quarantine, with only those values of it that are known not to be sensitive."""
    told = {name: getattr(one, name) for name in Quarantined.__dataclass_fields__ if name not in ("payload", "run_id")}
    open_paths = _open_paths(mapping)
    fields = [
        {
            "path": path,
            "value": text[:LONGEST_VALUE] if (is_open := path in open_paths) and text is not None else None,
            "is_masked": not is_open,
        }
        for path, text in _leaves("", one.payload)
    ]
    return {**told, "run": None if one.run_id is None else str(one.run_id), "fields": fields}


async def _lineage(execution: Execution, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    services = execution.services
    entity = services.registry.entities.get(given["entity"])
    if entity is None:
        raise _refused(f"没有实体 {str(given['entity'])[:50]}")
    reference = read_global_id(services.registry, str(given["id"]))
    if reference.problem or reference.entity != entity.name:
        raise _refused(reference.problem or f"这个 id 不是 {entity.name} 的")
    name = element_names(entity).get(given["field"], given["field"])
    element = entity.elements.get(name)
    if element is None:
        raise _refused(f"{entity.name} 没有字段 {str(given['field'])[:50]}")
    if reference.key is None:
        return []
    key = reference.key
    return await _ask(
        execution,
        lambda: lineage(
            services.storage.store, services.mappings, services.truth, services.hash_id, entity, key, element
        ),
    )


QUESTIONS: Mapping[str, Callable[[Execution, Mapping[str, Any]], Any]] = {
    "streams": _streams,
    "syncRuns": _runs,
    "ledger": _ledger,
    "quarantine": _quarantine,
    "lineage": _lineage,
}


async def _ask(execution: Execution, work: Callable[[], Answer]) -> Answer:
    return await execution.services.storage.ask(work)


def _open_paths(mapping: SourceMapping | None) -> set[str]:
    """The places in records whose values may be shown: those that are read as elements, none of them sensitive."""
    sensitive, plain = set[str](), set[str]()
    for entity in mapping.entities.values() if mapping else ():
        fields = [*entity.fields.values(), *entity.provenance.values()]
        fields += [reference.field for reference in entity.references.values()]
        for field in fields:
            if field.path is not None:
                name = ".".join(step for step, _ in field.path.steps)
                (sensitive if field.element.sensitivity in SENSITIVE else plain).add(name)
    return plain - sensitive


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, Mapping):
        for name, inside in value.items():
            yield from _leaves(f"{path}.{name}".strip("."), inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _leaves(path, inside)
    else:
        yield path, None if value is None else str(value)


def _where(given: Mapping[str, Any]) -> dict[str, Any]:
    """What restricts a list, by its names."""
    said = vars(given["where"]) if "where" in given else {}
    return {name: value for name, value in said.items() if value is not None and value is not UNSET}


def _first(given: Mapping[str, Any]) -> int:
    first = given.get("first", DEFAULT_PAGE)
    if not 1 <= first <= LARGEST_PAGE:
        raise _refused(f"first 应在 1 至 {LARGEST_PAGE} 之间，实为 {first}")
    return int(first)


def _position(given: Mapping[str, Any], reads: list[Callable[[Any], Any]]) -> list[Any] | None:
    """The values in a cursor of ours; None when there is none. Raises GraphQLError."""
    if (text := given.get("after")) is None:
        return None
    try:
        values = msgspec.json.decode(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != len(reads):
            raise ValueError
        return [read(value) for read, value in zip(reads, values, strict=True)]
    except (ValueError, TypeError, binascii.Error, msgspec.MsgspecError):
        raise _refused("after 不是这个列表的翻页位置") from None


def _connection(
    found: Listed, given: Mapping[str, Any], told: Callable[[Any], Mapping[str, Any]], place: Callable[[Any], list[Any]]
) -> Mapping[str, Any]:
    nodes = [told(one) for one in found.items]
    cursors = [base64.urlsafe_b64encode(msgspec.json.encode(place(one))).decode().rstrip("=") for one in found.items]
    return {
        "nodes": nodes,
        "edges": [{"cursor": cursor, "node": node} for cursor, node in zip(cursors, nodes, strict=True)],
        "page_info": {
            "has_next_page": found.has_next,
            "has_previous_page": "after" in given,
            "start_cursor": cursors[0] if cursors else None,
            "end_cursor": cursors[-1] if cursors else None,
        },
        "total_count": found.total,
    }


def _refused(what: str) -> GraphQLError:
    return GraphQLError(what, extensions={"code": "BAD_USER_INPUT"})
