"""The floor: the same upstream calls with the same client, orjson or lxml, and no more than equal data takes by hand.

Nothing is checked, nothing is stored, the query is not even read: what is asked for is told by its variables.
"""

from typing import Any
from urllib.parse import quote

import orjson
from lxml import etree

from adapters.http import AiohttpClient
from contract_tests.benchmarks.engine_parts.settings import addresses

REST, SOAP = addresses()
STATUS = {
    "10": "FILED",
    "20": "INVESTIGATING",
    "30": "LEGAL_REVIEW",
    "40": "DECIDED",
    "50": "EXECUTING",
    "90": "CLOSED",
}
PROCEDURE = {"1": "SUMMARY", "2": "ORDINARY", "3": "FAST_TRACK"}
ENTRY = {"0": "REALTIME", "1": "BACKFILL"}
SECRECY = {"0": "PUBLIC", "1": "INTERNAL"}
PARTY = {"1": "ORGANIZATION", "2": "INDIVIDUAL", "3": "SOLE_TRADER"}
CERT = {"1": "NATIONAL_ENFORCEMENT", "2": "MINISTRY_ENFORCEMENT", "3": "ENFORCEMENT_SUPERVISION"}
VALIDITY = {"1": "VALID", "2": "SUSPENDED"}
TIMEOUT = 10.0
JSON_HEADERS = [(b"content-type", b"application/json")]
SOAP_HEADERS = {"SOAPAction": '"urn:bench:transport/QueryByHolder"', "Content-Type": "text/xml; charset=utf-8"}
ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><soap-env:Envelope xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/">'
    '<soap-env:Body><ns0:QueryByHolder xmlns:ns0="urn:bench:transport"><ns0:uscc>%s</ns0:uscc></ns0:QueryByHolder>'
    "</soap-env:Body></soap-env:Envelope>"
)
CLIENT = AiohttpClient(64)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        return
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    asked = orjson.loads(body)
    given = asked["variables"]
    if "number" in given:
        data = await one(given["number"])
    elif "uscc" in given:
        data = await soap(given["uscc"])
    elif "officers" in asked["query"]:
        data = await nested(given["agency"])
    else:
        data = await cases(given["agency"])
    content = orjson.dumps({"data": data})
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [*JSON_HEADERS, length]})
    await send({"type": "http.response.body", "body": content})


async def ask(path: str) -> Any:
    """The data in an answer of the REST systems."""
    answer = await CLIENT.send("GET", REST + path, {}, None, TIMEOUT)
    told = orjson.loads(answer.body)
    if answer.status != 200 or told["code"] != "0":
        raise ValueError(told)
    return told["data"]


async def one(number: str) -> Any:
    """The single case."""
    return {"enforcementCase": eight((await ask(f"/case?ajbh={number}"))["AJ"])}


async def cases(agency: str) -> Any:
    """An agency with its cases, 20 fields each."""
    found = (await ask(f"/agency?jgdm={agency}"))["JG"]
    return {"agency": {"agencyName": found["JGMC"], "enforcementCases": [twenty(case) for case in found["AJLB"]]}}


async def nested(agency: str) -> Any:
    """An agency with its cases, 12 fields each, their parties, and their officers from another system."""
    found = (await ask(f"/agency?jgdm={agency}"))["JG"]
    numbers = dict.fromkeys(officer["ZFZH"] for case in found["AJLB"] for officer in case["ZFRY"])
    told = (await ask(f"/officers?zfzh={quote(','.join(numbers))}"))["list"]
    officers = {
        o["ZFZH"]: {
            "certNo": o["ZFZH"],
            "officerName": o["XM"],
            "certType": CERT[o["ZJZL"]],
            "certStatus": VALIDITY[o["ZJZT"]],
            "certValidTo": o["YXQZ"],
        }
        for o in told
    }
    return {
        "agency": {
            "agencyName": found["JGMC"],
            "enforcementCases": [
                {
                    **twelve(case),
                    "parties": [
                        {
                            "partyName": p["MC"],
                            "partyType": PARTY[p["LX"]],
                            "uscc": p["TYSHXYDM"],
                            "legalRepName": p["FRDB"],
                            "registeredAddress": p["ZCDZ"],
                            "businessAddress": p["JYDZ"],
                            "phone": p["LXDH"],
                            "partyDivisionCode": p["DWQH"],
                        }
                        for p in case["DSR"]
                    ],
                    "officers": [officers[officer["ZFZH"]] for officer in case["ZFRY"]],
                }
                for case in found["AJLB"]
            ],
        }
    }


