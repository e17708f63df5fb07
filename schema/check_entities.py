"""What must hold of the entities of a specification: names, attributes, references and relations."""

import re
from collections.abc import Iterable, Mapping

from schema.check_codes import Table, check_dates, check_name, find_cycles, value_of
from schema.formats import CHECKS, Format, parse_format
from schema.problems import Path, did_you_mean
from schema.registry import OWNER
from schema.shape import CAMEL, REPRESENTATIONS, SNAKE, WrittenElement, WrittenEntity
from schema.written import Document

NORMAL_FORMS = ("doc_no",)
CHECKED_LENGTHS = {"uscc": {18}, "id_no": {15, 18}}
"""The lengths of what a named check accepts; an element with that check can have no other."""

EntityFile = tuple[WrittenEntity, Document]
Files = Mapping[str, EntityFile]


def check_entity(written: WrittenEntity, document: Document, tables: Mapping[str, Table | None]) -> None:
    """Tell every mistake within one entity. A table that is None exists but could not be read."""
    check_name(document, ("entity",), written.entity, CAMEL, " CamelCase 名称")
    for word in ("elements", "relations"):
        for name in getattr(written, word):
            check_name(document, (word, name), name, SNAKE, " snake_case 名称")
    if not written.identity or not all(written.identity):
        document.problem(("identity",), "至少要有一组标识数据元，每组至少一个")
    known = [*written.elements, OWNER]
    for path, name in _names_used(written):
        if name not in known and not document.is_repaired(("elements",)):
            document.unknown(path, name, "本实体没有数据元", known)
    for name, element in written.elements.items():
        _check_element(name, element, written, document, tables)
    for name in written.relations.keys() & written.elements.keys():
        document.problem(("relations", name), "与数据元同名")
    for circle in find_cycles(written.derived):
        document.problem(("derived", circle[0]), f"推导成环：{' → '.join((*circle, circle[0]))}")
    for word, what in (("title", "中文名"), ("english_name", "英文名")):
        _check_unique_within(written, document, word, what)


def _names_used(written: WrittenEntity) -> Iterable[tuple[Path, str]]:
    for i, combination in enumerate(written.identity):
        yield from ((("identity", i, j), name) for j, name in enumerate(combination))
    for name, sources in written.derived.items():
        yield ("derived", name), name
        yield from ((("derived", name, i), source) for i, source in enumerate(sources))
    if written.allotted is not None:
        yield ("allotted",), written.allotted


def _check_unique_within(written: WrittenEntity, document: Document, word: str, what: str) -> None:
    seen: dict[str, str] = {}
    for name, element in written.elements.items():
        value = str(getattr(element, word)).casefold()
        if value in seen and not document.is_repaired(("elements", name, word)):
            document.problem(("elements", name, word), f"{what} “{getattr(element, word)}” 与 {seen[value]} 重复")
        if value:
            seen.setdefault(value, name)


def _check_element(
    name: str, written: WrittenElement, entity: WrittenEntity, document: Document, tables: Mapping[str, Table | None]
) -> None:
    path = ("elements", name)
    check_name(document, (*path, "id"), written.id, r"ZF\d{5}", "临时标识（ZF 加 5 位数字）")
    if written.refers is not None:
        check_name(document, (*path, "refers"), written.refers, rf"({CAMEL})\.({SNAKE})", " 实体.数据元")
    check_dates(document, path, written.effective_from, written.effective_to, ("effective_from", "effective_to"))
    _check_attributes(path, written, entity, document)
    for word, value, known in (
        ("codes", written.codes, tables),
        ("check", written.check, CHECKS),
        ("normal", written.normal, NORMAL_FORMS),
    ):
        if value is not None and value not in known:
            document.unknown((*path, word), value, "不认识的词", known)
    try:
        form = parse_format(written.format)
    except ValueError as error:
        document.problem((*path, "format"), str(error))
    else:
        if not document.is_repaired((*path, "format")):
            _check_format(path, form, written, document, tables)
            for suggestion in _naming(name, form):
                document.problem(path, "名称不合约定（DESIGN §5）", suggestion)


def _check_attributes(path: Path, written: WrittenElement, entity: WrittenEntity, document: Document) -> None:
    for word in ("title", "english_name", "definition", "property_term", "representation_term"):
        if not getattr(written, word):
            document.problem((*path, word), "必须填写")
    if not (written.object_class_term or entity.object_class or document.is_repaired(("object_class",))):
        document.problem((*path, "object_class_term"), "必须填写", "或在实体上写 object_class")
    if written.english_name and not re.fullmatch(r"[A-Za-z][\x20-\x7e]*", written.english_name):
        document.problem((*path, "english_name"), f"“{written.english_name}” 不是英文名")
    if written.definition and written.definition.rstrip("。") in (written.title, f"{written.title}的值"):
        document.problem((*path, "definition"), "定义只是重复了名称", "用一句话说明这个值是什么")
    if written.representation_term and written.representation_term not in REPRESENTATIONS:
        term = written.representation_term
        document.unknown((*path, "representation_term"), term, "不认识的表示词", REPRESENTATIONS)
    for index, synonym in enumerate(written.synonyms):
        if not synonym or re.search("[；\n]", synonym):
            document.problem((*path, "synonyms", index), f"“{synonym}” 不能作别名", "每个别名单列一项，不含分号和换行")
    if written.need == "C" and not written.condition:
        document.problem((*path, "need"), "条件必备（C）而没有写条件", "补写 condition")
    if written.core and written.need == "O" and not document.is_repaired((*path, "need")):
        document.problem((*path, "core"), "核心数据元不能是可选（O）")


