"""What the tests of live lists share: worlds of cases and inspections as their sources have them, and conditions on them."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

AGENCY = "11350100MB0A00018J"
STATUS = {"10": "FILED", "40": "DECIDED", "90": "CLOSED"}
NAMES = ("甲", "乙案", "甲%", "a_b", "A", "甲乙")
DAYS = ("2024-01-31", "2024-02-01", "2024-02-29", "2024-03-01")
TIMES = ("00:00:00", "09:40:00", "23:59:59")
AMOUNTS = ("0", "0.000001", "1.5", "123.456789", "0.0000001")
DIVISIONS = ("350102", "350104")
Case = Mapping[str, Any]


@st.composite
def cases(draw: st.DrawFn) -> list[Case]:
    """Up to ten records of the market authority, some values absent, some unreadable, some records deleted."""
    fields = {
        "AJMC": st.sampled_from(NAMES) | st.none(),
        "AJZT": st.sampled_from([*STATUS, "77"]) | st.none(),
        "LASJ": st.builds("{} {}".format, st.sampled_from(DAYS), st.sampled_from(TIMES))
        | st.just("2024-02-30 00:00:00"),
        "SAJE": st.sampled_from(AMOUNTS) | st.none(),
        "SFZD": st.sampled_from(["0", "1", ""]),
        "WFDQH": st.sampled_from(DIVISIONS) | st.none(),
        "MJ": st.sampled_from(["0", "0", "0", "9"]),
        "SCBZ": st.sampled_from(["0", "0", "0", "1"]),
    }
    records = draw(st.lists(st.fixed_dictionaries(fields), max_size=10))
    return [{"AJBH": f"{number:02d}", "DSR": [], "ZFRY": [], **record} for number, record in enumerate(records)]


def told(record: Case) -> dict[str, Any] | None:
    """The case in a record as a person would read it; None when it is not to be listed."""
    if record["SCBZ"] == "1" or record["MJ"] == "9":
        return None
    day = record["LASJ"][:10]
    exact = record["SAJE"] is not None and len(record["SAJE"].partition(".")[2]) <= 6
    return {
        "sourceCaseNo": record["AJBH"],
        "caseName": record["AJMC"],
        "caseStatus": STATUS.get(record["AJZT"] or ""),
        "filedDate": day if day in DAYS else None,
        "involvedAmount": round(float(record["SAJE"]) * 1_000_000) if exact else None,
        "isMajor": {"0": False, "1": True}.get(record["SFZD"]),
        "violationDivisionCode": record["WFDQH"],
    }


def _amount(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


TESTS: Mapping[str, tuple[tuple[str, ...], st.SearchStrategy[Any]]] = {
    "caseName": (("eq", "in", "prefix", "contains"), st.sampled_from([*NAMES, "案", "%", "_"])),
    "caseStatus": (("eq", "in"), st.sampled_from([*STATUS.values(), "EXECUTING"])),
    "filedDate": (("eq", "in", "gte", "lte"), st.sampled_from([*DAYS, "2024-02-15"])),
    "involvedAmount": (("eq", "gte", "lte"), st.sampled_from([0, 1, 1_500_000, 123_456_789])),
    "isMajor": (("eq",), st.booleans()),
    "violationDivisionCode": (("eq", "in"), st.sampled_from(DIVISIONS)),
}


@st.composite
def tests(draw: st.DrawFn) -> dict[str, Any]:
    """One comparison, as `where` has it; amounts in whole 分."""
    name = draw(st.sampled_from(list(TESTS)))
    operators, values = TESTS[name]
    operator = draw(st.sampled_from([*operators, "isNull"]))
    value: Any = draw(st.booleans()) if operator == "isNull" else draw(values)
    return {name: {operator: [value, draw(values)] if operator == "in" else value}}


conditions = st.recursive(
    tests(),
    lambda inner: (
        st.builds(lambda parts: {"and": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda parts: {"or": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda part: {"not": part}, inner)
    ),
    max_leaves=5,
)


def fulfils(where: Mapping[str, Any], case: Mapping[str, Any]) -> bool:
    """What `where` means, written down once more and as plainly as can be."""
    for name, inner in where.items():
        if name == "and":
            held = all(fulfils(part, case) for part in inner)
        elif name == "or":
            held = any(fulfils(part, case) for part in inner)
        elif name == "not":
            held = not fulfils(inner, case)
        else:
            held = all(passes(operator, wanted, case[name]) for operator, wanted in inner.items())
        if not held:
            return False
    return True


def passes(operator: str, wanted: Any, value: Any) -> bool:
    """What one comparison means for a value."""
    if operator == "isNull":
        return bool((value is None) == wanted)
    if value is None:
        return False
    match operator:
        case "eq":
            return bool(value == wanted)
        case "in":
            return value in wanted
        case "gte":
            return bool(value >= wanted)
        case "lte":
            return bool(value <= wanted)
        case "prefix":
            return bool(value.startswith(wanted))
    return wanted in value


def printed(where: Mapping[str, Any]) -> dict[str, Any]:
    """The condition with amounts as GraphQL has them."""
    found: dict[str, Any] = {}
    for name, inner in where.items():
        if name in ("and", "or"):
            found[name] = [printed(part) for part in inner]
        elif name == "not":
            found[name] = printed(inner)
        elif name == "involvedAmount":
            found[name] = {o: _amount(v) if isinstance(v, int) and o != "isNull" else v for o, v in inner.items()}
        else:
            found[name] = inner
    return found


def in_order(found: list[dict[str, Any]], order: list[tuple[str, bool]]) -> list[str]:
    """Numbers of cases as a list shows them: what has no value last, members by their code, equal ones by number."""
    found = sorted(found, key=lambda case: case["sourceCaseNo"])
    for name, is_descending in reversed(order):
        present = [case for case in found if case[name] is not None]
        present.sort(key=lambda case: _rank(name, case[name]), reverse=is_descending)
        found = present + [case for case in found if case[name] is None]
    return [case["sourceCaseNo"] for case in found]


def _rank(name: str, value: Any) -> Any:
    return ["FILED", "DECIDED", "CLOSED"].index(value) if name == "caseStatus" else value
