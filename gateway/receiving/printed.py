"""Receipts as they are told: as JSON by the names of the interface, and as a line for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.store.receipts import Receipt, Settled
from schema.formats import print_datetime

OUTCOMES = {"applied": "写入", "unchanged": "未变", "duplicate": "已有更新的内容", "quarantined": "隔离"}


def receipt_as_json(receipt: Receipt) -> dict[str, Any]:
    """The receipt: how it stands and how the counts balance."""
    return {
        "receipt": receipt.id,
        "source": receipt.source,
        "operation": receipt.operation,
        "idempotencyKey": receipt.idempotency_key,
        "status": receipt.status,
        "refusal": receipt.refusal,
        "form": receipt.form,
        "name": receipt.name,
        "contentDigest": f"sha-256:{receipt.content_digest}",
        "sent": receipt.sent,
        "accepted": receipt.accepted,
        "rejected": receipt.rejected,
        "pending": receipt.pending,
        "applied": receipt.applied,
        "unchanged": receipt.unchanged,
        "duplicate": receipt.duplicate,
        "mappingVersion": receipt.mapping_version,
        "receivedAt": print_datetime(receipt.received_at),
        "finishedAt": None if receipt.finished_at is None else print_datetime(receipt.finished_at),
        "isNew": receipt.is_new,
    }


def records_as_json(records: Sequence[Settled]) -> list[Mapping[str, Any]]:
    """Records of a receipt, each with what is wrong with it by the agency's own columns."""
    return [
        {
            "number": one.number,
            "place": one.place,
            "outcome": one.outcome,
            "reason": one.reason,
            "issues": [{"column": c, "severity": severity, "reason": why} for c, severity, why in one.issues],
        }
        for one in records
    ]


def receipt_as_text(receipt: Receipt) -> str:
    """The receipt in a line."""
    if receipt.status == "refused":
        return f"不收，{receipt.refusal}（回执 {receipt.id}）"
    counts = (
        f"共 {receipt.sent} 条：写入 {receipt.applied}，未变 {receipt.unchanged}，重复 {receipt.duplicate}，"
        f"隔离 {receipt.rejected}，待处理 {receipt.pending}"
    )
    before = "" if receipt.is_new else f"与 {print_datetime(receipt.received_at)} 已收的内容相同，没有变化；"
    return f"{before if receipt.status == 'done' else ''}{counts}（回执 {receipt.id}）"


def record_as_text(one: Settled) -> str:
    """What became of a record, in a line."""
    issues = "；".join(f"“{column}” {reason}" for column, _, reason in one.issues)
    told = one.reason or issues
    return f"第 {one.number} 条（位置 {one.place}）{OUTCOMES[one.outcome]}{'：' + told if told else ''}"
