"""A plan: how a query will be answered, known whole before the first call. Plain values, made by the planner, run by the executor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from adapters.mapping.wants import Want
from gateway.engine.selection import Part, Root
from gateway.store.whole_page import Shown

Purpose = Literal["complete", "expand", "recall", "route"]


@dataclass(frozen=True, slots=True)
class Route:
    """Several sources may have a key: which, the first counting most; what is wanted of it; how many may be asked for one
    that nobody is known to have."""

    sources: tuple[str, ...]
    wanted: frozenset[str]
    most: int


@dataclass(frozen=True, slots=True)
class Use:
    """What a step is for; `elements` are those it was chosen for, relations among them.

    `complete`: elements of entities already known at `part`; for those `trusted` this source is asked even if another told
    them. `expand`: which entities stand at `part`, found from those of `parent` along `relation`. `recall`: both, for what
    no source could be asked for by the keys that are known. `route`: who is known to have them.
    """

    purpose: Purpose
    part: int
    elements: frozenset[str]
    parent: int | None = None
    relation: str | None = None
    trusted: frozenset[str] = frozenset()
    route: Route | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """One batched call (or as many as the batch size asks) to one operation of one source, for all its uses."""

    number: int
    wave: int
    source: str
    operation: str
    entity: str
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class StoreLookup:
    """The store answers what no source can be asked for."""

    number: int
    wave: int
    entity: str
    uses: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class StoreRoute:
    """Which sources told of the keys at these parts, so that only they are asked."""

    number: int
    wave: int
    entity: str
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StoreSearch:
    """A page of a list, from the store; `because` is why, when it was wanted live."""

    number: int
    wave: int
    entity: str
    root: int
    because: str = ""


@dataclass(frozen=True, slots=True)
class SourceSearch:
    """A page of a list, live from the one source that has all of it; `pushed` is what the source filters (`filed_date.gte`)."""

    number: int
    wave: int
    source: str
    operation: str
    entity: str
    root: int
    pushed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreCount:
    """Entities counted in groups, by the store."""

    number: int
    wave: int
    entity: str
    root: int


@dataclass(frozen=True, slots=True)
class Identify:
    """The store's identity table turns keys of `entity` into the value the gateway allotted, for the named parts.

    With `root` it goes the other way: the root asks by allotted values, and their keys are wanted.
    """

    number: int
    wave: int
    entity: str
    parts: tuple[tuple[int, str | None], ...] = ()
    root: int | None = None


Step = Lookup | SourceSearch | StoreLookup | StoreRoute | StoreSearch | StoreCount | Identify


class Span(NamedTuple):
    """When something was under way, in nanoseconds of the monotonic clock."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PageRead:
    """The page of a list is read with all that the answer shows of it, since the store has that and nobody else is asked."""

    shown: Shown


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in order of their waves. Every step of a wave runs at once; a wave starts when the one before has ended.

    `unsourced` are the selected elements that neither a source nor the store was found for; they answer null.
    `places` is name in the answer -> number of its root. `wants` is what the answer needs of each entity, wherever it
    stands; nothing else is read from records. `page_read`: the list is read whole, where it can be.
    """

    roots: tuple[Root, ...]
    parts: tuple[Part, ...]
    steps: tuple[Step, ...]
    unsourced: tuple[tuple[int, str], ...]
    places: Mapping[str, int]
    wants: frozenset[tuple[str, Want]] = frozenset()
    page_read: PageRead | None = None
    waves: Sequence[Sequence[Step]] = field(init=False, repr=False, compare=False)
    """The steps, wave by wave."""

    def __post_init__(self) -> None:
        last = max((step.wave for step in self.steps), default=0)
        waves = [[step for step in self.steps if step.wave == wave] for wave in range(1, last + 1)]
        object.__setattr__(self, "waves", waves)

    @property
    def tells_runs(self) -> bool:
        """Whether it is asked in which runs anything came."""
        return any(part.tells_runs for part in self.parts)
