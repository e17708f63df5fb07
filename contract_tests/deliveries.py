"""Deliveries to test with: files in the agency's own columns, and what the store says of them afterwards."""

from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from adapters.file import format_of
from adapters.mapping.compiled import Compiler
from adapters.mapping.model import OperationMapping, SourceMapping
from contract_tests.files import HEAD, LEDGER
from gateway.receiving.content import Content, file_content
from gateway.receiving.receive import Receiver
from gateway.store.receipts import Receipt
from gateway.store.store import Store


def receiver(store: Store) -> Receiver:
    """The door, over this store."""
    return Receiver(store, Compiler(str))


def delivered(mapping: SourceMapping = LEDGER) -> OperationMapping:
    """The one operation that a source is delivered to."""
    (operation,) = (operation for operation in mapping.operations.values() if operation.deliver)
    return operation


def content_of(mapping: SourceMapping, file: Path) -> Content:
    return file_content(mapping, delivered(mapping), file, format_of(mapping, file.name))


def csv(folder: Path, *rows: str, name: str = "a.csv") -> Path:
    """A CSV file of the test ledger."""
    file = folder / name
    file.write_text("\n".join([HEAD, *rows, ""]), "utf-8")
    return file


def good_rows(count: int, what: str = "查封", first: int = 0) -> list[str]:
    return [f"Q{n},案{n},{what},1,2024/01/02" for n in range(first, first + count)]


def counts(receipt: Receipt) -> tuple[int, int, int, int, int, int]:
    """Sent; applied, unchanged, duplicate; rejected; pending."""
    assert receipt.sent == receipt.accepted + receipt.rejected + receipt.pending
    return receipt.sent, receipt.applied, receipt.unchanged, receipt.duplicate, receipt.rejected, receipt.pending


def stored(store: Store, mapping: SourceMapping) -> int:
    """How many entities the store has by the word of this source."""
    table = store.tables.entities["CoerciveMeasure"]
    return store.database.read(
        lambda c: c.execute(select(func.count()).select_from(table).where(table.c.source == mapping.name)).scalar_one()
    )


def ledger_sums(store: Store) -> dict[str, int]:
    """What the ledgers of all runs add up to."""
    table = store.tables.ledger
    names = ("fetched", "applied", "unchanged", "duplicate", "quarantined")
    query = select(*(func.coalesce(func.sum(table.c[name]), 0).label(name) for name in names))
    row: Any = store.database.read(lambda c: c.execute(query).mappings().one())
    return {name: int(value) for name, value in row.items()}
