"""History mapped anew from kept payloads is what a sync from the beginning would give, and nobody is asked for it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import select

from adapters.http import HttpAnswer
from adapters.mapping.load import MAPPINGS_FOLDER, load_mapping
from adapters.mapping.model import SourceMapping
from adapters.rest import RestSource
from adapters.source import Source
from contract_tests.stores import (
    AGENCY,
    REGISTRY,
    case,
    database,
    empty_database,
    hour,
    opened,
    page,
    postgres,
    state,
    store,
    url,
)
from gateway.store import remapping
from gateway.store.store import Store
from gateway.sync.remap import CannotReread, Remapped, remap
from gateway.sync.run import Manner, run_changes
from gateway.sync.shadow import Shadowing, shadow_stream

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio
CHANGES = (
    ("case_name:               AJMC", "case_name:               AY"),
    ("otherwise: quarantine", "otherwise: issue"),
)


class Network:
    """The market system behind HTTP: five cases a page; of the third there are two versions, the fourth is gone at last."""

    def __init__(self) -> None:
        self.calls = 0
        self.records = [_case(n, n) for n in range(7)] + [
            _case(2, 8, AJMC="改"),
            _case(3, 9, SCBZ="1"),
            _case(6, 9, MJ="9"),
        ]

    async def send(self, _method: str, url: str, *_: Any) -> HttpAnswer:
        self.calls += 1
        query = parse_qs(urlsplit(url).query)
        since, number = query.get("gxsjQ", [""])[0], int(query["pageNo"][0])
        found = [record for record in self.records if record["GXSJ"] >= since]
        data = {"total": str(len(found)), "list": found[number * 5 - 5 : number * 5]}
        body = json.dumps({"code": "0", "data": data}, ensure_ascii=False).encode("gb18030")
        return HttpAnswer(200, {"content-type": "application/json; charset=GBK"}, body)

    async def aclose(self) -> None:
        pass


def _case(number: int, minute: int, **values: str) -> dict[str, Any]:
    party = {"MC": f"公司{number % 2}", "LX": "1", "TYSHXYDM": ("91350100M000100Y43", "")[number % 2]}
    told = {"AJBH": f"{number:03d}", "AJMC": "甲", "AY": "案由", "AJZT": "77", "MJ": "0", "SCBZ": "0", "DSR": [party]}
    return {**told, "GXSJ": f"2024-06-01 10:{minute:02d}:00", **values}


@pytest.fixture
def changed(tmp_path: Path) -> SourceMapping:
    """The market's mapping as it is corrected later."""
    folder = tmp_path / "binhai_market"
    shutil.copytree(MAPPINGS_FOLDER / "binhai_market", folder)
    text = (folder / "mapping.yaml").read_text("utf-8")
    for before, after in CHANGES:
        assert before in text
        text = text.replace(before, after)
    (folder / "mapping.yaml").write_text(text, "utf-8")
    return load_mapping(REGISTRY, folder)


def market(mapping: SourceMapping, network: Network) -> Source:
    secrets = {"BINHAI_MARKET_URL": "http://market.test", "BINHAI_MARKET_TOKEN": "t"}
    return RestSource(mapping, mapping.connect, secrets, network)  # type: ignore[arg-type]


async def sync(source: Source, mapping: SourceMapping, operation: str, store: Store) -> None:
    await run_changes(source, mapping, operation, store, str, lambda _: None)


@pytest.mark.parametrize("at_once", [1, 5, remapping.AT_ONCE])
async def test_what_is_mapped_anew_is_what_a_new_sync_would_give_and_nobody_is_asked(
    database, changed, at_once, monkeypatch
):
    monkeypatch.setattr(remapping, "AT_ONCE", at_once)
    network, before = Network(), load_mapping(REGISTRY, MAPPINGS_FOLDER / "binhai_market")
    with empty_database(database) as old, empty_database(database) as new, opened(old) as store, opened(new) as fresh:
        await sync(market(before, network), before, "cases_changed", store)
        await sync(market(changed, network), changed, "cases_changed", fresh)
        assert state(store) != state(fresh)
        asked = network.calls
        done = remap(market(changed, network), changed, store, str)
        assert (network.calls, done) == (asked, Remapped(payloads=3, records=12, different=6))
        assert state(store) == state(fresh)
        assert remap(market(changed, network), changed, store, str).different == 0


@pytest.mark.parametrize("at_once", [1, 5, remapping.AT_ONCE])
async def test_only_what_is_different_is_told_to_those_who_listen(store, changed, at_once, monkeypatch):
    monkeypatch.setattr(remapping, "AT_ONCE", at_once)
    network, before = Network(), load_mapping(REGISTRY, MAPPINGS_FOLDER / "binhai_market")
    await sync(market(before, network), before, "cases_changed", store)
    position = store.end_of_changes()
    remap(market(changed, network), changed, store, str, "EnforcementCase")
    told = [(change.entity, change.kind) for change in store.changes(position, 100).changes]
    assert told == [("EnforcementCase", "changed")] * 6


async def test_what_a_reconciliation_deleted_stays_deleted_when_history_is_mapped_anew(store, changed):
    network = Network()
    source = market(changed, network)
    await sync(source, changed, "cases_changed", store)
    network.records = [record for record in network.records if record["AJBH"] not in ("004", "005")]
    what = Shadowing(source, changed, "cases_changed", store, str, "reconcile", lets_delete=True)
    assert (await shadow_stream(what, lambda _: None, Manner())).deleted == 2
    before = state(store)
    assert remap(source, changed, store, str).different == 0
    assert state(store) == before


async def test_a_payload_that_cannot_be_read_changes_nothing(store, changed):
    network = Network()
    await sync(market(changed, network), changed, "cases_changed", store)
    before = state(store)
    table = store.tables.landing
    store.database.write(lambda c: c.execute(table.update().values(raw=b"<html>")))
    with pytest.raises(CannotReread, match="cases_changed"):
        remap(market(changed, network), changed, store, str)
    assert state(store) == before


async def test_the_same_payload_is_kept_once_and_each_arrival_is_noted(store):
    told = page(case("1"), answered={"1": [f"{AGENCY}/1"]})
    later, elsewhere = replace(told, received_at=hour(101)), replace(told, source="police")
    for landing in (told, later, told, elsewhere):
        store.land(landing)
    landed, arrival = store.tables.landing, store.tables.arrival
    kept = store.database.read(lambda c: c.execute(select(landed.c.raw)).scalars().all())
    query = select(arrival.c.source, arrival.c.received_at, arrival.c.asked).order_by(arrival.c.id)
    assert kept == [told.raw]
    assert store.database.read(lambda c: [tuple(row) for row in c.execute(query)]) == [
        ("market", hour(100), ["1"]),
        ("market", hour(101), ["1"]),
        ("police", hour(100), ["1"]),
    ]
