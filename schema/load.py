"""Reads `schema/spec/` into a Registry, or says everything that is wrong with it at once."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from schema.formats import CHECKS, Format, parse_format
from schema.problems import Problems, did_you_mean
from schema.registry import (
    OWNER,
    SPEC_FOLDER,
    Code,
    CodeTable,
    Element,
    Entity,
    Need,
    Registry,
    Relation,
    Sensitivity,
    Status,
)
from schema.rules import WrittenConditionalCheck, check_fronts, conditional_checks, fact_date
from schema.written import Document, check_shape, read_yaml

NORMAL_FORMS = ("doc_no",)
SNAKE, UPPER, CAMEL = r"[a-z][a-z0-9]*(_[a-z0-9]+)*", r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*|\d{4,12}", r"[A-Z][A-Za-z0-9]*"


def _like(pattern: str, what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"“{text}” 不是{what}")
        return text

    return AfterValidator(check)


def _iso_date(text: str) -> str:
    date.fromisoformat(text)
    return text


Snake = Annotated[str, _like(SNAKE, " snake_case 名称")]
Camel = Annotated[str, _like(CAMEL, " CamelCase 名称")]
IsoDate = Annotated[str, AfterValidator(_iso_date)]
YesNo = Annotated[bool, Field(strict=False)]


class Written(BaseModel):
    """What may be written; any other word is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True)


T = TypeVar("T", bound=Written)


class WrittenElement(Written):
    """One data element of an entity file."""

    id: Annotated[str, _like(r"ZF\d{5}", "临时标识（ZF 加 5 位数字）")]
    title: str
    format: str
    need: Need
    core: YesNo = False
    codes: str | None = None
    check: str | None = None
    normal: str | None = None
    refers: Annotated[str, _like(rf"{CAMEL}\.{SNAKE}", " 实体.数据元")] | None = None
    sensitivity: Sensitivity = "public"
    unit: str = ""
    condition: str = ""
    description: str = ""
    draft_name: str = ""
    basis: str = ""
    version: str = ""
    sf_ref: str = ""
    english_name: str = ""
    definition: str = ""
    object_class_term: str = ""
    property_term: str = ""
    representation_term: str = ""
    synonyms: tuple[str, ...] = ()
    status: Status | None = None
    effective_from: IsoDate | None = None
    effective_to: IsoDate | None = None
    submitting_agency: str = ""


class WrittenRelation(Written):
    """One relation of an entity file."""

    to: Camel
    title: str
    many: YesNo = False
    by: Snake | None = None
    inverse: Snake | None = None
    carried: YesNo = False


class WrittenEntity(Written):
    """A file of `spec/entities/`."""

    entity: Camel
    title: str
    draft: str = ""
    description: str = ""
    identity: list[list[Snake]]
    allotted: Snake | None = None
    derived: dict[Snake, list[Snake]] = {}
    fact_date: list[Snake] = []
    conditional_checks: dict[Snake, WrittenConditionalCheck] = {}
    elements: dict[Snake, WrittenElement]
    relations: dict[Snake, WrittenRelation] = {}


class WrittenCode(Written):
    """One member of a code table."""

    code: str | None = None
    title: str
    valid_from: IsoDate | None = None
    valid_to: IsoDate | None = None
    successors: list[str] = []


class WrittenCodes(Written):
    """A file of `spec/codes/`."""

    codes: Snake
    id: str
    title: str
    type: Camel | None = None
    basis: str = ""
    version: str = ""
    judged_length: Annotated[int, Field(strict=False, ge=1)] | None = None
    foreign_prefixes: list[str] = []
    members: dict[Annotated[str, _like(UPPER, " UPPER_CASE 成员名或区划代码")], WrittenCode]


class WrittenSpec(Written):
    """`spec/spec.yaml`; what it says of status, dates and agency holds for every element that does not say otherwise."""

    version: str
    title: str
    note: str = ""
    status: Status = "candidate"
    effective_from: IsoDate | None = None
    effective_to: IsoDate | None = None
    submitting_agency: str = ""


