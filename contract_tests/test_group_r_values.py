"""FAULTS.md R6, R7 and R9: what stands in a readable answer arrives exactly, or is null with an issue; never changed.

Each row goes over a socket, through the adapter and through the mapping: bytes of a source in, values and issues out.
"""

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.errors import SourceContractBroken, SourceError
from adapters.mapping.load import load_mapping, load_mappings
from adapters.mapping.model import SourceMapping
from adapters.mapping.record import Mapped, map_record
from adapters.open import open_source
from adapters.source import Call
from contract_tests.federation import copy_mappings
from contract_tests.raw_http import LONG, answer, sends, server
from schema.formats import CHINA_TIME
from schema.load import load_registry

pytestmark = pytest.mark.anyio

REGISTRY = load_registry()
MARKET = load_mappings(REGISTRY)["binhai_market"]
JSON = "Content-Type: application/json"


async def records(body: bytes, *headers: str, mapping: SourceMapping = MARKET) -> list[Any]:
    """The records that the adapter reads in an answer with this body."""
    async with server(sends(answer(body, *headers))) as url:
        source = open_source(mapping, {"BINHAI_MARKET_URL": url, "BINHAI_MARKET_TOKEN": "t"})
        try:
            return list((await source.call(Call("cases_changed", LONG, page=1, size=5))).records)
        finally:
            await source.aclose()


def enveloped(record: str, charset: str = "utf-8") -> bytes:
    """An answer with one record, as the source would have written it."""
    return f'{{"code":"0","data":{{"list":[{record}]}}}}'.encode(charset)


# R6: charsets

NAME = "𠮷野家（福州）·䶮记﨑"
"""Two of these are in no GB 2312, one is in GB18030 alone; real names of persons and firms have them."""


@pytest.mark.parametrize(
    ("charset", "declared"),
    [
        pytest.param("gb18030", "GBK", id="GB18030 called GBK"),
        pytest.param("gb18030", "gb2312", id="GB18030 called gb2312"),
        pytest.param("gb18030", "GB18030", id="GB18030"),
        pytest.param("gb18030", "x-gbk", id="GB18030 called x-gbk"),
        pytest.param("gb18030", None, id="GB18030 and not told"),
        pytest.param("gb18030", "utf-8", id="GB18030 called UTF-8"),
        pytest.param("gb18030", "ISO-8859-1", id="GB18030 called Latin 1"),
        pytest.param("gb18030", "no-such-charset", id="GB18030 called nonsense"),
        pytest.param("utf-8", "GBK", id="UTF-8 called GBK"),
        pytest.param("utf-8", "ISO-8859-1", id="UTF-8 called Latin 1"),
        pytest.param("utf-8", None, id="UTF-8 and not told"),
        pytest.param("utf-8-sig", "utf-8", id="UTF-8 with a mark"),
        pytest.param("utf-16", "utf-16", id="UTF-16 with a mark"),
    ],
)
async def test_r6_a_name_arrives_under_every_label(charset: str, declared: str | None) -> None:
    header = f"Content-Type: application/json{f'; charset={declared}' if declared else ''}"
    assert await records(enveloped(f'{{"AJMC":"{NAME}"}}', charset), header) == [{"AJMC": NAME}]


async def test_r6_what_the_mapping_says_counts_where_the_answer_says_nothing(tmp_path: Path) -> None:
    file = copy_mappings(tmp_path) / "binhai_market" / "mapping.yaml"
    file.write_text(file.read_text("utf-8").replace("  timeout: 8s\n", "  timeout: 8s\n  charset: gbk\n"), "utf-8")
    mapping = load_mapping(REGISTRY, file.parent)
    # “滨海” in UTF-8 is also good GBK, and reads 婊ㄦ捣 in it
    for text, sent in (("滨海", "gbk"), (NAME, "gb18030"), ("滨海", "utf-8"), ("闽", "utf-8"), ("联通", "gbk")):
        assert await records(enveloped(f'{{"AJMC":"{text}"}}', sent), JSON, mapping=mapping) == [{"AJMC": text}]


@pytest.mark.parametrize("bad", [b'"\xff\xff"', b'"\x81"', b'"\xed\xa0\x80\x80"'])
async def test_r6_bytes_of_no_charset_are_refused_and_no_mark_of_loss_is_made(bad: bytes) -> None:
    with pytest.raises(SourceContractBroken):
        await records(enveloped('{"AJMC":@}').replace(b"@", bad), JSON)


# R7 and R9: values

CASE = {"AJBH": "2024-1"}


async def case(**values: Any) -> Mapped:
    """The case that a record with these values becomes; a value that is bytes stands in the answer as it is."""
    record = json.dumps({**CASE, **{n: v for n, v in values.items() if not isinstance(v, bytes)}}, ensure_ascii=False)
    for name, literal in values.items():
        if isinstance(literal, bytes):
            record = record[:-1] + f', "{name}": {literal.decode()}}}'
    [read] = await records(enveloped(record), JSON)
    return map_record(MARKET, "EnforcementCase", read, lambda text: text)


