"""How long anybody is waited for on the wire."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a head and a body may take to arrive, and a reader to take some of its answer."""

    head: float = 10.0
    body: float = 10.0
    stall: float = 10.0