def load_registry(folder: Path = SPEC_FOLDER) -> Registry:
    """The specification in `folder`. Raises Problems with every mistake in every file."""
    head = read_yaml(folder / "spec.yaml", _shown(folder, folder / "spec.yaml"))
    spec = check_shape(head, WrittenSpec)
    spec = spec or WrittenSpec(version="", title="")
    tables, table_files = _read(folder, "codes", WrittenCodes)
    entities, entity_files = _read(folder, "entities", WrittenEntity)
    codes = {written.codes: _code_table(written) for written, _ in tables}
    for name in _unread(tables, table_files) - codes.keys():
        codes[name] = CodeTable(name, "", "", None, {})
    _check_unique(((w.codes, d, ("codes",)) for w, d in tables), "代码表")
    _check_unique(((w.entity, d, ("entity",)) for w, d in entities), "实体")
    _check_unique(((w.type, d, ("type",)) for w, d in tables if w.type), "枚举类型")
    _check_unique(
        ((e.id, d, ("elements", name, "id")) for w, d in entities for name, e in w.elements.items()), "数据元标识"
    )
    for table, document in tables:
        _check_codes(table, document)
    frozen = {w.entity: _entity(w, d, spec, codes) for w, d in entities}
    unread = {name.title().replace("_", "") for name in _unread(entities, entity_files)}
    for written, document in entities:
        _check_relations(written, document, frozen, unread)
    problems = [p for d in (head, *table_files, *entity_files) for p in d.problems]
    if problems:
        raise Problems(problems)
    return Registry(spec.version, frozen, codes)


def _shown(folder: Path, file: Path) -> str:
    root = folder.parent.parent
    return str(file.relative_to(root)) if file.is_relative_to(root) else str(file)


def _read(folder: Path, kind: str, model: type[T]) -> tuple[list[tuple[T, Document]], list[Document]]:
    documents = [read_yaml(file, _shown(folder, file)) for file in sorted((folder / kind).glob("*.yaml"))]
    read = [(written, d) for d in documents if (written := check_shape(d, model)) is not None]
    return read, documents


def _unread(read: Iterable[tuple[Written, Document]], files: Iterable[Document]) -> set[str]:
    """What files that could not be read define, by their names: to refer to it is no mistake of its own."""
    return {Path(d.file).stem for d in files} - {Path(d.file).stem for _, d in read}


def _check_unique(names: Iterable[tuple[str, Document, tuple[str, ...]]], what: str) -> None:
    first: dict[str, str] = {}
    for name, document, path in names:
        if name in first:
            document.problem(path, f"{what} “{name}” 已在 {first[name]} 中定义")
        first.setdefault(name, document.file)


def _code_table(written: WrittenCodes) -> CodeTable:
    members = {
        member: Code(member, c.code or member, c.title, _date(c.valid_from), _date(c.valid_to), tuple(c.successors))
        for member, c in written.members.items()
    }
    return CodeTable(
        written.codes,
        written.id,
        written.title,
        written.type,
        members,
        written.basis,
        written.version,
        written.judged_length,
        tuple(written.foreign_prefixes),
    )


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _check_codes(written: WrittenCodes, document: Document) -> None:
    check_fronts(written.judged_length, written.foreign_prefixes, written.type, document)
    seen: dict[str, str] = {}
    all_codes = {c.code or member for member, c in written.members.items()}
    for member, code in written.members.items():
        value = code.code or member
        if value in seen:
            document.problem(("members", member), f"代码 “{value}” 与 {seen[value]} 重复")
        seen.setdefault(value, member)
        if written.type and member.isdigit():
            document.problem(("members", member), "枚举成员名不能是数字")
        if code.valid_from and code.valid_to and code.valid_from > code.valid_to:
            document.problem(("members", member, "valid_to"), "失效日期早于生效日期")
        for index, successor in enumerate(code.successors):
            if successor not in all_codes:
                path = ("members", member, "successors", index)
                document.unknown(path, successor, "承接代码不在本表中：", all_codes)


def _entity(written: WrittenEntity, document: Document, spec: WrittenSpec, codes: dict[str, CodeTable]) -> Entity:
    elements = {n: _element(n, e, document, spec, codes) for n, e in written.elements.items()}
    known = [*elements, OWNER]
    for path, name in _names_used(written):
        if name not in known:
            document.unknown(path, name, "本实体没有数据元", known)
    relations = {n: Relation(n, r.to, r.title, r.many, r.by, r.inverse) for n, r in written.relations.items()}
    for name in relations.keys() & elements.keys():
        document.problem(("relations", name), "与数据元同名")
    identity = tuple(tuple(i) for i in written.identity)
    derived = {name: tuple(sources) for name, sources in written.derived.items()}
    return Entity(
        written.entity,
        written.title,
        written.description,
        identity,
        written.allotted,
        derived,
        elements,
        relations,
        fact_date(written.fact_date, elements, document),
        conditional_checks(written.conditional_checks, elements, codes, document),
    )


