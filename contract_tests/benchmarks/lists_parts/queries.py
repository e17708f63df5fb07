"""What both are asked, each in its own words: pages of 50 cases with their parties, newest first, and counts in groups.

Variables are drawn anew for every request, and never the same twice in a row. `read` makes one form of both answers.
"""

import base64
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from contract_tests.benchmarks.lists_parts import made
from schema.conditions import Order
from schema.cursors import Position, print_cursor
from schema.registry import Registry

SIZE, GROUPS = 50, 1000
OURS, PEER = "ours", "postgraphile"
NEWEST = (Order("filed_date", True),)
FIELDS = "caseCode caseName caseStatus filedDate agencyCode violationDivisionCode undertakeDept"
OUR_PAGE = f"""query ($where: EnforcementCaseWhere, $after: Cursor) {{
    enforcementCases(where: $where, orderBy: [{{field: FILED_DATE, direction: DESC}}], first: {SIZE}, after: $after) {{
        nodes {{ {FIELDS} parties {{ partyKey partyName partyType }} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
PEER_PAGE = f"""query ($where: CurrentEnforcementCaseFilter, $after: Cursor) {{
    allCurrentEnforcementCases(filter: $where, orderBy: [FILED_DATE_DESC, KEY_ASC], first: {SIZE}, after: $after) {{
        nodes {{ {FIELDS} casePartiesByCaseKey {{ nodes {{ currentPartyByPartyKey {{ partyKey partyName partyType }} }} }} }}
        pageInfo {{ hasNextPage endCursor }} }} }}"""
OUR_COUNT = """query ($where: EnforcementCaseWhere, $first: Int) {
    enforcementCaseGroups(where: $where, groupBy: [FILED_DATE_MONTH, VIOLATION_DIVISION_CODE], first: $first) {
        groups { count key { filedDateMonth violationDivisionCode } } hasMore } }"""
PEER_COUNT = """query ($where: CurrentEnforcementCaseFilter) {
    allCurrentEnforcementCases(filter: $where) {
        groupedAggregates(groupBy: [FILED_DATE_TRUNCATED_TO_MONTH, VIOLATION_DIVISION_CODE]) { keys rows { key } } } }"""
Place = tuple[date, str]
"""The day and the key of a case in the middle of a list."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One question: the variables of ours and of the peer's."""

    ours: dict[str, Any]
    peer: dict[str, Any]

    def body(self, of: str, is_page: bool) -> bytes:
        """The request, as this server takes it."""
        query = (OUR_PAGE if is_page else OUR_COUNT) if of == OURS else (PEER_PAGE if is_page else PEER_COUNT)
        return json.dumps({"query": query, "variables": self.ours if of == OURS else self.peer}).encode()


@dataclass(frozen=True, slots=True)
class Query:
    """A kind of question, and how one is drawn."""

    name: str
    is_page: bool
    draw: Callable[[random.Random], Drawn]


def queries(registry: Registry, parties: int, deep: Sequence[tuple[str, Place]]) -> list[Query]:
    """All kinds. `deep`: agencies with places far down in their lists."""

    def deep_page(rng: random.Random) -> Drawn:
        agency, (filed, key) = rng.choice(deep)
        drawn = _where({"agencyCode": ("eq", agency)})
        position = Position((filed,), key)
        drawn.ours["after"] = print_cursor(registry.entities["EnforcementCase"], NEWEST, position)
        drawn.peer["after"] = [filed.isoformat(), key]
        return drawn

    return [
        Query("agency", True, _by_agency),
        Query("division", True, _by_division),
        Query("status", True, _by_status),
        Query("deep", True, deep_page),
        Query("party", True, lambda rng: _by_party(rng, parties)),
        Query("count", False, _count),
        Query("count_year", False, _count_year),
    ]


def _by_agency(rng: random.Random) -> Drawn:
    first = date(2019, 1, 1) + timedelta(days=rng.randrange(2300))
    return _where(
        {
            "agencyCode": ("eq", made.agency(rng.randrange(made.AGENCIES))),
            "filedDate": ("between", first, first + timedelta(days=rng.randrange(90, 250))),
            "caseStatus": ("in", sorted(rng.sample(["CLOSED", "EXECUTING", "DECIDED", "FILED"], 2))),
        }
    )


