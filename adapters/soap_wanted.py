"""What a mapping reads of an answer: everything beside it need not be built, and a record is the same however it came."""

from collections.abc import Iterable, Iterator
from typing import Any

from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.paths import RecordPath, parse_path
from adapters.mapping.written import Outcome

Wanted = dict[str, Any]
"""Names of children and `@attributes` that are read, each with what is read inside it, `Wanted` again; None: all that is there."""

Names = tuple[str, ...]


def wanted_in_answer(mapping: SourceMapping, operation: OperationMapping, outcome: Outcome | None) -> Wanted | None:
    """What is read of an operation's answer, from the response element on; None when all of it is.

    Of a record it is what any operation on the same entity reads: a record that nothing identifies is known by its
    digest, which must not depend on how it was asked for.
    """
    places = [_names(operation.records)]
    if outcome is not None:
        places += [_names(parse_path(path)) for path in (outcome.path, outcome.message) if path]
    if operation.written.page is not None and operation.written.page.total:
        places.append(_names(parse_path(operation.written.page.total)))
    record = _names(operation.records)
    inside = [(*record, *names) for names in _in_record(mapping, operation.entity)]
    return _tree([*places[1:], *(inside or [record])])


def _in_record(mapping: SourceMapping, entity: str) -> Iterator[Names]:
    """Every place that is read of a record of an entity."""
    yield from _of_entity(mapping, entity, frozenset({entity}))
    for operation in mapping.operations.values():
        if operation.entity != entity:
            continue
        paths = [operation.latest_of, *operation.latest_by]
        if operation.lookup:
            paths.append(operation.lookup.field.path)
        if operation.changes:
            paths.append(operation.changes.cursor.path)
        role = operation.lookup or operation.changes
        paths.append(role.deleted.path if role and role.deleted else None)
        yield from (_names(path) for path in paths if path is not None)


def _of_entity(mapping: SourceMapping, name: str, outer: frozenset[str]) -> Iterator[Names]:
    entity = mapping.entities[name]
    fields = [*entity.fields.values(), *entity.provenance.values(), *(r.field for r in entity.references.values())]
    yield from (_names(field.path) for field in fields if field.path is not None)
    for embedded in entity.embedded.values():
        at = _names(embedded.path)
        if embedded.to not in outer:
            yield from ((*at, *names) for names in _of_entity(mapping, embedded.to, outer | {embedded.to}))
        elif at:
            yield at


def _names(path: RecordPath) -> Names:
    return tuple(name for name, _ in path.steps)


def _tree(places: Iterable[Names]) -> Wanted | None:
    """The places as a tree; one that leads nowhere deeper is wanted whole."""
    root: Wanted = {}
    for names in places:
        if not names:
            return None
        node = root
        for name in names[:-1]:
            inner = node.setdefault(name, {})
            if inner is None:
                break
            node = inner
        else:
            node[names[-1]] = None
    return root
