"""What one request carries from the door to the last call."""

import time
from dataclasses import dataclass
from typing import NamedTuple


class Deadline(NamedTuple):
    """A moment of the monotonic clock by which everything must be over."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The deadline this many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left(self) -> float:
        """Seconds left; negative once it has passed."""
        return self.at - time.monotonic()


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `scope` says what part of the province they may see, `masking` which elements they see masked, `role` by what
    name the settings limit what they may ask.

    Scope and masking are opaque names here; they are part of every key under which an answer may be shared between requests.
    Until access control is built everybody is EVERYBODY, but every step can already see who asks.
    """

    name: str
    scope: str
    masking: str
    role: str = "everybody"


@dataclass(frozen=True, slots=True)
class Deliverer:
    """An agency that showed its key: the source it may deliver to, and what its requests are counted under."""

    source: str
    counted_as: str


EVERYBODY = Viewer("everybody", "province", "none")


@dataclass(slots=True)
class RequestContext:
    """Who asks, until when, and whether they asked to see the plan, or a trace for the router of a federated graph.

    `deliverer`: the agency whose key the request has, if it may change anything.
    """

    deadline: Deadline
    viewer: Viewer = EVERYBODY
    explain: bool = False
    trace: bool = False
    deliverer: Deliverer | None = None
