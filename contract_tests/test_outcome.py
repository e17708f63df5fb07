"""A source's own success code decides, whatever HTTP says; and of several rows about one record the last one holds."""

from typing import Any

import pytest

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceUnavailable,
)
from adapters.latest import latest
from adapters.mapping.paths import parse_path
from adapters.mapping.written import Outcome
from adapters.outcome import OK, judge_for, raise_for

JUDGE = judge_for(
    Outcome(
        path="head.code",
        ok=["0", "true"],
        empty=["1404"],
        retry=["5001", "5003"],
        throttled=["4290"],
        denied=["4010"],
        message="head.message",
    )
)


def said(code: Any, message: Any = "说明") -> Any:
    return {"head": {"code": code, "message": message}}


@pytest.mark.parametrize(("code", "kind"), [("0", "ok"), (" 0\n", "ok"), ("true", "ok"), ("1404", "empty")])
def test_success_and_emptiness_are_no_errors(code: str, kind: str) -> None:
    verdict = JUDGE(said(code))
    raise_for(verdict)
    assert verdict.kind == kind


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("5001", SourceUnavailable),
        ("5003", SourceUnavailable),
        ("4290", SourceThrottled),
        ("4010", SourceDenied),
        ("9999", SourceRejected),
        ("00", SourceRejected),
    ],
)
def test_other_codes_say_what_the_caller_does_next(code: str, error: type[SourceError]) -> None:
    with pytest.raises(error, match=f"^{code} 说明$") as raised:
        raise_for(JUDGE(said(code)))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param({}, id="no head"),
        pytest.param({"head": {}}, id="no code"),
        pytest.param(said(None), id="null"),
        pytest.param(said(""), id="empty"),
        pytest.param(said({"a": "0"}), id="a structure"),
        pytest.param(said(["0"]), id="a list"),
        pytest.param({"head": [{"code": "0"}]}, id="a list on the way"),
        pytest.param([], id="no envelope"),
        pytest.param("0", id="a text"),
    ],
)
def test_an_answer_without_its_code_breaks_the_contract(tree: Any) -> None:
    with pytest.raises(SourceContractBroken):
        JUDGE(tree)


def test_an_xml_code_with_attributes_is_its_text() -> None:
    assert JUDGE(said({"@type": "int", "": "0"})).kind == "ok"


def test_a_message_is_not_needed_and_never_long() -> None:
    assert JUDGE(said("9999", None)).message == ""
    assert len(JUDGE(said("9999", "长" * 1000)).message) == 200


def test_without_an_outcome_every_readable_answer_is_a_success() -> None:
    assert judge_for(None)({"code": "500"}) == OK


# The latest rows


def row(number: str | None, batch: str | None, operation: str = "i") -> dict[str, str | None]:
    return {"cd_id": number, "cd_batch": batch, "cd_operation": operation}


def reduced(*rows: dict[str, str | None]) -> list[Any]:
    return latest(rows, parse_path("cd_id"), [parse_path("cd_batch"), parse_path("cd_time")])


def test_the_last_row_of_each_record_holds_and_a_deletion_is_a_row() -> None:
    first, second, gone = row("1", "2024010100001"), row("1", "2024010200001", "u"), row("2", "2024010300001", "d")
    assert reduced(gone, second, first, row("2", "2024010100002")) == [gone, second]


def test_of_equal_rows_the_one_that_came_last_holds() -> None:
    first, second = row("1", "5"), row("1", "5", "u")
    assert reduced(first, second) == [second]


def test_numbers_are_ordered_as_numbers_and_absence_comes_first() -> None:
    rows = [row("1", "10"), row("1", "9"), row("1", None), row("1", "010", "u"), row("1", "")]
    assert reduced(*rows[:4]) == [rows[3]]


def test_rows_that_name_no_record_are_all_kept() -> None:
    rows = [row(None, "1"), row(None, "2"), row("1", "1")]
    assert reduced(*rows) == rows


def test_without_latest_every_row_is_a_record() -> None:
    rows = [row("1", "1"), row("1", "2")]
    assert latest(rows, None, ()) == rows
