"""Rows read from the text by a pattern are the rows that are walked; whatever else is written is left to walking."""

import re
from pathlib import Path
from typing import Any

import pytest
import zeep
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.envelope import open_envelope, returned
from adapters.mapping.load import load_mappings
from adapters.mapping.written import SoapConnect
from adapters.soap_reading import Reading, reading_of
from adapters.soap_rows import NotAsWritten, make_rows, unreferenced
from adapters.wsdl import Wsdl
from contract_tests.benchmarks.engine_parts import world
from contract_tests.benchmarks.engine_parts.settings import MAPPINGS
from contract_tests.soap_answers import REGISTRY, TYPES, WSDL, XSI, enveloped

LICENCE = load_mappings(REGISTRY)["transport_licence"]
FLAT = TYPES.replace('<x:element name="amount" type="m:Amount" minOccurs="0"/>', "").replace(
    '<x:complexType name="Who"><x:all>', '<x:complexType name="Who"><x:sequence>'
).replace("</x:all></x:complexType>", "</x:sequence></x:complexType>")  # fmt: skip
WANTED: dict[str, Any] = {
    "code": None,
    "row": {
        **dict.fromkeys(("no", "name", "on", "seq", "kind", "flag", "@version")),
        "person": {"title": None},
        "body": {"uscc": None, "title": None},
    },
}


class Both:
    """The rows of an answer, by a pattern and walked."""

    def __init__(self, declared: Any, wanted: dict[str, Any], path: tuple[str, ...]) -> None:
        self.declared, self.wanted, self.path = declared, wanted, path
        found = make_rows(declared, wanted, path)
        assert found is not None
        self.rows = found

    def by_pattern(self, text: str) -> list[Any]:
        """Raises NotAsWritten."""
        return self.rows.read(open_envelope(text)[1][0], text)

    def walked(self, text: str) -> Any:
        node = returned(open_envelope(text)[1], self.wanted)
        for name in self.path:
            node = node[name]
        return node


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    file = tmp_path_factory.mktemp("rows") / "s.wsdl"
    file.write_text(WSDL.replace("TYPES", FLAT), "utf-8")
    open_client: Any = zeep.Client
    return Both(open_client(str(file)).get_element("{urn:m}Found").type, WANTED, ("row",))


def answer(*rows: str, namespaces: str = 'xmlns:m="urn:m"', before: str = "", after: str = "") -> str:
    inside = "".join(f"<m:row>{row}</m:row>" if not row.lstrip().startswith("<m:row") else row for row in rows)
    return enveloped(f"<m:Found {namespaces}>{before}<m:code>0</m:code>{inside}{after}</m:Found>")


ROW = "<m:no>1</m:no><m:name>甲</m:name>"


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        "\n  <m:no>1</m:no>\n\t<m:name>甲</m:name>\n",
        "<m:no/><m:name />",
        "<m:no></m:no><m:name> </m:name>",
        '<m:no>1</m:no><m:name xsi:nil="true"/>',
        '<m:no>1</m:no><m:name xsi:nil="1"></m:name>',
        "<m:no>a&amp;lt;&#38397;&#x95FD;&lt;b&gt;</m:no><m:name>&quot;&apos;</m:name>",
        "<m:no>1></m:no><m:name>/></m:name>",
        ROW + "<m:seq>12a</m:seq><m:kind>1</m:kind>",
        ROW + "<m:kind>1</m:kind><m:kind/><m:kind>a&amp;&lt;m:kind></m:kind>",
        ROW + "<m:person><m:uscc>x</m:uscc><m:title>长</m:title></m:person>",
        ROW + "<m:body><m:title>长</m:title></m:body><m:remark>x</m:remark><m:flag>true</m:flag>",
        ROW + "<m:remark/><m:history><m:entry>x</m:entry><m:entry/></m:history><m:flag>1</m:flag>",
        ROW + '<m:history a="x"><m:entry b="2">x</m:entry></m:history>',
        f'<m:row version="3">{ROW}</m:row>',
        f'<m:row a=" version=" version="&lt;3" >{ROW}</m:row>',
    ],
)
def test_rows_as_their_types_have_them_are_read_by_the_pattern(both: Both, row: str) -> None:
    text = answer(row, ROW, row)
    assert both.by_pattern(text) == both.walked(text)


