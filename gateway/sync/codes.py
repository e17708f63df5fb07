"""Codes that a mapping does not know: found on a page, and known once the mapping was mended."""

from collections.abc import Sequence

from adapters.mapping.model import Field, SourceMapping
from adapters.mapping.record import Mapped
from gateway.store.quarantine import MappingTask, close_task, open_tasks
from gateway.store.store import Store

UNKNOWN_CODE = "04"
Found = dict[tuple[str, str], dict[str, int]]


def unknown_codes(mapping: SourceMapping, mapped: Sequence[Mapped]) -> Found:
    """(code table, element) -> code -> how often it stands on a page without the mapping knowing it."""
    found: Found = {}
    for one in mapped:
        for issue in one.issues:
            if issue.check_type == UNKNOWN_CODE and issue.raw is not None and issue.severity == "error":
                codes = _codes_of(_field(mapping, issue.entity, issue.element))
                if codes is not None:
                    seen = found.setdefault((codes, f"{issue.entity}.{issue.element}"), {})
                    seen[issue.raw] = seen.get(issue.raw, 0) + 1
    return found


def close_finished(store: Store, mapping: SourceMapping) -> list[MappingTask]:
    """Close the tasks of a source whose codes its mapping knows by now; returns them."""
    done = [
        task
        for task in store.database.read(lambda c: open_tasks(c, store.tables, mapping.name))
        if _is_done(mapping, task)
    ]
    for task in done:
        store.database.write(lambda connection, task=task: close_task(connection, store.tables, task, store.clock()))  # type: ignore[misc]
    return done


def _is_done(mapping: SourceMapping, task: MappingTask) -> bool:
    field = _field(mapping, *task.element.split("."))
    return field is None or all(_is_known(field, code) for code in task.seen)


def _is_known(field: Field, code: str) -> bool:
    try:
        field.convert(code)
    except ValueError:
        return False
    return True


def _field(mapping: SourceMapping, entity: str, element: str) -> Field | None:
    of = mapping.entities.get(entity)
    return of.fields.get(element) if of else None


def _codes_of(field: Field | None) -> str | None:
    return field.form.codes if field is not None and field.form is not None else None
