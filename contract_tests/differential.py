"""Compiled answers against those of the stock executor: random operations over random worlds, equal byte for byte.

python -m contract_tests.differential --operations 50000 --seed 1
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

from graphql import GraphQLError

from contract_tests.operations import Operation, Operations
from contract_tests.worlds import random_failure, random_index, random_keys, random_value
from gateway.app import make_preparation
from gateway.context import Deadline, RequestContext
from gateway.definitions import Definitions, load_definitions
from gateway.engine.answer import Answers, row_as_it_is
from gateway.engine.arguments import Reference, RootArguments
from gateway.engine.executor import Execution, Services
from gateway.engine.index import Index
from gateway.engine.preparation import Preparation, Prepared, Refused
from gateway.engine.projection.careful import project_carefully
from gateway.engine.selection import Root
from gateway.settings import read_settings
from gateway.store.groups import Group, Groups
from gateway.store.search import Found, Search
from gateway.web.response import ENCODER
from schema.cursors import Position
from schema.grouping import groupings
from schema.registry import Registry

Answer = tuple[bytes, list[Mapping[str, Any]]]
"""The data as JSON, and the errors as the client sees them."""


@dataclass(frozen=True, slots=True)
class Case:
    """One operation and what was learnt before it is answered."""

    operation: Operation
    prepared: Prepared
    execution: Execution
    is_in_order: bool
    """Whether everything that was learnt is of the right type, and nothing failed."""


@cache
def setting() -> tuple[Definitions, Preparation]:
    """The shipped schema, with limits that random operations stay below."""
    settings = replace(
        read_settings({"GATEWAY_PARTY_KEY_SECRET": "differential-test-secret-000000000000"}),
        most_fields=5000,
        most_aliases=5000,
        most_cost=10**12,
        most_root_fields=50,
        most_tokens=50_000,
    )
    definitions = load_definitions(settings)
    return definitions, make_preparation(definitions, settings)


def random_case(seed: int) -> Case:
    """The case of this number: always the same."""
    definitions, preparation = setting()
    rng = random.Random(seed)
    registry = definitions.registry
    keys = random_keys(registry)
    operations = Operations(rng, definitions.schema._schema, registry, keys)
    while True:
        operation = operations.one()
        try:
            prepared = preparation.prepare(operation.text, operation.variables, None)
        except Refused:
            continue  # fields of one name and different types in two fragments, or too large
        index, is_in_order = random_index(rng, registry, keys)
        return Case(operation, prepared, _execution(rng, registry, prepared, index, keys), is_in_order)


def _execution(
    rng: random.Random, registry: Registry, prepared: Prepared, index: Index, keys: Mapping[str, list[str]]
) -> Execution:
    context = RequestContext(Deadline.after(60))
    execution = Execution(cast(Services, None), prepared.plan, [], context, index)
    failing = rng.choice((0.0, 0.0, 0.2))
    roots: list[RootArguments] = []
    for number, root in enumerate(prepared.plan.roots):
        if rng.random() < failing:
            execution.root_failures[number] = random_failure(rng)
        roots.append(_found(rng, registry, root, number, execution, keys))
    execution.roots = roots
    return execution


def _found(
    rng: random.Random,
    registry: Registry,
    root: Root,
    number: int,
    execution: Execution,
    keys: Mapping[str, list[str]],
) -> RootArguments:
    """What a root was asked for and what was found for it."""
    execution.keys.append([])
    if root.kind == "list":
        assert root.entity is not None
        chosen = rng.sample(keys[root.entity.name], rng.randint(0, len(keys[root.entity.name])))
        positions = [Position((), key) for key in chosen]
        execution.pages[number] = Found(positions, rng.random() < 0.5, rng.random() < 0.5, rng.choice((None, 7)))
        return RootArguments(search=Search(root.entity.name, 20))
    if root.kind == "groups":
        execution.counted[number] = Groups([_group(rng, registry, root) for _ in range(rng.randint(0, 3))], False)
        return RootArguments()
    several = root.node.name.value in ("nodes", "_entities")
    references = []
    for _ in range(rng.randint(0, 4) if several else 1):
        entity = root.entity.name if root.entity else rng.choice(list(keys))
        key = rng.choice([*keys[entity], None, "unheard-of"])
        references.append(Reference(entity, key, problem="不是全局标识" if several and rng.random() < 0.1 else ""))
        execution.keys[number].append(key)
    return RootArguments(tuple(references))


def _group(rng: random.Random, registry: Registry, root: Root) -> Group:
    assert root.entity is not None
    levels = list(groupings(registry, root.entity).values())
    key = {}
    for level in rng.sample(levels, min(len(levels), 2)):
        value = random_value(rng, registry, root.entity.elements[level.element])
        key[level.name] = "2024-05" if level.unit in ("month", "year") else rng.choice((value, None))
    measured = {
        (function, element): rng.choice((random_value(rng, registry, root.entity.elements[element]), None))
        for function, element in root.measures
    }
    return Group(key, rng.randint(0, 99), measured)


def compiled(case: Case) -> Answer:
    """As the engine answers who asks again."""
    assert case.prepared.projection is not None
    assert case.prepared.projection.project  # written now, however large the operation is
    return _answer(*case.prepared.projection.answer(case.execution, case.prepared.document))


def careful(case: Case) -> Answer:
    """As the second pass answers, though there may be no need."""
    assert case.prepared.projection is not None
    answers = Answers(case.execution, case.prepared.document)
    data, errors = project_carefully(case.prepared.projection.shape, answers)
    return _answer(data, [*errors, *answers.beside])


def by_generated_code(case: Case) -> bool:
    """Whether the generated code answers, and not the second pass in its place."""
    assert case.prepared.projection is not None
    try:
        case.prepared.projection.project(Answers(case.execution, case.prepared.document, row_as_it_is).root)
    except Exception:
        return False
    return True


async def stock(case: Case) -> Answer:
    """As graphql-core's executor answers."""
    definitions, _ = setting()
    answers = Answers(case.execution, case.prepared.document)
    operation = case.operation
    result: Any = await definitions.schema.execute(
        operation.text, variable_values=dict(operation.variables), context_value=answers
    )
    return _answer(result.data, [*(result.errors or []), *answers.beside])


