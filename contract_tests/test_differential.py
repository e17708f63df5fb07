"""The compiled answer and the stock executor's are the same, byte for byte, error for error, null for null."""

import msgspec
import pytest

from contract_tests.differential import difference, random_case
from gateway.engine.projection.compiled import LARGE, Projection, _size

OPERATIONS, PARTS = 2000, 20
"""`make differential` compares 50,000."""


@pytest.mark.anyio
@pytest.mark.parametrize("part", range(PARTS))
async def test_random_operations_on_random_worlds_are_answered_as_the_stock_executor_would(part):
    size = OPERATIONS // PARTS
    for seed in range(part * size, (part + 1) * size):
        told, _ = await difference(seed)
        assert told is None, told


def test_the_random_operations_are_as_varied_as_they_should_be():
    texts = [random_case(seed).operation.text for seed in range(100)]
    assert all(
        any(word in text for text in texts)
        for word in (
            "fragment F0",
            "@skip(if: $flag0)",
            "_entities(",
            "nodes(",
            "Groups(",
            "edges",
            "provenance",
            "0: ",
        )
    )


@pytest.mark.anyio
async def test_a_large_operation_is_compiled_for_who_asks_a_second_time_and_answered_the_same():
    found = [case for case in map(random_case, range(400)) if case.prepared.projection and size_of(case) > LARGE]
    assert len(found) >= 3
    for case in found[:10]:
        projection = Projection(case.prepared.projection.shape)
        first = projection.answer(case.execution, case.prepared.document)
        assert projection._project is None
        second = projection.answer(case.execution, case.prepared.document)
        assert projection._project is not None
        assert (msgspec.to_builtins(first[0]), len(first[1])) == (msgspec.to_builtins(second[0]), len(second[1]))


def size_of(case):
    return _size(case.prepared.projection.shape)
