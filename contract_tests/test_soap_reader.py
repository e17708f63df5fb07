"""Readers made from a WSDL's types give what the general reader gives, and what zeep gives where zeep understands it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import zeep
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.envelope import open_envelope, returned
from adapters.mapping.load import load_mappings
from adapters.mapping.model import SourceMapping
from adapters.mapping.written import SoapConnect
from adapters.soap_reader import Deviates, NoReader, Read, make_reader
from adapters.soap_wanted import Wanted, wanted_in_answer
from adapters.wsdl import Wsdl
from contract_tests.soap_answers import REGISTRY, TYPES, WSDL, enveloped, found, soap_mapping

LICENCE = load_mappings(REGISTRY)["transport_licence"]
CASES = Path(__file__).parent / "samples" / "case.wsdl"


@dataclass(frozen=True)
class Service:
    """One operation of a WSDL, what is wanted of its answer, and zeep's own understanding of it."""

    element: Any
    read: Read
    wanted: Wanted
    client: Any

    def general(self, text: str) -> Any:
        """What the reader that needs no types reads."""
        return returned(open_envelope(text)[1], self.wanted)

    def compiled(self, text: str) -> tuple[Any, dict[str, str]]:
        """What the reader made from the types reads, and what it notes."""
        told: dict[str, str] = {}
        return self.read(open_envelope(text)[1][0], told), told


def service_of(file: Path, element: str, wanted: Wanted) -> Service:
    open_client: Any = zeep.Client
    client = open_client(str(file))
    declared = client.get_element(element)
    return Service(declared, make_reader(declared.type, wanted), wanted, client)


def wanted_of(mapping: SourceMapping) -> Wanted:
    assert isinstance(mapping.connect, SoapConnect)
    wanted = wanted_in_answer(mapping, next(iter(mapping.operations.values())), mapping.connect.outcome)
    assert wanted is not None
    return wanted


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Service:
    mapping = soap_mapping(tmp_path_factory.mktemp("soap"))
    return service_of(mapping.folder / "s.wsdl", "{urn:m}Found", wanted_of(mapping))


@pytest.fixture(scope="module")
def licences() -> Service:
    return service_of(
        LICENCE.folder / "service.wsdl", "{urn:transport:licence}QueryLicencesResponse", wanted_of(LICENCE)
    )


@pytest.fixture(scope="module")
def cases() -> Service:
    names = (
        "id caseNumber title status priority openedOn closedOn createdAt amountClaimed amountSettled feeTotal "
        "isConfidential court tag @version"
    )
    return service_of(CASES, "{urn:case:v1}FindCasesResponse", {"total": None, "case": dict.fromkeys(names.split())})


# Three distinct things, and text


ROW = "<m:no>1</m:no><m:name>甲</m:name>"


@pytest.mark.parametrize(
    ("row", "record"),
    [
        ("<m:no>1</m:no><m:name>甲</m:name>", {"no": "1", "name": "甲"}),
        ("<m:no>1</m:no><m:name/>", {"no": "1", "name": ""}),
        ("<m:no>1</m:no><m:name></m:name>", {"no": "1", "name": ""}),
        ('<m:no>1</m:no><m:name xsi:nil="true"/>', {"no": "1", "name": None}),
        ('<m:no>1</m:no><m:name xsi:nil="1"></m:name>', {"no": "1", "name": None}),
        ('<m:no>1</m:no><m:name xsi:nil="false">x</m:name>', {"no": "1", "name": "x"}),
        (ROW + "<m:seq>12a</m:seq>", {"no": "1", "name": "甲", "seq": "12a"}),
        (ROW + "<m:on>2024-02-30</m:on>", {"no": "1", "name": "甲", "on": "2024-02-30"}),
        (ROW + "<m:seq/>", {"no": "1", "name": "甲", "seq": ""}),
        (ROW + '<m:amount unit="元">1.50</m:amount>', {"no": "1", "name": "甲", "amount": {"@unit": "元", "": "1.50"}}),
        (ROW + "<m:kind>1</m:kind>", {"no": "1", "name": "甲", "kind": "1"}),
        (ROW + "<m:kind>1</m:kind><m:kind/>", {"no": "1", "name": "甲", "kind": ["1", ""]}),
        (ROW + "<m:body><m:title>长</m:title><m:uscc>x</m:uscc></m:body>", {"no": "1", "name": "甲", "body": {"title": "长"}}),
        (ROW + "<m:body/>", {"no": "1", "name": "甲", "body": ""}),
        (ROW + "<m:body><m:uscc>x</m:uscc></m:body>", {"no": "1", "name": "甲", "body": {}}),
        (ROW + "<m:person><m:title>x</m:title></m:person><m:remark>x</m:remark>", {"no": "1", "name": "甲"}),
        ("<m:row version='3'>" + ROW + "</m:row>", {"@version": "3", "no": "1", "name": "甲"}),
        ("<m:no>a&amp;b<![CDATA[<c>]]>d<!-- x -->e</m:no><m:name> 甲 </m:name>", {"no": "a&b<c>de", "name": " 甲 "}),
    ],
)  # fmt: skip
def test_what_a_row_becomes(made_up: Service, row: str, record: dict[str, Any]) -> None:
    text = enveloped(found(row))
    assert made_up.compiled(text) == ({"code": "0", "row": record}, {})
    assert made_up.general(text) == {"code": "0", "row": record}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("<m:name>甲</m:name>", {"missing": "缺少 WSDL 要求的元素 no"}),
        ("<m:name>甲</m:name><m:no>1</m:no>", {"order": "元素的次序与 WSDL 不同：name, no"}),
        (ROW + "<m:novel>x</m:novel>", {"unknown": "WSDL 中没有元素 novel"}),
        (ROW + "<m:body><m:title>x</m:title><m:uscc>y</m:uscc></m:body>", {}),
    ],
)
def test_small_differences_are_noted_and_shift_no_value(made_up: Service, row: str, told: dict[str, str]) -> None:
    text = enveloped(found(row, ROW))
    assert made_up.compiled(text) == (made_up.general(text), told)


