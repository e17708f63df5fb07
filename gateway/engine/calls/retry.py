"""Whether a failed call is made once more: within a budget, so that a source that is down is not asked more for it."""

import random
from dataclasses import dataclass, field

MOST_SAVED = 300
"""Hundredths of a call: a quiet time saves up no more than this."""
WHOLE = 100


@dataclass(slots=True)
class RetryBudget:
    """Each request earns `share` hundredths of a second call; nothing is given in advance.

    So second calls (retries and hedges) are never more than that share of all requests, at any moment.
    """

    share: int
    saved: int = field(default=0)

    def earn(self) -> None:
        """A request is made."""
        self.saved = min(self.saved + self.share, MOST_SAVED)

    def spend(self) -> bool:
        """Whether a second call may be made; it then counts."""
        if self.saved < WHOLE:
            return False
        self.saved -= WHOLE
        return True


def full_jitter(attempt: int, pause: float, longest: float) -> float:
    """Seconds before the attempt (1 is the first retry): anywhere between nothing and a pause that doubles up to `longest`."""
    return random.uniform(0.0, min(longest, pause * 2 ** (attempt - 1)))