@pytest.mark.parametrize(
    "namespaces", ['xmlns:m="urn:m"', 'xmlns:m="urn:m" xmlns="urn:other"', 'xmlns:n="urn:m" xmlns:m="urn:m"']
)
def test_any_prefix_will_do_and_none(both: Both, namespaces: str) -> None:
    text = answer(ROW, ROW, namespaces=namespaces)
    assert both.by_pattern(text) == both.walked(text)
    bare = text.replace("m:", "").replace(namespaces.replace("m:", ""), 'xmlns="urn:m"')
    assert both.by_pattern(bare) == both.walked(bare)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(answer(ROW), id="one row"),
        pytest.param(answer("<m:name>甲</m:name><m:no>1</m:no>", ROW), id="another order"),
        pytest.param(answer("<m:name>甲</m:name>", ROW), id="a required element is missing"),
        pytest.param(answer(ROW + "<m:novel/>", ROW), id="an unknown element"),
        pytest.param(answer(ROW + "x", ROW), id="text between elements"),
        pytest.param(answer('<m:no a="1">1</m:no><m:name/>', ROW), id="an attribute"),
        pytest.param(answer("<m:no><![CDATA[1]]></m:no><m:name/>", ROW), id="CDATA"),
        pytest.param(answer("<m:no>1<!-- x --></m:no><m:name/>", ROW), id="a comment"),
        pytest.param(answer("<m:no>1<?x?></m:no><m:name/>", ROW), id="an instruction"),
        pytest.param(answer("<m:no>1\r\n2</m:no><m:name/>", ROW), id="a line end to be normalised"),
        pytest.param(answer('<m:no xmlns:m="urn:x">1</m:no><m:name/>', ROW), id="a namespace inside"),
        pytest.param(answer(f'<m:row xmlns="urn:x">{ROW}</m:row>', ROW), id="a namespace of a row"),
        pytest.param(answer(f"<m:row version='3'>{ROW}</m:row>", ROW), id="other quotes"),
        pytest.param(answer(f'<m:row xsi:nil="false">{ROW}</m:row>', ROW), id="a qualified attribute"),
        pytest.param(answer("<m:row/>", ROW, ROW), id="an empty row"),
        pytest.param(answer("<m:row>x</m:row>", ROW, ROW), id="a row that is a text"),
        pytest.param(answer(ROW + "<m:body/>", ROW), id="an empty structure"),
        pytest.param(answer(ROW + "<m:body>x</m:body>", ROW), id="a structure that is a text"),
        pytest.param(answer(ROW, "<m:row>" + ROW + "</m:row><m:code>1</m:code>", ROW), id="something between the rows"),
        pytest.param(answer(ROW, ROW, before=f"<m:history><m:row>{ROW}</m:row></m:history>"), id="rows elsewhere"),
        pytest.param(answer(ROW, ROW, before=f"<!--<m:row>{ROW}</m:row><m:row>{ROW}</m:row>-->"), id="rows in a comment"),
        pytest.param(
            answer(ROW, ROW, before=f'<m:x xmlns:m="urn:x"><m:row>{ROW}</m:row><m:row>{ROW}</m:row></m:x>'),
            id="rows of another namespace",
        ),
        pytest.param(answer(ROW, ROW.replace("m:no", "p:no"), namespaces='xmlns:m="urn:m" xmlns:p="urn:m"'), id="two prefixes"),
        pytest.param(answer(ROW + f"<m:history><m:row>{ROW}</m:row></m:history>", ROW), id="a row inside a row"),
    ],
)  # fmt: skip
def test_what_is_written_in_another_way_is_left_to_walking(both: Both, text: str) -> None:
    with pytest.raises(NotAsWritten):
        both.by_pattern(text)


