"""Checks of what is delivered: words that go together, and columns that a file can have."""

from adapters.mapping.limits import Connect
from adapters.mapping.written import MappingForm
from schema.problems import Path
from schema.written import Document

UNUSED = tuple(sorted(set(Connect.model_fields)))
"""Words about calls, which nobody makes to a source that delivers files."""


def check_delivered(document: Document, form: MappingForm, name: str) -> None:
    """That an operation which is delivered is not asked for as well, and one of files is delivered."""
    operation, at = form.operations[name], ("operations", name)
    if form.connect.kind == "file" and operation.deliver is None:
        document.problem(at, "file 的来源只能交付：操作写 deliver，不写 lookup、changes、search")
    if operation.layout is not None and form.connect.kind != "file":
        document.problem((*at, "layout"), "layout 只用于 file 的来源")
    if operation.deliver is None:
        return
    for word in ("request", "page", "latest", "at_least"):
        if word in operation.model_fields_set:
            document.problem((*at, word), f"{word} 不用于 deliver")
    if operation.records and form.connect.kind != "file":
        document.problem((*at, "records"), "records 只用于 file 的来源（JSON 文件里记录所在的位置）")


def check_file_connect(document: Document, form: MappingForm) -> None:
    """What only makes sense where somebody is called, and which file belongs to which operation."""
    if form.connect.kind != "file":
        return
    for word in UNUSED:
        if word in form.connect.model_fields_set:
            document.problem(("connect", word), f"{word} 不用于 file：没有人调用它")
    everything: list[str] = []
    for name, operation in form.operations.items():
        path: Path = ("operations", name, "layout")
        for pattern in operation.layout.names if operation.layout else ["*"]:
            if "/" in pattern or "\\" in pattern:
                document.problem((*path, "names"), f"“{pattern}” 应是文件名，不是路径")
            if pattern in everything:
                where = path if operation.layout else ("operations", name)
                document.problem(where, f"文件名 “{pattern}” 已属于另一个操作，请写不同的 names")
            everything.append(pattern)
