"""Checks that need the whole mapping: words that fit the kind, placeholders that fit the role, and calls that would multiply."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.mapping.check_delivered import check_delivered, check_file_connect
from adapters.mapping.delivered import FileConnect
from adapters.mapping.model import SourceMapping
from adapters.mapping.placeholders import is_placeholder
from adapters.mapping.wire import check_wire
from adapters.mapping.written import PLACEHOLDERS, MappingForm, Request, SqlConnect
from schema.problems import Path as ProblemPath
from schema.problems import Problem
from schema.written import Document

WORDS = {
    "rest": ({"method", "path", "query", "json", "form"}, {"method", "path"}),
    "platform": ({"method", "path", "query", "json", "form", "sid"}, {"method", "path"}),
    "soap": ({"operation", "message"}, {"operation", "message"}),
    "sql": ({"table"}, {"table"}),
    "file": (set(), set()),
}
"""For each kind: the words its requests may use, and those they must."""

DECODERS = {
    "percent_decode": ("text", "text"),
    "xml_unescape": ("text", "text"),
    "base64": ("text", "bytes"),
    "gunzip": ("bytes", "bytes"),
    "utf8": ("bytes", "text"),
    "gb18030": ("bytes", "text"),
    "xml": ("text", "record"),
    "json": ("text", "record"),
}
"""What each word of `answer` takes and gives; an `answer` starts with text and ends with a record."""

SEARCHING = ("$offset", "$cursor", "$order")
PAIRS = {"join": "with", "text": "of"}


def check_request_words(document: Document, form: MappingForm, folder: Path) -> None:
    """Requests, answers and vendored files of one mapping."""
    kind = form.connect.kind
    allowed, required = WORDS[kind]
    for name, operation in form.operations.items():
        path: ProblemPath = ("operations", name, "request")
        check_delivered(document, form, name)
        if operation.deliver is not None:
            continue
        if "request" not in operation.model_fields_set:
            document.problem(path, "必须填写")
            continue
        written = _written_words(operation.request)
        for word in written - allowed:
            document.unknown((*path, word), word, f"{kind} 的请求没有", allowed)
        for word in required - written:
            document.problem(path, f"{kind} 的请求必须写 {word}")
        if form.connect.kind == "platform" and form.connect.signing.scheme == "national" and "sid" not in written:
            document.problem(path, "国家平台的请求必须写 sid（服务编码）")
        if kind != "sql":
            if not operation.records:
                document.problem(("operations", name), "必须写 records（记录在答复中的位置）")
            _check_placeholders(document, path, form, name)
    _check_answer(document, form)
    check_wire(document, form)
    check_file_connect(document, form)
    if form.connect.kind == "soap" and not (folder / form.connect.wsdl).is_file():
        document.problem(("connect", "wsdl"), f"映射文件夹里没有 {form.connect.wsdl}")


def check_operations(document: Document, mapping: SourceMapping) -> SourceMapping:
    """The mapping with its notices: what is allowed but will cost, such as one request per key (N+1)."""
    notices: list[Problem] = []
    for name, operation in mapping.operations.items():
        if operation.lookup and operation.lookup.batch == 1:
            line, column = document.marks.get(("operations", name, "lookup"), (1, 1))
            what = "每个键一次请求（batch: 1），列表查询会放大为 N+1 次调用"
            notices.append(
                Problem(document.file, line, column, f"operations.{name}.lookup", what, "请来源提供批量接口")
            )
    return replace(mapping, notices=tuple(notices))


def _written_words(request: Request) -> set[str]:
    return {"json" if word == "json_body" else word for word in request.model_fields_set}


def _check_placeholders(document: Document, path: ProblemPath, form: MappingForm, name: str) -> None:
    operation = form.operations[name]
    used: set[str] = set()
    for where, value in _values(operation.request):
        if isinstance(value, Mapping):
            _check_special(document, (*path, *where), value)
        elif isinstance(value, str) and value.startswith("$"):
            used.add(value)
            if not is_placeholder(value):
                document.unknown((*path, *where), value, "不认识的占位符", PLACEHOLDERS)
        elif isinstance(value, str) and value.startswith("env:") and not re.fullmatch(r"env:[A-Z][A-Z0-9_]*", value):
            document.problem((*path, *where), "密钥写成 env:NAME（大写环境变量名）")
    if operation.lookup:
        keys = used & {"$keys", "$key"}
        if not keys:
            document.problem(path, "lookup 的请求里没有 $keys（或 $key）")
        if "$key" in keys and operation.lookup.batch > 1:
            document.problem(path, "$key 每次只带一个键，batch 须为 1；批量请用 $keys")
        for word in sorted(used - {"$keys", "$key"}):
            if is_placeholder(word):
                document.problem(path, f"{word} 只用于 {'search' if word in SEARCHING or '.' in word else 'changes'}")
    elif operation.changes:
        by_token = operation.page is not None and operation.page.next is not None
        if ("$cursor" if by_token else "$since") not in used:
            document.problem(path, f"changes 的请求里没有 {'$cursor' if by_token else '$since'}")
        for word in used & {"$keys", "$key"}:
            document.problem(path, f"{word} 只用于 lookup")
        if "$cursor" in used and not by_token:
            document.problem(path, "$cursor 须有同级的 page.next（答复中续读标记的位置）")
        for word in sorted(
            word for word in used - {"$cursor"} if is_placeholder(word) and (word in SEARCHING or "." in word)
        ):
            document.problem(path, f"{word} 只用于 search")
    else:
        for word in sorted(used & {"$keys", "$key", "$since", "$until"}):
            document.problem(path, f"{word} 不用于 search")


def _check_special(document: Document, path: ProblemPath, value: Mapping[str, Any]) -> None:
    for word, partner in PAIRS.items():
        if word in value and partner in value and set(value) != {word, partner}:
            document.problem(path, f"{word} 只与 {partner} 同写")


def _values(request: Request) -> Iterator[tuple[ProblemPath, Any]]:
    for word, tree in (
        ("query", request.query),
        ("json", request.json_body),
        ("form", request.form),
        ("message", request.message),
    ):
        yield from _walk((word,), tree)


def _walk(path: ProblemPath, tree: Any) -> Iterator[tuple[ProblemPath, Any]]:
    yield path, tree
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _walk((*path, key), value)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from _walk((*path, index), value)


def _check_answer(document: Document, form: MappingForm) -> None:
    connect = form.connect
    if isinstance(connect, (SqlConnect, FileConnect)) or not connect.answer:
        return
    state = "text"
    for index, word in enumerate(connect.answer):
        takes, gives = DECODERS[word]
        if takes != state:
            document.problem(("connect", "answer", index), f"{word} 需要 {takes}，此处却是 {state}")
        state = gives
    if state != "record":
        document.problem(("connect", "answer"), "answer 应以 xml 或 json 结尾")
