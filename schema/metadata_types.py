"""GraphQL types that describe the specification itself: elements, code tables, entities and relations as data."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Annotated, Any

import strawberry
from graphql import GraphQLError
from strawberry import UNSET

from schema.metadata_enums import ElementKind, ElementNeed, ElementSensitivity, ElementStatus
from schema.names import camel, list_field, root_field
from schema.registry import Code, CodeTable, Element, Entity, Registry, Relation
from schema.scalars import Date

MOST_DEFINITIONS = 10_000
"""What one operation may be told: the whole dictionary with every code fits, going round in circles does not."""


class Reading:
    """One operation's reading of the registry; counts what it is told, since definitions lead in circles."""

    def __init__(self, registry: Registry) -> None:
        self.registry, self.told = registry, 0

    def spend(self) -> None:
        """Count one more definition. Raises GraphQLError when the operation was told enough."""
        self.told += 1
        if self.told > MOST_DEFINITIONS:
            what = f"查询涉及的定义超过 {MOST_DEFINITIONS} 个，请拆分"
            raise GraphQLError(what, extensions={"code": "QUERY_TOO_LARGE"})


def resolved(description: str) -> Callable[[Callable[..., object]], Any]:
    """`strawberry.field` with a description, as a decorator that has a type."""
    return strawberry.field(description=description)  # type: ignore[no-any-return]


@strawberry.type(description="数据元定义：规范中的一个数据元及其属性（GB/T 19488.1、ISO/IEC 11179）")
class ElementDefinition:
    """A data element, to be read."""

    reading: strawberry.Private[Reading]
    owner: strawberry.Private[Entity]
    table: strawberry.Private[CodeTable | None]
    target: strawberry.Private[tuple[str, str] | None]

    id: strawberry.ID = strawberry.field(description="临时内部标识符 ZFxxxxx，不是官方编号")
    sf_ref: str | None = strawberry.field(description="官方标识（SF/T 0052）；尚未取得时为 null")
    name: str = strawberry.field(description="标识名，snake_case")
    field_name: str = strawberry.field(description="在 GraphQL 中的字段名")
    title: str = strawberry.field(description="中文名称")
    english_name: str | None = strawberry.field(description="英文名称")
    definition: str | None = strawberry.field(description="定义")
    description: str | None = strawberry.field(description="说明")
    synonyms: list[str] = strawberry.field(description="同义名称")
    object_class_term: str | None = strawberry.field(description="对象类词")
    property_term: str | None = strawberry.field(description="特性词")
    representation_term: str | None = strawberry.field(description="表示词")
    format: str = strawberry.field(description="表示格式，例如 C18、C..200、N..3、D10、DT、Money；列表加 []")
    kind: ElementKind = strawberry.field(description="数据类型")
    is_list: bool = strawberry.field(description="是否为多值")
    shortest: int | None = strawberry.field(description="最短字符数或位数；不限时为 null")
    longest: int | None = strawberry.field(description="最长字符数或位数；不限时为 null")
    unit: str | None = strawberry.field(description="计量单位")
    need: ElementNeed = strawberry.field(description="约束")
    condition: str | None = strawberry.field(description="约束条件或填写要求")
    is_core: bool = strawberry.field(description="是否首批核心数据元")
    is_filterable: bool = strawberry.field(description="是否可用于筛选、排序和分组")
    sensitivity: ElementSensitivity = strawberry.field(description="敏感程度")
    status: ElementStatus = strawberry.field(description="注册状态")
    version: str = strawberry.field(description="版本")
    effective_from: Date | None = strawberry.field(description="生效日期")
    effective_to: Date | None = strawberry.field(description="失效日期，含当日")
    submitting_agency: str | None = strawberry.field(description="提交机构")
    draft_name: str | None = strawberry.field(description="草案中的名称")
    basis: str | None = strawberry.field(description="依据；[V] 有公开出处，[K] 为一般知识，[I] 为推断")

    @resolved("所属实体")
    def entity(self) -> Annotated["EntityDefinition", strawberry.lazy("schema.metadata_types")]:
        """The entity it is an element of."""
        return entity_definition(self.reading, self.owner)

    @resolved("值域代码表；不用代码表时为 null")
    def code_table(self) -> Annotated["CodeTableDefinition", strawberry.lazy("schema.metadata_types")] | None:
        """Its code table."""
        return code_table_definition(self.reading, self.table) if self.table else None

    @resolved("引用的数据元：值取自另一实体的这个数据元；不引用时为 null")
    def refers(self) -> Annotated["ElementDefinition", strawberry.lazy("schema.metadata_types")] | None:
        """The element of another entity whose values it repeats."""
        if self.target is None:
            return None
        entity = self.reading.registry.entities[self.target[0]]
        return element_definition(self.reading, entity, entity.elements[self.target[1]])


