"""The compiled answer and the stock executor's are the same, byte for byte, error for error, null for null."""

import pytest

from contract_tests.differential import difference, random_case

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
