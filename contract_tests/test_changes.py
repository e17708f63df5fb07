"""No change of the schema goes unrecorded, and each record says what a client has to know."""

import subprocess
from datetime import date
from pathlib import Path

import pytest
from graphql.utilities import BreakingChangeType, DangerousChangeType, SafeChangeType

from gateway.cli import main
from schema.change_words import WORDS
from schema.changes import HEAD, Unrecorded, describe_changes, digest, last_recorded, record, recorded_digest

SCHEMA = Path(__file__).parents[1] / "schema"
FIRST = '''
directive @tag(name: String!) on FIELD_DEFINITION
"""当事人"""
type Party { name: String @tag(name: "a") kind: Kind age: String }
enum Kind { PERSON FIRM }
type Query { party(key: ID, on: String = "x"): Party }
'''
SECOND = '''
directive @tag(name: String!) on FIELD_DEFINITION
"""当事人或监管对象"""
type Party { name: String! @tag(name: "b") kind: Kind phone: String }
enum Kind { PERSON FIRM OTHER }
type Query { party(key: ID, on: String = "y", now: Boolean!): Party }
'''
DAY = date(2026, 11, 22)


def test_the_committed_schema_is_the_one_recorded_last() -> None:
    committed = (SCHEMA / "schema.graphql").read_text("utf-8")
    assert recorded_digest(SCHEMA) == digest(committed), "run: gateway changes --record 说明"


def test_changes_are_told_by_what_they_mean_for_a_client() -> None:
    assert describe_changes(FIRST, SECOND) == [
        "破坏性：删除字段：`Party.age`",
        "破坏性：新增必填的参数：`Query.party(now:)`",
        "须留意：新增枚举值：`Kind.OTHER`",
        '须留意：参数默认值改变：`Query.party(on:)`（`"x"` 改为 `"y"`）',
        "兼容：新增字段：`Party.phone`",
        "兼容：字段类型放宽或收窄而不影响现有查询：`Party.name`（`String` 改为 `String!`）",
        "说明文字：1 处",
        '标注：`Party.name`：`@tag(name: "a")` 改为 `@tag(name: "b")`',
    ]
    assert describe_changes(FIRST, FIRST) == []
    assert describe_changes(FIRST, FIRST + "\n") == ["只有次序或写法改变"]


def test_every_sort_of_change_has_a_word() -> None:
    assert set(WORDS) == {*BreakingChangeType, *DangerousChangeType, *SafeChangeType}


def test_a_record_rewrites_the_schema_and_stands_above_the_earlier_ones(tmp_path: Path) -> None:
    assert record(tmp_path, "type Query { a: Int }\n", "v1", "首版", DAY) == ["初始版本"]
    second = "type Query { a: Int b: Int }\n"
    assert record(tmp_path, second, "v2", "加一个字段", DAY) == ["兼容：新增字段：`Query.b`"]
    assert record(tmp_path, second, "v2", "再记一次", DAY) == []
    assert (tmp_path / "schema.graphql").read_text("utf-8") == second
    assert (tmp_path / "CHANGES.md").read_text("utf-8") == (
        f"{HEAD}\n## 2026-11-22 加一个字段\n\n规范 v2，SHA-256 `{digest(second)}`\n\n- 兼容：新增字段：`Query.b`\n"
        f"\n## 2026-11-22 首版\n\n规范 v1，SHA-256 `{digest('type Query { a: Int }' + chr(10))}`\n\n- 初始版本\n"
    )


def test_a_schema_that_was_overwritten_is_compared_with_the_committed_one(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=tmp_path, check=True)

    record(tmp_path, "type Query { a: Int }\n", "v1", "首版", DAY)
    (tmp_path / "schema.graphql").write_text("type Query { a: Int b: Int }\n", "utf-8")
    with pytest.raises(Unrecorded):
        last_recorded(tmp_path)
    (tmp_path / "schema.graphql").write_text("type Query { a: Int }\n", "utf-8")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    (tmp_path / "schema.graphql").write_text("type Query { a: Int b: Int }\n", "utf-8")
    assert record(tmp_path, "type Query { a: Int b: Int }\n", "v2", "二", DAY) == ["兼容：新增字段：`Query.b`"]


def test_the_command_says_that_nothing_changed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["changes"]) == 0
    assert capsys.readouterr().out == "没有变化\n"
