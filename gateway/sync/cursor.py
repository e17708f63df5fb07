"""Cursors: how far a stream has been read, as a value, as the store keeps it, and as it may be moved."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from adapters.mapping.model import Field
from schema.formats import Kind

READ: dict[Kind, Callable[[str], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "number": int,
    "money": int,
}


class CannotAdvance(Exception):
    """游标无法前进"""


def read_cursor(cursor: Field, text: str | None) -> Any:
    """The value the store kept, None at the very beginning. Raises CannotAdvance: never silently from the beginning."""
    if text is None:
        return None
    try:
        return READ.get(cursor.element.format.kind, str)(text)
    except ValueError:
        raise CannotAdvance(f"保存的游标 “{text}” 不是 {cursor.name} 的值，须由人决定从何处继续") from None


def write_cursor(value: Any) -> str | None:
    """The value as the store keeps it."""
    if value is None:
        return None
    return value.isoformat() if isinstance(value, date) else str(value)


def before(value: Any, overlap: float) -> Any:
    """Where to read from again: times go back by the overlap, in seconds; everything else is read inclusively anyway."""
    return value - timedelta(seconds=overlap) if isinstance(value, date) else value


@dataclass(slots=True)
class Reached:
    """How far a run has come from `start`.

    While records come in the order of their cursor, what was read is a safe place to go on from. When they do not, only the
    end of the run is, because something earlier may be on any page still to come. A time in the future is never a safe
    place: what changes until then would be passed over.
    """

    start: Any
    greatest: Any = None
    last: Any = None
    is_ordered: bool = True
    received_at: datetime | None = None

    def add(self, values: Sequence[Any], received_at: datetime) -> None:
        """Take the cursor values of a page into account, in their order."""
        self.received_at = received_at
        for value in values:
            if self.last is not None and value < self.last:
                self.is_ordered = False
            self.last = value
            if self.greatest is None or value > self.greatest:
                self.greatest = value

    def so_far(self) -> Any:
        """Where the next run may start if this one ends here."""
        return self._furthest() if self.is_ordered else self.start

    def at_end(self, read_whole: bool) -> Any:
        """Where the next run may start if nothing more is there; `read_whole` when that is certain."""
        return self._furthest() if self.is_ordered or read_whole else self.start

    def _furthest(self) -> Any:
        if self.greatest is None:
            return self.start
        furthest = min(self.greatest, _now_as(self.greatest, self.received_at))
        return furthest if self.start is None else max(self.start, furthest)


def _now_as(value: Any, received_at: datetime | None) -> Any:
    """When the page was received, in the kind of `value`; the value itself when it is no time."""
    if received_at is None or not isinstance(value, date):
        return value
    return received_at if isinstance(value, datetime) else received_at.date()
