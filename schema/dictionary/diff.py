"""What changed between two specifications, and which changes break those who map to it or query it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from schema.formats import Format
from schema.registry import Code, CodeTable, ConditionalCheck, Element, Entity, Registry, Relation
from schema.words import NEEDS, SENSITIVITIES

Kind = Literal["breaking", "change", "addition"]
Thing = Literal["specification", "entity", "element", "relation", "table", "code"]
WORDS = {
    "title": "中文名",
    "english_name": "英文名",
    "definition": "定义",
    "object_class_term": "对象类词",
    "property_term": "特性词",
    "representation_term": "表示词",
    "synonyms": "别名",
    "condition": "条件",
    "core": "核心",
    "unindexed": "不索引",
    "description": "说明",
    "draft_name": "草案名",
    "draft": "草案编号",
    "basis": "依据",
    "version": "版本",
    "status": "登记状态",
    "effective_from": "生效日期",
    "effective_to": "失效日期",
    "submitting_agency": "提交机构",
    "sf_ref": "官方标识",
    "note": "说明",
    "id": "标识",
    "codes": "代码表",
    "check": "校验",
    "normal": "归一",
    "refers": "引用",
    "unit": "计量单位",
    "allotted": "网关编发的数据元",
    "derived": "推导",
    "fact_date": "事实日期",
    "conditional_checks": "条件校验",
    "judged_length": "核对位数",
    "foreign_prefixes": "外部前缀",
    "identity": "标识组",
    "to": "去向",
    "many": "多个",
    "by": "依据数据元",
    "inverse": "反向关系",
    "type": "枚举类型",
    "valid_from": "生效日期",
    "valid_to": "失效日期",
    "successors": "承接代码",
    "member": "成员名",
}
ELEMENT_BREAKS = ("id", "codes", "check", "normal", "refers", "unit", "unindexed")
RELATION_BREAKS = ("to", "many", "by", "inverse")


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `owner` is the entity or code table, `name` what of it, as the old specification calls it."""

    kind: Kind
    thing: Thing
    owner: str
    name: str
    what: str
    word: str = ""

    @property
    def at(self) -> str:
        """Where it is: `Party.uscc`, `sex.MALE`, `Party`, or nothing for the specification itself."""
        return f"{self.owner}.{self.name}" if self.name else self.owner


def compare(old: Registry, new: Registry) -> list[Change]:
    """Every change: breaking ones first, then changes, then additions, each by where they are."""
    found = [
        *_changed("specification", "", "", _head(old), _head(new), ()),
        *_entities(old, new),
        *_tables(old, new),
    ]
    return in_order(found)


def in_order(changes: Iterable[Change]) -> list[Change]:
    """Breaking changes first, then others, then additions; entities before code tables."""
    order = ("breaking", "change", "addition")
    return sorted(changes, key=lambda c: (order.index(c.kind), c.thing in ("table", "code"), c.at, c.what))


def _head(registry: Registry) -> dict[str, Any]:
    return {"version": registry.version, "title": registry.title, "note": registry.note}


def _entities(old: Registry, new: Registry) -> Iterator[Change]:
    for name in sorted(old.entities.keys() - new.entities.keys()):
        yield Change("breaking", "entity", name, "", f"实体“{old.entities[name].title}”删除", "removed")
    for name in sorted(new.entities.keys() - old.entities.keys()):
        yield Change("addition", "entity", name, "", f"新增实体“{new.entities[name].title}”")
    for name in sorted(old.entities.keys() & new.entities.keys()):
        yield from _entity(old.entities[name], new.entities[name])


def _entity(old: Entity, new: Entity) -> Iterator[Change]:
    words = ("title", "description", "draft", "identity", "allotted", "derived", "fact_date")
    before, after = ({word: getattr(entity, word) for word in words} for entity in (old, new))
    yield from _changed("entity", old.name, "", before, after, ("identity", "allotted", "derived"))
    yield from _conditions(old, new)
    by_id = {element.id: name for name, element in new.elements.items() if name not in old.elements}
    renamed = {name: by_id[e.id] for name, e in old.elements.items() if name not in new.elements and e.id in by_id}
    for name, element in old.elements.items():
        if name in renamed:
            what = f"数据元“{element.title}”（{element.id}）改名为 {renamed[name]}"
            yield Change("breaking", "element", old.name, name, what, "renamed")
            yield from _element(old.name, name, element, new.elements[renamed[name]])
        elif name not in new.elements:
            what = f"数据元“{element.title}”（{element.id}）删除"
            yield Change("breaking", "element", old.name, name, what, "removed")
        else:
            yield from _element(old.name, name, element, new.elements[name])
    for name, element in new.elements.items():
        if name not in old.elements and name not in renamed.values():
            what = f"新增数据元“{element.title}”（{element.id}，{element.format.text}，{NEEDS[element.need]}）"
            yield Change("addition", "element", old.name, name, what)
    yield from _relations(old, new)


def _conditions(old: Entity, new: Entity) -> Iterator[Change]:
    """Checks that come or change refuse what was taken before; those that go do no harm."""
    before, after = ({rule.element: rule for rule in entity.conditional_checks} for entity in (old, new))
    if before != after:
        is_stricter = any(before.get(name) != rule for name, rule in after.items())
        what = f"{WORDS['conditional_checks']}：{_checks_said(before)} → {_checks_said(after)}"
        yield Change("breaking" if is_stricter else "change", "entity", old.name, "", what, "conditional_checks")


def _checks_said(rules: Mapping[str, ConditionalCheck]) -> str:
    return _said({name: f"{rule.check}（{_said(rule.when)}）" for name, rule in rules.items()})


