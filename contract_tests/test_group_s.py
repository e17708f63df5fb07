"""Group S of the catalogue of faults: what SOAP services answer, over real sockets, row by row."""

import re
from pathlib import Path

import pytest

from adapters.errors import (
    SourceContractBroken,
    SourceError,
    SourceRejected,
    SourceUnavailable,
)
from adapters.mapping.record import map_record
from contract_tests.soap_answers import (
    ENVELOPE_12,
    RECORD,
    ROW,
    Answering,
    answering,
    enveloped,
    fault,
    found,
    opened,
    page,
    service,
)

__all__ = ["service"]

pytestmark = pytest.mark.anyio

LEAKS = ("ORA-", "10.0.0.1", "SELECT", "CANARY", "127.0.0.1", "jdbc")


# S1 faults


SECRET = "ORA-01017: CANARY@10.0.0.1 jdbc SELECT * FROM t"


@pytest.mark.parametrize(
    ("body", "status", "error", "detail"),
    [
        (fault("s:Server", SECRET), 500, SourceRejected, f"Server {SECRET}"),
        (fault("s:Client", SECRET), 200, SourceRejected, f"Client {SECRET}"),
        (fault("s:Busy", SECRET), 500, SourceUnavailable, f"Busy {SECRET}"),
        ("<html><body>请登录</body></html>", 200, SourceContractBroken, None),
        ("<html>502</html>", 502, SourceUnavailable, "HTTP 502"),
        ("", 200, SourceContractBroken, "答复是空的"),
        ("", 500, SourceUnavailable, "HTTP 500"),
        (enveloped(""), 200, SourceContractBroken, "SOAP 答复的 Body 是空的"),
        (enveloped(found(code="9")), 200, SourceRejected, "9"),
    ],
)
async def test_s1_a_fault_is_told_by_its_code_and_its_text_stays_inside(
    service: Answering, tmp_path: Path, body: str, status: int, error: type[SourceError], detail: str | None
) -> None:
    """Better than one SOURCE_FAULT: the class says what the caller does next, the code is in the detail for the log."""
    service.says(body, status)
    async with opened(service, tmp_path, "faults: {retry: [Busy]}") as source:
        with pytest.raises(error) as told:
            await page(source)
    assert type(told.value) is error
    assert (detail is None) or told.value.detail == detail
    assert [word for word in LEAKS if word in told.value.public_message] == []


# S2 XML that asks for more


def attacks(canary: str) -> dict[str, str]:
    """Documents by name; `canary` is an address that nobody may fetch."""
    inner = enveloped(found(ROW.replace("甲", "&x;")))
    laughs = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
    return {
        "file": f'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>{inner}',
        "http": f'<!DOCTYPE r [<!ENTITY x SYSTEM "{canary}/e">]>{inner}',
        "external DTD": f'<!DOCTYPE r SYSTEM "{canary}/d.dtd">{enveloped(found(ROW))}',
        "bare DTD": f"<!DOCTYPE r>{enveloped(found(ROW))}",
        "entity": f'<!DOCTYPE r [<!ENTITY x "y">]>{inner}',
        "laughs": f'<!DOCTYPE r [<!ENTITY x0 "ha">{laughs}<!ENTITY x "&x9;">]>{inner}',
        "parameter": f'<!DOCTYPE r [<!ENTITY % p SYSTEM "{canary}/p"> %p;]>{inner}',
        "after a comment": f'<?xml version="1.0"?><!-- --><?pi?>\n<!DOCTYPE r [<!ENTITY x "y">]>{inner}',
        "undeclared": inner,
    }


@pytest.mark.parametrize("name", list(attacks("")))
async def test_s2_no_dtd_no_entity_and_nothing_is_fetched(service: Answering, tmp_path: Path, name: str) -> None:
    with answering() as canary:
        service.says(attacks(canary.url)[name])
        async with opened(service, tmp_path) as source:
            with pytest.raises(SourceContractBroken):
                await page(source)
        assert canary.paths == []


async def test_s2_an_inclusion_is_an_element_like_any_other(service: Answering, tmp_path: Path) -> None:
    include = '<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="file:///etc/passwd" parse="text"/>'
    service.says(enveloped(found(f"<m:no>1</m:no><m:name>{include}</m:name>")))
    async with opened(service, tmp_path) as source:
        (record,) = (await page(source)).records
    assert (record["no"], record["name"]) == (
        "1",
        {"include": {"@href": "file:///etc/passwd", "@parse": "text", "": ""}},
    )