@strawberry.type(description="代码：代码表中的一个值")
class CodeDefinition:
    """A member of a code table, to be read."""

    reading: strawberry.Private[Reading]
    table: strawberry.Private[CodeTable]
    following: strawberry.Private[tuple[str, ...]]

    code: str = strawberry.field(description="代码")
    member: str = strawberry.field(description="枚举成员名；不作枚举的代码表中同代码")
    title: str = strawberry.field(description="含义")
    valid_from: Date | None = strawberry.field(description="启用日期；规范未写时为 null")
    valid_to: Date | None = strawberry.field(description="停用日期，含当日；现行时为 null")

    @resolved("停用后承接它的代码")
    def successors(self) -> list[Annotated["CodeDefinition", strawberry.lazy("schema.metadata_types")]]:
        """The codes that took its place."""
        return [_code(self.reading, self.table, self.table.by_code[code]) for code in self.following]

    @resolved("由它承接的停用代码")
    def predecessors(self) -> list[Annotated["CodeDefinition", strawberry.lazy("schema.metadata_types")]]:
        """The codes whose place it took."""
        return [
            _code(self.reading, self.table, code)
            for code in self.table.members.values()
            if self.code in code.successors
        ]


@strawberry.type(description="代码表定义：数据元的值域")
class CodeTableDefinition:
    """A code table, to be read."""

    reading: strawberry.Private[Reading]
    table: strawberry.Private[CodeTable]

    id: strawberry.ID = strawberry.field(description="临时标识 CVxx")
    name: str = strawberry.field(description="标识名，snake_case")
    title: str = strawberry.field(description="中文名称")
    enum_type: str | None = strawberry.field(description="在 GraphQL 中的枚举类型；不作枚举时为 null")
    version: str | None = strawberry.field(description="版本")
    basis: str | None = strawberry.field(description="依据；[V] 有公开出处，[K] 为一般知识，[I] 为推断")

    @resolved("各代码，按规范中的次序")
    def codes(
        self, on: Annotated[Date | None, strawberry.argument(description="只列这一天有效的")] = UNSET
    ) -> list[CodeDefinition]:
        """Its codes, or those that are valid on a day."""
        codes = self.table.members.values()
        return [_code(self.reading, self.table, code) for code in codes if not on or _is_valid(code, on)]

    @resolved("采用这个代码表的数据元")
    def elements(self) -> list[ElementDefinition]:
        """The elements whose values are its codes."""
        found = all_elements(self.reading.registry)
        return [element_definition(self.reading, e, x) for e, x in found if x.codes == self.table.name]


@strawberry.type(description="关系定义：从一个实体到另一个实体")
class RelationDefinition:
    """A relation, to be read."""

    reading: strawberry.Private[Reading]
    owner: strawberry.Private[Entity]
    relation: strawberry.Private[Relation]

    name: str = strawberry.field(description="标识名，snake_case")
    field_name: str = strawberry.field(description="在 GraphQL 中的字段名")
    title: str = strawberry.field(description="中文名称")
    is_list: bool = strawberry.field(description="是否通向多个")
    inverse: str | None = strawberry.field(description="所反转的、对方实体的关系")

    @resolved("所属实体")
    def entity(self) -> Annotated["EntityDefinition", strawberry.lazy("schema.metadata_types")]:
        """Where it starts."""
        return entity_definition(self.reading, self.owner)

    @resolved("通向的实体")
    def target(self) -> Annotated["EntityDefinition", strawberry.lazy("schema.metadata_types")]:
        """Where it leads."""
        return entity_definition(self.reading, self.reading.registry.entities[self.relation.to])

    @resolved("据以相连的本实体数据元；由来源记录或反向关系给出时为 null")
    def by(self) -> ElementDefinition | None:
        """The own element that holds the other's key."""
        name = self.relation.by
        return element_definition(self.reading, self.owner, self.owner.elements[name]) if name else None


