"""What is remembered of operations: texts that are valid, how they are planned, what they are taken to cost."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import DocumentNode, FieldNode, OperationDefinitionNode

from gateway.engine.coercion import PlainVariables
from gateway.engine.demand import Size
from gateway.engine.incremental import Phases
from gateway.engine.lane.lane import Lane
from gateway.engine.plan import Plan
from gateway.engine.projection.compiled import Projection


@dataclass(frozen=True, slots=True)
class Known:
    """What is remembered of an operation for those who let it in: its name, its root fields, the most it was taken to cost."""

    name: str | None
    roots: tuple[str, ...]
    cost: int


class Planned(NamedTuple):
    """What is worked out once for a text and what its plan depends on; `phases` where something of it is deferred or streamed."""

    plan: Plan
    projection: Projection | None
    phases: Phases | None
    lane: Lane | None


@dataclass(slots=True)
class Text:
    """A text that parsed and validated. Its plan depends on the variables `booleans` and on what the roots `any_entity`
    ask of whom, its cost on the variables `sizes`, each with the argument it is given to; without any it is `cost`. `in_parts`
    is the document as it was written, where something of it is deferred or streamed, which nothing of `document` is.
    `settled` is its plan once it is known, where cost and plan depend on no variable and there is a short way: all there is to
    do then is to coerce what is plain."""

    document: DocumentNode
    in_parts: DocumentNode | None
    operation: OperationDefinitionNode
    booleans: tuple[str, ...]
    any_entity: tuple[FieldNode, ...]
    sizes: Mapping[str, Size]
    cost: int | None
    plain: PlainVariables | None
    settled: Planned | None = None


def remember(kept: OrderedDict[Any, Any], key: object, value: object, most: int) -> None:
    """Keep no more than so many, the least recently used go first."""
    kept[key] = value
    while len(kept) > most:
        kept.popitem(last=False)
