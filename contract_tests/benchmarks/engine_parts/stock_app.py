"""The stock peer: Strawberry's ASGI view, httpx, zeep and dataloaders, written by hand as their documentation shows.

Values are converted and checked as the gateway does it, by what the standard library and Strawberry offer. With STOCK_CACHES
it remembers parsed and validated documents, which Strawberry's documentation offers as extensions.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NewType

import httpx
import strawberry
from starlette.applications import Starlette
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.dataloader import DataLoader
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig
from zeep import AsyncClient
from zeep.proxy import AsyncServiceProxy
from zeep.transports import AsyncTransport

from contract_tests.benchmarks.engine_parts.servers import MAPPINGS
from contract_tests.benchmarks.engine_parts.settings import addresses
from schema.formats import CHINA_TIME
from schema.identifiers import check_uscc

REST, SOAP = addresses()
HTTP = httpx.AsyncClient(base_url=REST, trust_env=False, limits=httpx.Limits(max_connections=64), timeout=60)
WSDL = str(MAPPINGS / "bench_transport" / "service.wsdl")
LICENCES = AsyncClient(WSDL, transport=AsyncTransport(client=httpx.AsyncClient(trust_env=False, timeout=60)))
BINDING = LICENCES.wsdl.bindings["{urn:bench:transport}TransportSoap11"]
SERVICE = AsyncServiceProxy(LICENCES, BINDING, address=SOAP)

Uscc = NewType("Uscc", str)
Money = NewType("Money", Decimal)
DivisionCode = NewType("DivisionCode", str)
SCALARS: Any = {
    Uscc: strawberry.scalar(name="Uscc", serialize=check_uscc, parse_value=check_uscc),
    Money: strawberry.scalar(name="Money", serialize=lambda amount: f"{amount:.2f}", parse_value=Decimal),
    DivisionCode: strawberry.scalar(name="DivisionCode", serialize=str, parse_value=str),
}


@strawberry.enum
class CaseStatus(Enum):
    """The codes that the systems use are the values."""

    FILED = "10"
    INVESTIGATING = "20"
    LEGAL_REVIEW = "30"
    DECIDED = "40"
    EXECUTING = "50"
    CLOSED = "90"


@strawberry.enum
class ProcedureType(Enum):
    SUMMARY = "1"
    ORDINARY = "2"
    FAST_TRACK = "3"


@strawberry.enum
class EntryMode(Enum):
    REALTIME = "0"
    BACKFILL = "1"


@strawberry.enum
class SecretLevel(Enum):
    PUBLIC = "0"
    INTERNAL = "1"


@strawberry.enum
class PartyType(Enum):
    ORGANIZATION = "1"
    INDIVIDUAL = "2"
    SOLE_TRADER = "3"


@strawberry.enum
class CertType(Enum):
    NATIONAL_ENFORCEMENT = "1"
    MINISTRY_ENFORCEMENT = "2"
    ENFORCEMENT_SUPERVISION = "3"


@strawberry.enum
class QualificationStatus(Enum):
    VALID = "1"
    SUSPENDED = "2"


@strawberry.type
class Officer:
    cert_no: str
    officer_name: str | None
    cert_type: CertType | None
    cert_status: QualificationStatus | None
    cert_valid_to: date | None


@strawberry.type
class Party:
    party_name: str | None
    uscc: Uscc | None
    party_type: PartyType | None = None
    legal_rep_name: str | None = None
    registered_address: str | None = None
    business_address: str | None = None
    phone: str | None = None
    party_division_code: DivisionCode | None = None
    enforcement_cases: list["EnforcementCase"] | None = None


@strawberry.type
class EnforcementCase:
    source_case_no: str | None
    case_name: str | None
    cause_of_action: str | None
    procedure_type: ProcedureType | None
    case_status: CaseStatus | None
    filed_date: date | None
    violation_place: str | None
    violation_division_code: DivisionCode | None
    violation_start_date: date | None
    violation_fact: str | None
    involved_amount: Money | None
    is_major: bool | None
    is_off_site: bool | None
    recorded_at: datetime | None
    closed_date: date | None
    agency_code: Uscc | None = None
    undertake_dept: str | None = None
    violation_end_date: date | None = None
    entry_mode: EntryMode | None = None
    secret_level: SecretLevel | None = None
    parties: list[Party] | None = None
    cert_nos: strawberry.Private[list[str] | None] = None

    @strawberry.field
    async def officers(self, info: strawberry.Info[dict[str, Any], None]) -> list[Officer]:
        """From another system, all that a request needs with one call."""
        loader: DataLoader[str, Officer] = info.context["officers"]
        return await loader.load_many(self.cert_nos or [])


@strawberry.type
class Agency:
    agency_name: str | None
    enforcement_cases: list[EnforcementCase]


async def ask(path: str, **parameters: str) -> Any:
    """The data in an answer of the REST systems."""
    answer = await HTTP.get(path, params=parameters)
    answer.raise_for_status()
    told = answer.json()
    if told["code"] != "0":
        raise ValueError(told["msg"])
    return told["data"]


async def load_officers(numbers: list[str]) -> list[Officer]:
    """The officers with these numbers, in their order."""
    told = await ask("/officers", zfzh=",".join(numbers))
    found = {
        record["ZFZH"]: Officer(
            cert_no=record["ZFZH"],
            officer_name=record["XM"],
            cert_type=CertType(record["ZJZL"]),
            cert_status=QualificationStatus(record["ZJZT"]),
            cert_valid_to=day(record["YXQZ"]),
        )
        for record in told["list"]
    }
    return [found[number] for number in numbers]


def day(text: str | None) -> date | None:
    """The day of a text that may have a time after it."""
    return date.fromisoformat(text[:10]) if text else None


def flag(text: str) -> bool:
    """Yes or no."""
    return {"1": True, "0": False}[text]


def case_of(record: Any) -> EnforcementCase:
    """A case from a record of the REST system."""
    return EnforcementCase(
        source_case_no=record["AJBH"],
        case_name=record["AJMC"],
        cause_of_action=record["AY"],
        agency_code=Uscc(record["BAJG"]),
        undertake_dept=record["CBKS"],
        procedure_type=ProcedureType(record["CXLX"]),
        case_status=CaseStatus(record["AJZT"]),
        filed_date=day(record["LASJ"]),
        violation_place=record["WFDD"],
        violation_division_code=DivisionCode(record["WFDQH"]),
        violation_start_date=day(record["WFKSRQ"]),
        violation_end_date=day(record["WFZZRQ"]),
        violation_fact=record["WFSS"],
        involved_amount=Money(Decimal(record["SAJE"]) * 10000),
        is_major=flag(record["SFZD"]),
        is_off_site=flag(record["SFFXC"]),
        entry_mode=EntryMode(record["LRFS"]),
        recorded_at=datetime.fromisoformat(record["CJSJ"]).replace(tzinfo=CHINA_TIME),
        closed_date=day(record["JARQ"]),
        secret_level=SecretLevel(record["MJ"]),
        parties=[party_of(party) for party in record.get("DSR", ())],
        cert_nos=[officer["ZFZH"] for officer in record.get("ZFRY", ())],
    )


def party_of(record: Any) -> Party:
    """A party from a record inside a case."""
    return Party(
        party_name=record["MC"],
        party_type=PartyType(record["LX"]),
        uscc=Uscc(record["TYSHXYDM"]),
        legal_rep_name=record["FRDB"],
        registered_address=record["ZCDZ"],
        business_address=record["JYDZ"],
        phone=record["LXDH"],
        party_division_code=DivisionCode(record["DWQH"]),
    )


def soap_case_of(case: Any) -> EnforcementCase:
    """A case from what zeep made of the SOAP service's answer."""
    return EnforcementCase(
        source_case_no=case.caseNo,
        case_name=case.title,
        cause_of_action=case.cause,
        case_status=CaseStatus(case.status),
        procedure_type=ProcedureType(case.procedure),
        filed_date=case.filedOn,
        violation_place=case.place,
        violation_division_code=DivisionCode(case.division),
        violation_start_date=case.occurredOn,
        violation_fact=case.fact,
        involved_amount=Money(case.amount),
        is_major=case.major,
        is_off_site=case.offSite,
        recorded_at=case.recordedAt,
        closed_date=case.closedOn,
    )


