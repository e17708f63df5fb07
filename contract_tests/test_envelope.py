"""SOAP envelopes are read whole: references followed but never in circles, Faults recognised wherever they come."""

from typing import Any

import pytest

from adapters.envelope import fault_codes, fault_in, fault_reason, open_envelope, returned, single_text
from adapters.errors import SourceContractBroken

XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def soap_body(inside: str) -> str:
    words = f'{XSI} xmlns:soapenc="http://schemas.xmlsoap.org/soap/encoding/"'
    return f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" {words}><s:Body>{inside}</s:Body></s:Envelope>'


def test_what_an_operation_returned() -> None:
    _, body = open_envelope(soap_body('<r s:encodingStyle="x"><a xsi:type="xsd:string">1</a><b xsi:nil="true"/></r>'))
    assert returned(body) == {"a": "1", "b": None}


def test_references_to_other_elements_of_the_body_are_followed() -> None:
    _, body = open_envelope(
        soap_body(
            """<r><item href="#id0"/><item href="#id0"/><plain id="id7">x</plain></r>
            <multiRef id="id0" soapenc:root="0" xsi:type="ns:Item"><name>甲</name><owner href="#id1"/></multiRef>
            <multiRef id="id1" soapenc:root="0"><no>1</no></multiRef>"""
        )
    )
    item = {"name": "甲", "owner": {"no": "1"}}
    assert returned(body) == {"item": [item, item], "plain": {"@id": "id7", "": "x"}}


@pytest.mark.parametrize(
    "inside",
    [
        pytest.param('<r><a href="#x"/></r><m id="x"><b href="#y"/></m><m id="y"><c href="#x"/></m>', id="a circle"),
        pytest.param('<r><a href="#x"/></r><m id="x"><b href="#x"/></m>', id="itself"),
        pytest.param('<r><a href="#x"/></r>', id="nobody"),
        pytest.param('<r><a href="#x"/></r><m id="x"/><m id="x"/>', id="two of them"),
        pytest.param(
            '<r><a href="#m0"/></r>'
            + "".join(f'<m id="m{n}">{f"""<b href="#m{n + 1}"/>""" * 10}</m>' for n in range(9))
            + '<m id="m9">ha</m>',
            id="a billion",
        ),
        pytest.param(
            "<r>" + "".join(f'<a href="#m{n}"/>' for n in range(99, -1, -1)) + "</r>"
            + "".join(f'<m id="m{n}"><b href="#m{n + 1}"/></m>' for n in range(99)) + '<m id="m99">x</m>',
            id="100 deep, from the bottom up",
        ),
        pytest.param("", id="an empty body"),
    ],
)  # fmt: skip
def test_references_that_cannot_be_followed_are_refused(inside: str) -> None:
    _, body = open_envelope(soap_body(inside))
    with pytest.raises(SourceContractBroken):
        returned(body)


@pytest.mark.parametrize("text", ["<html><body/></html>", "<Envelope/>", "<Body/>"])
def test_what_is_no_envelope_is_refused(text: str) -> None:
    with pytest.raises(SourceContractBroken):
        open_envelope(text)


def test_the_one_text_that_was_returned() -> None:
    trees: list[Any] = [{"queryReturn": "x"}, {"queryReturn": {"@a": "1", "": "x"}}, "x", {"@a": "1", "": "x"}]
    assert [single_text(tree) for tree in trees] == ["x"] * 4


@pytest.mark.parametrize("tree", [{"a": None}, {"a": "1", "b": "2"}, {"a": {"b": "1"}}, {"a": ["1", "2"]}, None])
def test_anything_but_one_text_is_refused(tree: Any) -> None:
    with pytest.raises(SourceContractBroken):
        single_text(tree)


@pytest.mark.parametrize(
    ("fault", "codes", "reason"),
    [
        ("<faultcode>S:Busy</faultcode><faultstring>ORA-12541</faultstring>", ["Busy"], "ORA-12541"),
        ("<faultcode>{urn:x}Busy</faultcode>", ["Busy"], ""),
        (
            "<Code><Value>s:Sender</Value><Subcode><Value>t:Auth</Value></Subcode></Code><Reason><Text>no</Text></Reason>",
            ["Auth", "Sender"],
            "no",
        ),
        ("<detail><faultcode>Inner</faultcode></detail>", [], ""),
    ],
)
def test_the_codes_of_a_fault(fault: str, codes: list[str], reason: str) -> None:
    _, body = open_envelope(soap_body(f"<s:Fault>{fault}</s:Fault>"))
    found = fault_in(body)
    assert found is not None
    assert (fault_codes(found), fault_reason(found)) == (codes, reason)
