"""What tests of hostile clients share: a served gateway nobody may have hurt, and a look at it after each of them."""

from collections.abc import Iterator

import pytest

from contract_tests.federation import Federation, federation
from contract_tests.serving import Served, served

CASE = 'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "BHSJ-2024-0137")'
LATE = 3.0
"""Seconds that a busy machine may be late."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("group-g")) as running:
        yield running


@pytest.fixture(scope="module")
def gateway(sources: Federation) -> Iterator[Served]:
    with served(sources) as serving:
        yield serving


@pytest.fixture(autouse=True)
def nobody_is_called_and_life_goes_on(sources: Federation, gateway: Served) -> Iterator[None]:
    sources.forget_calls()
    yield
    assert gateway.is_answering()
    for simulator in sources.simulators.values():
        simulator.faults.clear()
