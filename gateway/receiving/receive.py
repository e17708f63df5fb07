"""The receiving door: what is handed in is counted, then landed page by page, and answered with a receipt that balances.

The same key with the same content is the same delivery, whoever asks and however often: it goes on where it was interrupted,
or answers the stored receipt. Each page goes in with the fates of its records and the receipt's counts in one transaction, so
a receipt never says more than the store has, nor less.
"""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from adapters.file_rows import Reading, Row, Unreadable, payload_of
from adapters.mapping.compiled import Compiler
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.mapping.record import Mapped, is_gone, record_digest
from gateway.receiving.content import Content
from gateway.store import receipts
from gateway.store.arriving import Landing
from gateway.store.issues import storable
from gateway.store.landing import Also, Fate
from gateway.store.receipts import KeyReused, Order, Receipt, Settled
from gateway.store.runs import Landed, Progress, RunSuperseded, StreamBusy
from gateway.store.store import Store, china_now
from schema.formats import CHINA_TIME

__all__ = ["BadKey", "KeyReused", "Receiver", "Unreadable"]

PAGE = 500
LONGEST_KEY = 200
KEY = re.compile(rf"[\x21-\x7e]{{1,{LONGEST_KEY}}}")
PAUSE = 0.05
HOLDER = f"{socket.gethostname()}/{os.getpid()}/deliver"
GOES_ON = (StreamBusy, RunSuperseded)
"""Somebody else is at it: what is pending is settled by them, or when it is asked for again."""


STOPPED = "网关停止，由下一个进程从已提交处继续"


class Stopped(Exception):
    """The process ends."""


