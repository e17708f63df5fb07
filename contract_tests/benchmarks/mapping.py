"""What it costs to turn the bytes of a source into rows of the index.

`floor`: `orjson.loads` and a dict built by hand for every record, nothing checked or converted. `loads`: `orjson.loads`
alone, which all of them do. `ours`: the mapping compiled for what is wanted, into the index. `interpretive`: every word of the
mapping read for every record, into the index, as data return does it.
`list`: 50 cases of 20 elements; `nested`: 50 cases of 12 with a party of 5 and two officers named in each; `wide`: 1000 × 20.
`repeated` texts are the same in every page; with `new` ones every page has numbers, instants and amounts never seen before.
QUICK=1 makes fewer rounds.
"""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from time import process_time
from typing import Any

import orjson

from adapters.mapping.compiled import Compiler
from adapters.mapping.load import load_mappings
from adapters.mapping.record import map_record
from adapters.mapping.wants import Want
from contract_tests.benchmarks.rounds import Run, interleave, report
from contract_tests.expectations import hash_id
from gateway.engine.index import ASKED, Index, Origin
from gateway.engine.taking import Adopter, Taker
from schema.formats import CHINA_TIME
from schema.identifiers import org_code_check_digit, uscc_check_digit
from schema.load import load_registry

TODAY = date(2026, 11, 23)
NOW = datetime(2026, 11, 23, 12, tzinfo=CHINA_TIME)
TWENTY = frozenset(
    {
        "source_case_no",
        "case_name",
        "cause_of_action",
        "undertake_dept",
        "procedure_type",
        "case_status",
        "filed_date",
        "violation_place",
        "violation_division_code",
        "violation_start_date",
        "violation_end_date",
        "violation_fact",
        "involved_amount",
        "is_major",
        "is_off_site",
        "entry_mode",
        "recorded_at",
        "closed_date",
        "secret_level",
        "agency_code",
    }
)
TWELVE = frozenset(sorted(TWENTY)[:12])
WANTS = {
    "flat": frozenset({("EnforcementCase", Want(TWENTY))}),
    "nested": frozenset(
        {
            ("EnforcementCase", Want(TWELVE, frozenset({"parties", "officers"}))),
            ("Party", Want(frozenset({"party_name", "party_type", "uscc", "business_address", "phone"}))),
            ("Officer", Want(frozenset({"officer_name"}))),
        }
    ),
}


def main() -> None:
    """Measure and print."""
    rounds, each = (3, 3) if os.environ.get("QUICK") else (11, 10)  # noqa: TID251 - a benchmark's own switch
    figures = {}
    for name, size, want in (("list", 50, "flat"), ("nested", 50, "nested"), ("wide", 1000, "flat")):
        for texts in ("repeated", "new"):
            times = each if size < 1000 else 1
            pages = [_page(size, seed) for seed in range((rounds + 1) * times if texts == "new" else 1)]
            figures[f"{name} {texts}"] = asyncio.run(
                interleave(_runs(size, WANTS[want], pages), rounds, times, process_time)
            )
    report(f"mapping: milliseconds of CPU time a page, medians of {rounds} rounds", figures)


def _runs(size: int, wants: frozenset[tuple[str, Want]], pages: Sequence[bytes]) -> dict[str, Run]:
    registry = load_registry()
    source = load_mappings(registry)["binhai_market"]
    compiled = Compiler(hash_id).compiled(source, "EnforcementCase", wants)
    is_nested = len(wants) > 1
    origin = Origin(source.name, "cases_by_no", "LIVE", NOW, NOW, registry.version)

    def floor(records: list[dict[str, Any]]) -> None:
        for record in records:
            case = _by_hand(record)
            if is_nested:
                case["officers"] = [officer["ZFZH"] for officer in record["ZFRY"]]
                case["parties"] = [_party_by_hand(party) for party in record["DSR"]]

    def ours(records: list[dict[str, Any]]) -> None:
        index = Index(registry)
        adopter = Adopter(index, source, compiled.wants or {}, 1)
        for entity in compiled.page(records, TODAY):
            adopter.add(entity, origin, ASKED)
        assert len(index.rows) >= size
        assert not index.issues

    def interpretive(records: list[dict[str, Any]]) -> None:
        index = Index(registry)
        taker = Taker(index, source, 1)
        for record in records:
            taker.add(map_record(source, "EnforcementCase", record, hash_id, TODAY), origin, ASKED)

    def nothing(_records: list[dict[str, Any]]) -> None:
        pass

    runs = {"floor": floor, "loads": nothing, "ours": ours, "interpretive": interpretive}
    return {name: _run(work, itertools.cycle(pages)) for name, work in runs.items()}


