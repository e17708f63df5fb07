"""Bodies of requests that were read before: clients ask the same again and again, and the same bytes ask for the same.

Only what was answered whole and without an error by a query is kept, so nothing that is delivered, and nothing that is refused.
"""

from gateway.limits import GraphQLRequest

MOST_BODIES = 1000
LARGEST = 2048
"""Bytes of a body that is kept."""


class Bodies:
    """What they asked for, by their very bytes. One for the process."""

    def __init__(self) -> None:
        self._known: dict[bytes, GraphQLRequest] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, said: bytes) -> GraphQLRequest | None:
        """What a body asks for, if it was read before; its variables are not to be changed."""
        return self._known.get(said)

    def keep(self, said: bytes, asked: GraphQLRequest) -> None:
        """Know the body next time."""
        if len(said) > LARGEST or said in self._known:
            return
        if len(self._known) >= MOST_BODIES:
            self._known.clear()
        self._known[said] = asked