def _names_used(written: WrittenEntity) -> Iterable[tuple[tuple[str | int, ...], str]]:
    for i, combination in enumerate(written.identity):
        yield from ((("identity", i, j), name) for j, name in enumerate(combination))
    for name, sources in written.derived.items():
        yield ("derived", name), name
        yield from ((("derived", name, i), source) for i, source in enumerate(sources))
    if written.allotted:
        yield ("allotted",), written.allotted


def _element(
    name: str, written: WrittenElement, document: Document, spec: WrittenSpec, codes: dict[str, CodeTable]
) -> Element:
    path = ("elements", name)
    try:
        form = parse_format(written.format)
    except ValueError as error:
        document.problem((*path, "format"), str(error))
        form = Format(written.format, "text")
    for word, value, known in (
        ("codes", written.codes, codes),
        ("check", written.check, CHECKS),
        ("normal", written.normal, NORMAL_FORMS),
    ):
        if value is not None and value not in known:
            document.unknown((*path, word), value, "不认识的词", known)
    if written.codes in codes and form.lengths:
        table = codes[written.codes or ""]
        for code in table.members.values():
            if len(code.code) not in form.lengths:
                document.problem((*path, "format"), f"格式 {form.text} 容不下代码表 {table.name} 的 “{code.code}”")
                break
    for suggestion in _naming(name, form):
        document.problem(path, "名称不合约定（DESIGN §5）", suggestion)
    own = {"format", "refers", "version", "status", "effective_from", "effective_to", "submitting_agency"}
    values: dict[str, Any] = written.model_dump(exclude=own)
    refers = written.refers.split(".") if written.refers else None
    return Element(
        name=name,
        format=form,
        refers=(refers[0], refers[1]) if refers else None,
        version=written.version or spec.version,
        status=written.status or spec.status,
        effective_from=_date(written.effective_from or spec.effective_from),
        effective_to=_date(written.effective_to or spec.effective_to),
        submitting_agency=written.submitting_agency or spec.submitting_agency,
        **values,
    )


def _naming(name: str, form: Format) -> Iterable[str]:
    """DESIGN §5: is_/has_ for booleans, _date (_from, _to in validities), _at for instants, _amount for money."""
    match form.kind:
        case "boolean" if not name.startswith(("is_", "has_")):
            yield "是否类以 is_ 或 has_ 开头"
        case "date" if not name.endswith(("_date", "_from", "_to")):
            yield "日期以 _date 结尾（有效期起止用 _from、_to）"
        case "datetime" if not name.endswith("_at"):
            yield "时间以 _at 结尾"
        case "money" if not name.endswith("_amount"):
            yield "金额以 _amount 结尾"


def _check_relations(written: WrittenEntity, document: Document, entities: dict[str, Entity], unread: set[str]) -> None:
    for name, element in written.elements.items():
        if element.refers:
            entity, target = element.refers.split(".")
            if entity not in unread:
                _check_target(document, ("elements", name, "refers"), entity, target, entities)
    for name, relation in written.relations.items():
        path = ("relations", name)
        if (relation.by is not None) + (relation.inverse is not None) + relation.carried != 1:
            document.problem(path, "by、inverse 与 carried: true 必须且只能写一个")
        if relation.to not in entities and relation.to not in unread:
            document.unknown((*path, "to"), relation.to, "规范中没有实体", entities)
        if relation.by is not None:
            if relation.by not in written.elements:
                document.unknown((*path, "by"), relation.by, "本实体没有数据元", written.elements)
            elif parse_many(written.elements[relation.by].format) != relation.many:
                document.problem((*path, "many"), f"与数据元 {relation.by} 的格式（是否列表）不一致")
        if relation.inverse is not None and relation.to in entities:
            other = entities[relation.to]
            back = other.relations.get(relation.inverse)
            if back is None or back.to != written.entity or not back.is_told:
                known = [n for n, r in other.relations.items() if r.to == written.entity and r.is_told]
                what = f"{other.name} 没有通向 {written.entity} 的关系 “{relation.inverse}”"
                document.problem((*path, "inverse"), what, did_you_mean(relation.inverse, known))


def parse_many(format_text: str) -> bool:
    """Whether a written format is a list."""
    return format_text.endswith("[]")


def _check_target(
    document: Document, path: tuple[str, ...], entity: str, element: str, entities: dict[str, Entity]
) -> None:
    if entity not in entities:
        document.unknown(path, entity, "规范中没有实体", entities)
    elif element not in entities[entity].elements:
        document.unknown(path, element, f"{entity} 没有数据元", entities[entity].elements)
