"""The viewer: who asks. Until access control is built everybody is EVERYBODY, but every step already asks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `scope` says what part of the province they may see, `masking` which elements they see masked.

    Both are opaque names here; they are part of every key under which an answer may be shared between requests.
    """

    name: str
    scope: str
    masking: str


EVERYBODY = Viewer("everybody", "province", "none")
