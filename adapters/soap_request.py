"""The messages of SOAP look-ups: zeep makes one for a key, and those for other keys differ from it in nothing but the key."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from adapters.errors import SourceRejected

Request = tuple[dict[str, str], bytes]
"""Headers and envelope."""
Make = Callable[[str], Request]
"""From a key to the request for it. Raises SourceRejected."""
PLAIN = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)
"""Keys that no way of writing XML or addresses would write differently."""
SAMPLES = ("Key7Qz0Sample", "Other5Xw1Key")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A request with a place for the key."""

    headers: dict[str, str]
    front: bytes
    back: bytes

    def of(self, key: str) -> Request | None:
        """The request for a key, None where that has to be made anew."""
        return (self.headers, self.front + key.encode() + self.back) if PLAIN.fullmatch(key) else None


def envelope_of(make: Make) -> Envelope | None:
    """The envelope that `make` makes, proven by keys made up for it; None where it depends on more than the key.

    Messages with the time, an identifier or a nonce in them, keys that are numbers, signed or packed: for all of these two
    requests differ in other places, or not by the very text of the key.
    """
    try:
        (headers, first), (_, again), (others, other) = (make(key) for key in (SAMPLES[0], SAMPLES[0], SAMPLES[1]))
    except SourceRejected:
        return None
    front, mark, back = first.partition(SAMPLES[0].encode())
    is_only = bool(mark) and first == again and headers == others and other == front + SAMPLES[1].encode() + back
    return Envelope(headers, front, back) if is_only else None
