"""GraphQL object types from the specification: one per entity, a field per element and relation, provenance on each."""

import enum
from collections.abc import Awaitable, Mapping
from typing import Any

import strawberry
from strawberry.federation.schema_directives import Key, Shareable
from strawberry.scalars import JSON
from strawberry.schema_directive import Location
from strawberry.types.field import StrawberryField

from schema.making import make_field, make_object, read_field
from schema.names import GLOBAL_ID, PROVENANCE, camel
from schema.registry import OWNER, Element, Entity, Registry, Relation
from schema.scalars import Date, DateTime, DivisionCode, IdNo, Long, Money, Uscc
from schema.view import EntityView
from schema.words import NEEDS, SENSITIVITIES

KINDS: Mapping[str, Any] = {
    "date": Date,
    "datetime": DateTime,
    "money": Money,
    "boolean": bool,
    "text": str,
    "structure": JSON,
}
CHECKED: Mapping[str, Any] = {"uscc": Uscc, "id_no": IdNo}
LARGEST_INT_DIGITS = 9


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="dataElement",
    description="字段对应的数据元：临时内部标识符与规范版本。标识 ZFxxxxx 不是官方编号。",
)
class DataElement:
    """Which data element of which version a field is."""

    id: str
    version: str


@strawberry.enum(description="答案从哪里来")
class Mode(enum.Enum):
    """How an answer was had."""

    LIVE = strawberry.enum_value("LIVE", description="此刻由来源系统答复")
    CACHED = strawberry.enum_value("CACHED", description="短时缓存")
    STORE = strawberry.enum_value("STORE", description="本地存储（数据回流）")
    STALE = strawberry.enum_value("STALE", description="来源系统不可用，以本地存储的最近副本代答")


@strawberry.interface(description="有全局标识的实体")
class Node:
    """Whatever can be asked for by its global identifier."""

    id: strawberry.ID = strawberry.field(description="全局标识，不透明")


def _origin_field(name: str, annotation: Any, description: str) -> StrawberryField:
    def read(root: Mapping[str, Any]) -> Any:
        return Mode(root[name]) if name == "mode" else root[name]

    return read_field(name, annotation, description, read)


def make_types(registry: Registry, enums: Mapping[str, type[enum.Enum]]) -> dict[str, type]:
    """The object type of each entity. Relations are added when all types exist, since they lead in circles."""
    provenance = _provenance_type()
    types = {entity.name: _entity_type(entity, enums, provenance) for entity in registry.entities.values()}
    for entity in registry.entities.values():
        definition: Any = types[entity.name]
        for relation in entity.relations.values():
            definition.__strawberry_definition__.fields.append(_relation_field(relation, types[relation.to]))
    return types


def element_type(element: Element, enums: Mapping[str, type[enum.Enum]]) -> Any:
    """The GraphQL type of one value of an element."""
    if element.codes in enums:
        return enums[str(element.codes)]
    if element.codes == "division":
        return DivisionCode
    if element.check:
        return CHECKED[element.check]
    if element.format.kind == "number":
        return int if max(element.format.lengths) <= LARGEST_INT_DIGITS else Long
    return KINDS[element.format.kind]


def _provenance_type() -> type:
    return make_object(  # type: ignore[no-any-return]
        "Provenance",
        [
            _origin_field("source", str, "来源系统"),
            _origin_field("operation", str, "来源系统的操作；取自本地存储时为空串"),
            _origin_field("mode", Mode, "答案从哪里来"),
            _origin_field("as_of", DateTime, "来源系统确认此内容的最近时间"),
            _origin_field("fetched_at", DateTime, "首次收到此内容的时间"),
            _origin_field("spec_version", str, "数据元规范版本"),
            _origin_field("mapping_version", str | None, "映射版本；取自本地存储时才有"),
            _origin_field("raw_digest", str | None, "所在原文的 SHA-256（血缘见 lineage）；取自本地存储时才有"),
            _origin_field("run", strawberry.ID | None, "在哪次运行中收到（账目见 ledger）；取自本地存储时才有"),
            _origin_field("lag", Long | None, "距来源确认此内容的秒数；实时取得时为 null"),
            _origin_field("elements", list[str], "由它提供的数据元"),
        ],
        "溯源：一个来源对一个实体提供了什么（数据元稿 E27）",
        directives=[Shareable()],
    )


def _entity_type(entity: Entity, enums: Mapping[str, type[enum.Enum]], provenance: type) -> type:
    fields = [
        read_field(GLOBAL_ID, strawberry.ID, "全局标识，不透明", lambda root: root.id),
        *(_element_field(element, enums) for element in entity.elements.values()),
        read_field(
            PROVENANCE,
            list[provenance],  # type: ignore[valid-type]
            "溯源：一个实体可由多个来源拼成，每个来源一项",
            lambda root: root.provenance(),
        ),
    ]
    description = f"{entity.title}。{entity.description}" if entity.description else entity.title
    keys = [Key(fields=fields) for fields in entity_keys(entity)]  # type: ignore[arg-type]
    return make_object(entity.name, fields, description, (Node,), keys)  # type: ignore[no-any-return]


def entity_keys(entity: Entity) -> list[str]:
    """The keys of the entity in a federated graph: its global identifier, and every combination that names it."""
    told = (combination for combination in entity.lookups if OWNER not in combination)
    return [GLOBAL_ID, *(" ".join(camel(name) for name in combination) for combination in told)]


def _element_field(element: Element, enums: Mapping[str, type[enum.Enum]]) -> StrawberryField:
    one: Any = element_type(element, enums)
    made = enums.get(str(element.codes))

    def shown(value: Any) -> Any:
        if value is None or made is None:
            return list(value) if isinstance(value, tuple) else value
        return [made(member) for member in value] if element.format.many else made(value)

    async def shown_later(value: Awaitable[Any]) -> Any:
        return shown(await value)

    def read(root: EntityView) -> Any:
        value = root.answer(element.name)
        return shown_later(value) if isinstance(value, Awaitable) else shown(value)

    annotation: Any = list[one] | None if element.format.many else one | None
    field = read_field(element.name, annotation, describe(element), read)
    field.directives = [DataElement(id=element.id, version=element.version)]
    return field


def describe(element: Element) -> str:
    """Chinese name first, then what a caller has to know."""
    parts = [element.title, element.description, f"格式 {element.format.text}，{NEEDS[element.need]}"]
    parts += [element.condition, f"单位：{element.unit}" if element.unit else ""]
    parts.append("" if element.sensitivity == "public" else SENSITIVITIES[element.sensitivity])
    return "。".join(part.rstrip("。") for part in parts if part)


def _relation_field(relation: Relation, target: Any) -> StrawberryField:
    def follow(root: strawberry.Parent[Any], info: strawberry.Info) -> Any:
        return root.several(relation.name, info.path.as_list()) if relation.many else root.one(relation.name)

    annotation: Any = list[target] | None if relation.many else target | None
    return make_field(relation.name, annotation, relation.title, follow)