@pytest.mark.parametrize(
    "row",
    [
        '<no xmlns="urn:other">1</no><m:name>甲</m:name>',
        "<m:no>1<m:inner/></m:no><m:name>甲</m:name>",
        "<m:no>1</m:no><m:name>甲<b/></m:name>",
    ],
)
def test_an_answer_that_is_not_as_its_types_say_is_left_to_the_general_reader(made_up: Service, row: str) -> None:
    with pytest.raises(Deviates):
        made_up.compiled(enveloped(found(row)))


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("", None),
        ("", {"code": None, "row": {"nonsense": None}}),
        ("", {"code": {"deeper": None}, "nothing": None}),
        (('name="no" type="x:string"/>', 'name="no" type="x:string"/><x:element name="no" type="m:Who"/>'), {"row": {"no": None}}),
    ],
)  # fmt: skip
def test_what_types_cannot_tell_has_no_reader(tmp_path: Path, change: Any, wanted: Wanted | None) -> None:
    (tmp_path / "s.wsdl").write_text(WSDL.replace("TYPES", TYPES.replace(*change) if change else TYPES), "utf-8")
    open_client: Any = zeep.Client
    declared = open_client(str(tmp_path / "s.wsdl")).get_element("{urn:m}Found").type
    with pytest.raises(NoReader):
        make_reader(declared, wanted)


def test_a_wildcard_nobody_reads_is_passed_over_without_a_note(tmp_path: Path) -> None:
    last = 'name="flag" type="x:boolean" minOccurs="0"/>'
    types = TYPES.replace(last, f'{last}<x:any minOccurs="0"/>')
    (tmp_path / "s.wsdl").write_text(WSDL.replace("TYPES", types), "utf-8")
    service = service_of(tmp_path / "s.wsdl", "{urn:m}Found", {"row": {"no": None}})
    text = enveloped(found(ROW + "<m:anything><m:no>2</m:no></m:anything>"))
    assert service.compiled(text) == ({"row": {"no": "1"}}, {})


def test_encoded_answers_and_answers_in_a_text_have_no_reader() -> None:
    police = load_mappings(REGISTRY)["traffic_police"]
    assert isinstance(police.connect, SoapConnect)
    wsdl = Wsdl(police.folder / police.connect.wsdl, police.connect.binding, {}, None)
    assert wsdl.answer_type("queryObjectOut") == (None, None)


def test_what_the_licence_mapping_reads_is_all_that_is_built() -> None:
    record = wanted_of(LICENCE)["body"]["licences"]["licence"]
    assert {name for name, inside in record.items() if inside is None} == {
        "licNo", "licName", "category", "content", "licStatus", "acceptedOn", "decidedOn", "issuedOn", "seqNo",
    }  # fmt: skip
    assert {name: inside for name, inside in record.items() if inside} == {
        "validity": {"from": None, "to": None},
        "holder": {"uscc": None},
        "issuer": {"orgCode": None},
    }


