"""Tells what changed between two specifications, for people in Chinese and for programs in JSON."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.specification.impact import Asked, Impact

HEADINGS = {"breaking": "破坏性变化", "change": "其他变化", "addition": "新增"}


def report_text(old: str, new: str, found: Sequence[Impact], rest: Sequence[Asked]) -> str:
    """The report as lines, sorted, every breaking change with what it touches."""
    return "\n".join(_lines(old, new, found, rest))


def _lines(old: str, new: str, found: Sequence[Impact], rest: Sequence[Asked]) -> Iterator[str]:
    yield f"规范 {old} → {new}"
    if not found:
        yield "没有变化"
    for kind, heading in HEADINGS.items():
        members = [impact for impact in found if impact.change.kind == kind]
        if members:
            yield f"\n{heading}（{len(members)}）"
        for impact in members:
            yield f"  {impact.change.at or '规范'}：{impact.change.what}"
            for use in impact.mappings:
                yield f"    映射 {use.file}:{use.line}:{use.column} {use.path}"
            for asked in impact.queries:
                yield f"    查询 {asked.file}:{asked.line}:{asked.column} {asked.field} {_verdict(asked)}"
    if rest:
        yield f"\n查询在新规范下无效的其他地方（{len(rest)}）"
    for asked in rest:
        yield f"  {asked.file}:{asked.line}:{asked.column} {asked.error}"
    broken = sum(impact.change.kind == "breaking" for impact in found)
    files = {use.file for impact in found for use in impact.mappings}
    queries = {asked.file for impact in found for asked in impact.queries} | {asked.file for asked in rest}
    yield f"\n破坏性变化 {broken} 个，涉及映射 {len(files)} 个、查询 {len(queries)} 个"


def _verdict(asked: Asked) -> str:
    return f"无效：{asked.error}" if asked.error else "仍有效，但取值或含义改变"


def report_json(old: str, new: str, found: Sequence[Impact], rest: Sequence[Asked]) -> str:
    """The same as JSON: `breaking`, `changes`, `additions`, and `invalidQueries` that no change accounts for."""
    told: dict[str, Any] = {"old": old, "new": new}
    for kind, word in (("breaking", "breaking"), ("change", "changes"), ("addition", "additions")):
        told[word] = [_change(impact) for impact in found if impact.change.kind == kind]
    told["invalidQueries"] = [_asked(asked) for asked in rest]
    return json.dumps(told, ensure_ascii=False, indent=2)


def _change(impact: Impact) -> dict[str, Any]:
    change = impact.change
    told: dict[str, Any] = {"at": change.at, "thing": change.thing, "what": change.what}
    if change.kind == "breaking":
        told["mappings"] = [
            {"file": use.file, "line": use.line, "column": use.column, "path": use.path} for use in impact.mappings
        ]
        told["queries"] = [_asked(asked) for asked in impact.queries]
    return told


def _asked(asked: Asked) -> dict[str, Any]:
    place = {"file": asked.file, "line": asked.line, "column": asked.column, "field": asked.field}
    return {**place, "valid": not asked.error, "error": asked.error}
