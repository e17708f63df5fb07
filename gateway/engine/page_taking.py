"""A page that was read whole, put into the index as if step after step had read it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway.engine.index import RELATED, Failure, Row
from gateway.engine.plan import Identify, PageRead, StoreLookup, StoreSearch
from gateway.engine.recalling import provided_by, recall
from gateway.engine.storage import TooManyRelated
from gateway.store.whole_page import Copy, WholePage
from schema.identity import values_in_key
from schema.registry import Entity

if TYPE_CHECKING:
    from gateway.engine.executor import Execution


def take_whole_page(execution: "Execution", step: StoreSearch, read: PageRead, whole: WholePage) -> bool:
    """Put what was read into the index; False, and nothing is, where that is left to the steps: an allotted value is not
    known yet, or a record tells other values than its key, so that it has to be weighed who named the entity."""
    index, provides = execution.index, _Provides(execution)
    several = {(stored.mapped.entity, stored.mapped.key): stored.mapped.values for stored in whole.several}
    rows: list[Row] = []
    for (name, key), copy in whole.copies.items():
        entity = index.registry.entities[name]
        values = values_in_key(entity, key)
        if not _agree(values, copy.values if copy else several.get((name, key), {})):
            return False
        if (name, key) in several:
            continue
        if copy is not None:
            values |= provides.of(name, copy)
            values |= copy.refs
        if name in read.shown.allotted and not _has_number(entity, key, values, copy):
            return False
        rows.append(Row(entity, key, index, values))
    for row in rows:
        index.rows[row.entity.name, row.key] = row
    for stored in whole.several:
        recall(execution, stored, RELATED)
    _relate(execution, step, read, whole)
    done = [StoreLookup] if any(name in read.shown.allotted for name, _ in several) else [StoreLookup, Identify]
    execution.done.update([step.number, *(other.number for other in execution.plan.steps if type(other) in done)])
    return True


class _Provides:
    """Of what a source told, what it tells by its mapping of today."""

    def __init__(self, execution: "Execution") -> None:
        self.execution = execution
        self.known: dict[tuple[str, str], frozenset[str] | None] = {}

    def of(self, entity: str, copy: Copy) -> Mapping[str, Any]:
        """The values of a copy."""
        place = (entity, copy.source)
        if place not in self.known:
            self.known[place] = provided_by(self.execution, *place)
        names = self.known[place]
        if names is None or names.issuperset(copy.values):
            return copy.values
        return {name: value for name, value in copy.values.items() if name in names}


def _agree(in_key: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether what a key tells is what was told, as far as it was."""
    for name, value in in_key.items():  # noqa: SIM110 - a generator for each row would cost more than the look-ups
        if told.get(name, value) != value:
            return False
    return True


def _has_number(entity: Entity, key: str, values: dict[str, Any], copy: Copy | None) -> bool:
    """Put in what the gateway allotted; whether there is nothing to be allotted still."""
    allotted = str(entity.allotted)
    if values.get(allotted) is None and copy is not None and copy.given is not None:
        values[allotted] = copy.given
    return values.get(allotted) is not None or key.startswith("~")


def _relate(execution: "Execution", step: StoreSearch, read: PageRead, whole: WholePage) -> None:
    """What refers to the entities; too many are refused, never cut off."""
    failure = Failure("store", "related", TooManyRelated())
    for (entity, key, relation), keys in whole.related.items():
        if len(keys) > read.shown.most_related:
            execution.index.related_failures[entity, key, relation] = failure
        else:
            execution.index.relate(entity, key, relation, keys, step.number)
