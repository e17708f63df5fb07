"""Sending one call, and another if need be: a place, the budgets, the breaker, the time that is left, and the log."""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any

from opentelemetry import trace

from adapters.errors import SourceContractBroken, SourceError, SourceThrottled, SourceTimeout
from adapters.source import Call, Page
from gateway import tracing
from gateway.engine.calls.budget import Budget, BudgetUnknown
from gateway.engine.calls.flight import Flight
from gateway.engine.calls.hedge import hedged
from gateway.engine.calls.lines import OperationLine, cut_off
from gateway.engine.calls.places import Priority, QueueFull
from gateway.engine.calls.retry import full_jitter
from gateway.log import tell

TRACER = trace.get_tracer("gateway.engine.calls")
SHORT_WAIT = 2.0
"""Seconds that a live query waits for its source's budget; a sync waits as long as it has time."""
TOLD = ', "keys": %d, "records": %d, "ms": %.1f, "attempt": %d, "outcome": "%s"'
Arguments = Mapping[str, Any]


async def send(line: OperationLine, flight: Flight[Page], arguments: Arguments, priority: Priority) -> Page:
    """The answer, after as many attempts as mapping, budget and time allow. Raises the SourceError of the last that was sent.

    Waits as long as the flight is wanted; it is whoever wants it that has a deadline, and cancels.
    """
    failed: SourceError | None = None
    attempt = 0
    while True:
        try:
            number = _admitted_at_once(line, flight) or await _admitted(line, flight, priority)
        except SourceError as refused:
            raise failed or refused from None
        if failed is None:
            line.of.seconds.earn()
        else:
            line.metrics.retried()
        try:
            if line.operation.written.hedge is None:
                return await _one(line, flight, arguments, number, attempt)
            return await _hedged(line, flight, arguments, number, attempt)
        except SourceError as error:
            failed = error
        attempt += 1
        pause = _pause(line, flight, failed, attempt)
        if pause is None:
            raise failed
        await asyncio.sleep(pause)


def _admitted_at_once(line: OperationLine, flight: Flight[Page]) -> int:
    """The number of a call that has its place and may be sent; 0 when that needs waiting. Raises SourceError when it may not."""
    _check(line, flight)
    if line.of.budget is None and line.of.places.try_take():
        return line.breaker.begin()
    return 0


async def _admitted(line: OperationLine, flight: Flight[Page], priority: Priority) -> int:
    """The number of a call that has its place and its part of the budget, and may be sent. Raises SourceError."""
    places, budget = line.of.places, line.of.budget
    await _take_place(line, priority)
    while True:
        try:
            _check(line, flight)
            wait = 0.0 if budget is None else await _take_from_budget(line, flight, priority, budget)
            if not wait:
                _check(line, flight)
                return line.breaker.begin()
            if priority is Priority.LIVE:  # a short wait, which others would only have after it: the place is kept
                await asyncio.sleep(wait)
                continue
        except BaseException:
            places.give_back()
            raise
        places.give_back()
        await asyncio.sleep(wait)
        await _take_place(line, priority)


async def _take_place(line: OperationLine, priority: Priority) -> None:
    try:
        await line.of.places.take(priority)
    except QueueFull:
        line.metrics.refused("queue")
        raise SourceThrottled("等候的调用已满，未发起调用") from None


async def _take_from_budget(line: OperationLine, flight: Flight[Page], priority: Priority, budget: Budget) -> float:
    """0 when the budget had a call left, which is now taken, else seconds to wait. Raises SourceThrottled when that is too long."""
    try:
        wait = await budget.take(may_wait=priority is Priority.LATER)
    except BudgetUnknown:
        line.metrics.refused("budget")
        raise SourceThrottled("暂时无法核对配额，未发起调用") from None
    is_too_long = priority is Priority.LIVE and wait > SHORT_WAIT
    if wait and (is_too_long or time.monotonic() + wait + line.shortest >= flight.until):
        line.metrics.refused("budget")
        raise SourceThrottled("来源的调用配额已用完，未发起调用", retry_after=wait)
    return wait


def _check(line: OperationLine, flight: Flight[Page]) -> None:
    """Whether it makes sense to send a call now. Raises SourceError."""
    now = time.monotonic()
    if line.away_until > now:
        line.metrics.refused("throttled")
        raise SourceThrottled("来源要求稍后再来，未发起调用", retry_after=line.away_until - now)
    if (wait := line.breaker.refuses()) is not None:
        line.metrics.refused("breaker")
        raise cut_off(wait)
    if flight.until - now <= line.shortest:
        line.metrics.refused("deadline")
        raise SourceTimeout("剩余的时间不够，未发起调用")


