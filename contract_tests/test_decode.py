"""What sources send becomes text, digit for digit and letter for letter, or SourceContractBroken; never something near it."""

import base64
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.charset import charset_in, charset_in_xml, to_text
from adapters.decode import decode, encode_text, percent_decode, xml_unescape
from adapters.errors import SourceContractBroken
from adapters.inflate import LARGEST_ANSWER, Inflater, gunzip
from adapters.json_tree import parse_json
from adapters.xml_tree import MOST_VALUES, print_xml, xml_tree

NAMES = "闽侯县𠮷野家䶮某㐂"
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


# Charsets


@pytest.mark.parametrize(
    ("codec", "labels"),
    [
        pytest.param("gb18030", ("GBK", None, "utf-8"), id="GBK declared"),
        pytest.param("gb18030", ("gb2312", None, "utf-8"), id="rare characters in what calls itself gb2312"),
        pytest.param("gb18030", ("gb18030",), id="GB18030 declared"),
        pytest.param("gb18030", (None, None, "utf-8"), id="GBK without a charset"),
        pytest.param("gb18030", (None, "GBK"), id="GBK in the XML declaration"),
        pytest.param("gb18030", ("utf-8",), id="GBK that calls itself UTF-8"),
        pytest.param("gb18030", ("ISO-8859-1",), id="GBK under the servlet default"),
        pytest.param("utf-8", ("utf-8",), id="UTF-8 declared"),
        pytest.param("utf-8", (None, "gbk"), id="UTF-8 that calls itself GBK"),
        pytest.param("utf-8", ("gb18030", "gbk"), id="UTF-8 that calls itself GB18030"),
        pytest.param("utf-8", ("iso-8859-1",), id="UTF-8 under the servlet default"),
        pytest.param("utf-8", ("no-such-charset",), id="an unknown charset"),
        pytest.param("utf-8-sig", (), id="with a byte order mark"),
        pytest.param("utf-16", (), id="UTF-16 with a byte order mark"),
    ],
)
def test_a_rare_name_arrives_whatever_the_label(codec: str, labels: tuple[str | None, ...]) -> None:
    assert to_text(f"姓名：{NAMES}".encode(codec), *labels) == f"姓名：{NAMES}"


def test_bytes_of_no_known_charset_are_refused_and_not_mended() -> None:
    with pytest.raises(SourceContractBroken):
        to_text(b"\xff\xff\xff", "utf-8")


@given(
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=3), st.sampled_from(["gbk", "gb2312"])
)
def test_every_chinese_text_in_utf8_is_found_out_under_a_gb_label(text: str, label: str) -> None:
    assert to_text(text.encode(), label) == text


COMMON = [
    bytes((first, second)).decode("gb2312")
    for first in range(0xB0, 0xD8)
    for second in range(0xA1, 0xFF)
    if (first, second) < (0xD7, 0xFA)
]
"""The characters of the first level of GB 2312, which nearly all texts consist of."""


@given(st.text(st.sampled_from([*COMMON, *'aZ0 ,{}:"。，'])), st.sampled_from(["gbk", "gb2312", "gb18030"]))
def test_no_common_chinese_text_in_gb_is_taken_for_utf8(text: str, label: str) -> None:
    assert to_text(text.encode("gb2312"), label) == text


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd")),
    st.sampled_from(["utf-8", "gb18030"]),
    st.sampled_from(["utf-8", "gbk", None]),
)
def test_no_decoding_makes_replacement_characters(text: str, codec: str, label: str | None) -> None:
    assert "\ufffd" not in to_text(text.encode(codec), label)


def test_where_labels_are_found() -> None:
    assert [charset_in(text) for text in ("text/xml; charset=GBK", 'a/b;charset = "gb2312"', "text/xml", None)] == [
        "GBK", "gb2312", None, None,
    ]  # fmt: skip
    assert charset_in_xml(b"\n<?xml version=\"1.0\" encoding='GB2312'?><a/>") == "GB2312"
    assert charset_in_xml(b"<a encoding='GBK'/>") is None


# JSON


@pytest.mark.parametrize(
    "number",
    [
        "123456789012345678901234567890", "9007199254740993", "-0", "1e400", "1E-7", "0.10", "12345678901234567890.10",
        "0.1000000000000000055511151231257827", "1.000000",
    ],
)  # fmt: skip
def test_numbers_keep_every_digit(number: str) -> None:
    assert parse_json(f'{{"a": [{number}, {{"b": {number}}}]}}') == {"a": [number, {"b": number}]}


