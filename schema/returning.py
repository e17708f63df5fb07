"""Data return as GraphQL roots: how fresh each stream is, its runs and ledgers, what was refused, and where a value came from."""

from typing import Any

import strawberry
from strawberry import UNSET
from strawberry.types.field import StrawberryField

from schema.delivery import Severity
from schema.making import (
    argument,
    item_field,
    make_connection,
    make_field,
    make_object,
    many,
)
from schema.scalars import Cursor, DateTime, Long
from schema.subscription import RunStatus
from schema.view import AnswerView

LARGEST_PAGE = 200
DEFAULT_PAGE = 20


@strawberry.input(description="运行的筛选条件，各项同时满足")
class SyncRunFilter:
    """Which runs to list; what is not given does not restrict."""

    source: str | None = strawberry.field(default=UNSET, description="来源系统")
    operation: str | None = strawberry.field(default=UNSET, description="来源系统的操作")
    status: RunStatus | None = strawberry.field(default=UNSET, description="进行到哪里")


@strawberry.input(description="隔离记录的筛选条件，各项同时满足")
class QuarantineFilter:
    """Which records in quarantine to list; what is not given does not restrict."""

    source: str | None = strawberry.field(default=UNSET, description="来源系统")
    operation: str | None = strawberry.field(default=UNSET, description="来源系统的操作")
    entity: str | None = strawberry.field(default=UNSET, description="实体名")
    is_open: bool | None = strawberry.field(
        default=UNSET, description="true 为还没有处理的，false 为已处理的；不写为全部"
    )


def make_return_roots(page_info: Any, run: Any) -> list[StrawberryField]:
    """The roots `streams`, `syncRuns`, `ledger`, `quarantine` and `lineage`; `run` is the type of runs."""
    paging = [
        argument("first", int, f"条数，1 至 {LARGEST_PAGE}，不写为 {DEFAULT_PAGE}"),
        argument("after", Cursor, "从哪条之后开始（上一页的 endCursor）"),
    ]
    return [
        _root("streams", many(_stream()), "数据流：每个来源的每个 changes、deliver 操作新到什么时候", []),
        _root(
            "syncRuns",
            make_connection("SyncRun", run, "运行", page_info),
            "数据回流和交付的运行及其账目，新的在前",
            [argument("where", SyncRunFilter, "筛选条件"), *paging],
        ),
        _root(
            "ledger",
            make_connection("LedgerPage", _ledger_page(), "台账的一页", page_info),
            "一次运行的台账，按页号",
            [argument("run", strawberry.ID, "运行的编号", is_required=True), *paging],
        ),
        _root(
            "quarantine",
            make_connection("QuarantinedRecord", _quarantined(), "隔离的记录", page_info),
            "隔离的记录，新的在前。敏感数据元的值和没有映射的内容不显示",
            [argument("where", QuarantineFilter, "筛选条件"), *paging],
        ),
        _root(
            "lineage",
            many(_lineage()),
            "血缘：一个值从哪个来源的哪份原文、哪条记录、哪个位置，按映射的哪一行得来；每个来源一项，显示的那个在前",
            [
                argument("entity", str, "实体名，如 EnforcementCase", is_required=True),
                argument("id", strawberry.ID, "实体的全局标识", is_required=True),
                argument("field", str, "GraphQL 字段名或标识名", is_required=True),
            ],
        ),
    ]


def _root(name: str, of: Any, description: str, arguments: list[Any]) -> StrawberryField:
    async def resolve(info: strawberry.Info, **given: Any) -> Any:
        answers: AnswerView = info.context
        return await answers.returned(name, given)

    if not arguments:

        async def resolve_plain(info: strawberry.Info) -> Any:
            answers: AnswerView = info.context
            return await answers.returned(name, {})

        field = make_field(name, of, description, resolve_plain)
    else:
        field = make_field(name, of, description, resolve, arguments)
    field.graphql_name = name
    return field


def _stream() -> Any:
    return make_object(
        "Stream",
        [
            item_field("source", str, "来源系统"),
            item_field("operation", str, "来源系统的操作"),
            item_field("entity", str | None, "得到什么实体；映射里已没有时为 null"),
            item_field("kind", str, "changes（我们去取）或 deliver（机关交付）"),
            item_field("cursor", str | None, "已读到哪里；deliver 没有游标"),
            item_field("updated_at", DateTime | None, "最近一次写入的时间"),
            item_field("fresh_at", DateTime | None, "最近一次运行到末尾的时间；从未有过为 null"),
            item_field("lag", Long | None, "距最近一次运行到末尾的秒数"),
            item_field("due_at", DateTime | None, "下次应在何时运行；没有排期为 null"),
            item_field("failures", int, "连续失败的次数"),
            item_field("halt_reason", str | None, "停下等人处理的原因；没有停下为 null"),
            item_field("last_run", strawberry.ID | None, "最近一次运行的编号"),
            item_field("in_quarantine", Long, "隔离而没有处理的记录数"),
        ],
        "一条数据流及其新鲜程度",
    )