async def _hedged(line: OperationLine, flight: Flight[Page], arguments: Arguments, number: int, attempt: int) -> Page:
    """One call, or two where the first is slow."""
    hedge = line.operation.written.hedge
    after = 0.0 if hedge is None else line.pace.p95 if hedge.after == "p95" else float(hedge.after)
    if not after:
        return await _one(line, flight, arguments, number, attempt)
    begun = [number]

    async def second() -> Coroutine[Any, Any, Page] | None:
        other = await _second(line)
        if other is None:
            return None
        begun.append(other)
        return _one(line, flight, arguments, other, attempt, is_hedge=True)

    try:
        first = _one(line, flight, arguments, number, attempt)
        return await hedged(first, after, second, lambda: line.metrics.hedged("won"))
    finally:
        for one in begun:
            if line.breaker.is_begun(one):  # its task was cancelled before it ever ran
                line.breaker.end(one, None)
                line.of.places.give_back()


async def _second(line: OperationLine) -> int | None:
    """The number of a second call, if nobody has to wait for it and the budgets have it."""
    if line.breaker.state != "closed" or not line.of.places.try_take():
        return None
    try:
        has_room = line.of.seconds.spend()
        if has_room and line.of.budget is not None:
            has_room = await _is_granted(line.of.budget)
        if has_room and line.breaker.state == "closed":
            line.metrics.hedged("sent")
            return line.breaker.begin()
    except BaseException:
        line.of.places.give_back()
        raise
    line.of.places.give_back()
    return None


async def _is_granted(budget: Budget) -> bool:
    try:
        return await budget.take() == 0
    except BudgetUnknown:
        return False


async def _one(
    line: OperationLine, flight: Flight[Page], arguments: Arguments, number: int, attempt: int, is_hedge: bool = False
) -> Page:
    """One call that was begun: its outcome told to breaker, metrics, span and log. Raises SourceError."""
    source, keys, limit = line.of.name, len(arguments.get("keys", ())), line.of.mapping.connect.timeout
    span = TRACER.start_span("source.call") if tracing.is_exporting else None
    outcome, records, seconds = "CANCELLED", 0, 0.0
    started = time.perf_counter()
    try:
        try:
            page = await line.of.source.call(Call(line.name, limit, **arguments))
        except (SourceError, TimeoutError):
            raise
        except Exception as error:
            raise SourceContractBroken(type(error).__name__) from error
        seconds = time.perf_counter() - started
        outcome, records = "OK", len(page.records)
        line.ended(number, None, seconds)
        line.noted(page.notes)
        return page
    except SourceError as error:
        outcome = error.code
        if error.retry_after is not None:
            line.stay_away(error.retry_after)
        line.ended(number, error, 0.0)
        raise
    except TimeoutError:
        outcome = "SOURCE_TIMEOUT"
        late = SourceTimeout(f"{limit:.1f} 秒内没有答复")
        line.ended(number, late, 0.0)
        raise late from None
    except BaseException:
        if flight.is_late:
            outcome = "SOURCE_TIMEOUT"
        line.given_up(number, time.perf_counter() - started, flight.is_late)
        raise
    finally:
        seconds = seconds or time.perf_counter() - started
        line.of.places.give_back()
        line.metrics.called(outcome, seconds)
        if span is not None:
            span.set_attributes({"source": source, "operation": line.name, "keys": keys, "outcome": outcome})
            span.set_attributes({"records": records, "attempt": attempt, "hedge": is_hedge})
            span.end()
        tell(line.told_as, TOLD, (keys, records, seconds * 1000, attempt, outcome))


def _pause(line: OperationLine, flight: Flight[Page], error: SourceError, attempt: int) -> float | None:
    """Seconds before the next attempt; None when there is none."""
    words = line.of.mapping.connect.retry
    if attempt > words.times or not error.retryable:
        return None
    pause = full_jitter(attempt, words.pause, words.longest)
    if error.retry_after is not None:
        pause = error.retry_after + min(pause, words.pause)
    if time.monotonic() + pause + line.shortest >= flight.until:
        return None
    if line.breaker.state != "closed" or not line.of.seconds.spend():
        return None
    return pause
