"""Reconciliation slice by slice: by month, by division, by agency, by several values; which slices differ is told, and mended."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from adapters.mapping.load import MAPPINGS_FOLDER, load_mapping
from adapters.mapping.model import SourceMapping
from contract_tests.changing import Changing, with_changes
from contract_tests.stores import REGISTRY, database, postgres, store, url
from contract_tests.test_return_mending import mend
from contract_tests.test_sync_run import sync
from gateway.store.store import Store
from gateway.sync.shadow import Mended
from schema.problems import Problems

__all__ = ["database", "postgres", "store", "url"]
pytestmark = pytest.mark.anyio
HERE, THERE = "11350100MB0A00018J", "11350181MB0B002115"


def sliced(folder: Path, source: str, operation: str, entity: str, by: str) -> SourceMapping:
    """The mapping, as somebody writes that its stream is reconciled in slices."""
    shutil.copytree(MAPPINGS_FOLDER / source, folder / source)
    file = folder / source / "mapping.yaml"
    head, found, rest = file.read_text("utf-8").partition(f"changes: {{entity: {entity}, ")
    assert found
    file.write_text(f"{head}{found}reconcile: {{by: {by}}}, {rest}", "utf-8")
    return with_changes(load_mapping(REGISTRY, folder / source), operation, most_gone=0.5)


def officer(number: int, agency: str, name: str = "林甲", fields: str = "102") -> dict[str, Any]:
    told = {"zfzh": f"3501{number:010d}", "rybs": f"RY{number}", "xm": name, "ztdm": agency, "zfly": fields}
    return {**told, "zjzt": "1", "zjzl": "1", "gxsj": f"2024-01-08 09:{number:02d}:00"}


def case(number: int, division: str, name: str = "违法停车") -> dict[str, Any]:
    return {"xh": str(number), "wfxwms": name, "wfdzxzqh": division, "gxsj": f"2024-01-08 09:{number:02d}:00"}


def inspection(number: int, at: str, name: str = "日常检查") -> dict[str, Any]:
    told = {"check_action_code": f"J{number}", "check_action_name": name, "check_date": at, "cd_operation": "i"}
    return {**told, "cd_id": str(number), "cd_batch": "1", "cd_time": f"2024-08-08 09:{number:02d}:00"}


def compared(store: Store) -> dict[str, tuple[int, int, bool, int]]:
    """Slice -> records there, records here, whether digests agree, and what was mended, of the last reconciliation."""
    table = store.tables.comparison
    rows = store.database.read(lambda c: c.execute(select(table).order_by(table.c.run_id)).all())
    return {
        row.slice: (row.theirs, row.ours, row.their_digest == row.our_digest, row.mended)
        for row in rows
        if row.run_id == rows[-1].run_id
    }


async def test_slices_are_agencies(store, tmp_path):
    mapping = sliced(tmp_path, "provincial_platform", "officers_changed", "Officer", "agency")
    source = Changing("gxsj", [officer(n, HERE if n < 4 else THERE) for n in range(7)])
    await sync(source, store, mapping, "officers_changed")
    source.records[5] = officer(5, THERE, "悄悄改了")
    source.records.append(officer(0, HERE) | {"zfzh": "35010000000099"})
    mended = await mend(source, store, mapping=mapping)
    assert mended == Mended(8, missing=1, different=1, slices=2, differing=(HERE, THERE))
    assert compared(store) == {HERE: (5, 4, False, 1), THERE: (3, 3, False, 1)}
    assert (await mend(source, store, mapping=mapping)).differing == ()
    assert compared(store) == {HERE: (5, 5, True, 0), THERE: (3, 3, True, 0)}


async def test_slices_are_divisions_and_a_record_that_moved_differs_in_both(store, tmp_path):
    mapping = sliced(tmp_path, "traffic_police", "violations_changed", "EnforcementCase", "violation_division_code")
    source = Changing("gxsj", [case(n, ("350102", "350103", "")[n % 3]) for n in range(9)])
    await sync(source, store, mapping, "violations_changed")
    source.records[0] = case(0, "350103")
    del source.records[2]
    mended = await mend(source, store, mapping=mapping)
    assert (mended.different, mended.deleted, mended.differing) == (1, 1, ("", "350103"))
    assert compared(store) == {"350102": (2, 3, False, 0), "350103": (4, 3, False, 1), "": (2, 3, False, 1)}
    await mend(source, store, mapping=mapping)
    assert compared(store) == {"350102": (2, 2, True, 0), "350103": (4, 4, True, 0), "": (2, 2, True, 0)}


async def test_slices_are_months_as_they_are_in_china(store, tmp_path):
    mapping = sliced(tmp_path, "binhai_exchange", "inspections_changed", "Inspection", "started_at")
    days = ["2024-06-30 23:59:59", "2024-07-01 00:00:00", "2024-07-01 07:59:59", "2024-07-31 23:59:59"]
    rows = [inspection(n, day) for n, day in enumerate(days)]
    source = Changing("cd_time", rows, ties=("cd_id", "cd_batch"))
    await sync(source, store, mapping, "inspections_changed")
    await mend(source, store, mapping=mapping, operation="inspections_changed")
    assert compared(store) == {"2024-06": (1, 1, True, 0), "2024-07": (3, 3, True, 0)}


async def test_slices_are_several_values_together(store, tmp_path):
    mapping = sliced(tmp_path, "provincial_platform", "officers_changed", "Officer", "cert_fields")
    source = Changing("gxsj", [officer(1, HERE, fields="102,105"), officer(2, HERE), officer(3, HERE, fields="")])
    await sync(source, store, mapping, "officers_changed")
    await mend(source, store, mapping=mapping)
    several = {"MARKET_REGULATION、TRANSPORT", "MARKET_REGULATION", ""}
    assert compared(store) == dict.fromkeys(several, (1, 1, True, 0))


def test_a_slice_by_what_is_not_mapped_is_a_problem_with_its_place(tmp_path):
    with pytest.raises(Problems, match="应是映射了的数据元或引用，没有"):
        sliced(tmp_path, "provincial_platform", "officers_changed", "Officer", "agencies")
