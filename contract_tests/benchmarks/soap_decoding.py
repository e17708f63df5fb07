"""What decoding a SOAP answer costs: 50 records of 15 fields with an attribute, nil, an optional field and a list.

`floor`: lxml.fromstring of the bytes, nothing read. `ours`: from bytes to records, as a source does it. `walked`: the same,
where the rows are not written as a pattern expects, so that every element is walked by the readers of its types. `general`:
the reader that needs no types, which read all answers before. `zeep`: zeep's own parsing of the same answer. `five`: ours
where the mapping reads 5 fields of 15. QUICK=1 makes fewer rounds.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import requests
import zeep
from lxml import etree

from adapters.charset import charset_in_xml, to_text
from adapters.envelope import open_envelope, returned
from adapters.soap_reader import make_reader
from adapters.soap_reading import Reading, without
from adapters.soap_rows import make_rows
from contract_tests.benchmarks.rounds import Run, interleave, report

ROUNDS, QUICK_ROUNDS, EACH = 41, 11, 5
RECORDS = 50
CASES = Path(__file__).parents[1] / "samples" / "case.wsdl"
NAMESPACES = (
    'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xmlns:ns="urn:case:v1"'
)
FIELDS = [
    "id",
    "caseNumber",
    "title",
    "status",
    "priority",
    "openedOn",
    "closedOn",
    "createdAt",
    "amountClaimed",
    "amountSettled",
    "feeTotal",
    "isConfidential",
    "court",
    "tag",
    "@version",
]


def record(number: int) -> str:
    """One record; every third has a date that others have nil, every second an amount."""
    closed = '<ns:closedOn xsi:nil="true"/>' if number % 3 else "<ns:closedOn>2021-02-03</ns:closedOn>"
    settled = "" if number % 2 else "<ns:amountSettled>100.50</ns:amountSettled>"
    return (
        f'<ns:case version="{number}"><ns:id>{number}</ns:id><ns:caseNumber>C-2024-{number:06d}</ns:caseNumber>'
        f"<ns:title>滨海市甲公司{number}号案</ns:title><ns:status>OPEN</ns:status><ns:priority>{number % 5}</ns:priority>"
        f"<ns:openedOn>2020-05-17</ns:openedOn>{closed}<ns:createdAt>2024-01-01T10:20:30Z</ns:createdAt>"
        f"<ns:amountClaimed>12345.67</ns:amountClaimed>{settled}<ns:feeTotal>12.5</ns:feeTotal>"
        f"<ns:isConfidential>{'true' if number % 2 else 'false'}</ns:isConfidential>"
        "<ns:court>滨海市中级人民法院</ns:court><ns:tag>a</ns:tag></ns:case>"
    )


BODY = (
    f'<?xml version="1.0" encoding="UTF-8"?><s:Envelope {NAMESPACES}><s:Header/><s:Body><ns:FindCasesResponse>'
    f"<ns:total>{RECORDS}</ns:total>{''.join(map(record, range(RECORDS)))}</ns:FindCasesResponse></s:Body></s:Envelope>"
).encode()


def reading(declared: Any, fields: list[str], has_pattern: bool = True) -> Reading:
    """How the answer is read when a mapping reads these fields."""
    wanted = {"total": None, "case": dict.fromkeys(fields)}
    rows = make_rows(declared, wanted, ("case",)) if has_pattern else None
    outer = make_reader(declared, without(wanted, ("case",)))
    return Reading(make_reader(declared, wanted), "{urn:case:v1}FindCasesResponse", wanted, "", rows, outer)


def decoded(chosen: Reading, body: bytes) -> Any:
    """From bytes to the tree."""
    text = to_text(body, "utf-8", charset_in_xml(body))
    notes: dict[str, str] = {}
    tree = chosen.tree(open_envelope(text)[1], text, notes)
    assert not notes
    return tree


async def main() -> None:
    """Measure, after all ways have given the same records."""
    make_client: Any = zeep.Client
    client = make_client(str(CASES))
    declared = client.get_element("{urn:case:v1}FindCasesResponse").type
    ours, walked, five = reading(declared, FIELDS), reading(declared, FIELDS, False), reading(declared, FIELDS[:5])
    answer: Any = requests.Response()
    answer._content, answer.status_code, answer.headers = BODY, 200, {"Content-Type": "text/xml; charset=utf-8"}
    operation = client.service._binding._operations["FindCases"]
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)

    def general() -> Any:
        return returned(open_envelope(to_text(BODY, "utf-8", charset_in_xml(BODY)))[1])

    runs: dict[str, Any] = {
        "floor": lambda: etree.fromstring(BODY, parser),
        "ours": lambda: decoded(ours, BODY),
        "five": lambda: decoded(five, BODY),
        "walked": lambda: decoded(walked, BODY),
        "general": general,
        "zeep": lambda: client.service._binding.process_reply(client, operation, answer),
    }
    assert runs["ours"]() == runs["walked"]() == runs["general"]()
    assert len(runs["zeep"]().case) == RECORDS
    quick = bool(os.environ.get("QUICK"))  # noqa: TID251 - a benchmark's own switch
    rounds = QUICK_ROUNDS if quick else ROUNDS
    figures = await interleave({name: _run(work) for name, work in runs.items()}, rounds, EACH, time.process_time)
    title = f"soap_decoding: {RECORDS} records of 15 fields, {len(BODY)} bytes; medians of {rounds} interleaved rounds, CPU time"
    report(title, {"50 x 15": figures})


def _run(work: Any) -> Run:
    async def run() -> object:
        return work()

    return run


if __name__ == "__main__":
    asyncio.run(main())
