"""What tests of the whole federation share: six systems, and calm before each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract_tests.federation import Federation, federation


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("six")) as running:
        yield running


@pytest.fixture(autouse=True)
def calm(six: Federation, tmp_path: Path) -> Iterator[None]:
    """Each test starts with an empty store, no faults and no counted calls."""
    six.settings_changed = {"GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path / 'gateway.db'}"}
    six.forget_calls()
    yield
    for simulator in six.simulators.values():
        simulator.faults.clear()
