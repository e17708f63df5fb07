"""Answers of the last seconds, each under the one key it answers: in this process, bounded by number and by bytes."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from adapters.mapping.limits import Cache as Limits
from adapters.source import Record

Age = Literal["fresh", "stale"]
AHEAD = 5.0
"""Seconds that another replica's clock may be ahead of ours; what claims to be from later than that is not believed."""
SIZE_OF_ENTRY = 500
SIZE_OF_TREE = 4
"""Bytes that a record takes in memory for each byte of its text, and an entry for itself: measured, and rounded up."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the source said to one key: its records, each with its place in the answer it came in; none is an answer too.

    `size` is in bytes of the source's own text.
    """

    records: tuple[tuple[int, Record], ...]
    received_at: datetime
    size: int

    def age(self, limits: Limits, now: float) -> Age | None:
        """How it may be used at this moment (seconds since 1970); None when it may not."""
        passed = now - self.received_at.timestamp()
        if passed < -AHEAD:
            return None
        if not self.records:
            return "fresh" if passed < limits.negative else None
        if passed < limits.fresh:
            return "fresh"
        return "stale" if passed < limits.fresh + limits.stale else None


class Memory:
    """The least recently used goes when there are more than `entries`, or more than `largest` bytes."""

    def __init__(self, entries: int, largest: int) -> None:
        self.entries, self.largest = entries, largest
        self.bytes = 0
        self._held: OrderedDict[Hashable, Held] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> Held | None:
        """What is held, whatever its age."""
        if (held := self._held.get(key)) is not None:
            self._held.move_to_end(key)
        return held

    def put(self, key: Hashable, held: Held) -> None:
        """Hold it, unless something newer is held already or it alone is a quarter of everything."""
        cost = _cost(held)
        if self.entries < 1 or cost * 4 > self.largest:
            return
        known = self._held.pop(key, None)
        if known is not None:
            self.bytes -= _cost(known)
            if known.received_at > held.received_at:
                held, cost = known, _cost(known)
        self._held[key] = held
        self.bytes += cost
        while len(self._held) > self.entries or self.bytes > self.largest:
            self.drop(next(iter(self._held)))

    def drop(self, key: Hashable) -> None:
        """Hold it no longer."""
        if (held := self._held.pop(key, None)) is not None:
            self.bytes -= _cost(held)


def _cost(held: Held) -> int:
    return SIZE_OF_ENTRY + SIZE_OF_TREE * held.size