def eight(case: Any) -> dict[str, Any]:
    """The fields of the query `one`."""
    return {
        "sourceCaseNo": case["AJBH"],
        "caseName": case["AJMC"],
        "causeOfAction": case["AY"],
        "caseStatus": STATUS[case["AJZT"]],
        "filedDate": case["LASJ"][:10],
        "involvedAmount": "%.2f" % (float(case["SAJE"]) * 10000),
        "violationPlace": case["WFDD"],
        "isMajor": case["SFZD"] == "1",
    }


def twelve(case: Any) -> dict[str, Any]:
    """The fields of the query `nested`."""
    return {
        "sourceCaseNo": case["AJBH"],
        "caseName": case["AJMC"],
        "causeOfAction": case["AY"],
        "caseStatus": STATUS[case["AJZT"]],
        "filedDate": case["LASJ"][:10],
        "involvedAmount": "%.2f" % (float(case["SAJE"]) * 10000),
        "violationPlace": case["WFDD"],
        "isMajor": case["SFZD"] == "1",
        "procedureType": PROCEDURE[case["CXLX"]],
        "violationStartDate": case["WFKSRQ"],
        "violationDivisionCode": case["WFDQH"],
        "recordedAt": case["CJSJ"].replace(" ", "T") + "+08:00",
    }


def twenty(case: Any) -> dict[str, Any]:
    """The fields of the queries `list` and `wide`."""
    return {
        "sourceCaseNo": case["AJBH"],
        "caseName": case["AJMC"],
        "causeOfAction": case["AY"],
        "caseStatus": STATUS[case["AJZT"]],
        "filedDate": case["LASJ"][:10],
        "involvedAmount": "%.2f" % (float(case["SAJE"]) * 10000),
        "violationPlace": case["WFDD"],
        "isMajor": case["SFZD"] == "1",
        "procedureType": PROCEDURE[case["CXLX"]],
        "violationStartDate": case["WFKSRQ"],
        "violationDivisionCode": case["WFDQH"],
        "recordedAt": case["CJSJ"].replace(" ", "T") + "+08:00",
        "agencyCode": case["BAJG"],
        "undertakeDept": case["CBKS"],
        "violationEndDate": case["WFZZRQ"],
        "violationFact": case["WFSS"],
        "isOffSite": case["SFFXC"] == "1",
        "entryMode": ENTRY[case["LRFS"]],
        "closedDate": case["JARQ"],
        "secretLevel": SECRECY[case["MJ"]],
    }


async def soap(uscc: str) -> Any:
    """An enterprise with its cases, 15 fields each; elements come in the order of the WSDL."""
    answer = await CLIENT.send("POST", SOAP, SOAP_HEADERS, (ENVELOPE % uscc).encode(), TIMEOUT)
    head, body = etree.fromstring(answer.body)[0][0]
    if head[0].text != "000000":
        raise ValueError(head[0].text)
    _, name, listed = body[0]
    found = []
    for case in listed:
        # fmt: off
        (number, title, cause, status, procedure, filed, place, division, occurred, fact, amount, major, off_site,
         recorded, _version, _remark, closed) = [element.text for element in case]
        # fmt: on
        found.append(
            {
                "sourceCaseNo": number,
                "caseName": title,
                "causeOfAction": cause,
                "caseStatus": STATUS[status],
                "filedDate": filed,
                "involvedAmount": amount,
                "violationPlace": place,
                "isMajor": major == "true",
                "procedureType": PROCEDURE[procedure],
                "violationStartDate": occurred,
                "violationDivisionCode": division,
                "recordedAt": recorded,
                "violationFact": fact,
                "isOffSite": off_site == "true",
                "closedDate": closed,
            }
        )
    return {"party": {"partyName": name.text, "enforcementCases": found}}
