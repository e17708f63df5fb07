"""The roots: every entity by key, as a list with relay cursors, counted in groups; `node`, and what a federated graph asks."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import strawberry
from strawberry.federation.schema_directives import Shareable
from strawberry.types.field import StrawberryField

from schema.aggregates import make_groups
from schema.filters import make_filters, make_orders
from schema.making import answered_field, argument, item_field, make_connection, make_object, many
from schema.metadata import make_metadata
from schema.names import (
    NODE_FIELD,
    NODES_FIELD,
    argument_names,
    describe_lookups,
    list_field,
    root_field,
)
from schema.registry import OWNER, Entity, Registry
from schema.scalars import Cursor, Uscc
from schema.subgraph import entities_field, service_field
from schema.types import Node, element_type

LARGEST_PAGE = 200
DEFAULT_PAGE = 20


@strawberry.enum(
    description=(
        "列表从哪里取。筛选、排序、翻页和计数的含义相同；每个节点的 provenance 说明实际从哪里取得，"
        "想要实时而取自本地存储时 extensions.sourceErrors 说明原因"
    )
)
class ListSource(enum.Enum):
    """Where a list is wanted from."""

    STORE = strawberry.enum_value("STORE", description="取自本地存储（数据回流）")
    LIVE = strawberry.enum_value(
        "LIVE",
        description=(
            "筛选条件能确定只有一个来源持有（例如 agencyCode 等于该机关）且该来源能按条件列出时，实时问它；"
            "否则，或它没有答复（STALE），或符合条件的过多时，取自本地存储"
        ),
    )


def make_page_info() -> Any:
    """The type of relay's PageInfo."""
    return make_object(
        "PageInfo",
        [
            item_field("has_next_page", bool, "后面还有"),
            item_field("has_previous_page", bool, "前面还有"),
            item_field("start_cursor", Cursor | None, "本页首条的位置"),
            item_field("end_cursor", Cursor | None, "本页末条的位置"),
        ],
        "翻页信息（Relay）",
        directives=[Shareable()],
    )


def make_query(
    registry: Registry,
    types: Mapping[str, type],
    enums: Mapping[str, Any],
    subgraph: Callable[[], str],
    page_info: Any,
    others: Sequence[StrawberryField] = (),
) -> type:
    """The Query type. Every root reads what the engine found for it, by its name in the answer; `subgraph` prints the SDL;
    `others` are roots that are answered otherwise."""
    filters, orders = make_filters(registry, enums), make_orders(registry)
    groups = make_groups(registry, enums, filters)
    fields: list[StrawberryField] = []
    for entity in registry.entities.values():
        target = types[entity.name]
        fields.append(_single(entity, target, enums))
        fields.append(
            _list(
                entity,
                make_connection(entity.name, target, entity.title, page_info),
                filters[entity.name],
                orders[entity.name],
            )
        )
        fields.append(groups[entity.name])
    fields += [
        _node(),
        _nodes(),
        entities_field(types),
        service_field(subgraph),
        *make_metadata(registry, page_info),
        *others,
    ]
    return make_object("Query", fields, "查询入口：按键查一个，逐页列出，或分组统计")  # type: ignore[no-any-return]


def _single(entity: Entity, target: Any, enums: Mapping[str, Any]) -> StrawberryField:
    names = argument_names(entity)
    kinds = {name: Uscc if name == OWNER else element_type(entity.elements[name], enums) for name in names.values()}
    arguments = [
        argument(name, kind, "数据责任机关" if name == OWNER else entity.elements[name].title)
        for name, kind in kinds.items()
    ]
    description = f"{entity.title}，按键查询：{describe_lookups(entity)}。没有时为 null"
    return answered_field(root_field(entity), target | None, description, arguments)


def _list(entity: Entity, connection: Any, where: Any, order: Any) -> StrawberryField:
    arguments = [
        argument("where", where, "筛选条件"),
        argument("order_by", many(order), "排序，可多级；不写按键排序"),
        argument("first", int, f"从前数的条数，1 至 {LARGEST_PAGE}，不写为 {DEFAULT_PAGE}"),
        argument("after", Cursor, "从哪条之后开始（上一页的 endCursor）"),
        argument("last", int, f"从后数的条数，1 至 {LARGEST_PAGE}；与 first 只写一个"),
        argument("before", Cursor, "到哪条之前为止（下一页的 startCursor）"),
        argument("from_", ListSource, "从哪里取，不写为 STORE"),
    ]
    description = f"{entity.title}列表，取自本地存储（数据回流）；from: LIVE 时能由一个来源独自答复的即实时答复"
    return answered_field(list_field(entity), connection, description, arguments)


def _node() -> StrawberryField:
    ids = [argument("id", strawberry.ID, "全局标识", is_required=True)]
    return answered_field(NODE_FIELD, Node | None, "按全局标识查一个实体；没有时为 null", ids)


def _nodes() -> StrawberryField:
    ids = [argument("ids", list[strawberry.ID], f"全局标识，最多 {LARGEST_PAGE} 个", is_required=True)]
    return answered_field(NODES_FIELD, list[Node | None], "按全局标识查多个实体，次序与 ids 相同", ids)
