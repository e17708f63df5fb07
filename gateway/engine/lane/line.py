"""One look-up of a short way, compiled: from the bytes it brings to objects of the answer."""

from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from adapters.json_types import LARGEST, JsonReader
from adapters.mapping.compiled import ODD
from adapters.mapping.compiled_values import MOST_REMEMBERED, Irregular
from adapters.source import Page
from gateway.engine.lane.course import Ask
from gateway.engine.lane.kept import Mark, mark_of
from gateway.engine.lane.writing import Make, Seen
from gateway.log import logger
from schema.formats import CHINA_TIME
from schema.identity import values_in_key

Inside = tuple[Seen, list[Any]]
"""Objects by part and key, and what they wait for."""


class Made:
    """What an answer became as soon as it was read: objects, and what they wait for. Who takes it fills them, so only one may."""

    __slots__ = ("_inside", "count", "is_odd", "mark")

    def __init__(self, count: int, inside: Inside | None, mark: Mark | None) -> None:
        self.count, self._inside, self.is_odd, self.mark = count, inside, inside is None, mark

    def __len__(self) -> int:
        return self.count

    def take(self) -> Inside | None:
        """The objects, once; None from then on, and where they are not for the short way."""
        inside, self._inside = self._inside, None
        return inside


class Known:
    """An answer that was not read: the same bytes were, and nothing was odd about them."""

    __slots__ = ("count", "mark")

    def __init__(self, count: int, mark: Mark) -> None:
        self.count, self.mark = count, mark

    def __len__(self) -> int:
        return self.count


class LineReader:
    """A reader that knows what it has seen, and makes objects of the records of anything else in the same turn, while they are
    in the processor's memory. Without `json` it only knows: others read, in the general way."""

    __slots__ = ("json", "known", "make", "needs_day", "parts")

    def __init__(self, json: JsonReader | None, make: Make, needs_day: bool, parts: Sequence[int]) -> None:
        self.json, self.make, self.needs_day, self.parts = json, make, needs_day, parts
        self.known: dict[Mark, int] = {}

    @property
    def is_learning(self) -> bool:
        """See Reader."""
        return self.json is not None and self.json.is_learning

    def learn(self, body: bytes) -> None:
        """See Reader."""
        if self.json is not None:
            self.json.learn(body)

    def know(self, mark: Mark, count: int) -> None:
        """Answers with this mark, of so many records, need not be read from now on."""
        if len(self.known) >= MOST_REMEMBERED:
            self.known.clear()
        self.known[mark] = count

    def read(self, body: bytes, media_type: str) -> Sized | None:
        """See Reader."""
        mark = None
        if self.known:
            mark = mark_of(body, media_type, datetime.now(CHINA_TIME).date() if self.needs_day else None)
            if (count := self.known.get(mark)) is not None:
                return Known(count, mark)
        return self.made(body, mark)

    def made(self, body: bytes, mark: Mark | None) -> Made | None:
        """The objects of an answer; None when it is to be read in the general way."""
        records = None if self.json is None else self.json.read(body)
        if records is None:
            return None
        day = datetime.now(CHINA_TIME).date() if self.needs_day else None
        try:
            return Made(len(records), made_of(records, self.make, day, self.parts), mark)
        except ODD:
            return Made(len(records), None, mark)
        except Exception as error:  # a bug of ours, and no fault of the source
            logger().error("lane.bug", error=type(error).__name__, exc_info=error)
            return Made(len(records), None, mark)


def made_of(records: Iterable[Any], make: Make, day: date | None, parts: Sequence[int]) -> Inside:
    """The objects of records, and what they wait for. Raises what is ODD."""
    seen: Seen = {part: ({}, {}) for part in parts}
    waiting: list[Any] = []
    for record in records:
        if make(record, day, seen, waiting) is None:
            raise Irregular
    return seen, waiting


@dataclass(slots=True)
class Line:
    """One look-up: its pages become objects by `make`, where `reader` did not make them."""

    ask: Ask
    parts: Sequence[int]
    make: Make
    needs_day: bool
    reader: LineReader | None = None
    texts: dict[str, str | None] = field(default_factory=dict)

    def text_of(self, key: str) -> str:
        """The key as the source writes it. Raises Irregular when it has none."""
        text = self.texts.get(key)
        if text is None:
            role = self.ask.role
            value = values_in_key(self.ask.stop.part.entity, key).get(role.element)
            text = None if value is None or role.field.print_key is None else role.field.print_key(value)
            if text is None:
                raise Irregular
            if len(self.texts) >= MOST_REMEMBERED:
                self.texts.clear()
            self.texts[key] = text
        return text

    def mark(self, page: Page) -> Mark | None:
        """What the page is known by; None where it is no single answer, or there is something to say about it."""
        reader, read = self.reader, self._read(page)
        if reader is None or page.is_cached or page.notes or page.parts or len(page.raw) > LARGEST:
            return None
        if read is not None and read.mark is not None:
            return read.mark
        return mark_of(page.raw, page.media_type, self._day(page))

    def know(self, page: Page, mark: Mark) -> None:
        """The next page with this mark need not be read."""
        if self.reader is not None:
            self.reader.know(mark, len(page.records))

    def take(self, page: Page) -> Inside:
        """The objects of a page, and what they wait for. Raises what is ODD."""
        reader, read = self.reader, self._read(page)
        if reader is not None and page.read_by is not None:
            if isinstance(read, Made):
                if (inside := read.take()) is not None:
                    return inside
                if read.is_odd:
                    raise Irregular
            if reader.json is not None:  # it was not read for us, or somebody asked the same and was quicker
                again = reader.made(page.raw, None)
                if again is None or (inside := again.take()) is None:
                    raise Irregular
                return inside
        return made_of(page.records, self.make, self._day(page), self.parts)

    def _read(self, page: Page) -> Made | Known | None:
        """The page as our own reader has it."""
        return page.read if page.read_by is self.reader else None  # type: ignore[return-value]

    def _day(self, page: Page) -> date | None:
        return page.received_at.astimezone(CHINA_TIME).date() if self.needs_day else None
