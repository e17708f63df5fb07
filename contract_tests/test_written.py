"""YAML is read as its author wrote it, and what is wrong with it is told with line, column and what was meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from schema.problems import did_you_mean
from schema.written import LARGEST_FILE, Document, check_shape, read_yaml

Read = Callable[[str | bytes], Document]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads what a file `a.yaml` of this content would give."""

    def read(content: str | bytes) -> Document:
        (tmp_path / "a.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
        return read_yaml(tmp_path / "a.yaml", "a.yaml")

    return read


def told(document: Document) -> list[str]:
    return [str(problem) for problem in document.problems]


@pytest.mark.parametrize(
    "text", ["010", "0x1F", "1e3", "no", "yes", "null", "~", "2024-06-01", "1_000", "12:30", "NaN", ".5"]
)
def test_a_scalar_is_the_text_its_author_wrote(read: Read, text: str):
    assert read(f"{text}: {text}").tree == {text: text}


def test_only_an_explicit_tag_makes_a_number_a_truth_or_a_null(read: Read):
    assert read("[!!int 0, !!int -7, !!bool true, !!null x, !!str 1, '', ]").tree == [0, -7, True, None, "1", ""]


def test_nothing_after_a_key_is_null_and_quotes_are_empty_text(read: Read):
    assert read("a:\nb: ''").tree == {"a": None, "b": ""}


@pytest.mark.parametrize(
    ("tag", "value"),
    [("int", "0x10"), ("int", "--5"), ("int", "²"), ("int", "9" * 5000), ("bool", "yes"), ("float", "1")],
)
def test_a_tag_that_does_not_fit_its_value_is_a_problem(read: Read, tag: str, value: str):
    assert told(read(f"a: !!{tag} {value}")) == [
        f"a.yaml:1:1: a: 标签 tag:yaml.org,2002:{tag} 与值 “{value}” 不符，只支持 !!int、!!bool、!!null"
    ]


def test_a_key_written_twice_is_a_problem_at_its_second_place(read: Read):
    document = read("a: 1\nb:\n  c: 2\n  c: 3\n")
    assert (document.tree, told(document)) == ({"a": "1", "b": {"c": "2"}}, ["a.yaml:4:3: b.c: 键重复"])


def test_an_alias_bomb_is_refused_without_being_expanded(read: Read):
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    document = read("\n".join(lines))
    assert told(document)[0] == "a.yaml:2:1: a1[0]: 不支持 YAML 锚点和别名，请写全"
    assert len(document.problems) < 100


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param("", "1:1: 文件是空的", id="empty"),
        pytest.param("# 只有注释\n", "1:1: 文件是空的", id="only a comment"),
        pytest.param(
            "a:\n\tb: 1\n", r"2:1: 不是合法的 YAML：found character '\t' that cannot start any token", id="a tab"
        ),
        pytest.param(
            "a: [1, 2\nb: 3\n", "2:2: 不是合法的 YAML：expected ',' or ']', but got ':'", id="an open bracket"
        ),
        pytest.param("a: 1\n---\nb: 2\n", "2:1: 不是合法的 YAML：but found another document", id="two documents"),
        pytest.param("a: *b\n", "1:4: 不是合法的 YAML：found undefined alias 'b'", id="an alias without its anchor"),
        pytest.param("? [a, b]\n: c\n", "1:1: 键必须是简单文本", id="a list as a key"),
        pytest.param("标题: 案件".encode("gbk"), "1:1: 文件不是 UTF-8 编码（第 0 字节）", id="GBK"),
        pytest.param("a: 1\nb: \0", "2:4: 不允许的字符 U+0000", id="NUL"),
        pytest.param("[" * 42 + "]" * 42, f"1:42: {'[0]' * 41}: 嵌套超过 40 层", id="deep"),
        pytest.param("[" * 5000, "1:1: 嵌套超过 40 层", id="too deep to parse"),
        pytest.param("a: " + "x" * LARGEST_FILE, "1:1: 无法读取：文件超过 2097152 字节", id="oversized"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(read: Read, content: str | bytes, problem: str):
    assert told(read(content)) == [f"a.yaml:{problem}"]


def test_a_byte_order_mark_is_no_part_of_the_first_key(read: Read):
    assert read("\ufeffa: 1").tree == {"a": "1"}


# Shapes


def meant(*words: str) -> str:
    return f"是否应为 {' / '.join(words)}？（did you mean {' / '.join(words)}?）"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rest(Strict):
    kind: Literal["rest"]
    base_url: str
    rate: int = 1


class Soap(Strict):
    kind: Literal["soap"]
    wsdl: str
    binding: str = ""


class Source(Strict):
    connect: Annotated[Rest | Soap, Field(discriminator="kind")]
    others: list[Annotated[Rest | Soap, Field(discriminator="kind")]] = []
    quiet: bool = False


def test_a_shape_that_fits_is_given_back(read: Read):
    document = read("connect: {kind: rest, base_url: x, rate: 3}\nquiet: true")
    assert check_shape(document, Source) == Source(connect=Rest(kind="rest", base_url="x", rate=3), quiet=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "connect: {kind: rest, base_url: y, wsdl: x}",
            "1:36: connect.wsdl: 不认识的词 “wsdl” — 可用：base_url、kind、rate",
        ),
        (
            "connect: {kind: soap, wsdl: x, rate: 1}",
            "1:32: connect.rate: 不认识的词 “rate” — 可用：binding、kind、wsdl",
        ),
        (
            "connect: {kind: soap, wsdl: x, bindng: 1}",
            f"1:32: connect.bindng: 不认识的词 “bindng” — {meant('binding')}",
        ),
        ("connect: {kind: soep, wsdl: x}", f"1:11: connect.kind: 不认识的词 “soep” — {meant('soap')}"),
        ("connect: {wsdl: x}", "1:1: connect.kind: 必须填写"),
        ("connect: {kind: soap}", "1:1: connect.wsdl: 必须填写"),
        ("connect: {kind: soap, wsdl: }", "1:23: connect.wsdl: 应为文本"),
        ("connect: [soap]", "1:1: connect: 应为映射（键: 值）"),
        ("connect: {kind: rest, base_url: x, rate: viel}", "1:36: connect.rate: 应为整数，而不是 “viel”"),
        ("[1, 2]", "1:1: 应为映射（键: 值）"),
    ],
)
def test_a_shape_that_does_not_fit_is_told_in_the_words_of_its_kind(read: Read, text: str, problem: str):
    document = read(text)
    assert (check_shape(document, Source), told(document)) == (None, [f"a.yaml:{problem}"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "others: [{kind: rest, base_url: x, wsdl: y}]",
            "others[0].wsdl: 不认识的词 “wsdl” — 可用：base_url、kind、rate",
        ),
        ("others: x", "others: 应为列表"),
        ("quiet: nope", "quiet: 应为 true 或 false，而不是 “nope”"),
        ("quite: true", f"quite: 不认识的词 “quite” — {meant('quiet')}"),
    ],
)
def test_beside_what_fits_the_rest_is_told_too(read: Read, text: str, problem: str):
    document = read("connect: {kind: soap, wsdl: x}\n" + text)
    check_shape(document, Source)
    assert [line.split(": ", 1)[1] for line in told(document)] == [problem]


def test_few_words_are_listed_and_many_are_not():
    assert did_you_mean("x", ["b", "a"]) == "可用：a、b"
    assert did_you_mean("x", map(str, range(100))) == ""
