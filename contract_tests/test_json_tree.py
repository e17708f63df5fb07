"""FAULTS.md R7, R8: what JSON says arrives digit for digit, or is refused; the fast way and the slow way never differ."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import SourceContractBroken
from adapters.json_tree import parse_json

BLANK = st.sampled_from(["", "", "", " ", "\n", "\t", "\r\n  "])
TEXTS = st.text(st.sampled_from('ab":\\ -0,{}[]闽𠮷\x00\n'), max_size=6)
NUMBERS = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["-0", "-0.0", "0", "1e400", "9007199254740993", "1.10", "NaN", "-Infinity", "01", "+1"]),
)


@st.composite
def documents(draw: st.DrawFn, depth: int = 3) -> str:
    """The text of a document, sometimes wrong, with blanks anywhere, keys that repeat and strings full of syntax."""
    blank = draw(BLANK)
    kind = draw(st.sampled_from(["text", "number", "word", "object", "list"] if depth else ["text", "number", "word"]))
    if kind == "text":
        return blank + json.dumps(draw(TEXTS), ensure_ascii=draw(st.booleans()))
    if kind == "number":
        return blank + draw(NUMBERS)
    if kind == "word":
        return blank + draw(st.sampled_from(["true", "false", "null", '"\\ud842"', '"\\ud842\\udfb7"', ""]))
    inner = draw(st.lists(documents(depth=depth - 1), max_size=4))
    if kind == "list":
        return f"{blank}[{','.join(inner)}{draw(BLANK)}]"
    keys = [json.dumps(draw(TEXTS | st.sampled_from(["a", "b"])), ensure_ascii=False) for _ in inner]
    return blank + "{" + ",".join(f"{draw(BLANK)}{k}{draw(BLANK)}:{v}" for k, v in zip(keys, inner, strict=True)) + "}"


def by_the_book(text: str) -> Any:
    """The tree by Python's decoder and a walk that takes its time; None in place of a tree: refused."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("double key")
        return dict(pairs)

    def refuse(name: str) -> Any:
        raise ValueError(name)

    def as_text(value: Any) -> Any:
        match value:
            case dict():
                return {as_text(key): as_text(item) for key, item in value.items()}
            case list():
                return [as_text(item) for item in value]
            case bool():
                return str(value).lower()
            case str():
                value.encode()
        return value

    try:
        return [
            as_text(json.loads(text, parse_int=str, parse_float=str, parse_constant=refuse, object_pairs_hook=unique))
        ]
    except ValueError:
        return None


def read(text: str | bytes) -> Any:
    try:
        return [parse_json(text)]
    except SourceContractBroken:
        return None


@settings(max_examples=600, deadline=None)
@given(documents())
def test_the_fast_way_reads_and_refuses_what_the_slow_way_does(text: str) -> None:
    assert read(text) == read(text.encode()) == by_the_book(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a": 1, "a": 2}', id="twice"),
        pytest.param('{"a" : 1, "a" : 1}', id="twice, with blanks that hide both from a count of colons after quotes"),
        pytest.param('{"a":1,"a"\n\t:2,"b":"x"}', id="twice, one of them hidden"),
        pytest.param('{"a":1,"\\u0061":2}', id="twice, one of them escaped"),
        pytest.param('{"a":{"b":"\\":"},"a":1}', id="twice, beside a string that looks like a member"),
        pytest.param('{"list":[{"k":1},{"k":1,"k":2}]}', id="twice in one record of many"),
    ],
)
def test_a_key_that_stands_twice_is_always_seen(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(SourceContractBroken, match=r"^JSON 的键重复$"):
            parse_json(form)


@pytest.mark.parametrize(
    "number",
    ["123456789012345678901234567890", "9007199254740993", "-0", "-0.0", "1e400", "1E-7", "0.10", "1.000000",
     "12345678901234567890.10", "0.1000000000000000055511151231257827", "1" * 5000],
)  # fmt: skip
@pytest.mark.parametrize("around", ['{"a":%s}', "[ %s ]", "%s", '{"a" :\t%s ,"b":"2024-01-05 12:30"}'])
def test_a_number_keeps_every_digit_wherever_it_stands(number: str, around: str) -> None:
    text = around.replace("%s", number)
    assert number in (parse_json(text.encode()), *_scalars(parse_json(text.encode())))


@pytest.mark.parametrize("length", [1, 64, 65, 5_000, 200_000])
@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded_for_both_ways(length: int, opens: str, closes: str) -> None:
    whole = (opens * length + ("1" if opens != "[" else "") + closes * length).encode()
    cut = (opens * length).encode()
    with pytest.raises(SourceContractBroken):
        parse_json(cut)
    if length <= 64:
        parse_json(whole)
        return
    with pytest.raises(SourceContractBroken, match="嵌套超过 64 层"):
        parse_json(whole)


def test_bytes_that_are_no_utf8_are_left_to_whoever_knows_charsets() -> None:
    for data in ('{"a":"闽"}'.encode("gbk"), b'{"a":"\xed\xa0\x80"}'):
        with pytest.raises(UnicodeDecodeError):
            parse_json(data)


def _scalars(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [scalar for value in tree.values() for scalar in _scalars(value)]
    return [scalar for value in tree for scalar in _scalars(value)] if isinstance(tree, list) else [tree]
