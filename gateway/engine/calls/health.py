"""How the sources are, as far as calls have shown it: for readiness, metrics and people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.engine.calls.breaker import State

Condition = Literal["unknown", "up", "degraded", "down"]


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One source. `last_failure_code` is that of a SourceError; what the source itself said is not repeated."""

    state: Condition
    breakers: Mapping[str, State]
    in_flight: int
    queued: int
    last_success: datetime | None
    last_failure: datetime | None
    last_failure_code: str | None

    @property
    def open_breakers(self) -> Sequence[str]:
        """Operations that nobody is sent to, or only a probe."""
        return [operation for operation, state in self.breakers.items() if state != "closed"]


def condition(breakers: Sequence[State], last_success: datetime | None, last_failure: datetime | None) -> Condition:
    """`down`: every operation that was ever called is cut off; `degraded`: some are, or the latest call failed.

    `breakers` are those of operations that were called, or have told by their silence.
    """
    if last_success is None and last_failure is None and all(state == "closed" for state in breakers):
        return "unknown"
    cut_off = sum(state != "closed" for state in breakers)
    if breakers and cut_off == len(breakers):
        return "down"
    failed_last = last_failure is not None and (last_success is None or last_failure > last_success)
    return "degraded" if cut_off or failed_last else "up"
