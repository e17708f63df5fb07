"""Deliveries being taken in behind the answers: in threads of their own, a few at a time, and again after the process ended."""

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from adapters.mapping.model import OperationMapping, SourceMapping
from gateway import metrics
from gateway.log import logger
from gateway.receiving.content import Content, file_content
from gateway.receiving.receive import KeyReused, Receiver
from gateway.receiving.spool import Spool, Upload
from gateway.receiving.unpacking import BadEncoding, TooLarge, unpack
from gateway.store.receipts import Receipt
from gateway.store.runs import StreamHalted

EVERY = 30.0
"""Seconds between two looks for uploads that nobody takes in."""
REFUSALS = (KeyReused, BadEncoding, TooLarge)
"""Why a complete upload is never taken in."""


class Deliveries:
    """What is being taken in by this process. One for the process; `largest` is in bytes, unpacked."""

    def __init__(
        self, receiver: Receiver, mappings: Mapping[str, SourceMapping], spool: Spool, largest: int, threads: int = 2
    ) -> None:
        self.receiver, self.mappings, self.spool, self.largest = receiver, mappings, spool, largest
        self.executor = ThreadPoolExecutor(threads, "deliver")
        self.going_on: dict[str, asyncio.Task[Upload]] = {}

    def operation(self, source: str, operation: str) -> tuple[SourceMapping, OperationMapping] | None:
        """What is delivered under these names."""
        mapping = self.mappings.get(source)
        found = mapping.operations.get(operation) if mapping else None
        return (mapping, found) if mapping and found and found.deliver else None

    async def receive(
        self, mapping: SourceMapping, operation: OperationMapping, content: Content, key: str, patience: float
    ) -> Receipt:
        """Take in what came in a request, before it is answered."""
        receipt: Receipt = await self.run(self.receiver.receive, mapping, operation, content, key, patience)
        _tell(receipt)
        return receipt

    async def run(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do it in a thread of deliveries."""
        return await asyncio.get_running_loop().run_in_executor(self.executor, work, *given)

    def take(self, upload: Upload) -> "asyncio.Task[Upload]":
        """Take in a complete upload, once in this process; ends with what has become of it."""
        task = self.going_on.get(upload.id)
        if task is None:
            task = asyncio.create_task(self.run(self._take_in, upload))
            self.going_on[upload.id] = task
            task.add_done_callback(lambda done: self._done(upload.id, done))
        return task

    def finish_upload(self, upload: Upload) -> None:
        """All bytes have come: unpack them into the content. Raises TooLarge or BadEncoding."""
        content, new = self.spool.content(upload), self.spool.folder / upload.id / "content.new"
        if upload.encoding == "identity":
            os.replace(self.spool.sent(upload), content)
            return
        with self.spool.sent(upload).open("rb") as source, new.open("wb") as target:
            unpack(source, target, upload.encoding, self.largest)
        os.replace(new, content)

    async def watch(self) -> None:
        """Take up what was left behind, now and again and again: by a process that ended, or because others were at work."""
        while True:
            try:
                for upload in await self.run(self.spool.uploads):
                    if self.spool.is_complete(upload):
                        await asyncio.wait([self.take(upload)])
            except OSError as error:
                logger().warning("delivery.unreadable", error=type(error).__name__)
            await asyncio.sleep(EVERY)

    def close(self) -> None:
        """Stop after the page that is being landed; what is left goes on with the next process."""
        self.receiver.stopping.set()
        self.executor.shutdown(wait=True, cancel_futures=True)

    def _take_in(self, upload: Upload) -> Upload:
        known = self.operation(upload.source, upload.operation)
        if known is None:
            return self.spool.settle(upload, None, "来源或操作已不存在")
        mapping, operation = known
        try:
            content = file_content(mapping, operation, self.spool.content(upload), upload.form, upload.name)
            receipt = self.receiver.open(mapping, operation, content, upload.key)
            upload = self._with_receipt(upload, receipt)
            receipt = self.receiver.go_on(mapping, operation, content, receipt, patience=0.5)
        except REFUSALS as error:
            return self.spool.settle(upload, None, str(error))
        except FileNotFoundError:  # another process has taken it in meanwhile
            return self.spool.read(upload.id) or upload
        _tell(replace(receipt, is_new=upload.is_new))
        return upload if receipt.status == "pending" else self.spool.settle(upload, receipt.id)

    def _with_receipt(self, upload: Upload, receipt: Receipt) -> Upload:
        if upload.receipt == receipt.id:
            return upload
        told = replace(upload, receipt=receipt.id, is_new=receipt.is_new)
        self.spool.note(told)
        return told

    def _done(self, identifier: str, task: "asyncio.Task[Upload]") -> None:
        self.going_on.pop(identifier, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            is_known = isinstance(error, (SQLAlchemyError, StreamHalted, OSError))
            logger().error("delivery.failed", error=type(error).__name__, exc_info=None if is_known else error)


def _tell(receipt: Receipt) -> None:
    """One line and the counts of a delivery that has just come to its end. Counts, never words."""
    if not receipt.is_new or receipt.status == "pending":
        return
    counts = {name: getattr(receipt, name) for name in ("applied", "unchanged", "duplicate", "rejected")}
    for outcome, count in counts.items():
        metrics.DELIVERED.labels(receipt.source, outcome).inc(count)
    logger().info(
        "delivery.done",
        source=receipt.source,
        operation=receipt.operation,
        receipt=receipt.id,
        status=receipt.status,
        sent=receipt.sent,
        **counts,
    )