def test_references_are_those_of_xml() -> None:
    assert unreferenced("&amp;amp;&#0000000065;&#x1F600;&lt;") == "&amp;A😀<"


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="￾￿"), max_size=9)
PIECES = st.sampled_from(["&", "<", ">", '"', "'", "]", "!", "?", "/", "=", "xmlns", "&amp;", "<m:row>", "\n", " "])
HARD = st.lists(st.one_of(PIECES, TEXTS), max_size=4).map("".join)
SKIPPED = st.just(zeep.xsd.SkipValue)
WHO = st.fixed_dictionaries({"uscc": st.one_of(SKIPPED, HARD), "title": st.one_of(SKIPPED, HARD)})
ROWS = st.fixed_dictionaries(
    {
        "no": HARD,
        "name": st.one_of(st.just(zeep.xsd.Nil), HARD),
        "version": st.one_of(st.none(), st.integers(0, 99)),
        "seq": st.one_of(SKIPPED, st.integers(0, 99)),
        "kind": st.lists(HARD, max_size=3),
        "remark": st.one_of(SKIPPED, HARD),
        "flag": st.one_of(SKIPPED, st.booleans()),
    }
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(ROWS, min_size=2, max_size=5), who=st.one_of(st.none(), WHO))
def test_generated_rows_are_the_same_either_way(both: Both, rows: list[Any], who: Any) -> None:
    body = etree.Element("Body", nsmap={"xsi": XSI, "m": "urn:m"})
    make_element: Any = zeep.xsd.Element
    element = make_element("{urn:m}Found", both.declared)
    element.render(body, element(code="0", row=[{**row, **({"body": who} if who else {})} for row in rows]))
    text = enveloped(etree.tostring(body[0], encoding="unicode"))
    try:
        found = both.by_pattern(text)
    except NotAsWritten:
        assert who is not None  # a structure without children is a text; everything else zeep writes is read
        return
    assert found == both.walked(text)


def reading(name: str) -> Reading:
    connect = LICENCE.connect
    assert isinstance(connect, SoapConnect)
    wsdl = Wsdl(Path(LICENCE.folder) / connect.wsdl, connect.binding, {}, None)
    return reading_of(LICENCE, LICENCE.operations[name], connect, wsdl)


def test_the_licences_of_the_samples_are_rows() -> None:
    sample = (LICENCE.folder / "samples" / "License.xml").read_text("utf-8")
    licences = "".join(
        f"<l:licence>{''.join(etree.tostring(child, encoding='unicode') for child in licence)}</l:licence>"
        for licence in etree.fromstring(sample.encode()).iter("{*}licence")
    )
    inside = re_prefixed(licences)
    text = enveloped(
        '<l:QueryLicencesResponse xmlns:l="urn:transport:licence"><l:head><l:rtnCode>000000</l:rtnCode>'
        f"<l:rtnMsg/></l:head><l:body><l:licences>{inside}</l:licences></l:body></l:QueryLicencesResponse>"
    )
    chosen = reading("licenses_by_no")
    body = open_envelope(text)[1]
    notes: dict[str, str] = {}
    tree = chosen.tree(body, text, notes)
    assert (tree, notes) == (returned(body, chosen.wanted), {})
    assert chosen.rows is not None
    assert chosen.rows.read(body[0], text) == tree["body"]["licences"]["licence"]


def test_rows_inside_the_one_record_of_an_answer_are_read_from_its_text_too() -> None:
    mapping = load_mappings(REGISTRY, MAPPINGS)["bench_transport"]
    connect = mapping.connect
    assert isinstance(connect, SoapConnect)
    wsdl = Wsdl(Path(mapping.folder) / connect.wsdl, connect.binding, {}, None)
    chosen = reading_of(mapping, mapping.operations["holder_with_cases"], connect, wsdl)
    assert chosen.rows is not None
    assert chosen.rows.path == ("body", "holder", "cases", "case")
    for text, is_by_rows in (
        (world.soap_answer(3), True),
        (world.soap_answer(3).replace("<t:cases>", "<t:cases><!-- none -->"), False),
        (re.sub(r"<t:cases>.*</t:cases>", "<t:cases/>", world.soap_answer(3)), False),
    ):
        body = open_envelope(text)[1]
        notes: dict[str, str] = {}
        assert chosen.tree(body, text, notes) == returned(body, chosen.wanted)
        try:
            chosen.rows.read(body[0], text)
        except NotAsWritten:
            assert not is_by_rows
        else:
            assert is_by_rows


def re_prefixed(text: str) -> str:
    """Elements without a prefix, put into the service's namespace."""
    return re.sub(r"<(/?)(?!l:)([A-Za-z])", r"<\1l:\2", re.sub(r' xmlns(:\w+)?="[^"]*"', "", text))
