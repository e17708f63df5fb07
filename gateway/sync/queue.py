"""PgQueuer as dispatcher: of many processes over one PostgreSQL each stream that is due goes to one, at once.

The queue is only ever told what the streams themselves say is due, and a job is only ever a hint: who gets one still has to
take the lease. Losing the queue's tables loses nothing; they are made again, and until then everybody runs what is due.
"""

import contextlib
import json
import uuid
from collections.abc import Sequence
from datetime import timedelta

import psycopg
from pgqueuer.db import PsycopgDriver
from pgqueuer.queries import EntrypointExecutionParameter, Queries
from pgqueuer.types import QueueEntrypoint, QueueManagerId
from sqlalchemy import make_url

from gateway.log import logger
from gateway.store.due import Due

ENTRYPOINT = "sync"
MOST = 10
FORGOTTEN = timedelta(seconds=60)
"""After this a job whose process is gone goes to another; the stream is due again by itself anyway."""


class PgQueue:
    """The queue in one database; closes and opens its connection as need be."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        self._address = address.set(drivername="postgresql").render_as_string(hide_password=False)
        self._me = QueueManagerId(uuid.uuid4())
        self._connection: psycopg.AsyncConnection | None = None
        self._queries: Queries | None = None

    async def dispatch(self, due: Sequence[Due]) -> Sequence[Due]:
        """Put what is due into the queue, once each, and take out what falls to this process."""
        try:
            queries = await self._open()
            for one in due:
                await queries.enqueue(ENTRYPOINT, _written(one), dedupe_key=_name(one), on_conflict="skip")
            limits = {QueueEntrypoint(ENTRYPOINT): EntrypointExecutionParameter(concurrency_limit=0)}
            jobs = await queries.dequeue(max(1, min(MOST, len(due))), limits, self._me, None, FORGOTTEN) if due else []
            if jobs:
                await queries.log_jobs([(job, "successful", None) for job in jobs])
            taken = [_read(job.payload) for job in jobs]
            return [one for one in taken if one in due]
        except (psycopg.Error, OSError, ValueError, RuntimeError) as error:
            logger().warning("sync.queue_out_of_reach", error=type(error).__name__)
            await self.aclose()
            return due

    async def aclose(self) -> None:
        """Let go of the connection; may be called twice."""
        connection, self._connection, self._queries = self._connection, None, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                await connection.close()

    async def _open(self) -> Queries:
        if self._queries is None:
            self._connection = await psycopg.AsyncConnection.connect(self._address, autocommit=True)
            self._queries = Queries(PsycopgDriver(self._connection))
        if not await self._queries.schema_is_installed():
            with contextlib.suppress(
                psycopg.errors.DuplicateObject, psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation
            ):
                await self._queries.install()
        return self._queries


def _name(due: Due) -> str:
    return f"{due.source}.{due.operation}{'#reconcile' if due.is_reconciliation else ''}"


def _written(due: Due) -> bytes:
    return json.dumps([due.source, due.operation, due.is_reconciliation]).encode()


def _read(payload: bytes | None) -> Due:
    source, operation, is_reconciliation = json.loads(payload or b"null")
    return Due(source, operation, is_reconciliation)
