"""Random worlds: what one request has learnt, right or wrong, complete or not, with the failures of its sources."""

import random
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from adapters.errors import SourceContractBroken, SourceTimeout, SourceUnavailable
from adapters.mapping.record import Mapped
from gateway.engine.index import ASKED, NAMED, RELATED, Failure, Index, Mode, Origin
from schema.registry import Element, Entity, Registry

TEXTS = ("福州市市场监督管理局", "", "x", '引"号\\', "𠮷䶮", "a\u0301", "350102", "线\n行")
WRONG: tuple[Any, ...] = (
    3.5,
    True,
    2**40,
    "zz",
    -7,
    [1],
    {"a": None},
    date(2024, 2, 29),
    ("zz",),
    (None,),
    float("nan"),
)
MODES: tuple[Mode, ...] = ("LIVE", "CACHED", "STORE", "STALE")
KEYS = 4


def random_keys(registry: Registry) -> dict[str, list[str]]:
    """A few keys for each entity."""
    return {name: [f"{name[:3]}-{n}" for n in range(KEYS)] for name in registry.entities}


def random_index(rng: random.Random, registry: Registry, keys: Mapping[str, list[str]]) -> tuple[Index, bool]:
    """What was learnt, and whether all of it is in order; in other worlds values are of wrong types and sources have failed."""
    index = Index(registry)
    wrong, failing = rng.choice((0.0, 0.0, 0.01, 0.1)), rng.choice((0.0, 0.0, 0.03, 0.3))
    for entity in registry.entities.values():
        for key in keys[entity.name]:
            if rng.random() < 0.85:
                _learn(rng, index, registry, entity, key, keys, wrong)
            if rng.random() < failing:
                row = index.row(entity.name, key)
                places = ["*", *rng.sample([*entity.elements, *entity.relations], 3)]
                row.failures.update({place: random_failure(rng) for place in places if rng.random() < 0.6})
    return index, not wrong and not failing


def random_failure(rng: random.Random) -> Failure:
    """A source that could not be asked."""
    error = rng.choice((SourceUnavailable, SourceTimeout, SourceContractBroken))
    return Failure(rng.choice(("alpha", "beta")), "by_key", error("没有答复"))


def random_value(rng: random.Random, registry: Registry, element: Element) -> Any:
    """A value of the element as sources and store give it."""
    if element.format.many:
        return tuple(_one(rng, registry, element) for _ in range(rng.randint(1, 3)))
    return _one(rng, registry, element)


def _learn(
    rng: random.Random,
    index: Index,
    registry: Registry,
    entity: Entity,
    key: str,
    keys: Mapping[str, list[str]],
    wrong: float,
) -> None:
    for source in rng.sample(("alpha", "beta", "gamma"), rng.randint(1, 2)):
        mapped = Mapped(entity.name, key, "owner")
        for element in entity.elements.values():
            if rng.random() < wrong:
                mapped.values[element.name] = rng.choice(WRONG)
            elif rng.random() < 0.7:
                mapped.values[element.name] = random_value(rng, registry, element)
        for relation in entity.relations.values():
            if rng.random() < 0.7:
                most = 3 if relation.many else 1
                chosen = tuple(rng.sample(keys[relation.to], rng.randint(0, most)))
                if relation.is_told:
                    mapped.refs[relation.name] = chosen
                else:
                    index.relate(entity.name, key, relation.name, chosen, rng.randint(1, 3))
                if rng.random() < wrong:
                    index.related_failures[(entity.name, key, relation.name)] = random_failure(rng)
        now = datetime(2026, 1, 2, tzinfo=UTC)
        origin = Origin(source, "by_key", rng.choice(MODES), now, now + timedelta(milliseconds=5), "0.1")
        provides = frozenset(rng.sample(list(entity.elements), rng.randint(0, len(entity.elements))))
        index.add(mapped, origin, rng.choice((NAMED, RELATED, ASKED)), provides | set(mapped.values))


def _one(rng: random.Random, registry: Registry, element: Element) -> Any:
    table = registry.codes.get(str(element.codes))
    if table is not None and table.type:
        return rng.choice(list(table.members))
    match element.format.kind:
        case "number":
            return rng.choice((0, 1, -5, 2**31 - 1))
        case "money":
            return rng.choice((0, 1, 20001, -5, 10**14))
        case "date":
            return date(2024, 2, 29)
        case "datetime":
            return rng.choice((datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 0, 5000, UTC)))
        case "boolean":
            return rng.random() < 0.5
        case "structure":
            return rng.choice(({}, {"甲": [1, None, "x"]}, [True, {"b": "c"}]))
    return rng.choice(TEXTS)
