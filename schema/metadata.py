"""The data dictionary as GraphQL roots, answered from the registry alone: no source, no store, no step of a plan."""

import base64
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from weakref import WeakKeyDictionary

import strawberry
from graphql import GraphQLError
from strawberry import UNSET
from strawberry.types.field import StrawberryField

from schema.making import make_connection
from schema.metadata_enums import ElementNeed, ElementSensitivity, ElementStatus
from schema.metadata_types import (
    CodeTableDefinition,
    ElementDefinition,
    EntityDefinition,
    Reading,
    all_elements,
    code_table_definition,
    element_definition,
    entity_definition,
    resolved,
)
from schema.names import camel
from schema.registry import Element, Entity, Registry
from schema.scalars import Cursor

LARGEST_PAGE = 500
"""All elements of the specification fit; a dictionary is copied in one query."""
DEFAULT_PAGE = 20


@strawberry.input(description="数据元定义的查找条件，各项同时满足；给出多个值的一项满足其一即可")
class ElementDefinitionFilter:
    """Which elements to list; what is not given does not restrict."""

    id: list[strawberry.ID] | None = strawberry.field(default=UNSET, description="临时标识 ZFxxxxx")
    entity: list[str] | None = strawberry.field(default=UNSET, description="实体名，例如 EnforcementCase")
    name: list[str] | None = strawberry.field(default=UNSET, description="标识名或 GraphQL 字段名")
    title: str | None = strawberry.field(default=UNSET, description="中文名称包含")
    text: str | None = strawberry.field(default=UNSET, description="中英文名称、定义、说明或同义名称包含，不分大小写")
    codes: list[str] | None = strawberry.field(default=UNSET, description="值域代码表的标识名或标识 CVxx")
    need: list[ElementNeed] | None = strawberry.field(default=UNSET, description="约束")
    sensitivity: list[ElementSensitivity] | None = strawberry.field(default=UNSET, description="敏感程度")
    status: list[ElementStatus] | None = strawberry.field(default=UNSET, description="注册状态")
    is_core: bool | None = strawberry.field(default=UNSET, description="是否首批核心数据元")


def make_metadata(registry: Registry, page_info: type) -> list[StrawberryField]:
    """The roots `dataElements`, `dataElement`, `codeTables`, `codeTable`, `entities` and `entity`."""
    connection = make_connection("ElementDefinition", ElementDefinition, "数据元定义", page_info)
    readings: WeakKeyDictionary[object, Reading] = WeakKeyDictionary()

    def reading(info: strawberry.Info) -> Reading:
        """The one reading of the operation, whose context tells it from others."""
        if info.context is None:
            return Reading(registry)
        return readings.setdefault(info.context, Reading(registry))

    tables = {key: table for table in registry.codes.values() for key in (table.name, table.id)}

    def data_elements(
        info: strawberry.Info,
        where: Annotated[ElementDefinitionFilter | None, strawberry.argument(description="查找条件")] = UNSET,
        first: Annotated[int, strawberry.argument(description=f"本页条数，1 至 {LARGEST_PAGE}")] = DEFAULT_PAGE,
        after: Annotated[
            Cursor | None, strawberry.argument(description="从哪条之后开始（上一页的 endCursor）")
        ] = UNSET,
    ) -> Any:
        found = list(_find(registry, where or ElementDefinitionFilter()))
        return _page(reading(info), found, first, after or None)

    @resolved("数据字典：一个数据元定义，按临时标识。没有时为 null")
    def data_element(
        info: strawberry.Info,
        id: Annotated[strawberry.ID, strawberry.argument(description="临时标识 ZFxxxxx")],
    ) -> ElementDefinition | None:
        found = (pair for pair in all_elements(registry) if pair[1].id == id)
        return next((element_definition(reading(info), *pair) for pair in found), None)

    @resolved("数据字典：全部代码表")
    def code_tables(info: strawberry.Info) -> list[CodeTableDefinition]:
        return [code_table_definition(reading(info), table) for table in registry.codes.values()]

    @resolved("数据字典：一个代码表，按标识名或标识（例如 division 或 CV03）。没有时为 null")
    def code_table(
        info: strawberry.Info,
        name: Annotated[str, strawberry.argument(description="标识名或标识 CVxx")],
    ) -> CodeTableDefinition | None:
        table = tables.get(name)
        return code_table_definition(reading(info), table) if table else None

    @resolved("数据字典：全部实体")
    def entities(info: strawberry.Info) -> list[EntityDefinition]:
        return [entity_definition(reading(info), entity) for entity in registry.entities.values()]

    @resolved("数据字典：一个实体，按名称（例如 Party）。没有时为 null")
    def entity(
        info: strawberry.Info,
        name: Annotated[str, strawberry.argument(description="实体名")],
    ) -> EntityDefinition | None:
        found = registry.entities.get(name)
        return entity_definition(reading(info), found) if found else None

    description = "数据字典：数据元定义列表，按规范中的次序"
    listed = strawberry.field(resolver=data_elements, graphql_type=connection, description=description)
    return [listed, data_element, code_tables, code_table, entities, entity]


def _find(registry: Registry, where: ElementDefinitionFilter) -> Iterator[tuple[Entity, Element]]:
    text = where.text.casefold() if where.text else ""
    for entity, element in all_elements(registry):
        table = registry.codes.get(element.codes or "")
        told = (
            element.title,
            element.english_name,
            element.definition,
            element.description,
            *element.synonyms,
        )
        if (
            _is_any(where.id, element.id)
            and _is_any(where.entity, entity.name)
            and _is_any(where.name, element.name, camel(element.name))
            and (not where.title or where.title in element.title)
            and any(text in one.casefold() for one in told)
            and _is_any(where.codes, *((table.name, table.id) if table else ()))
            and _is_any(where.need, ElementNeed(element.need))
            and _is_any(where.sensitivity, ElementSensitivity(element.sensitivity))
            and _is_any(where.status, ElementStatus(element.status))
            and where.is_core in (None, UNSET, element.core)
        ):
            yield entity, element


def _is_any(wanted: list[Any] | None, *values: object) -> bool:
    return wanted is None or wanted is UNSET or any(value in wanted for value in values)


def _page(reading: Reading, found: list[tuple[Entity, Element]], first: int, after: str | None) -> Mapping[str, object]:
    if not 1 <= first <= LARGEST_PAGE:
        raise _refused(f"first 应在 1 至 {LARGEST_PAGE} 之间，实为 {first}")
    start = 0
    if after is not None:
        places = {_cursor(element): number for number, (_, element) in enumerate(found, 1)}
        if after not in places:
            raise _refused("after 不是这次查找的翻页位置")
        start = places[after]
    shown = found[start : start + first]
    nodes = [element_definition(reading, entity, element) for entity, element in shown]
    cursors = [_cursor(element) for _, element in shown]
    return {
        "nodes": nodes,
        "edges": [{"cursor": cursor, "node": node} for cursor, node in zip(cursors, nodes, strict=True)],
        "page_info": {
            "has_next_page": start + len(shown) < len(found),
            "has_previous_page": start > 0,
            "start_cursor": cursors[0] if cursors else None,
            "end_cursor": cursors[-1] if cursors else None,
        },
        "total_count": len(found),
    }


def _cursor(element: Element) -> str:
    return base64.urlsafe_b64encode(element.id.encode()).decode().rstrip("=")


def _refused(what: str) -> GraphQLError:
    return GraphQLError(what, extensions={"code": "BAD_USER_INPUT"})