def test_every_scalar_is_text_and_null_is_none() -> None:
    text = '{"a": true, "b": [false, null, "x", []], "c": {}, "d": "null", "e": "", "f": "𠮷\\ud842\\udfb7"}'
    assert parse_json(text) == {
        "a": "true", "b": ["false", None, "x", []], "c": {}, "d": "null", "e": "", "f": "𠮷𠮷",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": 1, "a": 2}', id="double key"),
        pytest.param('[{"a": {"b": 1, "b": 1}}]', id="double key within"),
        pytest.param("[NaN]", id="NaN"),
        pytest.param("[-Infinity]", id="Infinity"),
        pytest.param('{"a": [1, 2', id="truncated"),
        pytest.param('["\\ud842"]', id="lone surrogate"),
        pytest.param('{"\\uD842": 1}', id="lone surrogate in a key"),
        pytest.param("", id="empty"),
        pytest.param("<!DOCTYPE html><html><body>登录</body></html>", id="login page"),
        pytest.param("[" * 200_000, id="200,000 deep"),
        pytest.param("[" * 65 + "]" * 65, id="65 deep"),
        pytest.param('{"a":' * 65 + "1" + "}" * 65, id="65 deep in objects"),
        pytest.param("[" + "[]," * MOST_VALUES + "[]]", id="more values than anybody asked for"),
        pytest.param('{"a": 01}', id="leading zero"),
        pytest.param('["a\nb"]', id="raw control character"),
    ],
)
def test_json_that_cannot_be_read_exactly_is_refused(text: str) -> None:
    with pytest.raises(SourceContractBroken, match="JSON"):
        parse_json(text)


@given(
    st.recursive(
        st.none() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=20,
    )
)
def test_texts_come_through_json_unchanged(tree: Any) -> None:
    assert parse_json(json.dumps(tree)) == tree == parse_json(json.dumps(tree, ensure_ascii=False))


# XML


def test_elements_become_a_tree_and_namespaces_go() -> None:
    text = f"""<?xml version="1.0" encoding="GBK"?>
        <s:root xmlns:s="urn:s" {XSI}><!-- 注 --><s:one s:id="7">甲</s:one><many>1</many><many xsi:type="x">2</many>
        <nil xsi:nil="true"/><empty/><blank> </blank><marked no="2"/><inner><a>1</a></inner><c>a<!-- x -->b<?p q?>c</c></s:root>"""
    assert xml_tree(text) == {
        "root": {
            "one": {"@id": "7", "": "甲"},
            "many": ["1", "2"],
            "nil": None,
            "empty": "",
            "blank": " ",
            "marked": {"@no": "2", "": ""},
            "inner": {"a": "1"},
            "c": "abc",
        }
    }


def test_nil_empty_and_absent_are_three_things() -> None:
    tree = xml_tree(f'<r {XSI}><a xsi:nil="1"/><b></b></r>')["r"]
    assert (tree["a"], tree["b"], "c" in tree) == (None, "", False)


def test_numbers_and_dates_that_are_none_stay_what_was_sent() -> None:
    assert xml_tree("<r><n>12a</n><d>2024-02-30</d></r>") == {"r": {"n": "12a", "d": "2024-02-30"}}


def test_a_declaration_inside_text_is_not_believed() -> None:
    inner = f'<?xml version="1.0" encoding="GBK"?><root><xm>{NAMES}</xm></root>'
    outer = xml_tree(f"<return><![CDATA[{inner}]]></return>")["return"]
    assert decode(["xml"], outer) == {"root": {"xm": NAMES}}


def test_text_between_elements_is_not_lost() -> None:
    assert xml_tree("<a>x<b>1</b>y</a>") == {"a": {"b": "1", "": "xy"}}


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("CANARY")
    return file


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('<!DOCTYPE r [<!ENTITY x SYSTEM "file://{file}">]><r>&x;</r>', id="file"),
        pytest.param('<!DOCTYPE r [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]><r>&x;</r>', id="network"),
        pytest.param('<!DOCTYPE r SYSTEM "http://127.0.0.1:9/r.dtd"><r/>', id="external DTD"),
        pytest.param("<!DOCTYPE r><r/>", id="bare DTD"),
        pytest.param('<!DOCTYPE r [<!ENTITY x "y">]><r>&x;</r>', id="internal entity"),
        pytest.param('<?xml version="1.0"?>\n<!-- <r> -->\n<?p ?>\n<!DOCTYPE r><r/>', id="DTD behind other things"),
        pytest.param(
            '<!DOCTYPE r [<!ENTITY a0 "ha">'
            + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
            + "]><r>&a9;</r>",
            id="billion laughs",
        ),
        pytest.param('<!DOCTYPE r [<!ENTITY % p SYSTEM "file://{file}">%p;]><r/>', id="parameter entity"),
        pytest.param("<r>&nbsp;</r>", id="entity nobody declared"),
    ],
)
def test_no_dtd_and_no_entity_is_ever_read(text: str, secret_file: Path) -> None:
    with pytest.raises(SourceContractBroken) as refused:
        xml_tree(text.replace("{file}", str(secret_file)))
    assert "CANARY" not in str(refused.value)


def test_xinclude_is_an_element_like_any_other(secret_file: Path) -> None:
    text = f'<r xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{secret_file}" parse="text"/></r>'
    assert xml_tree(text) == {"r": {"include": {"@href": str(secret_file), "@parse": "text", "": ""}}}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("<a><b></a>", id="not well-formed"),
        pytest.param("<a>", id="truncated"),
        pytest.param("<a/><b/>", id="two roots"),
        pytest.param("", id="empty"),
        pytest.param("没有系统权限", id="no XML"),
        pytest.param("<a>&#1;</a>", id="control character"),
        pytest.param("<a>\x00</a>", id="NUL"),
        pytest.param("<a>" * 65 + "</a>" * 65, id="65 deep"),
        pytest.param("<a>" * 100_000 + "</a>" * 100_000, id="100,000 deep"),
        pytest.param("<a>" + "<b/>" * (2 * MOST_VALUES) + "</a>", id="two million elements"),
        pytest.param("<!-- " * 100_000, id="comments without end"),
    ],
)
def test_xml_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SourceContractBroken):
        xml_tree(text)


