"""The subscriptions: what changes in the store, and how the runs of data return go on, told as it happens."""

import enum
from collections.abc import AsyncIterator
from typing import Any

import strawberry
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from schema.making import argument, item_field, make_field, make_object, many
from schema.names import GLOBAL_ID
from schema.scalars import DateTime, Long
from schema.types import Node

ENTITY_CHANGED, RUN_UPDATED = "entityChanged", "syncRunUpdated"
ENTITY_CHANGE, SYNC_RUN = "EntityChange", "SyncRun"
CHANGED_NODE = "node"
"""The field of a change that leads to the entity as it is by then."""
MOST_IDS = 200


@strawberry.enum(name="EntityChangeKind", description="实体发生了什么变化（以一个来源所述为准）")
class ChangeKind(enum.Enum):
    """What became of an entity, by the word of one source."""

    CREATED = strawberry.enum_value("created", description="该来源首次提供此实体，或删除后再次提供")
    CHANGED = strawberry.enum_value("changed", description="该来源提供的内容有变化")
    DELETED = strawberry.enum_value("deleted", description="该来源不再有此实体；其他来源可能仍有")


@strawberry.enum(name="SyncRunStatus", description="数据回流的一次运行进行到哪里")
class RunStatus(enum.Enum):
    """How a run stands."""

    RUNNING = strawberry.enum_value("running", description="进行中")
    SUCCEEDED = strawberry.enum_value("succeeded", description="已读到数据流末尾")
    FAILED = strawberry.enum_value("failed", description="中断，下次从已提交处继续")


def make_subscription(run: Any) -> type:
    """The Subscription type. Each root reads the stream that stands under its name in the root value; its events are
    mappings by the snake_case names of their fields; `run` is the type of runs."""
    change = _entity_change()
    fields = [
        _events(
            ENTITY_CHANGED,
            change,
            "实体的变化：数据回流或实时查询写入本地存储并提交之后通知。"
            "订阅之前的变化不补发；来不及接收的订阅以 SUBSCRIBER_TOO_SLOW 错误结束，应重新查询后再订阅",
            [
                argument("entity", str, "只要这一种实体，如 EnforcementCase；不写为全部"),
                argument("ids", many(strawberry.ID), f"只要这些实体，全局标识，最多 {MOST_IDS} 个；不写为全部"),
            ],
        ),
        _events(
            RUN_UPDATED,
            run,
            "数据回流的运行：开始、每写入一页、结束时通知当时的情况；短时间内的多次变化可能合并为一次",
            [argument("source", str, "只要这个来源系统；不写为全部")],
        ),
    ]
    return make_object("Subscription", fields, "订阅入口：graphql-transport-ws（WebSocket）或 SSE")  # type: ignore[no-any-return]


def _events(name: str, of: Any, description: str, arguments: list[StrawberryArgument]) -> StrawberryField:
    async def resolve(info: strawberry.Info, **_arguments: Any) -> AsyncIterator[Any]:
        async for event in info.root_value[name]:
            yield event

    field = make_field(name, of, description, resolve, arguments)
    field.graphql_name = name
    field.is_subscription = True
    return field


def _entity_change() -> Any:
    return make_object(
        ENTITY_CHANGE,
        [
            item_field(GLOBAL_ID, strawberry.ID, "实体的全局标识"),
            item_field("entity", str, "实体名，如 EnforcementCase"),
            item_field("change", ChangeKind, "发生了什么变化"),
            item_field("changed_at", DateTime, "写入本地存储的时间"),
            item_field("source", str, "由哪个来源系统的数据引起"),
            item_field(CHANGED_NODE, Node | None, "实体现在的内容，如同以 node(id) 查询；已没有时为 null"),
        ],
        "一个实体的一次变化",
    )


def make_run() -> Any:
    """The type of runs."""
    return make_object(
        SYNC_RUN,
        [
            item_field("id", strawberry.ID, "运行的编号"),
            item_field("source", str, "来源系统"),
            item_field("operation", str, "来源系统的 changes 操作"),
            item_field("status", RunStatus, "进行到哪里"),
            item_field("started_at", DateTime, "开始时间"),
            item_field("finished_at", DateTime | None, "结束时间；进行中为 null"),
            item_field("error", str | None, "中断的原因；没有中断为 null"),
            item_field("pages", int, "已写入的页数"),
            item_field("fetched", Long, "已取得的记录数，等于以下四项之和"),
            item_field("applied", Long, "写入的记录数"),
            item_field("unchanged", Long, "与已有内容相同的记录数"),
            item_field("duplicate", Long, "同一页或本地存储已有更新内容的记录数"),
            item_field("quarantined", Long, "不合规而隔离的记录数"),
        ],
        "数据回流的一次运行及其账目",
    )
