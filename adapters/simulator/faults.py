"""What a simulator can be told to do wrong, and what it was asked."""

import threading
import time
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Kind = Literal["slow", "fail", "throttle", "truncate", "fault", "garbage", "drop"]
"""`slow`: answer after `seconds` · `fail`: HTTP 500, an SQL error · `throttle`: 429 or the source's own code ·
`truncate`: half an answer, then the connection is closed · `fault`: `code` as a SOAP Fault (HTTP `status`), as the
outcome of REST or as the error number of a database; without `code` what the source says for “again later” ·
`garbage`: a login page · `drop`: closed without an answer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing to do wrong, `times` times (None: until cleared), for one operation or for all of them.

    Refreshes of a platform's keys are operations called `refresh`, `refresh_by_key` and `refresh_by_secret`; a fault
    touches them only when it names them.
    """

    kind: Kind
    times: int | None = None
    operation: str | None = None
    seconds: float = 0.0
    code: str | None = None
    status: int = 500

    def __post_init__(self) -> None:
        """Raises ValueError for what makes no sense."""
        if self.kind not in get_args(Kind):
            raise ValueError(f"不认识的故障 “{self.kind}”（有：{'、'.join(get_args(Kind))}）")
        if self.times is not None and (not isinstance(self.times, int) or self.times < 1):
            raise ValueError("times 应是不小于 1 的整数，或不写（直到清除）")
        if (self.kind == "slow") != (self.seconds > 0):
            raise ValueError("slow 须有 seconds（大于 0），其他故障没有")
        if self.status not in (200, 500):
            raise ValueError("status 只能是 200 或 500")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to one call: it waits `seconds`, and then `fault` happens, if there is one."""

    seconds: float = 0.0
    fault: Fault | None = None


class Faults:
    """The faults in force; may be told from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault) -> None:
        """Do this from now on."""
        with self._lock:
            self._left.append((fault, fault.times))

    def clear(self) -> None:
        """Behave again."""
        with self._lock:
            self._left.clear()

    def take(self, operation: str, is_business: bool = True) -> Disturbance:
        """What happens to this call: every slowness there is, and the first of the other faults; each used once."""
        seconds, chosen = 0.0, None
        with self._lock:
            left: list[tuple[Fault, int | None]] = []
            for fault, times in self._left:
                is_meant = fault.operation == operation or (fault.operation is None and is_business)
                if is_meant and (fault.kind == "slow" or chosen is None):
                    seconds += fault.seconds
                    chosen = chosen if fault.kind == "slow" else fault
                    times = None if times is None else times - 1
                if times != 0:
                    left.append((fault, times))
            self._left = left
        return Disturbance(seconds, chosen)

    def in_force(self) -> list[dict[str, Any]]:
        """The faults in force, with how often they are still to happen."""
        with self._lock:
            return [{**asdict(fault), "times": times} for fault, times in self._left]


@dataclass(frozen=True, slots=True)
class SeenCall:
    """A business call that arrived, whatever became of it; `at` in seconds since 1970."""

    operation: str
    keys: int
    at: float


class Calls:
    """The business calls that arrived; may be read from any thread."""

    def __init__(self) -> None:
        self._seen: list[SeenCall] = []

    def add(self, operation: str, keys: int) -> None:
        """One more."""
        self._seen.append(SeenCall(operation, keys, time.time()))

    def seen(self, operation: str | None = None) -> list[SeenCall]:
        """All of them in their order, or those of one operation."""
        return [call for call in self._seen[:] if operation in (None, call.operation)]

    def clear(self) -> None:
        """Forget them."""
        self._seen.clear()
