"""Documents are read as graphql-core's parser reads them, and what is proven valid in one walk is valid by all of its rules."""

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import DocumentNode, GraphQLError, GraphQLSchema, Node, parse, validate

from contract_tests.hostile_bodies import hostile_queries
from contract_tests.operations import Operations
from gateway.app import EXAMPLES, make_preparation
from gateway.definitions import prove
from gateway.engine.preparation import Preparation
from gateway.engine.proof import is_proven
from gateway.engine.reading import parsed
from gateway.engine.rules import mistakes_in
from gateway.engine.validation import rules_for
from gateway.settings import folders_only

TOKEN = re.compile(r'"""(?:.|\n)*?"""|"(?:[^"\\\n]|\\.)*"|[_A-Za-z]\w*|-?\d[\d.]*|\.\.\.|[^\s,]')
WORD = re.compile(r"\$?[_A-Za-z]\w*|\d+")
CASE = "enforcementCases(first: 2) { nodes { %s } }"

VALID = [
    "{ __typename }",
    "query ($n: Int!, $is: Boolean!) { enforcementCases(first: $n) @skip(if: $is) { nodes { id @include(if: $is) } } }",
    "query ($n: Int = 3) { enforcementCases(first: $n) { totalCount } }",
    "query ($w: EnforcementCaseWhere) { enforcementCases(where: $w) { totalCount } }",
    "query ($t: String!) { enforcementCases(where: {or: [{caseName: {eq: $t}}]}) { totalCount } }",
    "query ($t: [String!]) { enforcementCases(where: {caseName: {in: $t}}) { totalCount } }",
    '{ enforcementCases(where: {caseName: {in: ["甲", "乙"]}}, orderBy: [{field: FILED_DATE}]) { totalCount } }',
    f"{{ {CASE} }}" % "...a ...a parties { ...b }"
    + " fragment a on EnforcementCase { id caseName } fragment b on Party { id }",
    f"{{ {CASE} {CASE} }}" % ("id parties { id }", "caseName parties { partyName }"),
    '{ node(id: "x") { __typename id ... on Party { partyName } ... on Officer { certNo } } }',
    '{ a: officer(certNo: "1") { id } b: officer(certNo: """1""") { id } }',
    "query a($n: Int) { enforcementCases(first: $n) { totalCount } } query b { ...f } fragment f on Query { __typename }",
]
INVALID = [
    "{ a }",
    "{ __typename { id } }",
    "{ __typename(a: 1) }",
    "{ enforcementCases }",
    "{ enforcementCases { nodes } }",
    f"{{ {CASE} }}" % "caseName { a }",
    f"{{ {CASE} }}" % "x: caseName x: caseCode",
    f"{{ {CASE} }}" % "parties { x: id } parties { x: partyName }",
    "{ enforcementCases(first: 2) { totalCount } enforcementCases(first: 3) { totalCount } }",
    '{ node(id: "x") { ... on Party { x: partyName } ... on Officer { x: id } } }',
    "{ enforcementCases(firs: 2) { totalCount } }",
    "{ enforcementCases(first: 2, first: 2) { totalCount } }",
    '{ enforcementCases(first: "2") { totalCount } }',
    "{ officer(certNo: 1) { id } }",
    "{ node { id } }",
    "{ node(id: null) { id } }",
    "{ enforcementCases(where: {caseNam: {}}) { totalCount } }",
    "{ enforcementCases(where: {caseName: {}, caseName: {}}) { totalCount } }",
    "{ enforcementCases(where: {caseName: {in: [1]}}) { totalCount } }",
    "{ enforcementCases(orderBy: [{field: NOTHING}]) { totalCount } }",
    "{ enforcementCases(orderBy: [{}]) { totalCount } }",
    "query ($n: String) { enforcementCases(first: $n) { totalCount } }",
    "query ($n: Int) { enforcementCases(where: {or: [{caseName: {eq: $n}}]}) { totalCount } }",
    "query ($n: ID) { node(id: $n) { id } }",
    "query ($n: [ID]) { nodes(ids: $n) { id } }",
    "query ($n: Int) { __typename }",
    "query ($n: Int, $n: Int) { enforcementCases(first: $n) { totalCount } }",
    'query ($n: Int = "1") { enforcementCases(first: $n) { totalCount } }',
    "query ($n: Nothing) { enforcementCases(first: $n) { totalCount } }",
    "query ($n: Party) { enforcementCases(first: $n) { totalCount } }",
    "{ enforcementCases(first: $n) { totalCount } }",
    "{ ...a }",
    "{ __typename } fragment a on Query { __typename }",
    "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }",
    f"{{ {CASE} }}" % "...a" + " fragment a on EnforcementCase { parties { enforcementCases { ...a } } }",
    "{ ...a } fragment a on Query { __typename } fragment a on Query { __typename }",
    "{ ...a } fragment a on Party { id }",
    "{ ...a } fragment a on Nothing { id }",
    "{ ...a } fragment a on String { id }",
    "{ ... on Party { id } }",
    "{ ... on Int { id } }",
    "{ __typename @nothing }",
    "{ __typename @skip }",
    "{ __typename @skip(if: 1) }",
    "{ __typename @skip(if: true) @skip(if: true) }",
    "query ($n: Boolean) { __typename @skip(if: $n) }",
    "query @skip(if: true) { __typename }",
    "{ __typename @deprecated }",
    "query a { __typename } query a { __typename }",
    "query a { __typename } { __typename }",
    "query a($n: Int) { __typename } query b($n: Int) { enforcementCases(first: $n) { totalCount } }",
    "query a($n: Int) { ...f } query b { ...f } fragment f on Query { enforcementCases(first: $n) { totalCount } }",
    f"{{ enforcementCases(where: {{{', '.join(f'a{n}: {n}' for n in range(9))}}}) {{ totalCount }} }}",
    "{ __typename } { __typename }",
    "{ __typename } type A { b: Int }",
    "subscription { entityChanged { kind } syncRunUpdated { kind } }",
]


