"""The data dictionary as tables of text: which sheets and columns there are, and what a registry says in them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from schema.registry import ConditionalCheck, Element, Entity, Registry
from schema.words import NEEDS, SENSITIVITIES, STATUSES

BREAK = "\n"
LISTED, JOINED, WHEN = "；", " + ", " | "
"""Between the items of a list in one cell, elements that identify together, and a check and its conditions."""
YES, STAR, NONE = "是", "★", ""
GUIDE: Mapping[str, str] = {
    "关于标识": "ZF 加 5 位数字为临时内部标识符，不是官方编号；“官方标识”列留待 SF/T 0052 正式编号，现为空。",
    "怎样修改": "直接改“实体”“数据元”“关系”“代码表”“代码”各表的单元格，或整行增删；不改表名和表头，列的先后可变。",
    "灰色的列": "供阅读，由其他列得出；改动不会被采用，导入时会指出。",
    "代码与编号": "一律为文本，前导零有意义（如 01）；请勿改为数字、日期或公式。",
    "一格多项": f"别名、承接代码、推导来源、事实日期、外部前缀以“{LISTED}”分隔；标识组每组一行，组内以“{JOINED.strip()}”相连。",
    "条件校验": f"每条一行：数据元 = 校验{WHEN}条件数据元 = 成员{LISTED}成员；几个条件要同时成立，逐个以“{WHEN.strip()}”隔开。",
    "必备性": "必备：总要有值；条件必备：“条件”成立时要有值；可选：可以没有值。★ 为首批核心数据元。",
    "格式": "C18 定长 18 字符；C..200 最长 200 字符；N..3 最多 3 位整数；D10 日期；DT 日期时间；B 是或否；"
    "Money 金额（元，两位小数）；J 结构；URI 网址；末尾 [] 为可有多个。",
    "敏感级": "公开、内部；中、高：默认脱敏，只有经授权的角色可见明文。",
    "改好以后": "用 gateway spec import 文件.xlsx --out 文件夹 读回；不能采用的每一格都会列出，有一格不能采用则什么也不写。",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet. `word` is what it is called in YAML; derived columns have none and are only to be read."""

    title: str
    word: str
    width: int
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of the dictionary: its columns, and its rows as text."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[tuple[str, ...]]


HEAD = (Column("项目", "item", 16), Column("内容", "value", 100))
ENTITIES = (
    Column("实体", "entity", 20),
    Column("中文名", "title", 22),
    Column("草案编号", "draft", 10),
    Column("标识组", "identity", 36),
    Column("网关编发", "allotted", 14),
    Column("推导", "derived", 30),
    Column("事实日期", "fact_date", 30),
    Column("条件校验", "conditional_checks", 50),
    Column("说明", "description", 70),
)
ELEMENTS = (
    Column("标识", "id", 10),
    Column("中文名", "title", 24),
    Column("实体中文名", "", 18),
    Column("实体", "entity", 20),
    Column("字段名", "name", 26),
    Column("英文名", "english_name", 28),
    Column("定义", "definition", 48),
    Column("格式", "format", 11),
    Column("计量单位", "unit", 10),
    Column("必备性", "need", 10, tuple(NEEDS.values())),
    Column("条件", "condition", 24),
    Column("核心", "core", 7, (STAR,)),
    Column("代码表", "codes", 20),
    Column("敏感级", "sensitivity", 11, tuple(SENSITIVITIES.values())),
    Column("对象类词", "object_class_term", 14),
    Column("特性词", "property_term", 18),
    Column("表示词", "representation_term", 10),
    Column("别名", "synonyms", 30),
    Column("引用", "refers", 30),
    Column("校验", "check", 9),
    Column("归一", "normal", 9),
    Column("说明", "description", 24),
    Column("依据", "basis", 28),
    Column("草案名", "draft_name", 22),
    Column("版本", "version", 14),
    Column("登记状态", "status", 10, tuple(STATUSES.values())),
    Column("生效日期", "effective_from", 12),
    Column("失效日期", "effective_to", 12),
    Column("提交机构", "submitting_agency", 16),
    Column("不索引", "unindexed", 9, (YES,)),
    Column("官方标识", "sf_ref", 12),
)
RELATIONS = (
    Column("实体", "entity", 20),
    Column("实体中文名", "", 22),
    Column("关系名", "name", 26),
    Column("中文名", "title", 26),
    Column("通向", "to", 20),
    Column("多个", "many", 7, (YES,)),
    Column("依据数据元", "by", 26),
    Column("反向关系", "inverse", 22),
    Column("来源记录携带", "carried", 14, (YES,)),
)
TABLES = (
    Column("代码表", "codes", 24),
    Column("标识", "id", 26),
    Column("中文名", "title", 24),
    Column("枚举类型", "type", 24),
    Column("版本", "version", 14),
    Column("依据", "basis", 60),
    Column("核对位数", "judged_length", 10),
    Column("外部前缀", "foreign_prefixes", 30),
)
CODES = (
    Column("代码表", "table", 24),
    Column("代码表中文名", "", 20),
    Column("代码", "code", 10),
    Column("含义", "title", 40),
    Column("成员名", "member", 26),
    Column("生效日期", "valid_from", 12),
    Column("失效日期", "valid_to", 12),
    Column("承接代码", "successors", 20),
    Column("无承接", "no_successor", 9, (YES,)),
)
SHEETS: Mapping[str, Sequence[Column]] = {
    "说明": HEAD,
    "实体": ENTITIES,
    "数据元": ELEMENTS,
    "关系": RELATIONS,
    "代码表": TABLES,
    "代码": CODES,
}
HEAD_WORDS = {"规范名称": "title", "规范版本": "version", "规范说明": "note"}


