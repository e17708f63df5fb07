"""What is kept for each source and for each of its operations while the process lives."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.errors import SourceDenied, SourceError, SourceRejected, SourceUnavailable
from adapters.mapping.model import OperationMapping, SourceMapping
from adapters.source import Source
from gateway.engine.calls.breaker import Breaker, State
from gateway.engine.calls.budget import Budget, budget_of
from gateway.engine.calls.health import SourceHealth, condition
from gateway.engine.calls.metrics import CallMetrics, OperationMetrics
from gateway.engine.calls.pace import Pace
from gateway.engine.calls.places import Places
from gateway.engine.calls.retry import RetryBudget
from gateway.engine.calls.shared import Shared
from gateway.log import line_begun, logger
from schema.formats import CHINA_TIME

LONGEST_WINDOW = 3600.0
"""Seconds; a source that asks us to stay away for longer is asked again after this."""


@dataclass(slots=True)
class SourceLine:
    """One source: its places and budgets, which all of its operations share."""

    name: str
    mapping: SourceMapping
    source: Source
    places: Places
    budget: Budget | None
    seconds: RetryBudget
    operations: dict[str, "OperationLine"] = field(default_factory=dict)
    last_success: float | None = None
    last_failure: float | None = None
    last_failure_code: str | None = None

    def health(self) -> SourceHealth:
        """How it is now."""
        breakers: dict[str, State] = {name: line.breaker.state for name, line in self.operations.items()}
        called = [state for name, state in breakers.items() if state != "closed" or self.operations[name].was_called]
        success, failure = _moment(self.last_success), _moment(self.last_failure)
        return SourceHealth(
            condition(called, success, failure),
            breakers,
            self.places.in_flight,
            self.places.queued,
            success,
            failure,
            self.last_failure_code,
        )


@dataclass(slots=True)
class OperationLine:
    """One operation of a source: its breaker, its pace, and until when the source asked us to stay away."""

    of: SourceLine
    name: str
    operation: OperationMapping
    breaker: Breaker
    metrics: OperationMetrics
    pace: Pace = field(default_factory=Pace)
    away_until: float = 0.0
    was_called: bool = False
    told_as: str = ""
    """How each line of the log about a call begins."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """How the latest answer differed from what the mapping, the WSDL or the tables promise."""

    @property
    def shortest(self) -> float:
        """Seconds without which no call is worth starting: what the mapping says, else what was seen."""
        declared = self.operation.written.at_least
        return self.pace.shortest if declared is None else declared

    def stay_away(self, seconds: float) -> None:
        """The source asked for it (Retry-After)."""
        self.away_until = time.monotonic() + min(seconds, LONGEST_WINDOW)

    def noted(self, notes: Mapping[str, str]) -> None:
        """An answer that could be read and yet differs is counted, and told of whenever it is not what the last one was."""
        if notes:
            self.metrics.deviated()
        if notes != self.notes:
            self.notes = notes
            logger().warning("source.deviates", source=self.of.name, operation=self.name, notes=dict(notes))

    def joined(self) -> None:
        """Somebody waits for the answer to a call that is under way already. Raises SourceError when that is in vain."""
        if (wait := self.breaker.refuses_to_join()) is not None:
            self.metrics.refused("breaker")
            raise cut_off(wait)
        self.metrics.shared()

    def ended(self, number: int, outcome: SourceError | None, seconds: float) -> None:
        """A call was answered, or failed: an answer that refuses us is still an answer."""
        is_answer = outcome is None or isinstance(outcome, SourceDenied | SourceRejected)
        self.breaker.end(number, is_answer)
        self.was_called = True
        if outcome is None:
            self.pace.add(seconds)
        if is_answer:
            self.of.last_success = time.time()
        else:
            assert outcome is not None
            self.of.last_failure, self.of.last_failure_code = time.time(), outcome.code

    def given_up(self, number: int, seconds: float, is_late: bool) -> None:
        """The last one who waited has left. At their deadline it is a failure, if the call had time enough."""
        is_failure = is_late and seconds >= min(self.breaker.bound, self.of.mapping.connect.timeout)
        self.breaker.end(number, False if is_failure else None)
        if is_failure:
            self.was_called = True
            self.of.last_failure, self.of.last_failure_code = time.time(), "SOURCE_TIMEOUT"


def make_line(source: Source, mapping: SourceMapping, metrics: CallMetrics, shared: Shared | None) -> SourceLine:
    """Everything that is kept for one source."""
    connect = mapping.connect
    line = SourceLine(
        mapping.name,
        mapping,
        source,
        Places(connect.concurrency, connect.queue),
        budget_of(mapping.name, connect.budget, shared),
        RetryBudget(connect.retry.share),
    )
    words = connect.breaker
    for name, operation in mapping.operations.items():

        def told(state: State, operation: str = name) -> None:
            logger().warning("source.breaker", source=mapping.name, operation=operation, state=state)

        breaker = Breaker(words.failures, words.pause, words.slow, connect.concurrency, told=told)
        told_as = line_begun("source.call", {"source": mapping.name, "operation": name})
        counted = metrics.of(mapping.name, name)
        line.operations[name] = OperationLine(line, name, operation, breaker, counted, told_as=told_as)
    return line


def cut_off(seconds: float) -> SourceUnavailable:
    """What whoever is not let through by the breaker is told."""
    return SourceUnavailable("近来的调用都失败了，暂不发起（熔断）", retry_after=seconds)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, CHINA_TIME)
