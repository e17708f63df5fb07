"""What one request carries from the door to the last call."""

import time
from dataclasses import dataclass, field
from typing import Any

from gateway.access.viewer import EVERYBODY, Viewer


@dataclass(frozen=True, slots=True)
class Deadline:
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


@dataclass(slots=True)
class RequestContext:
    """Who asks, until when, and whether they asked to see the plan."""

    deadline: Deadline
    viewer: Viewer = EVERYBODY
    explain: bool = False
    extensions: dict[str, Any] = field(default_factory=dict)
