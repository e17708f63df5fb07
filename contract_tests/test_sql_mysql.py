"""The exchange library over MySQL's wire protocol: the same questions, and errors sorted by what comes next."""

from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa

from adapters.errors import SourceDenied, SourceError, SourceThrottled, SourceTimeout, SourceUnavailable
from adapters.mapping.load import load_mappings
from adapters.open import open_source
from adapters.simulator.faults import Fault
from adapters.simulator.serve import Simulator, address_variable, invent_secrets, start
from adapters.source import Call, Source
from schema.load import load_registry

pytestmark = pytest.mark.anyio

MAPPING = load_mappings(load_registry())["binhai_exchange"]
SHORT, LONG = 0.5, 20.0


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with start(MAPPING, invent_secrets(MAPPING)) as simulator:
        yield simulator


@pytest.fixture
async def source(simulator: Simulator) -> AsyncIterator[Source]:
    opened = open_source(MAPPING, {address_variable(MAPPING): simulator.url})
    yield opened
    await opened.aclose()


async def test_a_lookup_gives_the_latest_row_of_each_record_in_text(source: Source) -> None:
    changed = await source.call(Call("inspections_changed", LONG, page=0))
    numbers = sorted({str(record["check_action_code"]) for record in changed.records})
    found = await source.call(Call("inspections_by_no", LONG, keys=[*numbers, "没有的"]))
    assert sorted(str(record["check_action_code"]) for record in found.records) == numbers
    assert len({record["cd_id"] for record in found.records}) == len(found.records) < len(changed.records)
    assert {type(value) for record in found.records for value in record.values()} <= {str, type(None)}


async def test_changes_come_in_pages_that_tell_every_row_once(source: Source) -> None:
    whole = await source.call(Call("inspections_changed", LONG, page=0))
    pages = [await source.call(Call("inspections_changed", LONG, page=n, size=5)) for n in range(5)]
    assert [record for page in pages for record in page.records] == whole.records
    since = str(whole.records[3]["cd_time"])
    later = await source.call(Call("inspections_changed", LONG, since=since, page=0))
    assert later.records == [record for record in whole.records if str(record["cd_time"]) >= since]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("fail"), SourceUnavailable),
        (Fault("throttle"), SourceThrottled),
        (Fault("fault"), SourceTimeout),
        (Fault("drop"), SourceUnavailable),
        (Fault("truncate"), SourceUnavailable),
        (Fault("garbage"), SourceUnavailable),
        (Fault("slow", seconds=60.0), SourceTimeout),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
async def test_errors_are_sorted_and_the_next_call_is_answered(
    simulator: Simulator, source: Source, fault: Fault, error: type[SourceError]
) -> None:
    simulator.faults.add(fault)
    with pytest.raises(error) as raised:
        await source.call(Call("inspections_by_no", SHORT if fault.kind == "slow" else LONG, keys=["1"]))
    assert type(raised.value) is error
    assert len(simulator.calls.seen()) == 1
    simulator.faults.clear()
    assert (await source.call(Call("inspections_by_no", LONG, keys=["1"]))).records == []


async def test_a_wrong_password_is_denial_and_told_without_it(simulator: Simulator) -> None:
    url = sa.make_url(simulator.url).set(password="CANARY").render_as_string(hide_password=False)
    source = open_source(MAPPING, {address_variable(MAPPING): url})
    with pytest.raises(SourceDenied) as raised:
        await source.call(Call("inspections_by_no", LONG, keys=["1"]))
    await source.aclose()
    assert "CANARY" not in f"{raised.value} {raised.value.detail}"