def _check_format(
    path: Path, form: Format, written: WrittenElement, document: Document, tables: Mapping[str, Table | None]
) -> None:
    for word in ("codes", "check", "normal"):
        if getattr(written, word) is not None and form.kind != "text":
            document.problem((*path, word), f"格式 {form.text} 不是文本，不能有 {word}")
    if form.kind != "text":
        if written.unit and form.kind != "number":
            document.problem((*path, "unit"), f"格式 {form.text} 不是数，不能有单位")
        return
    if written.unit:
        document.problem((*path, "unit"), f"格式 {form.text} 不是数，不能有单位")
    allowed = CHECKED_LENGTHS.get(written.check or "")
    if allowed and not set(form.lengths) <= allowed:
        lengths = "或 ".join(f"C{length}" for length in sorted(allowed))
        document.problem((*path, "check"), f"校验 {written.check} 不适用于格式 {form.text}", f"格式应为 {lengths}")
    table = tables.get(written.codes or "")
    if table is not None:
        codes = [
            value_of(member, code)
            for member, code in table[0].members.items()
            if not table[1].is_repaired(("members", member, "code"))
        ]
        if wrong := [code for code in codes if len(code) not in form.lengths]:
            document.problem((*path, "format"), f"格式 {form.text} 容不下代码表 {table[0].codes} 的 “{wrong[0]}”")


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


def check_references(written: WrittenEntity, document: Document, files: Files, unread: set[str]) -> None:
    """Tell every wrong way from one entity to others. What could not be read, `unread`, may be referred to."""
    for name, element in written.elements.items():
        if element.refers and "." in element.refers:
            path = ("elements", name, "refers")
            entity, target = element.refers.split(".", 1)
            if entity in unread:
                continue
            if entity not in files:
                document.unknown(path, entity, "规范中没有实体", files)
            elif target not in files[entity][0].elements:
                document.unknown(path, target, f"{entity} 没有数据元", files[entity][0].elements)
            elif not _same_values(element.format, there := files[entity][0].elements[target].format):
                what = f"格式 {element.format} 与所引用的 {element.refers}（{there}）不一致"
                document.problem(("elements", name, "format"), what)
    for name in written.relations:
        _check_relation(name, written, document, files, unread)


def _check_relation(name: str, written: WrittenEntity, document: Document, files: Files, unread: set[str]) -> None:
    relation, path = written.relations[name], ("relations", name)
    has_one_way = (relation.by is not None) + (relation.inverse is not None) + relation.carried == 1
    if not has_one_way:
        document.problem(path, "by、inverse 与 carried: true 必须且只能写一个")
    if not relation.title:
        document.problem((*path, "title"), "必须填写")
    is_known = relation.to in files or relation.to in unread
    if not is_known:
        document.unknown((*path, "to"), relation.to, "规范中没有实体", files)
    if relation.by is not None and not document.is_repaired(("elements",)):
        if relation.by not in written.elements:
            document.unknown((*path, "by"), relation.by, "本实体没有数据元", written.elements)
        elif has_one_way and not document.is_repaired(("elements", relation.by)):
            element = written.elements[relation.by]
            if element.format.endswith("[]") != relation.many:
                document.problem((*path, "many"), f"与数据元 {relation.by} 的格式（是否列表）不一致")
            if element.refers is None:
                document.problem((*path, "by"), f"数据元 {relation.by} 没有写 refers，不知道引用什么")
            elif is_known and "." in element.refers and element.refers.split(".")[0] != relation.to:
                document.problem((*path, "to"), f"与数据元 {relation.by} 引用的 {element.refers} 不是同一实体")
    if relation.inverse is not None and relation.to in files and relation.to not in unread:
        other = files[relation.to][0]
        back = other.relations.get(relation.inverse)
        if back is None or back.to != written.entity or back.inverse is not None:
            known = [n for n, r in other.relations.items() if r.to == written.entity and r.inverse is None]
            what = f"{other.entity} 没有通向 {written.entity} 的关系 “{relation.inverse}”"
            document.problem((*path, "inverse"), what, did_you_mean(relation.inverse, known))


def _same_values(one: str, other: str) -> bool:
    """Whether two formats differ in nothing but being a list; formats that are none are told elsewhere."""
    try:
        forms = [parse_format(text) for text in (one, other)]
    except ValueError:
        return True
    return len({(form.kind, tuple(form.lengths)) for form in forms}) == 1


def check_identities(files: Files) -> None:
    """Tell entities that can only be told apart by each other: what identifies the one refers to the other and back."""
    leads_to = {
        name: [
            refers.split(".")[0]
            for combination in written.identity
            for part in combination
            if part in written.elements and (refers := written.elements[part].refers)
        ]
        for name, (written, _) in files.items()
    }
    for circle in find_cycles(leads_to):
        document = files[circle[0]][1]
        document.problem(("identity",), f"标识互相引用，成环：{' → '.join((*circle, circle[0]))}")