def _answer(data: Any, errors: list[GraphQLError]) -> Answer:
    return ENCODER.encode(data), [_told(error) for error in errors]


def _told(error: GraphQLError) -> Mapping[str, Any]:
    """The error at its place; of what is masked before the client sees it, only that there is one."""
    told: dict[str, Any] = dict(error.formatted)
    if error.original_error is not None and not isinstance(error.original_error, GraphQLError):
        told["message"] = "masked"
    return told


async def difference(seed: int) -> tuple[str | None, Case]:
    """What differs, None when nothing does."""
    case = random_case(seed)
    expected = await stock(case)
    for name, found in (("compiled", compiled(case)), ("careful", careful(case))):
        if found != expected:
            return (
                f"seed {seed}: {name} differs from stock: {_first_difference(found, expected)}\n{case.operation}",
                case,
            )
    if case.is_in_order and not expected[1] and not by_generated_code(case):
        return f"seed {seed}: all is in order, and yet the generated code gave up\n{case.operation}", case
    return None, case


def _first_difference(found: Answer, expected: Answer) -> str:
    for ours, theirs in zip(found[1], expected[1], strict=False):
        if ours != theirs:
            return f"{ours} instead of {theirs}"
    if len(found[1]) != len(expected[1]):
        return f"{len(found[1])} errors instead of {len(expected[1])}"
    at = next(n for n, (a, b) in enumerate(zip(found[0] + b"\0", expected[0] + b"\0", strict=False)) if a != b)
    return f"{found[0][max(0, at - 200) : at + 60]!r} instead of {expected[0][max(0, at - 200) : at + 60]!r}"


async def _main(operations: int, seed: int) -> int:
    counted: Counter[str] = Counter()
    started = time.monotonic()
    for number in range(seed, seed + operations):
        told, case = await difference(number)
        if told:
            print(told)
            return 1
        _, errors = compiled(case)
        counted["with errors" if errors else "in order"] += 1
        if sum(counted.values()) % 1000 == 0:
            print(f"{sum(counted.values())} equal, {time.monotonic() - started:.0f} s", file=sys.stderr)
    print(f"{operations} operations equal: {dict(counted)}")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(asyncio.run(_main(given.operations, given.seed)))
