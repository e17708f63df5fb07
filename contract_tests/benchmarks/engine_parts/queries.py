"""The five queries, the same text for every server, and the variables that make each request ask for something else."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from contract_tests.benchmarks.engine_parts import world


@dataclass(frozen=True, slots=True)
class Query:
    """One query; `calls` is what it needs of the upstream systems: requests that nginx counts, for one answer."""

    name: str
    text: str
    variables: Sequence[dict[str, Any]]
    calls: int
    rows: int

    def bodies(self) -> list[bytes]:
        """The bodies of POST requests, one for each key."""
        return [
            json.dumps({"query": self.text, "variables": given}, ensure_ascii=False).encode()
            for given in self.variables
        ]


EIGHT = "sourceCaseNo caseName causeOfAction caseStatus filedDate involvedAmount violationPlace isMajor"
TWELVE = f"{EIGHT} procedureType violationStartDate violationDivisionCode recordedAt"
TWENTY = f"{TWELVE} agencyCode undertakeDept violationEndDate violationFact isOffSite entryMode closedDate secretLevel"
FIFTEEN = f"{TWELVE} violationFact isOffSite closedDate"
PARTY = "partyName partyType uscc legalRepName registeredAddress businessAddress phone partyDivisionCode"
OFFICER = "certNo officerName certType certStatus certValidTo"

_AGENCIES = "query Cases($agency: Uscc!) { agency(agencyCode: $agency) { agencyName enforcementCases { %s } } }"
_VARIANTS, _WIDE = range(world.VARIANTS), range(world.WIDE_VARIANTS)

QUERIES = (
    Query(
        "one",
        "query One($agency: Uscc!, $number: String!) "
        f"{{ enforcementCase(agencyCode: $agency, sourceCaseNo: $number) {{ {EIGHT} }} }}",
        [{"agency": world.OWNER, "number": world.case_number(n)} for n in _VARIANTS],
        calls=1,
        rows=1,
    ),
    Query(
        "list",
        _AGENCIES % TWENTY,
        [{"agency": world.agency_code("list", n)} for n in _VARIANTS],
        calls=1,
        rows=world.LIST,
    ),
    Query(
        "nested",
        _AGENCIES % f"{TWELVE} parties {{ {PARTY} }} officers {{ {OFFICER} }}",
        [{"agency": world.agency_code("nested", n)} for n in _VARIANTS],
        calls=2,
        rows=world.LIST,
    ),
    Query(
        "soap",
        f"query Holder($uscc: Uscc!) {{ party(uscc: $uscc) {{ partyName enforcementCases {{ {FIFTEEN} }} }} }}",
        [{"uscc": world.holder_code(n)} for n in _VARIANTS],
        calls=2,  # nginx passes a POST on to itself to see the key in its body
        rows=world.SOAP,
    ),
    Query(
        "wide",
        _AGENCIES % TWENTY,
        [{"agency": world.agency_code("wide", n)} for n in _WIDE],
        calls=1,
        rows=world.WIDE,
    ),
)
