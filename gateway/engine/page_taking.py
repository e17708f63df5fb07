"""A page that was read whole, put into the index as if step after step had read it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gateway.engine.index import RELATED, Failure, Row
from gateway.engine.plan import Identify, PageRead, StoreLookup, StoreSearch
from gateway.engine.recalling import provided_by, recall
from gateway.engine.storage import TooManyRelated
from gateway.store.whole_page import FRONT, GIVEN, SOURCE, WholePage
from schema.identity import values_in_key
from schema.registry import OWNER, Entity

if TYPE_CHECKING:
    from gateway.engine.executor import Execution


def take_whole_page(execution: "Execution", step: StoreSearch, read: PageRead, whole: WholePage) -> bool:
    """Put what was read into the index; False, and nothing is, where that is left to the steps: an allotted value is not
    known yet, or several tell where it leads, or a record tells other values than its key, so that it has to be weighed who
    named the entity."""
    index, shown = execution.index, read.shown
    several = {(stored.mapped.entity, stored.mapped.key): stored.mapped.values for stored in whole.several}
    if not all(
        _agrees(dict(values), values_in_key(index.registry.entities[of], key)) for (of, key), values in several.items()
    ):
        return False
    if any(name in shown.references for name, _ in several):
        return False
    taken: dict[tuple[str, str], Row] = {}
    for name, copies in whole.copies.items():
        entity = index.registry.entities[name]
        columns = (*shown.relations[name], *shown.elements[name])
        allotted = str(entity.allotted) if name in shown.allotted else None
        is_told = _usual_key(entity)
        unprovided: dict[str, dict[str, None]] = {}
        for key, copy in copies.items():
            if copy is None:
                if (name, key) in several:
                    continue
                values, given = values_in_key(entity, key), None
            else:
                source, given = copy[SOURCE], copy[GIVEN]
                values = dict(zip(columns, copy[FRONT:], strict=True))
                lost = unprovided.get(source)
                if lost is None:
                    lost = unprovided[source] = _unprovided(execution, entity, source, columns)
                if lost:
                    values.update(lost)
                if not is_told(values, key) and not _agrees(values, values_in_key(entity, key)):
                    return False
            if allotted is not None and values.get(allotted) is None:
                if given is None and not key.startswith("~"):
                    return False
                values[allotted] = given
            for relation, element in shown.references.get(name, ()):
                told = whole.given[entity.relations[relation].to]
                targets = values.get(relation) or ()
                if any(target not in told and not target.startswith("~") for target in targets):
                    return False
                values[element] = next(filter(None, map(told.get, targets)), None)
            taken[name, key] = Row(entity, key, index, values)
    index.rows.update(taken)
    for stored in whole.several:
        recall(execution, stored, RELATED)
    _relate(execution, step, read, whole)
    done = [StoreLookup] if any(name in shown.allotted for name, _ in several) else [StoreLookup, Identify]
    execution.done.update([step.number, *(other.number for other in execution.plan.steps if type(other) in done)])
    return True


def _usual_key(entity: Entity) -> Callable[[dict[str, Any], str], bool]:
    """Whether a key is nothing but the values that were told, the first of the ways by which entities of this kind are
    identified, which is nearly always so; what it is not of has to be looked at closely."""
    first = entity.identity[0]
    same = [public for name, public in entity.told_by_key if name in first]
    if len(first) == 2 and OWNER not in first and not same:
        front, back = first
        return lambda values, key: f"{values[front]}/{values[back]}" == key
    if len(first) == 1 and len(same) == 1:  # a party: its key is computed, and stands in no record
        (name,), (public,) = first, same

        def is_told(values: dict[str, Any], key: str) -> bool:
            if values[public] != key or values[name] not in (None, key):
                return False
            values[name] = key
            return True

        return is_told
    return lambda values, key: len(first) == 1 and not same and values[first[0]] == key


def _agrees(told: dict[str, Any], in_key: Mapping[str, Any]) -> bool:
    """Whether what was told is what the key tells; what was not told is taken from the key."""
    for name, value in in_key.items():
        known = told.get(name)
        if known is None:
            told[name] = value
        elif known != value:
            return False
    return True


def _unprovided(execution: "Execution", entity: Entity, source: str, columns: Sequence[str]) -> dict[str, None]:
    """The elements that a source told, and does not tell by its mapping of today."""
    provides = provided_by(execution, entity.name, source)
    if provides is None:
        return {}
    return dict.fromkeys(name for name in columns if name in entity.elements and name not in provides)


def _relate(execution: "Execution", step: StoreSearch, read: PageRead, whole: WholePage) -> None:
    """What refers to the entities; too many are refused, never cut off."""
    failure = Failure("store", "related", TooManyRelated())
    for (entity, key, relation), keys in whole.related.items():
        if len(keys) > read.shown.most_related:
            execution.index.related_failures[entity, key, relation] = failure
        else:
            execution.index.relate(entity, key, relation, keys, step.number)