# Against the general reader and against zeep, on generated values


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="￾￿"), max_size=12)
DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)).map(lambda moment: moment.replace(microsecond=0))
AMOUNTS = st.decimals(-(10**9), 10**9, places=2)
WHOLE = st.integers(-(2**31), 2**31 - 1)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(zeep.xsd.SkipValue), values)


WHO = st.fixed_dictionaries({"uscc": optional(TEXTS), "title": optional(TEXTS)})
ROWS = st.fixed_dictionaries(
    {
        "no": TEXTS,
        "name": st.one_of(st.just(zeep.xsd.Nil), TEXTS),
        "version": st.one_of(st.none(), WHOLE),
        "on": optional(DAYS),
        "seq": optional(WHOLE),
        "kind": st.lists(TEXTS, max_size=3),
        "remark": optional(TEXTS),
        "flag": optional(st.booleans()),
    }
)
LICENCES = st.fixed_dictionaries(
    {
        **dict.fromkeys(("licNo", "licName", "category", "content", "licStatus"), TEXTS),
        "acceptedOn": DAYS,
        "decidedOn": DAYS,
        "issuedOn": st.one_of(st.just(zeep.xsd.Nil), DAYS),
        "validity": st.fixed_dictionaries({"from": DAYS, "to": DAYS}),
        "holder": st.fixed_dictionaries({"uscc": TEXTS, "name": TEXTS}),
        "issuer": st.fixed_dictionaries({"orgCode": TEXTS, "orgName": TEXTS}),
        "seqNo": st.integers(-(2**63), 2**63 - 1),
        "remark": optional(TEXTS),
    }
)
CASE = st.fixed_dictionaries(
    {
        **dict.fromkeys(("id", "caseNumber", "title", "court"), TEXTS),
        "status": st.sampled_from(["OPEN", "CLOSED", "PENDING"]),
        "priority": WHOLE,
        "openedOn": DAYS,
        "closedOn": st.one_of(st.just(zeep.xsd.Nil), DAYS),
        "createdAt": MOMENTS,
        "amountClaimed": AMOUNTS,
        "amountSettled": optional(AMOUNTS),
        "feeTotal": st.floats(-1e9, 1e9),
        "isConfidential": st.booleans(),
        "tag": st.lists(TEXTS, max_size=3),
        "version": st.one_of(st.none(), WHOLE),
    }
)


def as_zeep_told(tree: Any, value: Any) -> Any:
    """Our text as the Python value that zeep makes of the same text, to compare with it."""
    if isinstance(value, bool):
        return {"true": True, "1": True, "false": False, "0": False}[tree]
    match value:
        case datetime():
            return datetime.fromisoformat(tree)
        case date():
            return date.fromisoformat(tree)
        case int() | Decimal() | float():
            return type(value)(tree)
        case _:
            return tree


def is_same(tree: Any, value: Any) -> bool:
    """Whether our tree says what zeep's value says, as far as zeep can tell: for it nil, empty and absent are one."""
    if value is None or value == []:
        return tree in (None, "", [])
    if isinstance(value, list):
        listed = tree if isinstance(tree, list) else [tree]
        return len(listed) == len(value) and all(map(is_same, listed, value))
    if isinstance(tree, dict):
        return all(is_same(inner, value[name.removeprefix("@")]) for name, inner in tree.items())
    return bool(as_zeep_told(tree, value) == value)


def both_readers_and_zeep_agree(service: Service, **content: Any) -> None:
    node = etree.Element("Body")
    service.element.render(node, service.element(**content))
    text = enveloped(etree.tostring(node[0], encoding="unicode"))
    tree, told = service.compiled(text)
    assert (tree, told) == (service.general(text), {})
    assert is_same(tree, service.element.parse(open_envelope(text)[1][0], service.client.wsdl.types))


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(ROWS, max_size=4))
def test_rows_with_a_base_type_an_attribute_and_a_list(made_up: Service, rows: list[Any]) -> None:
    both_readers_and_zeep_agree(made_up, code="0", row=rows)


@settings(max_examples=40, deadline=None)
@given(licences_=st.lists(LICENCES, max_size=3))
def test_licences(licences: Service, licences_: list[Any]) -> None:
    head = {"rtnCode": "000000", "rtnMsg": ""}
    both_readers_and_zeep_agree(licences, head=head, body={"licences": {"licence": licences_}})


@settings(max_examples=60, deadline=None)
@given(found_=st.lists(CASE, max_size=4))
def test_cases_of_the_prototype(cases: Service, found_: list[Any]) -> None:
    both_readers_and_zeep_agree(cases, total=len(found_), case=found_)
