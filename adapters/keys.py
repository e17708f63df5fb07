"""Keys of data-sharing platforms, from our side: kept until shortly before they end, fetched by one caller for all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from adapters.errors import SourceError, SourceTimeout
from schema.formats import CHINA_TIME

SKEW_WORTH_LEARNING = 30.0
SHORTEST_HOLD = 30.0
"""Seconds; a key whose end seems to have passed already (clocks differ) is tried this long."""


@dataclass(frozen=True, slots=True)
class Key:
    """A secret to sign with; `good_until` in seconds since 1970 by our own clock."""

    secret: str
    good_until: float


class Clock:
    """The platform's time: ours, plus what its `Date` headers taught us. `now` gives seconds since 1970."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self._offset = 0.0

    def milliseconds(self) -> str:
        """The platform's time as signatures carry it."""
        return str(int((self.now() + self._offset) * 1000))

    def learn(self, date_header: str | None) -> bool:
        """Whether the platform's clock is not where we thought, by half a minute or more; from now on it is known."""
        try:
            moment = parsedate_to_datetime(date_header or "")
            shown = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError):
            return False
        drift = shown - (self.now() + self._offset)
        if abs(drift) < SKEW_WORTH_LEARNING:
            return False
        self._offset += drift
        return True

    def key(self, secret: str, end: str | None, otherwise: float, margin: float) -> Key:
        """A key that ends at `end` (as the platform writes it) or in `otherwise` seconds, kept until `margin` before."""
        now = self.now()
        ends_at = moment_in(end)
        lifetime = otherwise if ends_at is None else ends_at - (now + self._offset)
        hold = lifetime - min(margin, lifetime / 2) if lifetime > 0 else SHORTEST_HOLD
        return Key(secret, now + hold)


def moment_in(text: str | None) -> float | None:
    """Seconds since 1970 in `1717200000000`, `1717200000` or `2024-06-01 08:00:00` (China time); else None."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit() and len(text) in (10, 13):
        return int(text) / (1000 if len(text) == 13 else 1)
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA_TIME).timestamp()
    except ValueError:
        return None


class KeySlot:
    """Room for one key. However many find it missing or refused at once, one fetches, and all get the result."""

    def __init__(self, clock: Clock, fetch: Callable[[float], Awaitable[Key]]) -> None:
        self._clock, self._fetch = clock, fetch
        self._lock = asyncio.Lock()
        self.key: Key | None = None
        self._failures = 0
        self._failure: SourceError | None = None

    async def get(self, deadline: float, refused: Key | None = None) -> Key:
        """A key that counts and is not the `refused` one; `deadline` by the event loop's clock.

        Raises the SourceError of the attempt that was under way; somebody else's deadline is nobody's error.
        """
        seen = self._failures
        try:
            async with asyncio.timeout_at(deadline), self._lock:
                if self.key is not None and self.key is not refused and self.key.good_until > self._clock.now():
                    return self.key
                if self._failure is not None and self._failures != seen:
                    raise self._failure.copy()
                try:
                    self.key = await self._fetch(deadline)
                except SourceTimeout:
                    raise
                except SourceError as error:
                    self._failure, self._failures = error, self._failures + 1
                    raise
                return self.key
        except TimeoutError:
            raise SourceTimeout() from None