def issues(mapped: Mapped, element: str) -> list[tuple[str, str | None]]:
    return [(issue.severity, issue.raw) for issue in mapped.issues if issue.element == element]


ERROR, NOTHING = "error", "nothing"


@pytest.mark.parametrize(
    ("element", "column", "sent", "value", "issue"),
    [
        ("involved_amount", "SAJE", b"0.2", 200_000, None),
        ("involved_amount", "SAJE", b'"0.200000"', 200_000, None),
        ("involved_amount", "SAJE", b"2e-1", 200_000, None),
        ("involved_amount", "SAJE", b"9007199254.740993", 9007199254740993, None),
        ("involved_amount", "SAJE", b"0.0000001", None, "0.0000001"),
        ("involved_amount", "SAJE", b"1e400", None, "1e400"),
        ("involved_amount", "SAJE", b"123456789012345678901234567890", None, "123456789012345678901234567890"),
        ("involved_amount", "SAJE", b'"NaN"', None, "NaN"),
        ("involved_amount", "SAJE", b'"Infinity"', None, "Infinity"),
        ("involved_amount", "SAJE", b'"12a"', None, "12a"),
        ("case_name", "AJMC", b"12345678901234567890.10", "12345678901234567890.10", None),
        ("case_name", "AJMC", b"9007199254740993", "9007199254740993", None),
        ("violation_start_date", "WFKSRQ", b'"2024-02-29"', date(2024, 2, 29), None),
        ("violation_start_date", "WFKSRQ", b'"2024-02-30"', None, "2024-02-30"),
        ("violation_start_date", "WFKSRQ", b'"0000-00-00"', None, "0000-00-00"),
        ("violation_start_date", "WFKSRQ", b'"20240229"', None, "20240229"),
        ("violation_start_date", "WFKSRQ", b"20240229", None, "20240229"),
        ("violation_start_date", "WFKSRQ", b"1709164800000", None, "1709164800000"),
        ("violation_start_date", "WFKSRQ", b'"2024-2-9"', None, "2024-2-9"),
        ("recorded_at", "CJSJ", b'"2024-02-19 10:02:11"', datetime(2024, 2, 19, 10, 2, 11, tzinfo=CHINA_TIME), None),
        ("recorded_at", "CJSJ", b'"2024-02-19T10:02:11Z"', None, "2024-02-19T10:02:11Z"),
        ("case_status", "AJZT", b'"10"', "FILED", None),
        ("case_status", "AJZT", b"10", "FILED", None),
        ("case_status", "AJZT", b'"77"', None, "77"),
        ("case_status", "AJZT", b'"1O"', None, "1O"),
        ("is_major", "SFZD", b"1", True, None),
        ("is_major", "SFZD", b"true", None, "true"),
        ("case_name", "AJMC", b"null", None, NOTHING),
        ("case_name", "AJMC", b'""', None, NOTHING),
        ("cause_of_action", "AY", b'"a\\u0000b"', None, "a\x00b"),
    ],
)  # fmt: skip
async def test_r9_a_value_is_exact_or_null_with_an_issue_that_keeps_what_was_sent(
    element: str, column: str, sent: bytes, value: Any, issue: str | None
) -> None:
    mapped = await case(**{column: sent})
    got = mapped.values.get(element)
    assert (got if not hasattr(got, "name") else got.name, type(got) is float) == (value, False)
    expected = [] if issue in (None, NOTHING) else [(ERROR, issue)]
    assert issues(mapped, element) == expected
    assert mapped.values.get("source_case_no") == "2024-1", "the rest of the record survives"


async def test_r9_what_is_missing_or_more_is_no_issue_and_what_was_renamed_is_missing() -> None:
    mapped = await case(XIN="new", SAJE_WY=b"0.2")
    assert (mapped.values.get("involved_amount"), issues(mapped, "involved_amount")) == (None, [])


async def test_r9_a_list_where_one_value_was_is_an_issue_of_that_value() -> None:
    mapped = await case(AY=b'["a", "b"]')
    assert (mapped.values.get("cause_of_action"), len(issues(mapped, "cause_of_action"))) == (None, 1)


async def test_r9_a_code_with_quarantine_takes_the_record_out() -> None:
    mapped = await case(MJ="7")
    assert (mapped.quarantined, issues(mapped, "secret_level")) == (True, [(ERROR, "7")])


async def test_no_raw_text_of_a_source_is_public() -> None:
    with pytest.raises(SourceError) as raised:
        await records(b'{"code":"9999","msg":"ORA-00942 350102199003070011"}', JSON)
    assert raised.value.public_message == "来源系统拒绝了请求"
    assert raised.value.detail == "9999 ORA-00942 350102199003070011"
