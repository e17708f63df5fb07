"""Receipts: what an agency handed in under a key of its own is taken in once, and told as often as it is asked for."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from gateway.store.database import lock
from gateway.store.runs import Landed, RunSuperseded
from gateway.store.tables import Tables

Outcome = Literal["applied", "unchanged", "duplicate", "quarantined"]


class KeyReused(Exception):
    """这个幂等键已用于另一份内容"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True, slots=True)
class Order:
    """What is handed in: which records, under which key, as which bytes (`content_digest`), and how many (`sent`).

    `refusal`: why nothing of it can be taken.
    """

    source: str
    operation: str
    key: str
    content_digest: str
    form: str
    name: str
    sent: int
    page_size: int
    mapping_version: str
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a delivery stands: `sent = accepted + rejected + pending`. `is_new`: it was not known before."""

    id: str
    source: str
    operation: str
    idempotency_key: str
    content_digest: str
    form: str
    name: str
    status: Literal["pending", "done", "refused"]
    refusal: str | None
    sent: int
    applied: int
    unchanged: int
    duplicate: int
    rejected: int
    pending: int
    pages: int
    page_size: int
    mapping_version: str
    run_id: int | None
    received_at: datetime
    finished_at: datetime | None
    is_new: bool = False

    @property
    def accepted(self) -> int:
        """Those the store took, or has already."""
        return self.applied + self.unchanged + self.duplicate


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one record, by its number in the delivery; `place` is its line, row or place in the file.

    `issues` are (column of the agency, severity, reason).
    """

    number: int
    place: int
    outcome: Outcome
    reason: str | None = None
    issues: Sequence[tuple[str, str, str]] = ()


def open_delivery(connection: Connection, tables: Tables, order: Order, moment: datetime) -> Receipt:
    """The receipt under this key, made now if there is none. Raises KeyReused when other content has it."""
    table = tables.delivery
    lock(connection, "delivery", order.source, order.operation, order.key)
    if known := find_delivery(connection, tables, order.source, order.operation, order.key):
        if known.content_digest != order.content_digest:
            raise KeyReused
        return known
    is_over = order.refusal is not None or order.sent == 0
    status = "refused" if order.refusal is not None else "done" if is_over else "pending"
    counts = {"sent": order.sent, "pending": order.sent, **dict.fromkeys(("applied", "unchanged", "duplicate"), 0)}
    row = {
        "id": secrets.token_hex(16),
        "source": order.source,
        "operation": order.operation,
        "idempotency_key": order.key,
        "content_digest": order.content_digest,
        "form": order.form,
        "name": order.name,
        "status": status,
        "refusal": order.refusal,
        **counts,
        "rejected": 0,
        "pages": 0,
        "page_size": order.page_size,
        "mapping_version": order.mapping_version,
        "received_at": moment,
        "finished_at": moment if is_over else None,
    }
    connection.execute(insert(table).values(row))
    found = read_delivery(connection, tables, str(row["id"]))
    assert found is not None
    return replace(found, is_new=True)


def settle_page(
    connection: Connection,
    tables: Tables,
    receipt: Receipt,
    run_id: int,
    landed: Landed,
    settled: Sequence[Settled],
    moment: datetime,
) -> None:
    """One more page of a delivery is in. Raises RunSuperseded when it is not the next one: somebody else goes on with it."""
    table = tables.delivery
    pending = receipt.pending - len(settled)
    counts: dict[str, Any] = {
        "applied": receipt.applied + landed.applied,
        "unchanged": receipt.unchanged + landed.unchanged,
        "duplicate": receipt.duplicate + landed.duplicate,
        "rejected": receipt.rejected + landed.quarantined,
    }
    ending = {"status": "done", "finished_at": moment} if pending == 0 else {}
    mine = update(table).where(table.c.id == receipt.id, table.c.pages == receipt.pages, table.c.status == "pending")
    moved = connection.execute(mine.values(**counts, pending=pending, pages=receipt.pages + 1, run_id=run_id, **ending))
    if moved.rowcount != 1:
        raise RunSuperseded
    rows = [
        {
            "delivery_id": receipt.id,
            "number": one.number,
            "place": one.place,
            "outcome": one.outcome,
            "reason": one.reason,
            "issues": [list(issue) for issue in one.issues] or None,
        }
        for one in settled
    ]
    connection.execute(insert(tables.delivery_record), rows)


def read_delivery(connection: Connection, tables: Tables, receipt_id: str) -> Receipt | None:
    """The receipt of this number."""
    table = tables.delivery
    return _receipt(connection.execute(select(table).where(table.c.id == receipt_id)).one_or_none())


def find_delivery(connection: Connection, tables: Tables, source: str, operation: str, key: str) -> Receipt | None:
    """The receipt that a source has under a key of its own."""
    table = tables.delivery
    mine = (table.c.source == source, table.c.operation == operation, table.c.idempotency_key == key)
    return _receipt(connection.execute(select(table).where(*mine)).one_or_none())


def list_deliveries(
    connection: Connection, tables: Tables, source: str | None, limit: int, statuses: Collection[str] = ()
) -> list[Receipt]:
    """The latest deliveries, the latest first."""
    table = tables.delivery
    query = select(table).order_by(table.c.received_at.desc(), table.c.id)
    if source is not None:
        query = query.where(table.c.source == source)
    if statuses:
        query = query.where(table.c.status.in_(statuses))
    return [found for row in connection.execute(query.limit(limit)) if (found := _receipt(row))]


def settled_records(
    connection: Connection, tables: Tables, receipt_id: str, after: int, limit: int, only_noted: bool = False
) -> list[Settled]:
    """What became of the records behind number `after`; `only_noted`: those that were rejected or have issues."""
    table = tables.delivery_record
    query = select(table).where(table.c.delivery_id == receipt_id, table.c.number > after)
    if only_noted:
        query = query.where((table.c.outcome == "quarantined") | table.c.issues.is_not(None))
    rows = connection.execute(query.order_by(table.c.number).limit(limit)).all()
    return [
        Settled(r.number, r.place, r.outcome, r.reason, tuple((c, s, w) for c, s, w in r.issues or ())) for r in rows
    ]


def _receipt(row: Any) -> Receipt | None:
    return None if row is None else Receipt(**row._asdict())