@pytest.fixture(scope="module")
def known() -> Preparation:
    settings, definitions = prove(folders_only(), with_secrets=False)
    return make_preparation(definitions, settings)


@pytest.fixture(scope="module")
def texts(known: Preparation) -> list[str]:
    """Queries of every kind, and as many again that are a little wrong."""
    rng = random.Random(4)
    operations = Operations(rng, known.schema, known.registry, {name: ["x"] for name in known.registry.entities})
    whole = [text for _, text in hostile_queries() if len(text) < 3000]
    whole += [file.read_text("utf-8") for file in sorted(EXAMPLES.glob("*.graphql"))]
    whole += [operations.one().text for _ in range(200)] + VALID + INVALID
    whole += [_spoilt(rng, rng.choice(whole)) for _ in range(1500)]
    return whole + [_renamed(rng, rng.choice(whole)) for _ in range(1500)]


def _renamed(rng: random.Random, text: str) -> str:
    """The text with up to seven of its names and values in other places: most of these are still read."""
    words = list(WORD.finditer(text))
    for _ in range(rng.randint(1, 7)):
        if words and (one := rng.choice(words)).end() <= len(text):
            text = text[: one.start()] + rng.choice(words)[0] + text[one.end() :]
            words = list(WORD.finditer(text))
    return text


def _spoilt(rng: random.Random, text: str) -> str:
    """The text with one to three tokens left out, said twice, or in another's place."""
    tokens = TOKEN.findall(text)
    for _ in range(rng.randint(1, 3)):
        at, other = rng.randrange(len(tokens)), rng.choice(tokens)
        tokens[at : at + 1] = rng.choice(([], [tokens[at]] * 2, [other], [tokens[at], other]))
        tokens = tokens or ["{"]
    return rng.choice((" ", "\n", " , \n# so\n", "\r\n")).join(tokens)


