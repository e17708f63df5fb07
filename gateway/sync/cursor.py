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
    """Where to read from again: times go back by the overlap in seconds, numbers by so many; texts are read inclusively anyway."""
    if isinstance(value, date):
        return value - timedelta(seconds=overlap)
    return value - int(overlap) if isinstance(value, int) else value


@dataclass(slots=True)
class Reached:
    """How far a run has come from `start`.

    Only what the source itself told is ever a place to go on from. Of times, none that was still to come when it was asked
    for, and none behind the first page that came within the `overlap` of then: what is committed late beside it could
    otherwise be older than the next run reads again. `limit`: nothing behind it is a place either. `is_ordered`: every record
    so far came at or behind the one before it.
    """

    start: Any
    overlap: float = 0.0
    greatest: Any = None
    last: Any = None
    is_ordered: bool = True
    is_at_edge: bool = False
    limit: datetime | None = None

    def add(self, values: Sequence[Any], asked_at: datetime) -> None:
        """Take the cursor values of a page into account, in their order."""
        latest = asked_at if self.limit is None else min(asked_at, self.limit)
        for value in values:
            if self.last is not None and value < self.last:
                self.is_ordered = False
            self.last = value
            if (
                not self.is_at_edge
                and (self.greatest is None or value > self.greatest)
                and not _is_behind(value, latest)
            ):
                self.greatest = value
        edge = asked_at - timedelta(seconds=self.overlap)
        self.is_at_edge = self.is_at_edge or (self.overlap > 0 and any(_is_behind(value, edge) for value in values))

    def go_back(self) -> None:
        """The pages that follow are read from an earlier place."""
        self.last = None

    @property
    def furthest(self) -> Any:
        """The greatest value that was told, never before the start."""
        if self.greatest is None:
            return self.start
        return self.greatest if self.start is None else max(self.start, self.greatest)


def _is_behind(value: Any, moment: datetime) -> bool:
    """Whether a time is later than a moment; nothing else is."""
    if isinstance(value, datetime):
        return value > moment
    return isinstance(value, date) and value > moment.date()