# S3 not quite what the WSDL says


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        (enveloped(found(ROW)), {}),
        (enveloped(found(ROW), ENVELOPE_12), {"envelope": f"命名空间 {ENVELOPE_12} 与 WSDL 的绑定不同"}),
        (enveloped(found(ROW).replace("urn:m", "urn:other")), {"wsdl": "与 WSDL 不同：答复是 Found"}),
        (enveloped(re.sub("m:|:m", "", found(ROW).replace('="urn:m"', '=""'))), {"wsdl": "与 WSDL 不同：答复是 Found"}),
        (enveloped(found("<m:name>甲</m:name><m:no>1</m:no>")), {"order": "元素的次序与 WSDL 不同：name, no"}),
        (enveloped(found(ROW + "<m:novel><m:no>2</m:no></m:novel>")), {"unknown": "WSDL 中没有元素 novel"}),
        (enveloped(found('<x:no xmlns:x="urn:x">1</x:no><m:name>甲</m:name>')),
         {"wsdl": "与 WSDL 不同：元素 no 的命名空间与 WSDL 不同"}),
    ],
)  # fmt: skip
async def test_s3_differences_are_named_and_shift_no_value(
    service: Answering, tmp_path: Path, body: str, notes: dict[str, str]
) -> None:
    service.says(body)
    async with opened(service, tmp_path) as source:
        answer = await page(source)
    assert (answer.records, dict(answer.notes)) == ([RECORD], notes)


async def test_s3_a_missing_required_element_is_absent_and_named(service: Answering, tmp_path: Path) -> None:
    service.says(enveloped(found("<m:no>1</m:no>")))
    async with opened(service, tmp_path) as source:
        answer = await page(source)
    assert (answer.records, dict(answer.notes)) == ([{"no": "1"}], {"missing": "缺少 WSDL 要求的元素 name"})


# S4 the scalar trap


@pytest.mark.parametrize(
    ("row", "element", "raw"),
    [
        ("<m:seq>12a</m:seq>", "change_no", "12a"),
        ("<m:on>2024-02-30</m:on>", "started_at", "2024-02-30"),
        ("<m:on>0000-00-00</m:on>", "started_at", "0000-00-00"),
        ("<m:seq>1.5</m:seq>", "change_no", "1.5"),
    ],
)
async def test_s4_a_value_of_another_type_is_null_with_an_issue_that_quotes_it(
    service: Answering, tmp_path: Path, row: str, element: str, raw: str
) -> None:
    service.says(enveloped(found(ROW + row, "<m:no>2</m:no><m:name>乙</m:name>")))
    async with opened(service, tmp_path) as source:
        assert source.readings["by_no"].general == ""
        first, second = (
            map_record(source.mapping, "Inspection", record, str) for record in (await page(source)).records
        )
    assert [(issue.element, issue.raw) for issue in first.issues] == [(element, raw)]
    assert element not in {**first.values, **first.provenance}
    assert (second.values["inspection_no"], second.issues) == ("2", [])


async def test_s4_nil_empty_and_absent_are_three_things(service: Answering, tmp_path: Path) -> None:
    rows = ['<m:no>1</m:no><m:name xsi:nil="true"/>', "<m:no>2</m:no><m:name/>", "<m:no>3</m:no>"]
    service.says(enveloped(found(*rows)))
    async with opened(service, tmp_path) as source:
        assert (await page(source)).records == [{"no": "1", "name": None}, {"no": "2", "name": ""}, {"no": "3"}]


# S5 charsets


def declared(charset: str, name: str) -> str:
    return f'<?xml version="1.0" encoding="{charset}"?>' + enveloped(found(ROW.replace("甲", name)))


@pytest.mark.parametrize(
    ("body", "content_type", "name"),
    [
        (declared("GBK", "闽").encode("gbk"), "text/xml", "闽"),
        (declared("UTF-8", "闽侯执法").encode("gbk"), "text/xml; charset=utf-8", "闽侯执法"),
        (declared("GB2312", "䶮").encode("gb18030"), "text/xml", "䶮"),
        (declared("gb2312", "𠮷").encode("gb18030"), "text/xml; charset=gb2312", "𠮷"),
        (declared("GBK", "闽侯执法").encode(), "text/xml", "闽侯执法"),
        (declared("ISO-8859-1", "闽侯").encode(), "text/xml; charset=ISO-8859-1", "闽侯"),
        (b"\xef\xbb\xbf" + declared("UTF-8", "闽").encode(), "text/xml", "闽"),
        (declared("UTF-16", "闽").encode("utf-16"), "text/xml", "闽"),
        (declared("UTF-8", "&#38397;").encode(), "text/xml", "闽"),
    ],
)
async def test_s5_text_is_read_in_what_it_was_written(
    service: Answering, tmp_path: Path, body: bytes, content_type: str, name: str
) -> None:
    service.says(body, Content_Type=content_type)
    async with opened(service, tmp_path) as source:
        assert (await page(source)).records == [{"no": "1", "name": name}]


@pytest.mark.parametrize("body", [declared("UTF-8", "&#1;").encode(), declared("UTF-8", "\x01").encode(),
                                  declared("UTF-8", "a").replace("a<", "\ud800<").encode("utf-8", "surrogatepass")])  # fmt: skip
async def test_s5_what_is_no_character_breaks_the_contract(service: Answering, tmp_path: Path, body: bytes) -> None:
    service.says(body)
    async with opened(service, tmp_path) as source:
        with pytest.raises(SourceContractBroken):
            await page(source)