@strawberry.type
class Query:
    @strawberry.field
    async def enforcement_case(self, agency_code: Uscc, source_case_no: str) -> EnforcementCase | None:
        """A case by its agency and number."""
        case = case_of((await ask("/case", ajbh=source_case_no))["AJ"])
        return case if case.agency_code == agency_code else None

    @strawberry.field
    async def agency(self, agency_code: Uscc) -> Agency | None:
        """An agency with its cases."""
        found = (await ask("/agency", jgdm=agency_code))["JG"]
        return Agency(agency_name=found["JGMC"], enforcement_cases=[case_of(case) for case in found["AJLB"]])

    @strawberry.field
    async def party(self, uscc: Uscc) -> Party | None:
        """An enterprise with its cases, from the SOAP service."""
        told = await SERVICE.QueryByHolder(uscc=uscc)
        if told.head.rtnCode != "000000":
            raise ValueError(told.head.rtnMsg)
        holder = told.body.holder
        cases = [soap_case_of(case) for case in holder.cases.case]
        return Party(party_name=holder.name, uscc=Uscc(holder.uscc), enforcement_cases=cases)


class View(GraphQL[dict[str, Any], None]):
    """The stock view, with a loader for each request."""

    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:
        """The context of a request."""
        return {"request": request, "response": response, "officers": DataLoader(load_officers)}


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    """Closes the client in the end."""
    yield
    await HTTP.aclose()


CACHES: Any = [ParserCache(), ValidationCache()] if os.environ.get("STOCK_CACHES") else []  # noqa: TID251
schema = strawberry.Schema(Query, extensions=CACHES, config=StrawberryConfig(scalar_map=SCALARS))
app = Starlette(routes=[Route("/graphql", View(schema))], lifespan=lifespan)
