"""Answers kept by what they were made of: whoever hears the same bytes to the same question gives the same answer, unread.

Every call is made, so an answer is never older than what the sources say; only what follows from their bytes is not worked out
once more. Nothing odd is kept: no answer that the executor had to write, none of a page that differs from what was agreed.
"""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import date
from typing import Any

import xxhash

Mark = tuple[bytes, str, date | None]
"""What an answer of a source is known by: the digest of its bytes, their media type, and the day, where records are judged by it.

The digest is quick and not cryptographic. A source that made up two answers with one digest would deceive only those who ask it
the same question, and could do so without that."""
SIZE_OF_ENTRY = 600
LARGEST_PART = 8
"""An answer that alone would take this part of everything is not kept."""


def mark_of(raw: bytes, media_type: str, day: date | None) -> Mark:
    """What these bytes are known by."""
    return xxhash.xxh3_128_digest(raw), media_type, day


class Kept:
    """What was worked out, by the question and the marks it follows from; the longest unasked goes first. One for the process."""

    def __init__(self, largest: int) -> None:
        self.largest = largest
        self.bytes = self.reused = 0
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, question: Hashable) -> Any:
        """What was worked out, None when it has to be."""
        found = self._held.get(question)
        if found is None:
            return None
        self._held.move_to_end(question)
        return found[0]

    def put(self, question: Hashable, worked_out: Any, size: int) -> bool:
        """Keep it, unless it is too large; `size` in bytes."""
        cost = SIZE_OF_ENTRY + size
        if cost * LARGEST_PART > self.largest:
            return False
        known = self._held.pop(question, None)
        self.bytes += cost - (known[1] if known else 0)
        self._held[question] = worked_out, cost
        while self.bytes > self.largest:
            _, (_, gone) = self._held.popitem(last=False)
            self.bytes -= gone
        return True
