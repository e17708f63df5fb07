"""The mutation `submitRecords`: records in a GraphQL request are taken in by the same door, for holders of a key."""

from collections.abc import Mapping, Sequence
from typing import Any

from graphql import GraphQLError
from sqlalchemy.exc import SQLAlchemyError

from gateway.context import Deliverer, RequestContext
from gateway.receiving.content import records_content
from gateway.receiving.deliveries import Deliveries
from gateway.receiving.keys import Rates
from gateway.receiving.receive import BadKey, KeyReused
from gateway.store.receipts import Receipt, Settled
from gateway.store.runs import StreamHalted

MOST_RECORDS = 2000
KEPT_BACK = 0.5
"""The share of a request's time for which to wait until others who write to the stream are done."""


class Submissions:
    """Answers the mutation, and asks for receipts. One for the process."""

    def __init__(self, deliveries: Deliveries, rates: Rates) -> None:
        self.deliveries, self.rates = deliveries, rates

    async def submit(
        self, context: RequestContext, source: str, operation: str, key: str, records: Sequence[Any]
    ) -> Mapping[str, Any]:
        """The receipt, with what became of each record. Raises GraphQLError."""
        self._check(context.deliverer, source)
        known = self.deliveries.operation(source, operation)
        if known is None:
            raise _refused("BAD_USER_INPUT", f"来源 {source} 没有 deliver 操作 {operation}")
        if len(records) > MOST_RECORDS:
            raise _refused(
                "BAD_USER_INPUT", f"一次至多 {MOST_RECORDS} 条，更多的请用 POST /deliver/{source}/{operation}"
            )
        patience = max(0.0, context.deadline.left * KEPT_BACK)
        try:
            receipt = await self.deliveries.receive(*known, records_content(records), key, patience)
            return await self._told(receipt)
        except BadKey as error:
            raise _refused("BAD_USER_INPUT", f"idempotencyKey：{error}") from None
        except KeyReused as error:
            raise _refused("KEY_REUSED", str(error)) from None
        except StreamHalted as error:
            raise _refused("HALTED", str(error)) from None
        except SQLAlchemyError:
            raise _refused("STORE_UNAVAILABLE", "本地存储暂时无法访问，请以同一个幂等键重发", True) from None

    async def receipt(self, context: RequestContext, identifier: str) -> Mapping[str, Any] | None:
        """A receipt of the holder's own source; None when there is none. Raises GraphQLError."""
        deliverer = self._check(context.deliverer, None)
        try:
            found: Receipt | None = await self.deliveries.run(self.deliveries.receiver.read, identifier)
            return await self._told(found) if found and found.source == deliverer.source else None
        except SQLAlchemyError:
            raise _refused("STORE_UNAVAILABLE", "本地存储暂时无法访问", True) from None

    def _check(self, deliverer: Deliverer | None, source: str | None) -> Deliverer:
        if deliverer is None:
            raise _refused("UNAUTHENTICATED", "需要交付密钥（请求头 Authorization: Bearer …），并以 POST 发送")
        if not self.rates.take(deliverer.counted_as):
            raise _refused("TOO_MANY_REQUESTS", f"一个密钥每分钟至多 {self.rates.per_minute:g} 次请求", True)
        if source is not None and deliverer.source != source:
            raise _refused("FORBIDDEN", f"这个密钥只能交付到来源 {deliverer.source}")
        return deliverer

    async def _told(self, receipt: Receipt) -> Mapping[str, Any]:
        settled: list[Settled] = await self.deliveries.run(
            self.deliveries.receiver.records, receipt.id, 0, MOST_RECORDS
        )
        return receipt_as_answer(receipt, settled)


def receipt_as_answer(receipt: Receipt, settled: Sequence[Settled]) -> dict[str, Any]:
    """A receipt by the names of the fields of `DeliveryReceipt`."""
    return {
        **{name: getattr(receipt, name) for name in Receipt.__dataclass_fields__},
        "accepted": receipt.accepted,
        "content_digest": f"sha-256:{receipt.content_digest}",
        "run": None if receipt.run_id is None else str(receipt.run_id),
        "records": [
            {
                "number": one.number,
                "outcome": one.outcome,
                "reason": one.reason,
                "issues": [{"column": c, "severity": severity, "reason": why} for c, severity, why in one.issues],
            }
            for one in settled
        ],
    }


def _refused(code: str, message: str, is_retryable: bool = False) -> GraphQLError:
    return GraphQLError(message, extensions={"code": code, "retryable": is_retryable})
