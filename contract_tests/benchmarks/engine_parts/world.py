"""What the upstream systems of the benchmark hold: made-up cases, parties and officers, as files nginx can serve.

Every query has VARIANTS keys with answers of equal size and different content, so that requests under way at one time
ask for different things and nobody can answer two of them with one call.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from schema.identifiers import org_code_check_digit, uscc_check_digit

VARIANTS = 64
WIDE_VARIANTS = 32
"""Twice as many as requests under way; more would only make more files of half a megabyte."""
LIST, WIDE, SOAP, OFFICERS = 50, 1000, 50, 20
STATUSES = ("10", "20", "30", "40", "50", "90")
DIVISIONS = ("350102", "350103", "350104", "350105", "350111", "350112")
FACT = "当事人于上述日期在经营场所销售超过保质期的预包装食品，货值经清点并由当事人签字确认，现场拍照取证，事实清楚。"


def uscc(registrar: str, number: int) -> str:
    """A 统一社会信用代码 with right check digits; `registrar` is its first two characters."""
    organisation = f"MA{number:06d}"
    body = f"{registrar}350100{organisation}{org_code_check_digit(organisation)}"
    return body + uscc_check_digit(body)


OWNER = uscc("11", 1)
"""The agency whose system answers for single cases; the same as in the mapping."""
SOAP_OWNER = uscc("11", 2)


def case_number(variant: int) -> str:
    """Of the single case of a variant."""
    return f"BQ-2024-{variant:04d}"


def agency_code(query: str, variant: int) -> str:
    """The agency whose cases a query asks for."""
    return uscc("11", {"list": 1000, "nested": 2000, "wide": 3000}[query] + variant)


def holder_code(variant: int) -> str:
    """The enterprise whose cases the SOAP service is asked for."""
    return uscc("91", 5000 + variant)


def cert_no(variant: int, officer: int) -> str:
    """A certificate number; its sixth to ninth digit tell nginx which file holds the officer."""
    return f"35010{variant:04d}{officer:05d}"


def rest_case(number: str, agency: str, seed: int) -> dict[str, Any]:
    """A case as the REST system writes it: 26 fields, every value text. Some cases are not closed yet."""
    day, month = seed % 27 + 1, seed % 11 + 1
    return {
        "AJBH": number,
        "AJMC": f"某某食品商行第{seed % 10000:04d}号销售超过保质期的食品案",
        "AY": "销售超过保质期的食品",
        "SXBM": "350100331000",
        "BAJG": agency,
        "CBKS": "综合执法一大队",
        "CBRDH": "0591-00000000",
        "CXLX": str(seed % 3 + 1),
        "AJZT": STATUSES[seed % 6],
        "LASJ": f"2024-{month:02d}-{day:02d} 09:20:{seed % 60:02d}",
        "WFDD": f"滨海市鼓楼区八一七北路{seed % 1000:03d}号",
        "WFDQH": DIVISIONS[seed % 6],
        "WFKSRQ": f"2024-{month:02d}-{day:02d}",
        "WFZZRQ": f"2024-{month:02d}-{day:02d}",
        "WFSS": FACT,
        "SAJE": f"{seed % 90 + 10}.{seed * 7919 % 10000:04d}",
        "SFZD": str(seed % 2),
        "SFFXC": str(seed // 2 % 2),
        "LRFS": str(seed // 3 % 2),
        "CJSJ": f"2024-{month:02d}-{day:02d} 10:00:{seed % 60:02d}",
        "JARQ": None if seed % 5 == 0 else f"2024-12-{day:02d}",
        "MJ": str(seed % 2),
        "GXSJ": f"2024-12-{day:02d} 18:00:00",
        "SJLY": "AJGL",
        "SFGK": "1",
        "BZ": "无",
    }


def nested_case(number: str, agency: str, variant: int, position: int) -> dict[str, Any]:
    """A case with its party inside and the certificate numbers of its two officers."""
    case = rest_case(number, agency, variant * 100 + position)
    code = uscc("91", variant * 100 + position)
    case["DSR"] = [
        {
            "MC": f"滨海市某某食品商行第{position:03d}分店",
            "LX": "1",
            "TYSHXYDM": code,
            "FRDB": "张某某",
            "ZCDZ": f"滨海市台江区五一中路{position:03d}号",
            "JYDZ": f"滨海市鼓楼区八一七北路{position:03d}号",
            "LXDH": f"1380000{position:04d}",
            "DWQH": DIVISIONS[position % 6],
            "ZCZB": "100",
        }
    ]
    officers = (position % OFFICERS, (position * 7 + 3) % OFFICERS)
    if officers[0] == officers[1]:
        officers = (officers[0], (officers[1] + 1) % OFFICERS)
    case["ZFRY"] = [{"ZFZH": cert_no(variant, officer), "JS": "承办"} for officer in officers]
    return case


def officer(variant: int, number: int) -> dict[str, Any]:
    """An officer as the personnel system writes them."""
    return {
        "ZFZH": cert_no(variant, number),
        "XM": f"李某{number:02d}",
        "ZJZL": str(number % 3 + 1),
        "YXQZ": f"2027-{number % 12 + 1:02d}-28",
        "ZJZT": str(number % 2 + 1),
        "FZJG": "福建省司法厅",
        "SSDW": "综合执法一大队",
    }


def soap_case(variant: int, position: int) -> str:
    """A case as the SOAP service writes it: 17 typed elements, `closedOn` nil while the case is open."""
    seed = variant * 100 + position
    day, month = seed % 27 + 1, seed % 11 + 1
    is_open = seed % 5 == 0
    closed = '<t:closedOn xsi:nil="true"/>' if is_open else f"<t:closedOn>2024-12-{day:02d}</t:closedOn>"
    values = {
        "caseNo": f"JT-2024-{variant:04d}-{position:04d}",
        "title": f"某某物流公司第{position:04d}号未按规定维护车辆案",
        "cause": "未按规定周期和频次进行车辆检验检测",
        "status": STATUSES[seed % 6],
        "procedure": str(seed % 3 + 1),
        "filedOn": f"2024-{month:02d}-{day:02d}",
        "place": f"滨海市马尾区江滨东大道{seed % 1000:03d}号",
        "division": DIVISIONS[seed % 6],
        "occurredOn": f"2024-{month:02d}-{day:02d}",
        "fact": FACT,
        "amount": f"{seed % 90000 + 10000}.{seed % 100:02d}",
        "major": "true" if seed % 2 else "false",
        "offSite": "true" if seed // 2 % 2 else "false",
        "recordedAt": f"2024-{month:02d}-{day:02d}T10:00:{seed % 60:02d}+08:00",
        "version": str(1000 + seed % 1000),
        "remark": "无",
    }
    inside = "".join(f"<t:{name}>{escape(value)}</t:{name}>" for name, value in values.items())
    return f"<t:case>{inside}{closed}</t:case>"


def soap_answer(variant: int) -> str:
    """The envelope with an enterprise and its cases."""
    cases = "".join(soap_case(variant, position) for position in range(SOAP))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>'
        '<t:QueryByHolderResponse xmlns:t="urn:bench:transport" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        "<t:head><t:rtnCode>000000</t:rtnCode><t:rtnMsg>OK</t:rtnMsg></t:head>"
        f"<t:body><t:holder><t:uscc>{holder_code(variant)}</t:uscc><t:name>滨海市某某物流有限公司</t:name>"
        f"<t:cases>{cases}</t:cases></t:holder></t:body>"
        "</t:QueryByHolderResponse></soapenv:Body></soapenv:Envelope>"
    )


def write_world(folder: Path) -> None:
    """All answers as files below `folder`: `case/`, `agency/`, `officers/` and `soap/`, named by their keys."""
    for path, content in _files():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")


def _files() -> Iterator[tuple[str, str]]:
    for variant in range(VARIANTS):
        number = case_number(variant)
        yield f"case/{number}.json", _told({"AJ": rest_case(number, OWNER, variant)})
        agency = agency_code("list", variant)
        cases = [rest_case(f"LB-{variant:04d}-{n:04d}", agency, variant * 100 + n) for n in range(LIST)]
        yield f"agency/{agency}.json", _told(_agency(agency, cases))
        agency = agency_code("nested", variant)
        cases = [nested_case(f"QT-{variant:04d}-{n:04d}", agency, variant, n) for n in range(LIST)]
        yield f"agency/{agency}.json", _told(_agency(agency, cases))
        officers = [officer(variant, number) for number in range(OFFICERS)]
        yield f"officers/{variant:04d}.json", _told({"list": officers})
        yield f"soap/{holder_code(variant)}.xml", soap_answer(variant)
    for variant in range(WIDE_VARIANTS):
        agency = agency_code("wide", variant)
        cases = [rest_case(f"KB-{variant:04d}-{n:04d}", agency, variant * 1000 + n) for n in range(WIDE)]
        yield f"agency/{agency}.json", _told(_agency(agency, cases))


def _agency(code: str, cases: list[dict[str, Any]]) -> dict[str, Any]:
    return {"JG": {"JGDM": code, "JGMC": "滨海市综合行政执法局", "AJLB": cases}}


def _told(data: dict[str, Any]) -> str:
    answer = {"code": "0", "success": True, "msg": "成功", "data": data}
    return json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
