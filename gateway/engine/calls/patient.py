"""A source as syncs see it: the same limits and budgets as everybody, but last in the queue, and with patience."""

from adapters.source import Call, Page
from gateway.context import Deadline
from gateway.engine.calls.calls import Calls
from gateway.engine.calls.places import Priority

PATIENCE = 120.0
"""Seconds that one page of a sync may wait for its turn and for the source's budget, beside the time for the call itself."""


class PatientSource:
    """One source of `calls`, as an adapter is: what calls it need not know of limits."""

    def __init__(self, calls: Calls, source: str, patience: float = PATIENCE) -> None:
        self._calls, self._source, self._patience = calls, source, patience

    async def call(self, call: Call) -> Page:
        """Make one request. Raises a SourceError and nothing else."""
        deadline = Deadline.after(call.timeout + self._patience)
        return await self._calls.make(
            self._source,
            call.operation,
            deadline,
            priority=Priority.LATER,
            keys=tuple(call.keys),
            since=call.since,
            until=call.until,
            page=call.page,
            size=call.size,
            cursor=call.cursor,
        )

    async def aclose(self) -> None:
        """Nothing: the source belongs to `calls`."""
