"""Reads `mappings/<source>/` into checked mappings, or says everything that is wrong with all of them at once."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import time
from pathlib import Path

from adapters.mapping.check import check_operations, check_request_words
from adapters.mapping.check_limits import check_limits
from adapters.mapping.fields import FieldMaker
from adapters.mapping.judge import conditional_checks, dated_codes
from adapters.mapping.model import (
    ChangesRole,
    DeliverRole,
    Embedded,
    EntityMapping,
    Field,
    LookupRole,
    OperationMapping,
    Reference,
    SearchRole,
    SourceMapping,
    Tombstone,
)
from adapters.mapping.paths import RecordPath, parse_path
from adapters.mapping.searches import SearchReader
from adapters.mapping.words import Is
from adapters.mapping.written import EntityForm, MappingForm
from adapters.mapping.written import Operation as WrittenOperation
from schema.problems import Path as ProblemPath
from schema.problems import Problem, Problems
from schema.registry import Entity, Registry
from schema.written import Document, check_shape, read_yaml

WRONG_OVERLAP = "时间游标的 overlap 写时长（如 10m），数字游标写个数（如 100），文本游标不写"
OVERLAPS: dict[type, tuple[str, ...]] = {float: ("date", "datetime"), int: ("number", "money")}
"""The kinds of cursor that an overlap in time, and one in numbers, makes sense for."""

MAPPINGS_FOLDER = Path(__file__).parents[2] / "mappings"


def load_mappings(registry: Registry, folder: Path = MAPPINGS_FOLDER) -> dict[str, SourceMapping]:
    """Every source in `folder`. Raises Problems with every mistake of every mapping."""
    mappings: dict[str, SourceMapping] = {}
    problems: list[Problem] = []
    for file in sorted(folder.glob("*/mapping.yaml")):
        try:
            mapping = load_mapping(registry, file.parent, f"{folder.name}/{file.parent.name}/mapping.yaml")
            mappings[mapping.name] = mapping
        except Problems as error:
            problems.extend(error.problems)
    if problems:
        raise Problems(problems)
    return mappings


def load_mapping(registry: Registry, folder: Path, shown_as: str | None = None) -> SourceMapping:
    """The source in one folder. Raises Problems with everything that is wrong with it."""
    file = folder / "mapping.yaml"
    document = read_yaml(file, shown_as)
    form = check_shape(document, MappingForm)
    if form is None:
        raise Problems(document.problems)
    mapping = _Loader(document, form, registry, folder).load()
    if document.problems:
        raise Problems(document.problems)
    return mapping


class _Loader:
    """One mapping being checked; every mistake goes to the document, nothing stops at the first."""

    def __init__(self, document: Document, form: MappingForm, registry: Registry, folder: Path) -> None:
        self.document, self.form, self.registry, self.folder = document, form, registry, folder
        self.maker = FieldMaker(document, form, registry)
        self.searches = SearchReader(document, form, registry)

    def load(self) -> SourceMapping:
        form, document = self.form, self.document
        if form.source != self.folder.name:
            document.problem(("source",), f"“{form.source}” 与文件夹名 “{self.folder.name}” 不一致")
        self.maker.check_code_maps()
        entities = {
            name: self._entity(name, written)
            for name, written in form.entities.items()
            if self._known_entity(("entities", name), name)
        }
        operations = {
            name: operation
            for name, written in form.operations.items()
            if (operation := self._operation(name, written, entities)) is not None
        }
        check_request_words(document, form, self.folder)
        check_limits(document, form)
        mapping = SourceMapping(
            name=form.source,
            title=form.title,
            agency=form.agency,
            owner=form.owner,
            folder=self.folder,
            version=hashlib.sha256((self.folder / "mapping.yaml").read_bytes()).hexdigest()[:12],
            connect=form.connect,
            operations=operations,
            entities=entities,
        )
        return check_operations(document, mapping)

    def _known_entity(self, path: ProblemPath, name: str) -> bool:
        if name in self.registry.entities:
            return True
        self.document.unknown(path, name, "规范中没有实体", self.registry.entities)
        return False

    def _entity(self, name: str, written: EntityForm) -> EntityMapping:
        entity, path = self.registry.entities[name], ("entities", name)
        fields: dict[str, Field] = {}
        provenance: dict[str, Field] = {}
        references: dict[str, Reference] = {}
        embedded: dict[str, Embedded] = {}
        for word, form in written.fields.items():
            here = (*path, "fields", word)
            match self.maker.make(entity, word, form, here):
                case Field() as made if word in entity.elements:
                    fields[word] = made
                case Field() as made:
                    provenance[word] = made
                case Reference() as made:
                    references[word] = made
                case Embedded() as made:
                    embedded[word] = made
                    if made.to not in self.form.entities:
                        self.document.unknown((*here, "entity"), made.to, "本映射没有实体", self.form.entities)
        for index, word in enumerate(written.key):
            if word not in fields:
                known = fields or entity.elements
                where = ("key", index) if (*path, "key", 0) in self.document.marks else ("key",)
                self.document.unknown((*path, *where), word, "key 应是 fields 中的数据元，没有", known)
        return EntityMapping(
            entity,
            tuple(written.key),
            fields,
            provenance,
            references,
            embedded,
            conditional_checks(entity, fields),
            dated_codes(fields, self.registry, self._reachable(written)),
            tuple(name for name in entity.fact_date if name in fields),
            self.searches.holds(path, written, entity, fields | self._named(entity, references)),
            written.holds == "all",
            written.drift,
        )

    def _named(self, entity: Entity, references: Mapping[str, Reference]) -> dict[str, Field]:
        """The elements that references fill with the value they name the other entity by."""
        return {
            by: replace(reference.field, name=by, element=entity.elements[by])
            for name, reference in references.items()
            if (by := entity.relations[name].by) and reference.to.identity[0] == (reference.field.element.name,)
        }

    def _reachable(self, written: EntityForm) -> dict[str, set[str]]:
        """The members each field's code map leads to."""
        maps = {name: form.codes for name, form in written.fields.items() if form.codes}
        return {name: set(self.form.codes.get(codes, {}).values()) for name, codes in maps.items()}

    def _operation(
        self, name: str, written: WrittenOperation, entities: Mapping[str, EntityMapping]
    ) -> OperationMapping | None:
        path: ProblemPath = ("operations", name)
        if sum(role is not None for role in (written.lookup, written.changes, written.search, written.deliver)) != 1:
            self.document.problem(path, "lookup、changes、search、deliver 必须且只能写一个")
            return None
        lookup = self._lookup((*path, "lookup"), written, entities) if written.lookup else None
        changes = self._changes((*path, "changes"), written, entities) if written.changes else None
        search = self._search((*path, "search"), written, entities) if written.search else None
        deliver = self._deliver((*path, "deliver"), written, entities) if written.deliver else None
        if lookup is None and changes is None and search is None and deliver is None:
            return None
        latest = written.latest
        return OperationMapping(
            name,
            written,
            self._path((*path, "records"), written.records),
            self._path((*path, "latest", "of"), latest.of) if latest else None,
            tuple(self._path((*path, "latest", "by"), text) for text in latest.by) if latest else (),
            lookup,
            changes,
            needs_container=getattr(self.form.connect, "answer", [])[-1:] == ["json"],
            search=search,
            deliver=deliver,
        )

    def _deliver(
        self, path: ProblemPath, written: WrittenOperation, entities: Mapping[str, EntityMapping]
    ) -> DeliverRole | None:
        role = written.deliver
        assert role is not None
        if self._mapped_entity(path, role.entity, entities) is None:
            return None
        return DeliverRole(role.entity, self._tombstone((*path, "deleted"), role.deleted))

    def _lookup(
        self, path: ProblemPath, written: WrittenOperation, entities: Mapping[str, EntityMapping]
    ) -> LookupRole | None:
        role = written.lookup
        assert role is not None
        mapping = self._mapped_entity(path, role.entity, entities)
        if mapping is None:
            return None
        relation, _, element = role.by.rpartition(".")
        by = self._lookup_field(mapping, relation, element, entities)
        if by is None:
            known = [*mapping.fields, *(f"{n}.{r.field.element.name}" for n, r in mapping.references.items())]
            known += [
                f"{n}.{e}" for n, m in mapping.embedded.items() if m.to in entities for e in entities[m.to].fields
            ]
            self.document.unknown((*path, "by"), role.by, "by 应是映射了的数据元或 关系.数据元，没有", known)
            return None
        asked = self.registry.target_of(role.entity, relation) if relation else mapping.entity
        if element == asked.allotted:
            self.document.problem((*path, "by"), f"“{role.by}” 由网关编发，来源不能按它查")
            return None
        if by.print_key is None:
            self.document.problem((*path, "by"), f"“{role.by}” 的写法不能由值反推，不能用来查询")
            return None
        deleted = self._tombstone((*path, "deleted"), role.deleted)
        return LookupRole(role.entity, relation or None, element, by, role.batch, role.many, deleted)

    def _lookup_field(
        self, mapping: EntityMapping, relation: str, element: str, entities: Mapping[str, EntityMapping]
    ) -> Field | None:
        if not relation:
            return mapping.fields.get(element)
        if reference := mapping.references.get(relation):
            return reference.field if reference.field.element.name == element else None
        if (inside := mapping.embedded.get(relation)) and inside.to in entities:
            return entities[inside.to].fields.get(element)
        return None

    def _changes(
        self, path: ProblemPath, written: WrittenOperation, entities: Mapping[str, EntityMapping]
    ) -> ChangesRole | None:
        role = written.changes
        assert role is not None
        mapping = self._mapped_entity(path, role.entity, entities)
        if mapping is None:
            return None
        known = [*mapping.provenance, *mapping.fields]
        cursor = mapping.provenance.get(role.cursor) or mapping.fields.get(role.cursor)
        if cursor is None or cursor.print_key is None:
            self.document.unknown((*path, "cursor"), role.cursor, "游标应是映射了的字段，没有", known)
            return None
        if written.page is None:
            self.document.problem(path, "changes 需要同级的 page（每次取多少条）")
        if role.overlap and cursor.element.format.kind not in OVERLAPS[type(role.overlap)]:
            self.document.problem((*path, "overlap"), WRONG_OVERLAP)
        by, sliceable = role.reconcile.by, [*mapping.fields, *mapping.references]
        if by is not None and by not in sliceable:
            self.document.unknown((*path, "reconcile", "by"), by, "应是映射了的数据元或引用，没有", sliceable)
        deleted = self._tombstone((*path, "deleted"), role.deleted)
        return ChangesRole(
            role.entity,
            cursor,
            role.overlap,
            deleted,
            role.ascending,
            role.every,
            tuple((time.fromisoformat(text[:5]), time.fromisoformat(text[6:])) for text in role.pauses),
            role.most_bad / 100,
            role.most_gone / 100,
            role.reconcile.every,
            by,
        )

    def _search(
        self, path: ProblemPath, written: WrittenOperation, entities: Mapping[str, EntityMapping]
    ) -> SearchRole | None:
        role = written.search
        assert role is not None
        mapping = self._mapped_entity(path, role.entity, entities)
        if mapping is None:
            return None
        return self.searches.read(path, written, mapping, self._tombstone((*path, "deleted"), role.deleted))

    def _mapped_entity(
        self, path: ProblemPath, name: str, entities: Mapping[str, EntityMapping]
    ) -> EntityMapping | None:
        if name not in entities:
            self.document.unknown((*path, "entity"), name, "本映射没有实体", entities)
            return None
        return entities[name]

    def _tombstone(self, path: ProblemPath, written: Is | None) -> Tombstone | None:
        return Tombstone(self._path((*path, "path"), written.path), frozenset(written.is_)) if written else None

    def _path(self, path: ProblemPath, text: str) -> RecordPath:
        try:
            return parse_path(text)
        except ValueError as error:
            self.document.problem(path, str(error))
            return RecordPath(text, ())
