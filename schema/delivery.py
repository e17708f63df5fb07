"""The mutation by which agencies hand in records, and the receipts that answer it."""

import enum
from typing import Any

import strawberry
from strawberry.scalars import JSON
from strawberry.types.field import StrawberryField

from schema.making import argument, item_field, make_field, make_object, many
from schema.scalars import DateTime, Long
from schema.view import AnswerView


@strawberry.enum(name="DeliveryStatus", description="一份交付进行到哪里")
class Status(enum.Enum):
    """How a delivery stands."""

    PENDING = strawberry.enum_value("pending", description="还有待处理的记录；以同一个幂等键再问或重发即可")
    DONE = strawberry.enum_value("done", description="每条记录都有了结果")
    REFUSED = strawberry.enum_value("refused", description="整份不收，原因见 refusal")


@strawberry.enum(name="DeliveryOutcome", description="一条记录的结果")
class Outcome(enum.Enum):
    """What became of a record."""

    APPLIED = strawberry.enum_value("applied", description="写入")
    UNCHANGED = strawberry.enum_value("unchanged", description="与已有内容相同")
    DUPLICATE = strawberry.enum_value("duplicate", description="已有更新的内容，或本份中后面还有同一条")
    QUARANTINED = strawberry.enum_value("quarantined", description="不合规而隔离，原因见 reason")


@strawberry.enum(name="IssueLevel", description="问题的轻重")
class Severity(enum.Enum):
    """How bad it is."""

    ERROR = strawberry.enum_value("error", description="值没有被采用")
    WARNING = strawberry.enum_value("warning", description="值已采用，但可疑")


def make_mutation(receipt: Any) -> type:
    """The Mutation type. Its resolvers ask the `AnswerView` of the operation, which knows whose key the request has."""

    async def submit(info: strawberry.Info, **given: Any) -> Any:
        answers: AnswerView = info.context
        return await answers.submit(given["source"], given["operation"], given["idempotency_key"], given["records"])

    arguments = [
        argument("source", str, "来源系统，即密钥所属的来源", is_required=True),
        argument("operation", str, "来源的 deliver 操作", is_required=True),
        argument(
            "idempotency_key", str, "幂等键：这份交付的名字，1 至 200 个可见 ASCII 字符；重发时不变", is_required=True
        ),
        argument("records", list[JSON], "记录，字段用来源自己的名称；小数请写成文本", is_required=True),
    ]
    description = (
        "交付记录，仅限持有交付密钥者（请求头 Authorization: Bearer …）。部分接收：每条记录各有结果。"
        "同键同内容答复已有的回执，同键不同内容是 KEY_REUSED 错误；没有收到答复时以同一个键重发"
    )
    fields = [make_field("submit_records", receipt, description, submit, arguments)]
    return make_object("Mutation", fields, "变更入口：机关交付数据")  # type: ignore[no-any-return]


def receipt_field(receipt: Any) -> StrawberryField:
    """The root by which a receipt is asked for again."""

    async def find(info: strawberry.Info, **given: Any) -> Any:
        answers: AnswerView = info.context
        return await answers.receipt(given["id"])

    arguments = [argument("id", strawberry.ID, "回执的编号", is_required=True)]
    description = "一份交付的回执，仅限持有该来源密钥者；没有时为 null"
    return make_field("delivery_receipt", receipt | None, description, find, arguments)


def make_receipt() -> Any:
    """The type of receipts."""
    issue = make_object(
        "DeliveredIssue",
        [
            item_field("column", str, "来源自己的字段名"),
            item_field("severity", Severity, "轻重"),
            item_field("reason", str, "哪里不对"),
        ],
        "一条记录中的一个问题",
    )
    record = make_object(
        "DeliveredRecord",
        [
            item_field("number", Long, "第几条，从 1 起"),
            item_field("outcome", Outcome, "结果"),
            item_field("reason", str | None, "隔离的原因"),
            item_field("issues", many(issue), "问题，用来源自己的字段名"),
        ],
        "一条记录的结果",
    )
    return make_object(
        "DeliveryReceipt",
        [
            item_field("id", strawberry.ID, "回执的编号"),
            item_field("source", str, "来源系统"),
            item_field("operation", str, "deliver 操作"),
            item_field("idempotency_key", str, "幂等键"),
            item_field("status", Status, "进行到哪里"),
            item_field("refusal", str | None, "整份不收的原因"),
            item_field("is_new", bool, "是否由这次请求新建；false 即为已有的回执"),
            item_field("content_digest", str, "内容的 SHA-256"),
            item_field("sent", Long, "交付的记录数，等于以下三项之和"),
            item_field("accepted", Long, "接收的记录数，等于 applied、unchanged、duplicate 之和"),
            item_field("rejected", Long, "隔离的记录数"),
            item_field("pending", Long, "待处理的记录数"),
            item_field("applied", Long, "写入的记录数"),
            item_field("unchanged", Long, "与已有内容相同的记录数"),
            item_field("duplicate", Long, "已有更新内容的记录数"),
            item_field("run", strawberry.ID | None, "写入时的运行编号"),
            item_field("received_at", DateTime, "收到的时间"),
            item_field("finished_at", DateTime | None, "全部有结果的时间"),
            item_field("records", many(record), "每条记录的结果；文件交付的至多列出前 2000 条"),
        ],
        "交付回执",
    )