def _run(work: Callable[[list[dict[str, Any]]], None], pages: Iterator[bytes]) -> Run:
    async def run() -> None:
        work(orjson.loads(next(pages))["data"]["list"])

    return run


def _by_hand(record: dict[str, Any]) -> dict[str, Any]:
    get = record.get
    return {
        "source_case_no": get("AJBH"),
        "case_name": get("AJMC"),
        "cause_of_action": get("AY"),
        "undertake_dept": get("CBKS"),
        "procedure_type": get("CXLX"),
        "case_status": get("AJZT"),
        "filed_date": get("LASJ"),
        "violation_place": get("WFDD"),
        "violation_division_code": get("WFDQH"),
        "violation_start_date": get("WFKSRQ"),
        "violation_end_date": get("WFZZRQ"),
        "violation_fact": get("WFSS"),
        "involved_amount": get("SAJE"),
        "is_major": get("SFZD"),
        "is_off_site": get("SFFXC"),
        "entry_mode": get("LRFS"),
        "recorded_at": get("CJSJ"),
        "closed_date": get("JARQ"),
        "secret_level": get("MJ"),
        "agency_code": "11350100MB0A00018J",
    }


def _party_by_hand(record: dict[str, Any]) -> dict[str, Any]:
    get = record.get
    return {
        "party_name": get("MC"),
        "party_type": get("LX"),
        "uscc": get("TYSHXYDM"),
        "business_address": get("JYDZ"),
        "phone": get("LXDH"),
    }


def _page(size: int, seed: int) -> bytes:
    cases = [_case(seed * size + number) for number in range(size)]
    return orjson.dumps({"code": "0", "success": "true", "msg": "", "data": {"total": str(size), "list": cases}})


def _case(n: int) -> dict[str, Any]:
    day = date(2023, 1, 1) + timedelta(days=n % 700)
    moment = datetime(2023, 1, 1, 8) + timedelta(minutes=n * 37)
    organisation = f"MA{n:06d}"
    code = (body := f"91350100{organisation}{org_code_check_digit(organisation)}") + uscc_check_digit(body)
    return {
        "AJBH": f"BHSJ-{n:06d}",
        "AJMC": f"闽海第{n}号公司涉嫌作引人误解的商业宣传案",
        "AY": "作引人误解的商业宣传",
        "SXBM": "350100-0012",
        "CBKS": "执法二科",
        "ZFRY": [{"ZFZH": f"3501002024{n % 60:04d}"}, {"ZFZH": f"3501002024{(n + 7) % 60:04d}"}],
        "DSR": [
            {"MC": f"闽海第{n}号公司", "LX": "1", "TYSHXYDM": code, "JYDZ": f"滨海市海滨路{n}号", "LXDH": "0591-1"}
        ],
        "CXLX": "2",
        "AJZT": ("10", "20", "30", "40", "50", "90")[n % 6],
        "LASJ": f"{day} 09:30:00",
        "WFDD": f"滨海市海滨路{n}号",
        "WFDQH": "350102",
        "WFKSRQ": str(day),
        "WFZZRQ": str(day + timedelta(days=3)),
        "WFSS": "当事人在其网站宣传其产品功效与事实不符，误导消费者。",
        "SAJE": f"{n % 97}.{n % 100:02d}",
        "SFZD": str(n % 2),
        "SFFXC": "0",
        "LRFS": "0",
        "CJSJ": str(moment),
        "JARQ": str(day + timedelta(days=60)),
        "MJ": "0",
        "SCBZ": "0",
        "GXSJ": str(moment + timedelta(days=1)),
    }


if __name__ == "__main__":
    main()
