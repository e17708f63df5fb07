"""Ways through a source from a cursor to its end: what to ask for next, given what was answered. They ask nobody themselves."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import le
from typing import Any, Protocol

from adapters.mapping.record import records_digest
from adapters.source import Page
from gateway.sync.cursor import CannotAdvance
from gateway.sync.drift import Form

LARGEST = 50_000
"""Records that are asked for at once to get over many with one and the same cursor."""
MOST_PASSES = 10
"""Times that pages which come by number are read again because records moved between them."""

REPEATED = "来源又给出了已读过的一页，到此为止"
DISORDERED = "来源没有按游标升序给出记录：全部读完之前游标不前进"
DRIFTED = "读取期间有记录在各页之间移动：从移动处再读一遍"
OTHERWISE_ORDERED = "数据库排列游标列的顺序与其值的顺序不一致（例：数字存为文本）：游标不前进，每次都从原处读起"
UNSETTLED = f"读了 {MOST_PASSES} 遍，记录仍在各页之间移动：游标停在未定处，下次从那里再读"


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask a source for: from a value of the cursor on (None: from the beginning), and which page or place there."""

    since: Any
    size: int
    page: int | None = None
    place: str | None = None
    goes_back: bool = False


class Disordered(Exception):
    """来源没有按游标升序给出记录"""


@dataclass(frozen=True)
class Heard:
    """An answer: its page, and of each record the cursor's value (None where it has none) and the key. `forms`: what its records
    look like, where that is watched."""

    page: Page
    values: Sequence[Any]
    keys: Sequence[str]
    forms: frozenset[Form] = frozenset()

    @cached_property
    def digest(self) -> str:
        """The digest of its records, as the source wrote them, taken once: whether a record is gone or later, its entity does not say."""
        return records_digest(self.page.records)

    @property
    def told(self) -> list[Any]:
        """The values there are."""
        return [value for value in self.values if value is not None]

    def is_ascending_from(self, since: Any) -> bool:
        """Whether the records came in the order of the cursor, none before the place asked for."""
        told = self.told if since is None else [since, *self.told]
        return all(map(le, told, told[1:]))


class Walk(Protocol):
    """A way through a source. `is_settled`: what was read so far is a safe place to go on from; `is_whole`: all was read, and
    the greatest value there was is one; `place` is where the last page ended, when pages have places."""

    question: Question | None
    is_settled: bool
    is_whole: bool
    place: str | None
    notes: list[str]

    def hear(self, heard: Heard) -> bool:
        """Take an answer and know the next question, None at the end; whether the answer is worth taking in.

        Raises CannotAdvance, and Disordered when pages have to be counted from where the run began.
        """

    def end_pass(self, applied: int) -> None:
        """Everything that was asked for has landed, and so many records were new: perhaps there is a reason to read again."""


@dataclass(slots=True)
class ByPlace:
    """Each page from the place where the one before it ended: the last row's, or the source's own token (`by_token`)."""

    since: Any
    size: int
    by_token: bool = False
    place: str | None = None
    question: Question | None = None
    is_settled: bool = True
    is_whole: bool = False
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.question = Question(self.since, self.size, place=self.place)

    def hear(self, heard: Heard) -> bool:
        """From the last row on, it included; when all rows of a page are alike in all that they are ordered by, more at once.

        A database that orders by the column otherwise than by its values (numbers kept as text) would pass over some later:
        then the cursor stays where it is. Texts are trusted to be in the order of the database.
        """
        asked, page = self.question, heard.page
        assert asked is not None
        is_text = any(isinstance(value, str) for value in heard.told)
        if not self.by_token and not is_text and not heard.is_ascending_from(None) and self.is_settled:
            self.is_settled = False
            self.notes.append(OTHERWISE_ORDERED)
        if page.next in (None, asked.place) if self.by_token else len(page.records) < asked.size:
            self.question, self.is_whole, self.place = None, self.is_settled, page.next or asked.place
        elif page.next == asked.place:
            size = _larger(asked.size, f"整页 {asked.size} 条记录完全相同，无法越过")
            self.question = Question(self.since, size, place=page.next)
        else:
            self.question, self.place = Question(self.since, self.size, place=page.next), page.next
        return True

    def end_pass(self, applied: int) -> None:
        """What moved on the way is behind us, and was read there."""
        del applied


