"""FAULTS.md R7: answers decoded into types hold exactly what the general reader reads, or are left to it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import SourceContractBroken
from adapters.json_tree import parse_json
from adapters.json_types import MOST_MISSES, JsonReader, Unlike

CASE = {
    "no": "甲1",
    "name": "案",
    "parties": [{"name": "张某", "seen": None}],
    "tags": ["a"],
    "more": {"x": [1, "y"]},
    "on": True,
}
SLOTS = {"no": None, "name": None, "parties": {"name": None}, "tags": []}


def reader() -> JsonReader:
    """Reads `no`, `name`, the names of `parties` and `tags` of the cases at `data.list`."""
    made = JsonReader(["data", "list"], ["code"], ["0"])
    made.record.at("no")
    made.record.at("name")
    made.record.at("parties", True).at("name")
    made.record.at("tags", True)
    return made


def answer(*cases: Any, code: Any = "0") -> dict[str, Any]:
    return {"code": code, "took": 12, "data": {"list": list(cases)}}


def written(tree: Any) -> bytes:
    return json.dumps(tree, ensure_ascii=False).encode()


def as_read(records: list[Any]) -> list[Any]:
    """What the Structs hold, under the names in the answer."""
    found = []
    for record in records:
        parties = record.r2 if record.r2 is None else [{"name": party.r0} for party in record.r2]
        found.append({"no": record.r0, "name": record.r1, "parties": parties, "tags": record.r3})
    return found


def as_parsed(body: bytes) -> list[Any]:
    cases = parse_json(body)["data"]["list"]
    return [
        {
            "no": case["no"],
            "name": case["name"],
            "parties": case["parties"] and [{"name": party["name"]} for party in case["parties"]],
            "tags": case["tags"],
        }
        for case in cases
    ]


def learnt(*cases: Any) -> JsonReader:
    made = reader()
    made.learn(written(answer(*(cases or (CASE,)))))
    assert not made.is_learning
    return made


def test_nothing_is_read_before_an_answer_was_seen_and_everything_of_its_shape_after() -> None:
    made = reader()
    body = written(answer(CASE, {**CASE, "no": '引"', "parties": []}, {**CASE, "tags": []}))
    assert made.read(body) is None
    assert made.is_learning
    made.learn(body)
    other = written(answer(CASE, CASE))
    assert as_read(made.read(other) or []) == as_parsed(other)


@pytest.mark.parametrize(
    "body",
    [
        written(answer(CASE)).replace(b'"no":', b'"no": "other", "no":'),
        written(answer(CASE)).replace(b'"x":', b'"x": "other", "x":'),
        written(answer(CASE)).replace(b'"seen": null', b'"seen": null, "seen": null'),
        written(answer({**CASE, "new": "x"})),
        written(answer({key: value for key, value in CASE.items() if key != "more"})),
        written(answer({**CASE, "no": 7})),
        written(answer({**CASE, "name": None})),
        written(answer({**CASE, "name": 'says "null"'})),
        written(answer({**CASE, "parties": {"name": "张某", "seen": None}})),
        written(answer({**CASE, "tags": ["a", None]})),
        written(answer(CASE, code="1")),
        written(answer(CASE, code=0)),
        written(answer(CASE))[:-3],
        b"\xff" + written(answer(CASE)),
        b"[]",
    ],
)
def test_what_is_of_another_shape_is_left_to_the_general_reader(body: bytes) -> None:
    assert learnt().read(body) is None


def test_nulls_in_new_places_are_learnt_without_forgetting_the_shape() -> None:
    made = learnt()
    for name in ("name", "parties", "tags"):
        body = written(answer({**CASE, name: None}, CASE))
        assert made.read(body) is None
        assert made.is_learning
        made.learn(body)
        assert as_read(made.read(body) or []) == as_parsed(body)
    strange = written({"code": "0", "data": {"list": [{"no": "x"}]}})
    assert made.read(strange) is None
    made.learn(strange)
    assert as_read(made.read(written(answer(CASE))) or []) == as_parsed(written(answer(CASE)))


def test_a_source_that_changes_its_shape_for_good_is_learnt_again() -> None:
    made = learnt()
    changed = written(answer({**CASE, "new": "x"}))
    for _ in range(MOST_MISSES + 1):
        assert made.read(changed) is None
    made.learn(changed)
    assert as_read(made.read(changed) or []) == as_parsed(changed)


def test_one_place_read_as_a_text_and_as_a_list_is_refused_when_it_is_said() -> None:
    with pytest.raises(Unlike):
        reader().record.at("tags", False)


TEXTS = st.text(st.sampled_from('甲a"\\:{}, null\n'), max_size=5)
VALUES = st.one_of(st.none(), TEXTS, st.integers(-1, 1), st.booleans(), st.lists(TEXTS, max_size=2))
CASES = st.fixed_dictionaries(
    {
        "no": TEXTS | VALUES,
        "name": TEXTS | VALUES,
        "parties": st.lists(st.fixed_dictionaries({"name": TEXTS | VALUES, "seen": VALUES}), max_size=2) | VALUES,
        "tags": st.lists(TEXTS, max_size=2) | VALUES,
        "more": VALUES,
        "on": VALUES,
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CASES, max_size=3), st.booleans(), st.sampled_from([None, "no", "name", "seen", "more"]))
def test_whatever_is_read_is_what_the_general_reader_reads(cases: list[Any], is_ascii: bool, twice: str | None) -> None:
    made = learnt({**CASE, "name": None, "parties": None, "tags": None, "more": None}, CASE)
    body = json.dumps(answer(*cases), ensure_ascii=is_ascii).encode()
    if twice:
        body = body.replace(f'"{twice}":'.encode(), f'"{twice}": "x", "{twice}":'.encode(), 1)
    read = made.read(body)
    try:
        parsed = parse_json(body)["data"]["list"]
    except SourceContractBroken:
        assert read is None
        return
    if read is not None:
        assert len(read) == len(parsed)
        assert as_read(read) == as_parsed(body)