@pytest.mark.parametrize("text", VALID)
def test_what_is_usual_is_proven(known: Preparation, text: str) -> None:
    assert validate(known.schema, parse(text)) == []
    assert is_proven(known.schema, parsed(text))


@pytest.mark.parametrize("text", INVALID)
def test_no_mistake_is_proven(known: Preparation, text: str) -> None:
    assert validate(known.schema, parse(text))
    assert not is_proven(known.schema, parsed(text))


def test_what_is_proven_is_valid_by_all_rules(known: Preparation, texts: list[str]) -> None:
    found = [
        (is_proven(known.schema, document), not validate(known.schema, parse(text)), text)
        for text, document in _documents(known, texts)
    ]
    assert [text for proven, valid, text in found if proven and not valid] == []
    proven, valid = sum(one[0] for one in found), sum(one[1] for one in found)
    assert proven > 0.7 * valid, "so little is proven that nothing is cheaper"
    assert len(found) - valid > 100


def _documents(known: Preparation, texts: list[str]) -> Iterator[tuple[str, DocumentNode]]:
    """Those that the limits let through."""
    for text in texts:
        try:
            document = parsed(text)
            known.measure.check(document)
        except GraphQLError:
            continue
        yield text, document


def test_mistakes_are_those_that_all_rules_find(known: Preparation, texts: list[str]) -> None:
    wrong = 0
    for text, document in _documents(known, texts):
        expected = validate(known.schema, parse(text), max_errors=5, hide_suggestions=True)
        found = mistakes_in(known.schema, document, rules_for(text), 5, hide_suggestions=True)
        assert [_told(error) for error in found] == [_told(error) for error in expected], text
        wrong += len(found) > 0
    assert wrong > 400


def _told(error: GraphQLError) -> object:
    return error.message, error.locations


def test_of_a_long_value_only_what_it_cannot_have_is_told(known: Preparation) -> None:
    fields = ", ".join(f"a{n}: {n}" for n in range(200))
    text = f"{{ enforcementCases(where: {{or: [{{{fields}}}, {{caseName: {{eq: 1}}}}]}}) {{ totalCount }} }}"
    found = mistakes_in(known.schema, parsed(text), rules_for(text), 2, hide_suggestions=True)
    expected = validate(known.schema, parse(text), max_errors=2, hide_suggestions=True)
    assert [error.locations for error in found] == [error.locations for error in expected]
    assert [error.message for error in found] == [
        "Expected value of type 'EnforcementCaseWhere' not to include unknown field 'a0'.",
        "Expected value of type 'EnforcementCaseWhere' not to include unknown field 'a1'.",
        "Too many validation errors, error limit reached. Validation aborted.",
    ]
    assert expected[0].message.startswith(f"{found[0].message.removesuffix('.')}, found: {{\n  a0: 0\n  a1: 1\n")


def test_documents_mistakes_and_places_are_those_of_the_parser(texts: list[str]) -> None:
    for text in texts:
        assert _read(parsed, text) == _read(parse, text)


def _read(read: Any, text: str) -> Any:
    try:
        document = read(text)
    except GraphQLError as error:
        return str(error)
    return document, list(_places(document))


def _places(node: Any) -> Iterator[tuple[object, ...]]:
    if isinstance(node, tuple):
        for one in node:
            yield from _places(one)
    elif isinstance(node, Node):
        assert node.loc is not None
        start, end = node.loc.start_token, node.loc.end_token
        yield node.kind, start.start, start.line, start.column, end.end, end.line, end.column
        for key in node.keys:
            if key != "loc":
                yield from _places(getattr(node, key))


def test_a_schema_without_queries_proves_nothing() -> None:
    assert not is_proven(GraphQLSchema(), parsed("{ __typename }"))