# Words after one another


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%E9%97%BD+%2B+1%20", "闽 + 1 "),
        ("%C3%F6%BA%EE", "闽侯"),
        ("%95%34%B2%35", "𠮷"),
        ("%954%B25", "𠮷"),
        ("闽%E4%BE%AF", "闽侯"),
        ("闽%BA%EE", "闽侯"),
        ("100%", "100%"),
    ],
)
def test_percent_encoding_of_either_charset(text: str, expected: str) -> None:
    assert percent_decode(text) == expected


def test_percent_encoded_bytes_of_no_charset_are_refused() -> None:
    with pytest.raises(SourceContractBroken):
        percent_decode("%FF%FF%FF")


TREE = {"root": {"head": {"code": "1"}, "body": {"xm": NAMES}}}
XML = f'<?xml version="1.0" encoding="GBK"?><root><head><code>1</code></head><body><xm>{NAMES}</xm></body></root>'


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["xml"], XML),
        (["percent_decode", "xml"], encode_text(["percent_encode"], XML)),
        (["xml_unescape", "xml"], XML.replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")),
        (["base64", "gunzip", "gb18030", "xml"], base64.encodebytes(gzip.compress(XML.encode("gb18030"))).decode()),
        (["base64", "utf8", "xml"], base64.b64encode(XML.encode()).decode()),
        (["json"], json.dumps(TREE)),
    ],
)
def test_the_dialects_of_ministries_all_say_the_same(words: list[str], text: str) -> None:
    assert decode(words, text) == TREE


def test_xml_escaping_is_taken_off_once() -> None:
    assert xml_unescape("&amp;lt;&#x95FD;&#38;&unknown;") == "&lt;闽&&unknown;"


@pytest.mark.parametrize("text", ["&#55296;", "&#xDFFF;", "&#1114112;"])
def test_characters_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(SourceContractBroken):
        xml_unescape(text)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param(["base64"], "AAA", id="no base64"),
        pytest.param(["base64"], "闽", id="not even ASCII"),
        pytest.param(["base64", "utf8"], base64.b64encode("闽".encode("gbk")).decode(), id="no UTF-8"),
        pytest.param(["base64", "gunzip"], base64.b64encode(b"not gzip").decode(), id="no gzip"),
        pytest.param(["base64", "gunzip"], base64.b64encode(gzip.compress(XML.encode())[:-9]).decode(), id="cut gzip"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(words: list[str], text: str) -> None:
    with pytest.raises(SourceContractBroken):
        decode(words, text)


# Compression


def bomb() -> bytes:
    """64 MB of zeros in 64 kB."""
    return gzip.compress(bytes(4 * LARGEST_ANSWER), 9)


def test_a_gzip_bomb_stops_at_the_limit() -> None:
    with pytest.raises(SourceContractBroken, match="上限"):
        gunzip(bomb())


def test_a_stream_in_small_pieces_and_several_members_is_one_content() -> None:
    packed = gzip.compress("闽".encode()) + gzip.compress("侯".encode()) + b"\0\0"
    inflater = Inflater("gzip")
    content = b"".join(inflater.feed(packed[at : at + 1]) for at in range(len(packed)))
    inflater.finish()
    assert content.decode() == "闽侯" == gunzip(packed).decode()


@pytest.mark.parametrize("window", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_with_and_without_its_header(window: int) -> None:
    packer = zlib.compressobj(wbits=window)
    inflater = Inflater("deflate")
    assert inflater.feed(packer.compress(b"abc") + packer.flush()) == b"abc"
    inflater.finish()


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd", "x" * 1000])
def test_other_compressions_are_refused(encoding: str) -> None:
    with pytest.raises(SourceContractBroken, match="压缩方式"):
        Inflater(encoding)


# Requests


def test_a_document_carried_as_text() -> None:
    tree = {"root": {"QueryCondition": {"xh": "1+1 <闽>", "many": ["a", True, 5], "marked": {"@no": "1", "": "x"}}}}
    xml = "<root><QueryCondition><xh>1+1 &lt;闽&gt;</xh><many>a</many><many>true</many><many>5</many>"
    xml += '<marked no="1">x</marked></QueryCondition></root>'
    assert print_xml(tree) == xml
    assert percent_decode(encode_text(["xml", "percent_encode"], tree)) == xml
    assert base64.b64decode(encode_text(["json", "base64"], {"a": ["闽", 1]})) == '{"a":["闽",1]}'.encode()


def test_what_xml_cannot_carry_is_refused() -> None:
    with pytest.raises(ValueError, match="XML"):
        encode_text(["xml"], {"a": "\x00"})