def make_sheets(registry: Registry) -> list[Sheet]:
    """The dictionary of a specification; everything the registry holds is in it."""
    rows: Mapping[str, Callable[[Registry], Iterator[tuple[str, ...]]]] = {
        "说明": _head,
        "实体": _entities,
        "数据元": _elements,
        "关系": _relations,
        "代码表": _tables,
        "代码": _codes,
    }
    return [Sheet(title, columns, tuple(rows[title](registry))) for title, columns in SHEETS.items()]


def _head(registry: Registry) -> Iterator[tuple[str, ...]]:
    for item, word in HEAD_WORDS.items():
        yield item, getattr(registry, word)
    yield from GUIDE.items()


def _in_order(registry: Registry) -> list[Entity]:
    """The entities by the identifiers of their elements, as in the draft."""
    return sorted(registry.entities.values(), key=lambda e: min((x.id for x in e.elements.values()), default=""))


def _entities(registry: Registry) -> Iterator[tuple[str, ...]]:
    for entity in _in_order(registry):
        identity = BREAK.join(JOINED.join(combination) for combination in entity.identity)
        derived = BREAK.join(f"{name} = {LISTED.join(sources)}" for name, sources in entity.derived.items())
        checks = BREAK.join(map(_conditional, entity.conditional_checks))
        dates = LISTED.join(entity.fact_date)
        named = (entity.name, entity.title, entity.draft, identity, entity.allotted or "")
        yield *named, derived, dates, checks, entity.description


def _conditional(rule: ConditionalCheck) -> str:
    conditions = (f"{other} = {LISTED.join(members)}" for other, members in rule.when.items())
    return WHEN.join((f"{rule.element} = {rule.check}", *conditions))


def _elements(registry: Registry) -> Iterator[tuple[str, ...]]:
    for entity in _in_order(registry):
        for element in entity.elements.values():
            yield tuple(_element_cell(entity, element, column) for column in ELEMENTS)


def _element_cell(entity: Entity, element: Element, column: Column) -> str:
    match column.word:
        case "":
            return entity.title
        case "entity":
            return entity.name
        case "format":
            return element.format.text
        case "need":
            return NEEDS[element.need]
        case "sensitivity":
            return SENSITIVITIES[element.sensitivity]
        case "status":
            return STATUSES[element.status]
        case "core":
            return STAR if element.core else ""
        case "unindexed":
            return YES if element.unindexed else ""
        case "synonyms":
            return LISTED.join(element.synonyms)
        case "refers":
            return ".".join(element.refers or ())
    value = getattr(element, column.word)
    return "" if value is None else str(value)


def _relations(registry: Registry) -> Iterator[tuple[str, ...]]:
    for entity in _in_order(registry):
        for r in entity.relations.values():
            carried = YES if r.by is None and r.inverse is None else ""
            many = YES if r.many else ""
            yield entity.name, entity.title, r.name, r.title, r.to, many, r.by or "", r.inverse or "", carried


def _tables(registry: Registry) -> Iterator[tuple[str, ...]]:
    for table in sorted(registry.codes.values(), key=lambda t: t.id):
        front = (str(table.judged_length or ""), LISTED.join(table.foreign_prefixes))
        yield table.name, table.id, table.title, table.type or "", table.version, table.basis, *front


def _codes(registry: Registry) -> Iterator[tuple[str, ...]]:
    for table in sorted(registry.codes.values(), key=lambda t: t.id):
        for code in table.members.values():
            dates = ("" if day is None else day.isoformat() for day in (code.valid_from, code.valid_to))
            ends = YES if code.valid_to and not code.successors else ""
            yield (
                table.name,
                table.title,
                code.code,
                code.title,
                code.member,
                *dates,
                LISTED.join(code.successors),
                ends,
            )