@strawberry.type(description="实体定义")
class EntityDefinition:
    """An entity, to be read."""

    reading: strawberry.Private[Reading]
    spec: strawberry.Private[Entity]

    name: str = strawberry.field(description="实体名，即 GraphQL 类型名")
    title: str = strawberry.field(description="中文名称")
    description: str | None = strawberry.field(description="说明")
    root_field: str = strawberry.field(description="按键查询的入口")
    list_field: str = strawberry.field(description="列表入口")
    identity: list[list[str]] = strawberry.field(description="主键：每一组字段都能区分一个实体，取首个齐全的一组")
    lookups: list[list[str]] = strawberry.field(description="按键查询入口接受的各组参数")

    @resolved("各数据元，按规范中的次序")
    def elements(self) -> list[ElementDefinition]:
        """Its elements."""
        return [element_definition(self.reading, self.spec, element) for element in self.spec.elements.values()]

    @resolved("由本实体出发的关系")
    def relations(self) -> list[RelationDefinition]:
        """The relations that start here."""
        return [relation_definition(self.reading, self.spec, r) for r in self.spec.relations.values()]

    @resolved("由其他实体通向本实体的关系")
    def referenced_by(self) -> list[RelationDefinition]:
        """The relations that lead here."""
        found = relations_to(self.reading.registry, self.spec)
        return [relation_definition(self.reading, entity, relation) for entity, relation in found]


def all_elements(registry: Registry) -> Iterator[tuple[Entity, Element]]:
    """Every element with its entity, in the order of the specification."""
    return ((entity, element) for entity in registry.entities.values() for element in entity.elements.values())


def relations_to(registry: Registry, target: Entity) -> Iterator[tuple[Entity, Relation]]:
    """Every relation that leads to `target`, with the entity it starts from."""
    for entity in registry.entities.values():
        yield from ((entity, relation) for relation in entity.relations.values() if relation.to == target.name)


def element_definition(reading: Reading, entity: Entity, element: Element) -> ElementDefinition:
    """The definition of an element; what the specification leaves empty is null."""
    reading.spend()
    lengths = element.format.lengths
    return ElementDefinition(
        reading=reading,
        owner=entity,
        table=reading.registry.codes.get(element.codes or ""),
        target=element.refers,
        id=strawberry.ID(element.id),
        sf_ref=element.sf_ref or None,
        name=element.name,
        field_name=camel(element.name),
        title=element.title,
        english_name=element.english_name or None,
        definition=element.definition or None,
        description=element.description or None,
        synonyms=list(element.synonyms),
        object_class_term=element.object_class_term or None,
        property_term=element.property_term or None,
        representation_term=element.representation_term or None,
        format=element.format.text,
        kind=ElementKind(element.format.kind),
        is_list=element.format.many,
        shortest=min(lengths, default=None),
        longest=max(lengths, default=None),
        unit=element.unit or None,
        need=ElementNeed(element.need),
        condition=element.condition or None,
        is_core=element.core,
        is_filterable=reading.registry.is_filterable(element),
        sensitivity=ElementSensitivity(element.sensitivity),
        status=ElementStatus(element.status),
        version=element.version,
        effective_from=_date(element.effective_from),
        effective_to=_date(element.effective_to),
        submitting_agency=element.submitting_agency or None,
        draft_name=element.draft_name or None,
        basis=element.basis or None,
    )


def code_table_definition(reading: Reading, table: CodeTable) -> CodeTableDefinition:
    """The definition of a code table."""
    reading.spend()
    return CodeTableDefinition(
        reading=reading,
        table=table,
        id=strawberry.ID(table.id),
        name=table.name,
        title=table.title,
        enum_type=table.type,
        version=table.version or None,
        basis=table.basis or None,
    )


def entity_definition(reading: Reading, entity: Entity) -> EntityDefinition:
    """The definition of an entity."""
    reading.spend()
    return EntityDefinition(
        reading=reading,
        spec=entity,
        name=entity.name,
        title=entity.title,
        description=entity.description or None,
        root_field=root_field(entity),
        list_field=list_field(entity),
        identity=[[camel(name) for name in combination] for combination in entity.identity],
        lookups=[[camel(name) for name in combination] for combination in entity.lookups],
    )


def relation_definition(reading: Reading, entity: Entity, relation: Relation) -> RelationDefinition:
    """The definition of a relation."""
    reading.spend()
    return RelationDefinition(
        reading=reading,
        owner=entity,
        relation=relation,
        name=relation.name,
        field_name=camel(relation.name),
        title=relation.title,
        is_list=relation.many,
        inverse=relation.inverse,
    )


def _code(reading: Reading, table: CodeTable, code: Code) -> CodeDefinition:
    reading.spend()
    return CodeDefinition(
        reading=reading,
        table=table,
        following=code.successors,
        code=code.code,
        member=code.member,
        title=code.title,
        valid_from=_date(code.valid_from),
        valid_to=_date(code.valid_to),
    )


def _is_valid(code: Code, on: date) -> bool:
    return (code.valid_from is None or code.valid_from <= on) and (code.valid_to is None or on <= code.valid_to)


def _date(value: date | None) -> Date | None:
    return Date(value) if value else None