@dataclass(slots=True)
class BySince:
    """Each page from the last value of the one before it, inclusive: for sources that promise the order of their cursor.

    Many records with one value are got over by counting pages within it where they have numbers (`first`), else by asking
    for more at once. `same`: whether the source writes two values alike; `following`: the least value behind one, if it can
    be told.
    """

    since: Any
    size: int
    name: str
    same: Callable[[Any, Any], bool]
    following: Callable[[Any], Any]
    first: int | None = None
    question: Question | None = None
    is_settled: bool = True
    is_whole: bool = False
    place: str | None = None
    notes: list[str] = field(default_factory=list)
    digest: str = ""
    most: int = 0
    is_probing: bool = False
    checked: Any = None
    total: int | None = None
    under: int = 0
    least: int | None = None

    def __post_init__(self) -> None:
        self.question = Question(self.since, self.size, self.first)

    def hear(self, heard: Heard) -> bool:
        """See the class. A source that breaks its promise is asked for everything at once."""
        asked, count = self.question, len(heard.page.records)
        assert asked is not None
        self._count(asked, heard.page)
        digest, self.digest = self.digest, heard.digest
        if asked.page != self.first and digest == self.digest and count:
            raise Disordered  # a page that came again is no page
        if self.is_probing:
            if count:
                raise CannotAdvance(
                    f"来源每页最多给 {self.most} 条，其 {self.name} 都是一个值，无法越过；请在请求中写 $page"
                )
            self.question, self.is_whole = None, True
        elif count < asked.size:
            self._end(asked, count)
        else:
            self.most = count
            self._go_on(asked, heard)
        return True

    def end_pass(self, applied: int) -> None:
        """Nothing to read again."""
        del applied

    def _count(self, asked: Question, page: Page) -> None:
        """Where the source tells how many there are: fewer behind a place than are left over from before it were not in the
        order that was promised, even if those on the page were. Raises Disordered."""
        if asked.page is None or page.total is None:
            self.total = None
            return
        if asked.page == self.first:
            if self.least is not None and page.total < self.least:
                raise Disordered
            self.under, self.least = 0, None
        self.under, self.total = self.under + len(page.records), page.total

    def _end(self, asked: Question, count: int) -> None:
        """A short page is the last; one as long as the longest, when more was asked for, may have been cut: see what follows."""
        behind = None if asked.since is None else self.following(asked.since)
        self.question, self.is_whole = None, True
        if asked.size > self.size and count == self.most and self.is_settled and behind is not None:
            self.question, self.is_whole, self.is_probing = Question(behind, self.size), False, True

    def _go_on(self, asked: Question, heard: Heard) -> None:
        told = heard.told
        if not told:
            raise CannotAdvance(f"整页 {len(heard.values)} 条记录都没有 {self.name}，无法继续")
        if not self.is_settled or not heard.is_ascending_from(asked.since):
            self._all_at_once(asked)
        elif asked.since is None or (told[-1] > asked.since and not self.same(told[-1], asked.since)):
            self._move_on(asked, heard, told[-1])
        elif asked.page is not None:
            self.question = Question(asked.since, self.size, asked.page + 1)
        else:
            size = _larger(asked.size, f"{asked.size} 条记录的 {self.name} 都是 {asked.since}，无法越过")
            self.question = Question(asked.since, size)

    def _move_on(self, asked: Question, heard: Heard, last: Any) -> None:
        """To the last value; before that once more through several pages of one value, in case records left it meanwhile."""
        pages = 0 if asked.page is None or self.first is None else asked.page - self.first
        if pages > 0 and self.checked != asked.since:
            self.checked = asked.since
            self.question = Question(asked.since, self.size, self.first, goes_back=True)
            return
        self.question = Question(last, self.size, self.first)
        if self.total is not None:
            self.least = self.total - self.under + sum(value == last for value in heard.told)

    def _all_at_once(self, asked: Question) -> None:
        if self.first is not None:
            raise Disordered
        first_time, self.is_settled = self.is_settled, False
        self.notes += [DISORDERED] if first_time else []
        self.question = Question(self.since, _larger(asked.size, DISORDERED), goes_back=True)


