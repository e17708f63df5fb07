"""The whole interface of an adapter: a `Call` goes in, a `Page` comes out."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, overload, runtime_checkable

if TYPE_CHECKING:
    from adapters.mapping.model import OperationMapping

Record = Mapping[str, Any]
"""A record as the source gave it: a tree of mappings, lists, text and None. Numbers are their text, digit for digit."""


class Reader(Protocol):
    """Reads answers straight into what somebody wants of them."""

    @property
    def is_learning(self) -> bool:
        """Whether it wants to see an answer that was read in the general way."""
        ...

    def learn(self, body: bytes) -> None:
        """See such an answer."""
        ...

    def read(self, body: bytes, media_type: str) -> Sized | None:
        """The records in its own form; None when the answer is to be read in the general way."""
        ...


@dataclass(slots=True)  # not frozen: that would take longer to make, twice in every call
class Call:
    """One request to one operation. `timeout` is in seconds, for everything from connecting to the last byte.

    Lookups fill `keys` (texts, as the source writes them, at most the operation's batch). Changes fill `since` (as the
    source writes its cursor, None from the beginning), `until`, `size`, and `page` (counted as the mapping says) or `cursor`
    (the last page's `next`: for databases the place of its last row, elsewhere the source's own token).
    Searches fill `filters` (`filed_date.gte` -> texts), `order` as the mapping writes it, `size` and, as the source counts
    its pages, `page`, `offset` (records before it; what databases are asked by) or `cursor` (the last page's `next`).
    An adapter may let `reader` read the answer.
    """

    operation: str
    timeout: float
    keys: Sequence[str] = ()
    since: str | None = None
    until: str | None = None
    page: int | None = None
    size: int | None = None
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    order: str | None = None
    offset: int | None = None
    cursor: str | None = None
    reader: Reader | None = None


class Unread(Sequence[Record]):
    """The records of an answer that somebody's reader has read, read in the general way when they are looked at."""

    __slots__ = ("_count", "_found", "_read")

    def __init__(self, count: int, read: Callable[[], Sequence[Record]]) -> None:
        self._count, self._read = count, read
        self._found: Sequence[Record] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Record]: ...
    def __getitem__(self, place: int | slice) -> Record | Sequence[Record]:
        return self._records()[place]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records())

    def _records(self) -> Sequence[Record]:
        if self._found is None:
            self._found = self._read()
        return self._found


@dataclass(slots=True)  # not frozen: that would take longer to make, twice in every call
class Page:
    """What a source answered: its records, and the payload they were read from, byte for byte (for landing).

    `next` is what to ask for the page after it, where pages are not counted.

    `read` are the records as the call's reader, `read_by`, has them.

    Adapters leave the last three alone. A page `is_cached` when it was received before it was asked for; it then has no
    payload. `keys` are those it answers, all that were asked for when empty. A page put together from several answers
    has all their records, and them as its `parts`.
    """

    records: Sequence[Record]
    raw: bytes
    media_type: str
    received_at: datetime
    total: int | None = None
    next: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    read: Sized | None = None
    read_by: Reader | None = None
    is_cached: bool = False
    keys: Sequence[str] = ()
    parts: Sequence["Page"] = ()


@runtime_checkable
class Rereads(Protocol):
    """A source that can read again what was kept of its answers, without being asked for it."""

    def reread(self, operation: "OperationMapping", raw: bytes, media_type: str) -> Page:
        """The page that the payload was. Raises SourceError when it is none."""
        ...


class Source(Protocol):
    """A source system. It knows its transport; it does not retry, batch, cache, convert or log.

    `call` raises a `SourceError` and nothing else; a key the source does not know is simply absent from the page.
    """

    async def call(self, call: Call) -> Page:
        """Make one request."""
        ...

    async def aclose(self) -> None:
        """Let go of connections; may be called twice."""
        ...