def _by_division(rng: random.Random) -> Drawn:
    first = date(rng.randrange(2019, 2026), rng.randrange(1, 13), 1)
    division = rng.choice(made.DIVISIONS)
    return _where({"violationDivisionCode": ("eq", division), "filedDate": ("between", first, _last_day(first))})


def _by_status(rng: random.Random) -> Drawn:
    """Of the whole province: what stands so today."""
    last = date(2025, 12, 30) - timedelta(days=rng.randrange(1500))
    status = rng.choice(["FILED", "INVESTIGATING", "LEGAL_REVIEW", "DECIDED", "EXECUTING"])
    return _where({"caseStatus": ("eq", status), "filedDate": ("between", last - timedelta(days=180), last)})


def _by_party(rng: random.Random, parties: int) -> Drawn:
    """By how the name of a party begins: some ten parties."""
    name = made.party_name(rng.randrange(parties))[:7]
    return Drawn(
        {"where": {"parties": {"some": {"partyName": {"prefix": name}}}}},
        {"where": {"casePartiesByCaseKey": {"some": {"currentPartyByPartyKey": {"partyName": {"startsWith": name}}}}}},
    )


def _count(rng: random.Random) -> Drawn:
    return Drawn({"first": rng.randrange(GROUPS - 200, GROUPS + 1)}, {})


def _count_year(rng: random.Random) -> Drawn:
    first = date(rng.randrange(2019, 2026), 1, 1)
    drawn = _where({"filedDate": ("between", first, date(first.year, 12, 31))})
    drawn.ours["first"] = rng.randrange(GROUPS - 200, GROUPS + 1)
    return drawn


def _where(tests: dict[str, tuple[Any, ...]]) -> Drawn:
    ours: dict[str, Any] = {}
    peer: dict[str, Any] = {}
    for name, (operator, *values) in tests.items():
        texts = [value.isoformat() if isinstance(value, date) else value for value in values]
        match operator:
            case "between":
                ours[name] = {"gte": texts[0], "lte": texts[1]}
                peer[name] = {"greaterThanOrEqualTo": texts[0], "lessThanOrEqualTo": texts[1]}
            case "eq":
                ours[name], peer[name] = {"eq": texts[0]}, {"equalTo": texts[0]}
            case "in":
                ours[name], peer[name] = {"in": texts[0]}, {"in": texts[0]}
    return Drawn({"where": ours}, {"where": peer})


def _last_day(first: date) -> date:
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return following - timedelta(days=1)


def peer_cursor(sample: str, place: Sequence[str]) -> str:
    """A cursor of the peer's for a place, made after one that it gave."""
    mark = json.loads(base64.b64decode(sample))[0]
    return base64.b64encode(json.dumps([mark, *place], separators=(",", ":")).encode()).decode()


def read(of: str, is_page: bool, data: dict[str, Any]) -> Any:
    """The answer in one form: cases with their parties and whether there are more, or all groups, the largest first."""
    if is_page:
        page = data["enforcementCases" if of == OURS else "allCurrentEnforcementCases"]
        return [_case(of, node) for node in page["nodes"]], page["pageInfo"]["hasNextPage"]
    if of == OURS:
        groups = data["enforcementCaseGroups"]["groups"]
        return [(-g["count"], g["key"]["filedDateMonth"], g["key"]["violationDivisionCode"]) for g in groups]
    groups = data["allCurrentEnforcementCases"]["groupedAggregates"]
    return sorted((-int(g["rows"]["key"]), g["keys"][0][:7], g["keys"][1]) for g in groups)


def _case(of: str, node: dict[str, Any]) -> tuple[Any, ...]:
    parties = node["parties"] if of == OURS else None
    if parties is None:
        parties = [link["currentPartyByPartyKey"] for link in node["casePartiesByCaseKey"]["nodes"]]
    told = sorted((party["partyKey"], party["partyName"], party["partyType"]) for party in parties)
    return (*(node[name] for name in FIELDS.split()), told)