@dataclass(slots=True)
class ByNumber:
    """Pages one, two, three from one place, for sources that promise no order: only the end is a place to go on from.

    Where a record came twice, records may have moved between pages meanwhile: then everything from the page on where it
    first stood is read again, until nothing new comes or nothing moves. Where the source came to have fewer than it said, what
    stood behind those that left may have moved to a page that was read before: then all is read again.
    """

    since: Any
    size: int
    first: int
    question: Question | None = None
    is_settled: bool = False
    is_whole: bool = False
    place: str | None = None
    notes: list[str] = field(default_factory=list)
    passes: int = 1
    seen: set[str] = field(default_factory=set)
    hashes: "array[int]" = field(default_factory=lambda: array("q"))
    ends: list[int] = field(default_factory=list)
    starts: list[Any] = field(default_factory=list)
    last: Any = None
    is_ascending: bool = True
    total: int = 0
    """The most that the source said it has, in this pass."""
    has_shrunk: bool = False

    def __post_init__(self) -> None:
        self.question = Question(self.since, self.size, self.first)

    def hear(self, heard: Heard) -> bool:
        """The next number, to the total that the source tells or to a short page; a page that comes again is the end."""
        asked, page = self.question, heard.page
        assert asked is not None
        assert asked.page is not None
        digest = heard.digest
        if digest in self.seen and page.records:
            self.notes.append(REPEATED)
            self.question = None
            return False
        self.seen.add(digest)
        self._remember(heard)
        if page.total is not None:
            self.has_shrunk, self.total = self.has_shrunk or page.total < self.total, max(self.total, page.total)
        count, pages, fetched = len(page.records), asked.page - self.first + 1, len(self.hashes)
        if count < self.size if page.total is None else pages * self.size >= page.total:
            self.question, self.is_whole = None, page.total is None or fetched >= page.total
            if page.total is not None and fetched != page.total:
                self.notes.append(f"来源说共 {page.total} 条，实得 {fetched} 条")
        else:
            self.question = Question(asked.since, self.size, asked.page + 1)
        return True

    def end_pass(self, applied: int) -> None:
        """Read again: all of it, or from where the first record stood that came twice, unless nothing in this pass was new."""
        if len(self.ends) < 2:
            return
        page = 0 if self.has_shrunk else _first_repeated(self.hashes, self.ends)
        if page is None or (not self.has_shrunk and self.passes > 1 and applied == 0):
            return
        if self.passes == MOST_PASSES:
            self.notes.append(UNSETTLED)
            self.is_whole = False
            return
        self.notes += [] if DRIFTED in self.notes else [DRIFTED]
        earlier = self.starts[page]
        since = earlier if self.is_ascending and earlier is not None else self.since
        self.question, self.passes = Question(since, self.size, self.first, goes_back=True), self.passes + 1
        self.seen, self.hashes, self.ends, self.starts = set(), array("q"), [], []
        self.last, self.is_whole, self.total, self.has_shrunk = None, False, 0, False

    def _remember(self, heard: Heard) -> None:
        self.hashes.extend(hash(key) for key in heard.keys)
        self.ends.append(len(self.hashes))
        told = heard.told
        self.is_ascending = self.is_ascending and heard.is_ascending_from(self.last)
        self.starts.append(told[0] if told and len(told) == len(heard.values) else None)
        self.last = told[-1] if told else self.last
        if not self.is_ascending and DISORDERED not in self.notes:
            self.notes.append(DISORDERED)


def _larger(size: int, otherwise: str) -> int:
    if size >= LARGEST:
        raise CannotAdvance(otherwise)
    return min(size * 4, LARGEST)


def _first_repeated(hashes: "array[int]", ends: Sequence[int]) -> int | None:
    """The page on which the first record stood that came again on a later one. Of many, a part at a time, to hold few at once."""
    earliest: int | None = None
    parts = 1 + len(hashes) // 250_000
    for part in range(parts):
        found: dict[int, int] = {}
        page = 0
        for position, number in enumerate(hashes):
            while position >= ends[page]:
                page += 1
            if number % parts == part:
                before = found.setdefault(number, page)
                if before != page and (earliest is None or before < earliest):
                    earliest = before
    return earliest
