"""From the mapped records of one page to the rows of the index: under which key, with which elements, and what is inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.mapping.model import LookupRole, SourceMapping, Tombstone
from adapters.mapping.record import Mapped, is_gone, key_texts, rename
from adapters.mapping.wants import NOTHING, Wants
from adapters.source import Page, Record
from gateway.engine.index import NAMED, Contribution, Contributions, Index, Mode, Origin, Row

Asked = Mapping[str, Sequence[str]]
"""The texts a source was asked for -> the keys of the entities they were asked for or from."""


@dataclass(slots=True)
class Answered:
    """One live answer on its way into the store, and what was asked; `about` tells questions apart that have no keys."""

    mapping: SourceMapping
    operation: str
    page: Page
    asked: Asked
    about: tuple[object, ...] = ()


def name_as_asked(
    mapping: SourceMapping, role: LookupRole, records: Sequence[Record], mapped: Sequence[Mapped], asked: Asked
) -> tuple[list[Mapped], list[Mapped]]:
    """The entities that are there, and those that are gone.

    A record that was asked for by its key *is* that entity, even when it spells the key badly.
    """
    steps = role.field.path.steps if role.field.path else ()
    name = steps[0][0] if len(steps) == 1 and not steps[0][1] and not role.field.split else None
    there: list[Mapped] = []
    gone: list[Mapped] = []
    for record, entity in zip(records, mapped, strict=True):
        if role.relation is None:
            text = record.get(name) if name is not None else None
            for given in (text,) if type(text) is str and text in asked else key_texts(record, role.field):
                if given in asked and asked[given][0] != entity.key:
                    rename(mapping, entity, asked[given][0])
        (gone if role.deleted and is_gone(record, role.deleted) else there).append(entity)
    return there, gone


def there_and_gone(
    deleted: Tombstone | None, records: Sequence[Record], mapped: Sequence[Mapped]
) -> tuple[list[Mapped], list[Mapped]]:
    """The entities that are there, and those that are gone."""
    there: list[Mapped] = []
    gone: list[Mapped] = []
    for record, entity in zip(records, mapped, strict=True):
        (gone if deleted and is_gone(record, deleted) else there).append(entity)
    return there, gone


class Taker:
    """Puts entities that tell everything into the index, with everything inside them; one for a step."""

    def __init__(self, index: Index, mapping: SourceMapping, step: int) -> None:
        self.index, self.mapping, self.step = index, mapping, step
        self.provides: dict[str, frozenset[str]] = {}
        self.named: dict[Mode, set[tuple[str, str]]] = {}

    def add(self, entity: Mapped, origin: Origin, rank: int) -> None:
        """Take one entity in, as well informed as `rank` says."""
        row = self.index.add(entity, origin, rank, self._provided(entity.entity))
        self._add_inside(row, entity, origin)

    def _provided(self, entity: str) -> frozenset[str]:
        if entity not in self.provides:
            self.provides[entity] = self.mapping.entities[entity].provides
        return self.provides[entity]

    def _add_inside(self, row: Row, entity: Mapped, origin: Origin) -> None:
        relations = row.entity.relations
        for relation, children in entity.embedded.items():
            for child in children:
                self.add(child, origin, NAMED)
            if relations[relation].inverse:
                inside = [child.key for child in children]
                self.index.relate(row.entity.name, row.key, relation, inside, self.step)
        for relation in entity.refs:
            if relations[relation].is_told:
                self.index.name_references(row, relation, origin, self.named.setdefault(origin.mode, set()))


class Adopter(Taker):
    """The same for entities of one page that tell what is wanted and nothing else, which makes it cheap."""

    def __init__(self, index: Index, mapping: SourceMapping, wants: Wants, step: int) -> None:
        super().__init__(index, mapping, step)
        self.wants = wants
        self.forms: dict[tuple[str, ...], tuple[frozenset[str], Contributions, list[str]]] = {}

    def add(self, entity: Mapped, origin: Origin, rank: int) -> None:
        """Take one entity in, as well informed as `rank` says; its values are given away."""
        form = (entity.entity, *entity.refs)
        known = self.forms.get(form)
        if known is None:
            want = self.wants.get(entity.entity, NOTHING)
            if want.is_whole:
                super().add(entity, origin, rank)
                return
            names = (want.elements & self._provided(entity.entity)).union(entity.refs)
            contributed: Contributions = {(origin.source, origin.mode): Contribution(origin, want.elements)}
            known = self.forms[form] = (names, contributed, list(want.elements - names))
        names, contributed, others = known
        for element in others:  # what follows from the key; the row knows it from there
            entity.values.pop(element, None)
        row = self.index.adopt(entity, contributed, rank, names)
        if entity.embedded or entity.refs:
            self._add_inside(row, entity, origin)
