"""The words of the mapping language for limits: what a source may be asked, how often, and for how long an answer holds."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

DURATION = re.compile(r"(\d+)(ms|s|m|h)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: object) -> float:
    """A duration such as `8s`, `200ms`, `10m` or `1h`, in seconds."""
    match = DURATION.fullmatch(str(text))
    if not match:
        raise ValueError(f"“{text}” 不是时长（例：200ms、8s、10m、1h）")
    return int(match[1]) * UNITS[match[2]]


Duration = Annotated[float, BeforeValidator(seconds)]


class Written(BaseModel):
    """What may be written; any other word is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Budget(Written):
    """How many calls all users and syncs may make in a second, a minute and a day (of China's calendar).

    `otherwise` says what holds while the count that replicas share is out of reach: each counts for itself (`local`), or
    nobody calls (`closed`, for quotas that must not be exceeded). `reserve` percent of each are for queries that somebody
    waits for: a sync leaves them alone.
    """

    per_second: int | None = Field(default=None, ge=1, le=100_000)
    per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    per_day: int | None = Field(default=None, ge=1, le=100_000_000)
    otherwise: Literal["local", "closed"] = "local"
    reserve: int = Field(default=0, ge=0, le=90)


class Retry(Written):
    """Failed calls that may succeed later are made again: up to `times`, after a random pause of at most `pause`, which
    doubles up to `longest`. Second calls, hedges included, are never more than `share` percent of all calls."""

    times: int = Field(default=0, ge=0, le=5)
    pause: Duration = 0.1
    longest: Duration = 2.0
    share: int = Field(default=10, ge=0, le=100)


class Breaker(Written):
    """After `failures` in a row an operation is left alone for `pause`, then tried with one call.

    `slow`: calls that are still unanswered after it count as failures before they end; without it, silence counts by the
    pace of the source itself.
    """

    failures: int = Field(default=5, ge=1, le=1000)
    pause: Duration = 2.0
    slow: Duration | None = None


class Cache(Written):
    """How long an answer may be given again: `fresh` as it is, then for `stale` while it is asked for anew behind the
    answer; that there is no such record, for `negative`."""

    fresh: Duration
    negative: Duration = 0.0
    stale: Duration = 0.0


class Hedge(Written):
    """A look-up that is slow is asked a second time `after` so long, or after the 95th percentile of the latest calls
    (`p95`); whichever answers first counts."""

    after: Duration | Literal["p95"]


class Connect(Written):
    """What every kind of source has: `timeout` bounds one call, `concurrency` all users' calls in flight together, `queue`
    those that wait for a place. Of `timeout`, `connect_timeout` may go by without a connection and `read_timeout`
    without a byte (HTTP only).

    `weight` is what asking it for one entity costs, in the cost of a query; by its kind when it is not said.
    """

    timeout: Duration = 10.0
    connect_timeout: Duration | None = None
    read_timeout: Duration | None = None
    concurrency: int = Field(default=4, ge=1, le=256)
    queue: int = Field(default=256, ge=0, le=10_000)
    budget: Budget | None = None
    retry: Retry = Retry()
    breaker: Breaker = Breaker()
    weight: int | None = Field(default=None, ge=1, le=1000)
