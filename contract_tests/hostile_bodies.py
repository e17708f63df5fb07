"""Request bodies of up to 256 KB made to cost as much as they can, by the rows of group G, and operations as large as may be.

Those that get past the limits are the dear ones, so most are made exactly as large as the limits allow.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphql import GraphQLError

from gateway.engine.tokens import check_tokens
from gateway.strict_json import MOST_VALUES

LARGEST = 256 * 1024
LONGEST_QUERY, MOST_TOKENS, DEEPEST, MOST_DIRECTIVES = 16 * 1024, 1199, 20, 50
"""The default settings, less a token: whoever sends a text as one never seen before puts a comment in front."""
FIELDS = "caseCode sourceCaseNo caseName causeOfAction filedDate caseStatus violationPlace involvedAmount isMajor"
CASES = "{ enforcementCases { nodes { %s } } }"
ONE = f'enforcementCase(agencyCode: "11350100MB0A00018J", sourceCaseNo: "%d") {{ {FIELDS} parties {{ partyName }} }}'


def hostile_bodies() -> dict[str, bytes]:
    """All of them by name, the first word of which is the row of FAULTS.md."""
    made = {name: _post(text) for name, text in hostile_queries()}
    made |= {name: _post(text, variables) for name, text, variables in _with_variables()}
    made |= {"largest of two operations": _post(_two_operations(), operationName="a"), **dict(_not_graphql())}
    return {name: body for name, body in made.items() if len(body) <= LARGEST}


def hostile_queries() -> Iterator[tuple[str, str]]:
    """Texts of operations: those beyond the limits, those that are wrong in many places, those as large as may be."""
    yield from _beyond()
    yield from _structures()
    yield from _mistakes()
    yield from _large()


def _beyond() -> Iterator[tuple[str, str]]:
    doubling = "".join(f" fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }}" for i in range(20))
    yield "G1 deep", "{" + "a{" * 8_000 + "b"
    yield "G1 deep and whole", "{" + "a{" * 10_000 + "b" + "}" * 10_001
    yield "G1 deep values", "{ a(b: " + "[" * 8_000
    yield "G2 doubling fragments", "{ ...f0 }" + doubling + " fragment f20 on Query { __typename }"
    yield "G3 tiny fragments", "{ __typename }" + "fragment a on A{a}" * 1800
    yield "G4 thousands of aliases", "{ parties { nodes {" + " ".join(f"a{i}:id" for i in range(3600)) + "} } }"
    yield "G7 thousands of directives", "{ __typename " + "@a " * 10_000 + "}"
    yield "G12 digits", "{ parties(first: " + "9" * 30_000 + ") { totalCount } }"
    yield "G13 a comment", "#" + "x" * 16_000 + "\n{ __typename }"
    yield "G13 comments", "#\n" * 8_000 + "{ __typename }"
    yield "G13 commas", "," * 16_000 + "{ __typename }"
    yield "G13 a string", '{ officer(certNo: "' + "x" * 16_000 + '") { id } }'
    yield "G13 escaped quotes", '{ a(x: "' + '\\"' * 7_500
    yield "G13 escapes", '{ officer(certNo: "' + "\\u95fd" * 2500 + '") { id } }'
    yield "G13 backslashes", '{ officer(certNo: "' + "\\\\" * 7_500 + '") { id } }'
    yield "G13 a block string", '{ officer(certNo: """' + "\n " * 8_000 + '""") { id } }'
    yield "G13 quotes", '"' * 16_000
    yield "G13 unknown characters", "？" * 16_000


def _structures() -> Iterator[tuple[str, str]]:
    chain = "".join(f" fragment f{i} on EnforcementCase {{ ...f{i + 1} }}" for i in range(48))
    yield "G1 relations", CASES % ("parties { enforcementCases { " * 4 + "id" + " } }" * 4)
    yield "G1 inline fragments", _fit(lambda n: "{ " + "... on Query { " * n + "__typename" + " }" * (n + 1), 900)
    yield "G3 a chain", CASES % "...f0" + chain + " fragment f48 on EnforcementCase { caseName }"
    yield "G3 each spreads each", _fit(_crossing, 58)
    yield (
        "G3 circles",
        CASES % "...f0"
        + "".join(f" fragment f{i} on EnforcementCase {{ ...f{(i + 1) % 55} ...f{(i + 2) % 55} }}" for i in range(55)),
    )
    yield "G3 unused", _fit(lambda n: "{ __typename }" + _fragments(n), 58)
    yield "G4 aliases", CASES % " ".join(f"a{i}: caseName" for i in range(95))
    yield "G4 roots", "{" + " ".join(f'a{i}: officer(certNo: "{i}") {{ id }}' for i in range(50)) + "}"
    yield "G5 sizes", CASES.replace(" {", "(first: 200) {", 1) % "parties { enforcementCases { parties { id } } }"
    yield "G6 pages", "{" + " ".join(f"a{i}: parties(first: -{i + 1}) {{ totalCount }}" for i in range(49)) + "}"
    yield "G7 the same fields", _fit(lambda n: CASES % (f"{FIELDS} " * n), 200)
    yield (
        "G7 the same objects",
        CASES % " ".join(f"parties {{ {' '.join(f'a{i}x{j}: partyName' for j in range(4))} }}" for i in range(19)),
    )
    yield "G7 the same objects below", CASES % ("parties { licenses { certCode } } " * 19)
    yield "G7 fragments of the same", _fit(lambda n: CASES % " ".join(f"...f{i}" for i in range(n)) + _fragments(n), 50)
    yield "G7 conflicts", _fit(lambda n: CASES % " ".join(f"x: {name}" for name in FIELDS.split() * n), 100)
    yield "G7 skips", CASES % ("caseName @skip(if: true) " * 49)
    yield "G9 introspection", "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    yield "G18 defers", CASES % ("... @defer { caseName } " * 45)


def _mistakes() -> Iterator[tuple[str, str]]:
    where = "{ enforcementCases(where: {%s}) { totalCount } }"
    yield "G12 numbers", _fit(lambda n: "{ a(b: [" + "1 " * n + "]) }", 4000)
    yield "G12 long numbers", _fit(lambda n: "{ a(b: [" + ("9" * 39 + " ") * n + "]) }", 800)
    yield "G13 block strings", _fit(lambda n: "{ a(x: [" + '"""a""" ' * n + "]) }", 4000)
    yield "G17 fields", _fit(lambda n: CASES % " ".join(f"caseNam{i}" for i in range(n)), 2000)
    yield (
        "G17 long fields",
        _fit(lambda n: CASES % " ".join("undertakeDepartments" * 40 + str(i) for i in range(n)), 40),
    )
    yield "G17 roots", "{ " + " ".join(f"enforcementCase{i:02}Groups" for i in range(50)) + " }"
    yield (
        "G17 arguments",
        _fit(lambda n: "{" + " ".join(f"a{i}: enforcementCases({_words(19)}) {{ id }}" for i in range(n)) + "}", 49),
    )
    yield (
        "G17 types",
        _fit(lambda n: "{ " + " ".join(f"... on EnforcementCas{i} {{ a }}" for i in range(n)) + " }", 800),
    )
    yield (
        "G17 enum values",
        _fit(
            lambda n: (
                "{ enforcementCases(orderBy: [" + " ".join(f"{{field: FILED_DAT{i}}}" for i in range(n)) + "]) { id } }"
            ),
            900,
        ),
    )
    yield "G17 input fields", _fit(lambda n: where % " ".join(f"caseNam{i}: 1" for i in range(n)), 1200)
    yield "G17 the same input field", _fit(lambda n: where % ("caseName: {} " * n), 1200)
    yield "G17 values", _fit(lambda n: where % ("caseName: {in: [" + "1 " * n + "]}"), 4000)
    yield (
        "G17 undefined variables",
        _fit(lambda n: where % ("or: [" + " ".join(f"{{caseName: {{eq: $v{i}}}}}" for i in range(n)) + "]"), 900),
    )
    yield "G17 unused variables", "query (" + " ".join(f"$a{i}: Int" for i in range(50)) + ") { __typename }"


def _large() -> Iterator[tuple[str, str]]:
    many = f"enforcementCases(first: 1) {{ nodes {{ {FIELDS} parties {{ partyName }} }} }}"
    test = '{caseName: {eq: "甲"}, caseStatus: {isNull: false}}'
    marked = "query ($v: Boolean! = true) { __typename @skip(if: $v) "
    yield "largest roots", _fit(lambda n: "{" + " ".join(f"a{i}: {ONE % i}" for i in range(n)) + "}", 49)
    yield "largest lists", _fit(lambda n: "{" + " ".join(f"a{i}: {many}" for i in range(n)) + "}", 49)
    yield "largest with a variable", _fit(lambda n: marked + " ".join(f"a{i}: {ONE % i}" for i in range(n)) + "}", 49)
    for name, wrong in (
        ("with a mistake in the end", "nothing"),
        ("with a conflict", "a0: __typename"),
        ("with a circle", "...f } fragment f on Query { __typename ...f"),
    ):
        yield f"largest {name}", _fit(
            lambda n, wrong=wrong: marked + " ".join(f"a{i}: {ONE % i}" for i in range(n)) + f" {wrong} }}", 48,
        )  # fmt: skip
    yield "largest unused fragment", _fit(
        lambda n: "{ __typename } fragment f on Query { " + " ".join(f"a{i}: {ONE % i}" for i in range(n)) + " }", 49,
    )  # fmt: skip
    yield "largest filter with mistakes", _fit(
        lambda n: f"{{ enforcementCases(where: {{or: [{', '.join([test] * n)}], {_words(6)}}}) {{ totalCount }} }}", 200,
    )  # fmt: skip
    yield (
        "largest fragment",
        "{"
        + " ".join(f"a{i}: enforcementCases(first: 1) {{ nodes {{ ...f }} }}" for i in range(49))
        + f"}} fragment f on EnforcementCase {{ {FIELDS} parties {{ partyName uscc }} }}",
    )
    yield "largest fragments", _fit(
        lambda n: "{" + " ".join(f"a{i}: enforcementCases(first: 1) {{ nodes {{ ...f }} }}" for i in range(24))
        + "} fragment f on EnforcementCase { " + " ".join(f"a{i}: caseName" for i in range(n)) + " }", 90,
    )  # fmt: skip
    yield (
        "largest filter",
        _fit(lambda n: "{ enforcementCases(where: {or: [" + ", ".join([test] * n) + "]}) { totalCount } }", 200),
    )
    yield "deepest filter", "{ enforcementCases(where: " + "{not: " * 18 + "{}" + "}" * 18 + ") { totalCount } }"
    yield (
        "most variables",
        "query ("
        + " ".join(f"$a{i}: EnforcementCaseWhere" for i in range(50))
        + ") {"
        + " ".join(f"a{i}: enforcementCases(where: $a{i}) {{ totalCount }}" for i in range(45))
        + "}",
    )


def _two_operations() -> str:
    return _fit(
        lambda n: "query a {" + " ".join(f"a{i}: {ONE % i}" for i in range(n)) + "} query b { __typename }", 49
    )  # fmt: skip


def _with_variables() -> Iterator[tuple[str, str, Any]]:
    lists = "query ($v: [String!]) { enforcementCases(where: {caseName: {in: $v}}) { totalCount } }"
    where = "query ($v: EnforcementCaseWhere) { enforcementCases(where: $v) { totalCount } }"
    nodes = "query ($v: [ID!]!) { nodes(ids: $v) { id } }"
    entities = "query ($v: [_Any!]!) { _entities(representations: $v) { __typename } }"
    nested: Any = {}
    for _ in range(55):
        nested = {"not": nested}
    most = MOST_VALUES - 20
    for name, n in (("most", most), ("too many", 60_000)):
        yield f"G12 {name} texts", lists, {"v": ["a"] * n}
        yield f"G12 {name} wrong values", lists, {"v": [1] * n}
        yield f"G12 {name} identifiers", nodes, {"v": ["a"] * n}
        yield f"G12 {name} empty identifiers", nodes, {"v": [{}] * n}
        yield f"G12 {name} empty filters", where, {"v": {"or": [{}] * n}}
        yield f"G12 {name} unused objects", "{ __typename }", {"v": [{}] * n}
        yield f"G12 {name} unused real numbers", "{ __typename }", {"v": [1.5] * (n * 2 // 3)}
        yield f"G12 {name} unused and deep", "{ __typename }", {"v": [[[[[[[[1]]]]]]]] * (n // 9)}
    yield "G12 most filters", where, {"v": {"or": [{"caseName": {"eq": "a"}}] * 400}}
    yield "G12 filters beyond", where, {"v": {"or": [{"caseName": {"eq": "a"}}] * 3000}}
    yield "G12 wrong filters", where, {"v": {"or": [{"caseStatus": {"in": ["X"] * 40}}] * 40}}
    yield "G12 unknown filters", where, {"v": {"or": [{f"caseNam{i}": 1} for i in range(600)]}}
    yield "G12 an unknown filter in one", where, {"v": {f"caseNam{i}": 1 for i in range(1900)}}
    yield "G12 nested filters", where, {"v": nested}
    yield "G12 references", entities, {"v": [{"__typename": "Officer", "certNo": str(i)} for i in range(1600)]}
    yield "G12 wrong references", entities, {"v": [{"__typename": f"Officer{i}"} for i in range(2400)]}
    yield "G12 unused names", "{ __typename }", {f"v{i}": i for i in range(most)}
    yield "G12 one text", "{ __typename }", {"v": "\u95fd" * 42_000}
    yield "G12 one wrong text", where, {"v": "x" * 250_000}


def _not_graphql() -> Iterator[tuple[str, bytes]]:
    full = LARGEST - 100
    asking = b'{"query":"{__typename}","variables":{"n":%s}}'
    yield "G8 a batch", b"[" + b",".join([b'{"query":"{a}"}'] * (full // 16)) + b"]"
    yield "G11 not UTF-8", b'{"query":"' + b"\xe9\x97" * (full // 2) + b'"}'
    yield "G11 not UTF-8 in the end", b'{"query":"' + b"x" * full + b'\xff"}'
    yield "G12 arrays", b"[" * full
    yield "G12 arrays and whole", b"[" * (full // 2) + b"]" * (full // 2)
    yield "G12 objects", b'{"a":' * (full // 5)
    yield "G12 a list", b"[" + b"1," * (full // 2) + b"1]"
    yield "G12 small objects", b"[" + b'{"a":1},' * (full // 8) + b"{}]"
    yield "G12 digits", asking % (b"9" * (full - 40))
    yield "G12 numbers too long", asking % (b"[" + b",".join([b"9" * 4000] * 60) + b"]")
    yield "G12 a real number", asking % (b"1." + b"9" * (full - 50))
    yield "G12 real numbers", asking % (b"[" + b",".join([b"1." + b"9" * 48] * 4900) + b"]")
    yield "G12 exponents", asking % (b"[" + b",".join([b"1e-300"] * 4900) + b"]")
    yield "G12 names", b"{" + b",".join(b'"k%d":1' % n for n in range(4900)) + b"}"
    yield "G12 the same name", b"{" + b",".join([b'"k":1'] * 4900) + b"}"
    yield "G12 the same name far too often", b"{" + b",".join([b'"k":1'] * 40_000) + b"}"
    yield "G12 colons in texts", asking % (b"[" + b",".join([b'"\\":\\":\\":\\":"'] * 4900) + b"]")
    yield "G12 spaces", b" " * full + b"{}"
    yield "G12 spaces between", asking % (b"[" + b" , ".join([b'"x"             '] * 4900) + b"]")
    yield "G12 a text that does not end", b'{"query":"' + b'\\"' * (full // 2 - 10)
    yield "G12 escapes", b'{"query":"' + b"\\n" * (full // 2 - 10) + b'"}'
    yield "G12 surrogates", asking % (b'"' + b"\\ud83d\\ude00" * (full // 12 - 10) + b'"')
    yield "G12 half a character", asking % (b'"' + b"\\ud83d" * (full // 6 - 10) + b'"')
    yield "G12 NUL in the end", asking % (b'"' + b"x" * (full - 60) + b'\\u0000"')
    yield "G13 a name", b'{"query":"{a}","operationName":"' + b"x" * (full - 60) + b'"}'


def _fragments(count: int) -> str:
    return "".join(f" fragment f{i} on EnforcementCase {{ {FIELDS} }}" for i in range(count))


def _crossing(count: int) -> str:
    every = " ".join(f"...f{i}" for i in range(min(count, 45)))
    return CASES % every + "".join(f" fragment f{i} on EnforcementCase {{ caseName {every} }}" for i in range(count))


def _words(count: int) -> str:
    return " ".join(f"wh{i}: 1" for i in range(count))


def _fit(make: Callable[[int], str], most: int) -> str:
    """The largest of these texts, up to `most`, that is let through to the parser."""
    least = 1
    while least < most:
        middle = (least + most + 1) // 2
        try:
            check_tokens(make(middle), LONGEST_QUERY, MOST_TOKENS, DEEPEST, MOST_DIRECTIVES)
        except GraphQLError:
            most = middle - 1
        else:
            least = middle
    return make(least)


def _post(text: str, variables: Mapping[str, Any] | None = None, **more: str) -> bytes:
    request: dict[str, Any] = {"query": text, **more}
    if variables is not None:
        request["variables"] = variables
    return json.dumps(request, separators=(",", ":")).encode()
