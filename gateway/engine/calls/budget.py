"""How many calls a source may get in a second, a minute and a day: counted here, and over Redis by all replicas together.

A sliding count for seconds and minutes (the last window counts as far as it still overlaps), the calendar day of China for
quotas. The script takes from all windows or from none, in one round trip and by the clock of Redis; the package `limits`
would need a round trip for each window, and would have taken from the second when the day refuses.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from adapters.mapping.limits import Budget as WrittenBudget
from gateway.engine.calls.shared import Shared, SharedIsDown

DAY = 86_400
CHINA = 8 * 3600
SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local longest = 0
for i = 1, #KEYS do
  local most, seconds, ahead = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local number = math.floor((now + ahead) / seconds)
  local part = (now + ahead) / seconds - number
  local used = tonumber(redis.call('GET', KEYS[i] .. ':' .. string.format('%d', number)) or '0') or 0
  local before = 0
  if seconds < 86400 then
    before = tonumber(redis.call('GET', KEYS[i] .. ':' .. string.format('%d', number - 1)) or '0') or 0
  end
  if before * (1 - part) + used + 1 > most then
    local wait
    if used + 1 <= most then wait = 1 - (most - 1 - used) / before - part
    elseif seconds < 86400 then wait = 1 - part + math.max(0, 1 - (most - 1) / used)
    else wait = 1 - part end
    longest = math.max(longest, wait * seconds)
  end
end
if longest > 0 then return math.ceil(longest * 1000) end
for i = 1, #KEYS do
  local seconds, ahead = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local cell = KEYS[i] .. ':' .. string.format('%d', math.floor((now + ahead) / seconds))
  redis.call('INCR', cell)
  redis.call('EXPIRE', cell, 2 * seconds)
end
return 0
"""


class BudgetUnknown(Exception):
    """配额由各副本共用，而 Redis 暂时无法访问"""


@dataclass(slots=True)
class Window:
    """`most` calls in `seconds`; windows begin `ahead` seconds before whole multiples of their length since 1970."""

    name: str
    most: int
    seconds: int
    ahead: int = 0
    number: int = -1
    used: int = 0
    before: int = 0

    def wait(self, now: float, reserve: float) -> float:
        """Seconds until one more call fits beside what is reserved; 0 when it fits now."""
        most = beside(self.most, reserve)
        number, rest = divmod(now + self.ahead, self.seconds)
        if number != self.number:
            self.before = self.used if number == self.number + 1 and self.seconds < DAY else 0
            self.number, self.used = int(number), 0
        part = rest / self.seconds
        if self.before * (1 - part) + self.used + 1 <= most:
            return 0.0
        if self.used + 1 <= most:
            return (1 - (most - 1 - self.used) / self.before - part) * self.seconds
        return (1 - part + (max(0.0, 1 - (most - 1) / self.used) if self.seconds < DAY else 0)) * self.seconds


@dataclass(slots=True)
class Budget:
    """The budget of one source. What this process takes is always counted here too: it answers while Redis cannot."""

    source: str
    windows: Sequence[Window]
    closed: bool = False
    shared: Shared | None = None
    now: Callable[[], float] = field(default=time.time)
    reserve: float = 0.0

    async def take(self, may_wait: bool = False) -> float:
        """0 when a call may be made, which then counts; else seconds until it is worth asking again.

        `may_wait`: nobody waits for the answer, so that the call takes nothing of what is reserved for those who do.

        Raises BudgetUnknown when the budget is a quota (`otherwise: closed`) and Redis is down.
        """
        reserve = self.reserve if may_wait else 0.0
        if wait := self._wait(reserve):
            return wait
        if self.shared is not None:
            try:
                wait = await self._take_shared(self.shared, reserve)
            except SharedIsDown:
                if self.closed:
                    raise BudgetUnknown from None
            if wait or (wait := self._wait(reserve)):
                return wait
        for window in self.windows:
            window.used += 1
        return 0.0

    def _wait(self, reserve: float) -> float:
        now = self.now()
        return max(window.wait(now, reserve) for window in self.windows)

    async def _take_shared(self, shared: Shared, reserve: float) -> float:
        keys = [f"gateway:budget:{{{self.source}}}:{window.name}" for window in self.windows]
        words = [n for one in self.windows for n in (beside(one.most, reserve), one.seconds, one.ahead)]
        milliseconds = await shared.ask(lambda redis: redis.eval(SCRIPT, len(keys), *keys, *words))
        return int(milliseconds) / 1000


def beside(most: int, reserve: float) -> int:
    """What is left of a number of calls beside the share that is reserved; one at least, or nothing would ever come."""
    return max(1, int(most * (1 - reserve)))


def budget_of(source: str, written: WrittenBudget | None, shared: Shared | None) -> Budget | None:
    """The budget that a mapping declares."""
    if written is None:
        return None
    windows = [
        Window(name, most, seconds, ahead)
        for name, most, seconds, ahead in (
            ("second", written.per_second, 1, 0),
            ("minute", written.per_minute, 60, 0),
            ("day", written.per_day, DAY, CHINA),
        )
        if most is not None
    ]
    return Budget(source, windows, written.otherwise == "closed", shared, reserve=written.reserve / 100)
