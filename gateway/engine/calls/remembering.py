"""The short cache 短缓存 as calls use it: what is held for each key, what is not, and what is to be asked again behind."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.mapping.limits import Cache as Limits
from adapters.source import Page
from gateway.engine.calls.cache import Held, Memory
from gateway.engine.calls.cache_shared import SharedCache
from gateway.engine.calls.lines import OperationLine
from gateway.engine.calls.sharing import page_of, share_out, whole

KEY, KEYS = "key", "keys"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked but for the keys, by whom it may be seen, and under which mapping: everything that an answer depends on.

    `more` are words of the call beside its keys.
    """

    line: OperationLine = field(compare=False, repr=False)
    limits: Limits = field(compare=False, repr=False)
    source: str
    operation: str
    scope: str
    masking: str
    more: tuple[tuple[str, Hashable], ...] = ()

    def of_key(self, key: str) -> Hashable:
        """The answer to one key."""
        return self, key

    def of_keys(self, keys: Sequence[str]) -> Hashable:
        """The answer to these keys together, in whatever order."""
        return self, tuple(sorted(keys))

    def words(self, kind: str, keys: Sequence[str]) -> list[str]:
        """The same as texts, for others; mappings of another version are another question."""
        version = self.line.of.mapping.version
        return [version, self.source, self.operation, self.scope, self.masking, kind, *sorted(keys)]


@dataclass(slots=True)
class Recalled:
    """What is held for some of the keys, which of them are stale, and which keys nobody holds anything for."""

    held: dict[str, Held]
    stale: list[str]
    missing: list[str]
    whole: Page | None = None


class Remembering:
    """Memory first, then what replicas share."""

    def __init__(self, memory: Memory, shared: SharedCache | None) -> None:
        self.memory, self.shared = memory, shared

    def recall(self, question: Question, keys: Sequence[str], now: float) -> Recalled:
        """What this process holds."""
        found = Recalled({}, [], [])
        together = question.of_keys(keys)
        if (held := self.memory.get(together)) is not None:
            if held.age(question.limits, now) == "fresh":
                found.whole = _whole_page(held, keys)
                return found
            self.memory.drop(together)
        for key in keys:
            one = self.memory.get(question.of_key(key))
            age = None if one is None else one.age(question.limits, now)
            if one is None or age is None:
                found.missing.append(key)
                continue
            found.held[key] = one
            if age == "stale":
                found.stale.append(key)
        return found

    async def recall_shared(self, question: Question, keys: Sequence[str], now: float) -> Recalled:
        """What other replicas hold that is fresh; it is then held here too. Never raises."""
        if self.shared is None or question.more:
            return Recalled({}, [], list(keys))
        asked = {(KEY, key): question.words(KEY, [key]) for key in keys}
        asked[KEYS, ""] = question.words(KEYS, keys)
        answers = await self.shared.get(asked)
        fresh = {name: held for name, held in answers.items() if held.age(question.limits, now) == "fresh"}
        if (together := fresh.pop((KEYS, ""), None)) is not None:
            self.memory.put(question.of_keys(keys), together)
            return Recalled({}, [], [], _whole_page(together, keys))
        held = {key: fresh[KEY, key] for key in keys if (KEY, key) in fresh}
        for key, one in held.items():
            self.memory.put(question.of_key(key), one)
        return Recalled(held, [], [key for key in keys if key not in held])

    def remember(self, question: Question, keys: Sequence[str], page: Page) -> list[tuple[list[str], Held]]:
        """Hold an answer, each key's part for itself if that can be told; what others may hold too, for `share`."""
        role = question.line.operation.lookup
        shares = None if role is None else share_out(question.line.of.mapping, role, page, keys)
        if shares is None:
            together = whole(page)
            self.memory.put(question.of_keys(keys), together)
            return [(question.words(KEYS, keys), together)]
        for key, held in shares.items():
            self.memory.put(question.of_key(key), held)
        return [(question.words(KEY, [key]), held) for key, held in shares.items()]

    async def share(self, question: Question, told: Sequence[tuple[Sequence[str], Held]]) -> None:
        """Let other replicas have it. Never raises."""
        if self.shared is not None and not question.more:
            await self.shared.put(told, question.limits)


def parts_of(page: Page) -> Sequence[Page]:
    """The page as the parts it is made of."""
    return page.parts or (page,)


def held_parts(held: Mapping[str, Held]) -> Sequence[Page]:
    """What is held, as pages."""
    return parts_of(page_of(held)) if held else ()


def _whole_page(held: Held, keys: Sequence[str]) -> Page:
    records = [record for _, record in held.records]
    return Page(records, b"", "", held.received_at, is_cached=True, keys=tuple(keys))