def _ledger_page() -> Any:
    return make_object(
        "LedgerPage",
        [
            item_field("page", int, "页号"),
            item_field("fetched", Long, "取得的记录数，等于以下四项之和"),
            item_field("applied", Long, "写入的记录数"),
            item_field("unchanged", Long, "与已有内容相同的记录数"),
            item_field("duplicate", Long, "已有更新内容的记录数"),
            item_field("quarantined", Long, "不合规而隔离的记录数"),
            item_field("at", DateTime, "写入的时间"),
        ],
        "一次运行的台账中的一页",
    )


def _quarantined() -> Any:
    part = make_object(
        "QuarantinedField",
        [
            item_field("path", str, "在记录中的位置，来源自己的名称"),
            item_field("value", str | None, "来源写的值；不显示的为 null"),
            item_field("is_masked", bool, "是否因敏感或没有映射而不显示"),
        ],
        "隔离记录中的一个值",
    )
    return make_object(
        "QuarantinedRecord",
        [
            item_field("source", str, "来源系统"),
            item_field("operation", str, "来源系统的操作"),
            item_field("entity", str, "应成为什么实体"),
            item_field("step", str, "在哪一步：read（读不成记录）、identify（没有编号）、map（值不合规）"),
            item_field("rule", str | None, "不合的规则"),
            item_field("reason", str, "原因"),
            item_field("at", DateTime, "隔离的时间"),
            item_field("run", strawberry.ID | None, "在哪次运行中；实时查询时为 null"),
            item_field("record_digest", str, "记录的 SHA-256"),
            item_field("raw_digest", str | None, "所在原文的 SHA-256"),
            item_field("mapping_version", str, "映射版本"),
            item_field("spec_version", str | None, "规范版本"),
            item_field("resolved_at", DateTime | None, "处理的时间；没有处理为 null"),
            item_field("resolution", str | None, "怎样处理的"),
            item_field("fields", many(part), "记录的内容"),
        ],
        "一条隔离的记录",
    )


def _lineage() -> Any:
    issue = make_object(
        "LineageIssue",
        [
            item_field("severity", Severity, "轻重"),
            item_field("check_type", str, "检查类型（CV44）"),
            item_field("reason", str, "哪里不对"),
        ],
        "一个值的一个问题",
    )
    return make_object(
        "Lineage",
        [
            item_field("source", str, "来源系统"),
            item_field("source_title", str | None, "来源系统的全称"),
            item_field("operation", str | None, "来源系统的操作"),
            item_field("run", strawberry.ID | None, "在哪次运行中收到；实时查询收到的为 null"),
            item_field("is_shown", bool, "查询显示的是否就是它"),
            item_field("is_deleted", bool, "来源是否已删除此实体"),
            item_field("is_masked", bool, "是否因敏感而不显示值和原文"),
            item_field("value", str | None, "这个来源所述的值"),
            item_field("raw_text", str | None, "来源写的原文"),
            item_field("as_of", DateTime, "来源确认此内容的最近时间"),
            item_field("received_at", DateTime, "收到原文的时间"),
            item_field("raw_digest", str, "原文的 SHA-256"),
            item_field("raw_bytes", Long | None, "原文的字节数"),
            item_field("media_type", str | None, "原文的格式"),
            item_field("record_path", str | None, "记录在原文中的位置，从 0 起"),
            item_field("field_path", str | None, "值在记录中的位置（映射的 path）；固定值为 null"),
            item_field("source_record_id", str | None, "来源自己的记录编号"),
            item_field("mapping_version", str, "映射版本"),
            item_field("mapping_line", int | None, "在 mapping.yaml 的第几行"),
            item_field("rule", str | None, "怎样转换，映射的原词"),
            item_field("element_id", str, "数据元标识"),
            item_field("spec_version", str, "规范版本"),
            item_field("issues", many(issue), "转换时发现的问题"),
            item_field("note", str | None, "没有查到的部分及其原因"),
        ],
        "一个值的来历，由一个来源所述",
    )