class BadKey(ValueError):
    """幂等键应为 1 至 200 个可见的 ASCII 字符"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Takes in what is handed in. One for the process, for any of its threads."""

    store: Store
    compiler: Compiler
    clock: Callable[[], datetime] = china_now
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the process ends: no further page is begun."""

    def receive(
        self, mapping: SourceMapping, operation: OperationMapping, content: Content, key: str, patience: float = 10.0
    ) -> Receipt:
        """The receipt, after everything is in; with records pending when others are writing to the stream for so many seconds.

        Raises BadKey, KeyReused, StreamHalted, and what the store raises.
        """
        receipt = self.open(mapping, operation, content, key)
        return self.go_on(mapping, operation, content, receipt, patience)

    def open(self, mapping: SourceMapping, operation: OperationMapping, content: Content, key: str) -> Receipt:
        """The receipt under this key, before anything of it is taken in. Raises BadKey, KeyReused."""
        if not KEY.fullmatch(key):
            raise BadKey
        if known := self.find(mapping.name, operation.name, key):
            if known.content_digest != content.digest:
                raise KeyReused
            return known
        sent, refusal = 0, None
        try:
            with content.read() as reading:
                sent = sum(1 for _ in reading.rows)
        except Unreadable as error:
            refusal, sent = str(error), 0
        order = Order(
            mapping.name,
            operation.name,
            key,
            content.digest,
            content.form,
            storable(content.name),
            sent,
            PAGE,
            mapping.version,
            storable(refusal) if refusal else None,
        )
        return self._write(lambda c: receipts.open_delivery(c, self.store.tables, order, self.clock()))

    def go_on(
        self,
        mapping: SourceMapping,
        operation: OperationMapping,
        content: Content,
        receipt: Receipt,
        patience: float = 10.0,
    ) -> Receipt:
        """Take in what is pending. Who is not the one to do it, because others are at it, gives the receipt as it stands."""
        if receipt.status != "pending":
            return receipt
        until = time.monotonic() + patience
        while True:
            try:
                begun = self.store.begin_run(mapping.name, operation.name, "deliver", HOLDER)
                break
            except StreamBusy:
                if time.monotonic() >= until:
                    return self._again(receipt)
                time.sleep(PAUSE)
        try:
            if (stands := self.read(receipt.id)) and stands.status == "pending":
                self._take_in(mapping, operation, content, stands, begun.run_id)
            self.store.finish_run(begun.run_id, None)
        except GOES_ON:
            return self._again(receipt)
        except Stopped:
            self.store.fail_run(begun.run_id, STOPPED)
            return self._again(receipt)
        except Exception as error:
            with suppress(SQLAlchemyError):  # the error that matters is the first
                self.store.fail_run(begun.run_id, f"内部错误：{type(error).__name__}")
            raise
        return self._again(receipt)

    def find(self, source: str, operation: str, key: str) -> Receipt | None:
        """The receipt a source has under a key."""
        return self.store.database.read(lambda c: receipts.find_delivery(c, self.store.tables, source, operation, key))

    def read(self, receipt_id: str) -> Receipt | None:
        """The receipt of this number."""
        return self.store.database.read(lambda c: receipts.read_delivery(c, self.store.tables, receipt_id))

    def latest(self, source: str | None, limit: int, statuses: Sequence[str] = ()) -> list[Receipt]:
        """The latest deliveries."""
        return self.store.database.read(
            lambda c: receipts.list_deliveries(c, self.store.tables, source, limit, statuses)
        )

    def records(self, receipt_id: str, after: int, limit: int, only_noted: bool = False) -> list[Settled]:
        """What became of the records behind number `after`."""
        return self.store.database.read(
            lambda c: receipts.settled_records(c, self.store.tables, receipt_id, after, limit, only_noted)
        )

    def _again(self, receipt: Receipt) -> Receipt:
        return replace(self.read(receipt.id) or receipt, is_new=receipt.is_new)

    def _take_in(
        self, mapping: SourceMapping, operation: OperationMapping, content: Content, receipt: Receipt, run_id: int
    ) -> None:
        columns = columns_of(mapping)
        with content.read() as reading:
            for page, rows in enumerate(_pages(reading.rows, receipt.page_size)):
                if page < receipt.pages:
                    continue
                if self.stopping.is_set():
                    raise Stopped
                self.store.renew_run(run_id)
                landing = self._landing(mapping, operation, reading, rows)
                progress = Progress(run_id, page + 1, None)
                self.store.land(landing, progress, self._settling(receipt, mapping, columns, landing, rows, run_id))
                receipt = self.read(receipt.id) or receipt
        if receipt.pending:
            raise ValueError(f"内容比开始时少了 {receipt.pending} 条")

    def _settling(
        self,
        receipt: Receipt,
        mapping: SourceMapping,
        columns: Mapping[tuple[str, str], str],
        landing: Landing,
        rows: Sequence[Row],
        run_id: int,
    ) -> Also:
        """What is written beside a page: the fates of its records, and how the receipt stands after it."""
        first = receipt.pages * receipt.page_size + 1

        def settle(connection: Connection, landed: Landed, fates: Sequence[Fate]) -> None:
            settled = [
                _settled(first + at, row, fate, landing.mapped[at], mapping, columns)
                for at, (row, fate) in enumerate(zip(rows, fates, strict=True))
            ]
            receipts.settle_page(connection, self.store.tables, receipt, run_id, landed, settled, self.clock())

        return settle

    def _landing(
        self, mapping: SourceMapping, operation: OperationMapping, reading: Reading, rows: Sequence[Row]
    ) -> Landing:
        role = operation.deliver
        assert role is not None
        now = self.clock()
        compiled = self.compiler.compiled(mapping, role.entity, None)
        good = iter(compiled.page([row.record for row in rows if row.fault is None], now.astimezone(CHINA_TIME).date()))
        mapped = [next(good) if row.fault is None else _unread(mapping, role.entity, row) for row in rows]
        raw, media_type = payload_of(reading, rows)
        return Landing(
            source=mapping.name,
            operation=operation.name,
            raw=raw,
            media_type=media_type,
            received_at=now,
            mapped=mapped,
            mapping_version=mapping.version,
            gone=frozenset(at for at, row in enumerate(rows) if not row.fault and is_gone(row.record, role.deleted)),
            records=[row.record for row in rows],
            faults={at: row.fault for at, row in enumerate(rows) if row.fault},
        )

    def _write(self, work: Callable[[Connection], Receipt]) -> Receipt:
        return self.store.database.write(work)


def columns_of(mapping: SourceMapping) -> Mapping[tuple[str, str], str]:
    """(entity, element) -> the agency's own name of the column it is read from."""
    found: dict[tuple[str, str], str] = {}
    for name, entity in mapping.entities.items():
        fields = [*entity.fields.values(), *entity.provenance.values()]
        fields += [reference.field for reference in entity.references.values()]
        found |= {(name, field.name): field.path.text.strip('"') for field in fields if field.path is not None}
    return found


def _pages(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while page := list(islice(rows, size)):
        yield page


def _unread(mapping: SourceMapping, entity: str, row: Row) -> Mapped:
    """What could not be read as a record, under a key of its own."""
    return Mapped(entity, f"~{mapping.name}:{record_digest(row.record)[:32]}", mapping.agency)


def _settled(
    number: int,
    row: Row,
    fate: Fate,
    mapped: Mapped,
    mapping: SourceMapping,
    columns: Mapping[tuple[str, str], str],
) -> Settled:
    issues = [
        (columns.get((issue.entity, issue.element), issue.element), issue.severity, storable(issue.reason))
        for issue in mapped.issues
    ]
    reason = None
    if fate.outcome == "quarantined":
        reason = row.fault or _why(mapped, mapping, columns, issues, fate.reason)
    return Settled(number, row.number, fate.outcome, storable(reason) if reason else None, issues)


def _why(
    mapped: Mapped,
    mapping: SourceMapping,
    columns: Mapping[tuple[str, str], str],
    issues: Sequence[tuple[str, str, str]],
    otherwise: str,
) -> str:
    """Why a record was not taken, in the agency's own names of its columns."""
    if not mapped.is_identified:
        key = mapping.entities[mapped.entity].key
        return f"没有能够识别记录的编号（{'、'.join(f'“{columns.get((mapped.entity, name), name)}”' for name in key)}）"
    told = [f"“{column}”：{reason}" for column, severity, reason in issues if severity == "error"]
    return "；".join(dict.fromkeys(told)) or otherwise
