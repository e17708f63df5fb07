"""Runs of streams by name, by whoever wants them: a command, or the loop over what is due."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.exc import SQLAlchemyError

from adapters.errors import SourceError
from adapters.mapping.model import SourceMapping
from adapters.source import Source
from gateway.log import logger
from gateway.store.due import Due, Halting, set_due
from gateway.store.faults import store_fault
from gateway.store.leases import RunSuperseded, StreamBusy
from gateway.store.runs import CursorLost, StreamHalted
from gateway.store.store import Store
from gateway.sync.cursor import CannotAdvance
from gateway.sync.run import Manner, PageReport, RunResult, run_changes
from gateway.sync.schedule import interval
from gateway.sync.shadow import Mended, Shadowing, shadow_stream
from schema.identity import HashId

FAILURES = (SourceError, CannotAdvance, CursorLost, StreamHalted, Halting)
"""What a run may end with; all of it is told."""


def holder() -> str:
    """This process, as a lease names it."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True, slots=True)
class Streams:
    """Every stream of these mappings. `source`: what to ask a source by, last in its queue and within its budget."""

    store: Store
    mappings: Mapping[str, SourceMapping]
    source: Callable[[str], Source]
    hash_id: HashId
    manner: Manner
    report: Callable[[PageReport], None]

    async def changes(self, source: str, operation: str, lets_bad_in: bool = False) -> RunResult:
        """Read a stream to its end. Raises what `run_changes` does."""
        manner = Manner(self.manner.holder, self.manner.lease, lets_bad_in)
        mapping = self.mappings[source]
        try:
            return await run_changes(
                self.source(source), mapping, operation, self.store, self.hash_id, self.report, manner
            )
        except Halting as error:
            self._tell_of_halt(source, operation, error)
            raise
        except CursorLost:  # then no run began, and none has ended
            await self._wait_after_failure(source, operation)
            raise

    async def shadow(
        self, source: str, operation: str, kind: Literal["refresh", "reconcile"], lets_delete: bool = False
    ) -> Mended:
        """Read everything beside the store, then mend it. Raises what `shadow_stream` does."""
        mapping = self.mappings[source]
        what = Shadowing(self.source(source), mapping, operation, self.store, self.hash_id, kind, lets_delete)
        try:
            return await shadow_stream(what, self.report, self.manner)
        except Halting as error:
            self._tell_of_halt(source, operation, error)
            raise

    async def run_due(self, due: Due) -> None:
        """Run what is due; how it ended is in the run's row and the log. Never raises, except when cancelled."""
        told: dict[str, object] = {"source": due.source, "operation": due.operation}
        try:
            if due.is_reconciliation:
                mended = await self.shadow(due.source, due.operation, "reconcile")
                told |= {"missing": mended.missing, "different": mended.different, "deleted": mended.deleted}
                logger().info("sync.reconciled", **told)
            else:
                result = await self.changes(due.source, due.operation)
                logger().info("sync.run", **told, fetched=result.fetched, applied=result.applied, pages=result.pages)
        except (StreamBusy, RunSuperseded):
            return
        except FAILURES as error:
            text = error.public_message if isinstance(error, SourceError) else str(error)
            logger().warning("sync.failed", **told, error=text)
        except SQLAlchemyError as error:
            logger().warning("sync.store_failed", **told, error=store_fault(error))
        except Exception as error:
            logger().error("sync.broken", **told, error=type(error).__name__)

    async def _wait_after_failure(self, source: str, operation: str) -> None:
        role = self.mappings[source].operations[operation].changes
        assert role is not None
        when, tables = interval(source, operation, role), self.store.tables
        await asyncio.to_thread(self.store.database.write, lambda c: set_due(c, tables, when, has_failed=True))

    def _tell_of_halt(self, source: str, operation: str, error: Halting) -> None:
        logger().error("sync.halted", source=source, operation=operation, reason=str(error))
