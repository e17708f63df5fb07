"""Reads `schema/spec/` into a Registry, or says everything that is wrong with it at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

from schema.check_codes import Table, check_codes, check_dates, check_texts
from schema.check_entities import EntityFile, check_entity, check_identities, check_references
from schema.check_rules import check_rules
from schema.formats import parse_format
from schema.problems import Path as Place
from schema.problems import Problem, Problems
from schema.registry import SPEC_FOLDER, Code, CodeTable, ConditionalCheck, Element, Entity, Registry, Relation
from schema.repair import read_shape
from schema.reserved import check_reserved
from schema.shape import Written, WrittenCodes, WrittenElement, WrittenEntity, WrittenSpec
from schema.written import Document, read_yaml

T = TypeVar("T", bound=Written)
ESSENTIAL = ("entity", "identity", "elements", "relations")
"""Without one of these an entity is taken as unread: others may refer to anything in it."""


@dataclass(frozen=True, slots=True)
class Specification:
    """The files of a specification as they are written, before anything is checked."""

    head: Document
    tables: Sequence[Document]
    entities: Sequence[Document]

    @property
    def documents(self) -> Sequence[Document]:
        """All files, the head first."""
        return (self.head, *self.tables, *self.entities)


def load_registry(folder: Path = SPEC_FOLDER) -> Registry:
    """The specification in `folder`. Raises Problems with every mistake in every file."""
    return make_registry(read_specification(folder))


def read_specification(folder: Path) -> Specification:
    """The files in `folder`, unchecked."""

    def read(kind: str) -> list[Document]:
        return [read_yaml(file, _shown(folder, file)) for file in sorted((folder / kind).glob("*.yaml"))]

    head = read_yaml(folder / "spec.yaml", _shown(folder, folder / "spec.yaml"))
    return Specification(head, read("codes"), read("entities"))


def make_registry(files: Specification) -> Registry:
    """What the files say. Raises Problems with every mistake in every file."""
    spec = read_shape(files.head, WrittenSpec)
    tables, entities = _shaped(files.tables, WrittenCodes), _shaped(files.entities, WrittenEntity)
    if spec is not None:
        check_texts(files.head)
        check_dates(files.head, (), spec.effective_from, spec.effective_to, ("effective_from", "effective_to"))
    _check_all(tables, _stems(files.tables) - _stems(d for _, d in tables), entities, files.entities)
    problems = [problem for document in files.documents for problem in document.problems]
    if problems or spec is None:
        raise Problems(problems)
    return _registry(spec, tables, entities)


def load_imperfect(folder: Path) -> tuple[Registry, Sequence[Problem]]:
    """The specification in `folder` in spite of its mistakes, and those: one of the past that today's rules are too
    strict for. Raises Problems when something cannot be read at all."""
    try:
        return load_registry(folder), ()
    except Problems as error:
        files = read_specification(folder)
        spec = read_shape(files.head, WrittenSpec)
        tables, entities = _shaped(files.tables, WrittenCodes), _shaped(files.entities, WrittenEntity)
        if spec is None or len(tables) + len(entities) < len(files.tables) + len(files.entities):
            raise
        try:
            return _registry(spec, tables, entities), error.problems
        except ValueError:
            raise error from None


def _registry(spec: WrittenSpec, tables: Iterable[Table], entities: Iterable[EntityFile]) -> Registry:
    return Registry(
        spec.version,
        {written.entity: _entity(written, spec) for written, _ in entities},
        {written.codes: _code_table(written) for written, _ in tables},
        spec.title,
        spec.note,
    )


def _shown(folder: Path, file: Path) -> str:
    root = folder.parent.parent
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def _shaped(documents: Iterable[Document], model: type[T]) -> list[tuple[T, Document]]:
    return [(written, d) for d in documents if (written := read_shape(d, model)) is not None]


def _stems(files: Iterable[Document]) -> set[str]:
    """What files define, by their names."""
    return {Path(d.file).stem for d in files}


def _camel(stem: str) -> str:
    return stem.title().replace("_", "")


def _check_all(
    tables: list[Table],
    unread_tables: set[str],
    entities: list[EntityFile],
    entity_files: Sequence[Document],
) -> None:
    _check_unique(((w.codes, d, ("codes",)) for w, d in tables), "代码表")
    _check_unique(((w.id, d, ("id",)) for w, d in tables), "代码表标识")
    entity_names = [(w.entity, d, ("entity",)) for w, d in entities]
    enum_names = [(w.type, d, ("type",)) for w, d in tables if w.type]
    _check_unique(entity_names, "实体")
    _check_unique(enum_names, "枚举类型")
    check_reserved(((name, d) for name, d, _ in entity_names), ((name, d) for name, d, _ in enum_names))
    _check_unique(
        ((e.id, d, ("elements", name, "id")) for w, d in entities for name, e in w.elements.items()), "数据元标识"
    )
    for _, document in (*tables, *entities):
        check_texts(document)
    for written, document in tables:
        check_codes(written, document)
    known: dict[str, Table | None] = {written.codes: (written, document) for written, document in tables}
    known |= dict.fromkeys(unread_tables - known.keys())
    for entity, document in entities:
        check_entity(entity, document, known)
        check_rules(entity, document, known)
    hurt = {d.file for _, d in entities if any((word,) in d.repaired for word in ESSENTIAL)}
    whole = {d.file for _, d in entities} - hurt
    unread = {_camel(Path(d.file).stem) for d in entity_files if d.file not in whole}
    unread |= {written.entity for written, d in entities if d.file in hurt}
    files = {entity.entity: (entity, document) for entity, document in entities if entity.entity}
    for entity, document in entities:
        check_references(entity, document, files, unread)
    check_identities(files)


def _check_unique(names: Iterable[tuple[str, Document, Place]], what: str) -> None:
    first: dict[str, str] = {}
    for name, document, path in names:
        if document.is_repaired(path):
            continue
        if name in first:
            document.problem(path, f"{what} “{name}” 已在 {first[name]} 中定义")
        first.setdefault(name, document.file)


def _code_table(written: WrittenCodes) -> CodeTable:
    members = {
        member: Code(member, c.code or member, c.title, _date(c.valid_from), _date(c.valid_to), tuple(c.successors))
        for member, c in written.members.items()
    }
    return CodeTable(
        name=written.codes,
        id=written.id,
        title=written.title,
        type=written.type,
        members=members,
        basis=written.basis,
        version=written.version,
        judged_length=written.judged_length,
        foreign_prefixes=tuple(written.foreign_prefixes),
    )


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _entity(written: WrittenEntity, spec: WrittenSpec) -> Entity:
    return Entity(
        name=written.entity,
        title=written.title,
        description=written.description,
        identity=tuple(tuple(i) for i in written.identity),
        allotted=written.allotted,
        derived={name: tuple(sources) for name, sources in written.derived.items()},
        elements={name: _element(name, e, written.object_class, spec) for name, e in written.elements.items()},
        relations={n: Relation(n, r.to, r.title, r.many, r.by, r.inverse) for n, r in written.relations.items()},
        draft=written.draft,
        fact_date=tuple(written.fact_date),
        conditional_checks=tuple(
            ConditionalCheck(name, rule.check, {other: tuple(members) for other, members in rule.when.items()})
            for name, rule in written.conditional_checks.items()
        ),
    )


def _element(name: str, written: WrittenElement, object_class: str, spec: WrittenSpec) -> Element:
    own = {"format", "refers", "version", "status", "effective_from", "effective_to", "submitting_agency"}
    values: Mapping[str, Any] = written.model_dump(exclude={*own, "object_class_term"})
    refers = written.refers.split(".") if written.refers else None
    return Element(
        name=name,
        format=parse_format(written.format),
        refers=(refers[0], refers[1]) if refers else None,
        version=written.version or spec.version,
        status=written.status or spec.status,
        effective_from=_date(written.effective_from or spec.effective_from),
        effective_to=_date(written.effective_to or spec.effective_to),
        submitting_agency=written.submitting_agency or spec.submitting_agency,
        object_class_term=written.object_class_term or object_class,
        **values,
    )