def _element(entity: str, name: str, old: Element, new: Element) -> Iterator[Change]:
    taken = {"name", "format", "need", "sensitivity"}
    words = [f.name for f in fields(Element) if f.name not in taken]
    before, after = ({word: getattr(element, word) for word in words} for element in (old, new))
    gone = {word for word in ("check",) if after[word] is None}
    yield from _changed("element", entity, name, before, after, set(ELEMENT_BREAKS) - gone)
    if old.format != new.format:
        kind, how = _format(old.format, new.format)
        yield Change(kind, "element", entity, name, f"格式{how}：{old.format.text} → {new.format.text}", "format")
    for word, ranks, label, names in (
        ("need", ("O", "C", "M"), "必备性", NEEDS),
        ("sensitivity", tuple(SENSITIVITIES), "敏感级", SENSITIVITIES),
    ):
        first, then = getattr(old, word), getattr(new, word)
        if first != then:
            is_raised = ranks.index(then) > ranks.index(first)
            what = f"{label}{'提高' if is_raised else '降低'}：{names[first]} → {names[then]}"
            yield Change("breaking" if is_raised else "change", "element", entity, name, what, word)


def _format(old: Format, new: Format) -> tuple[Kind, str]:
    if old.kind != new.kind or old.many != new.many:
        return "breaking", "改为另一类型"
    if set(old.lengths) <= set(new.lengths):
        return "change", "放宽"
    return "breaking", "收窄" if set(new.lengths) <= set(old.lengths) else "不再容纳原有的值"


def _relations(old: Entity, new: Entity) -> Iterator[Change]:
    for name, relation in old.relations.items():
        if name not in new.relations:
            what = f"关系“{relation.title}”删除"
            yield Change("breaking", "relation", old.name, name, what, "removed")
            continue
        words = [f.name for f in fields(Relation) if f.name != "name"]
        before, after = ({w: getattr(r, w) for w in words} for r in (relation, new.relations[name]))
        yield from _changed("relation", old.name, name, before, after, RELATION_BREAKS)
    for name, relation in new.relations.items():
        if name not in old.relations:
            yield Change("addition", "relation", old.name, name, f"新增关系“{relation.title}”，通向 {relation.to}")


def _tables(old: Registry, new: Registry) -> Iterator[Change]:
    for name in sorted(old.codes.keys() - new.codes.keys()):
        yield Change("breaking", "table", name, "", f"代码表“{old.codes[name].title}”删除", "removed")
    for name in sorted(new.codes.keys() - old.codes.keys()):
        yield Change("addition", "table", name, "", f"新增代码表“{new.codes[name].title}”")
    for name in sorted(old.codes.keys() & new.codes.keys()):
        yield from _table(old.codes[name], new.codes[name])


def _table(old: CodeTable, new: CodeTable) -> Iterator[Change]:
    words = ("id", "title", "type", "basis", "version", "judged_length", "foreign_prefixes")
    before, after = ({word: getattr(table, word) for word in words} for table in (old, new))
    fewer = set(old.foreign_prefixes) - set(new.foreign_prefixes)
    breaking = ("type", "judged_length", *(["foreign_prefixes"] if fewer else []))
    yield from _changed("table", old.name, "", before, after, breaking)
    by_code = {c.code: m for m, c in new.members.items() if m not in old.members}
    for member, code in old.members.items():
        if member in new.members:
            yield from _code(old.name, code, new.members[member])
        elif code.code in by_code:
            what = f"代码 {code.code}“{code.title}”的成员名改为 {by_code[code.code]}"
            yield Change("breaking", "code", old.name, member, what, "renamed")
        else:
            yield Change("breaking", "code", old.name, member, f"代码 {code.code}“{code.title}”删除", "removed")
    renamed = {by_code[c.code] for m, c in old.members.items() if m not in new.members and c.code in by_code}
    for member, code in new.members.items():
        if member not in old.members and member not in renamed:
            yield Change("addition", "code", old.name, member, f"新增代码 {code.code}“{code.title}”")


def _code(table: str, old: Code, new: Code) -> Iterator[Change]:
    if old.code != new.code:
        yield Change("breaking", "code", table, old.member, f"代码改变：{old.code} → {new.code}", "code")
    if old.valid_to is None and new.valid_to is not None:
        into = f"，由 {'、'.join(new.successors)} 承接" if new.successors else ""
        yield Change("change", "code", table, old.member, f"代码 {old.code} 自 {new.valid_to} 后停用{into}", "valid_to")
        new = replace(new, valid_to=None, successors=old.successors)
    words = [f.name for f in fields(Code) if f.name not in ("member", "code")]
    before, after = ({word: getattr(code, word) for word in words} for code in (old, new))
    yield from _changed("code", table, old.member, before, after, ())


def _changed(
    thing: Thing,
    owner: str,
    name: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    breaking: Sequence[str] | set[str],
) -> Iterator[Change]:
    for word, value in before.items():
        if value != after[word]:
            kind: Kind = "breaking" if word in breaking else "change"
            yield Change(kind, thing, owner, name, f"{WORDS[word]}：{_said(value)} → {_said(after[word])}", word)


def _said(value: Any) -> str:
    tell: Mapping[type, Callable[[Any], str]] = {
        bool: lambda v: "是" if v else "否",
        tuple: lambda v: "；".join(map(_said, v)) if any(isinstance(i, tuple) for i in v) else "、".join(map(str, v)),
        dict: lambda v: "；".join(f"{key} = {_said(item)}" for key, item in v.items()),
    }
    return tell.get(type(value), str)(value) if value not in (None, "", (), {}) else "（空）"
