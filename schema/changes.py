"""What changed in the schema: compared with what was recorded last, and recorded in `schema/CHANGES.md`."""

import hashlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from graphql import DefinitionNode, DirectiveNode, build_schema, parse
from graphql.language import print_ast
from graphql.utilities import find_schema_changes

from schema.change_words import in_words

HEAD = """# 统一 schema 变更记录

每次改变 schema.graphql 都在此记一条，最近的在前，由 `gateway changes --record 说明` 写入；
测试保证最近一条的 SHA-256 就是 schema.graphql 的，没有记录的改变因此通不过。
破坏性：现有查询可能不再有效。须留意：现有查询仍有效，但答案或默认值可能不同。
"""
DIGEST = re.compile(r"SHA-256 `([0-9a-f]{64})`")


class Unrecorded(Exception):
    """The schema that was recorded last is found nowhere, so that nothing can be compared with it."""


def digest(sdl: str) -> str:
    """The SHA-256 of a printed schema."""
    return hashlib.sha256(sdl.encode()).hexdigest()


def recorded_digest(folder: Path) -> str | None:
    """The digest of the newest entry of `CHANGES.md`, or None when there is none yet."""
    file = folder / "CHANGES.md"
    found = DIGEST.search(file.read_text("utf-8")) if file.exists() else None
    return found[1] if found else None


def last_recorded(folder: Path) -> str | None:
    """The schema that was recorded last: `schema.graphql`, or the committed one where that was overwritten.

    None when nothing was recorded yet. Raises Unrecorded.
    """
    wanted = recorded_digest(folder)
    if wanted is None:
        return None
    for text in _candidates(folder / "schema.graphql"):
        if digest(text) == wanted:
            return text
    raise Unrecorded("找不到上次记录的 schema；请先执行 git checkout HEAD -- schema/schema.graphql schema/CHANGES.md")


def describe_changes(old: str, new: str) -> list[str]:
    """What a client has to know, one line each, the breaking changes first; empty when nothing changed."""
    lines = in_words(find_schema_changes(build_schema(old), build_schema(new)))
    lines += [f"标注：`{place}`：{tags}" for place, tags in _changed_tags(old, new)]
    return lines or (["只有次序或写法改变"] if old != new else [])


def record(folder: Path, new: str, version: str, what: str, today: date) -> list[str]:
    """Write `new` into `schema.graphql` and an entry on it into `CHANGES.md`; the lines of the entry.

    Nothing is written when nothing changed. Raises Unrecorded.
    """
    old = last_recorded(folder)
    lines = describe_changes(old, new) if old is not None else ["初始版本"]
    if lines:
        entry = [f"## {today.isoformat()} {what}", "", f"规范 {version}，SHA-256 `{digest(new)}`", ""]
        entry += [f"- {line}" for line in lines]
        file = folder / "CHANGES.md"
        earlier = file.read_text("utf-8").removeprefix(HEAD) if file.exists() else ""
        (folder / "schema.graphql").write_text(new, encoding="utf-8")
        file.write_text(HEAD + "\n" + "\n".join(entry) + "\n" + earlier, encoding="utf-8")
    return lines


def _candidates(file: Path) -> Iterator[str]:
    if file.exists():
        yield file.read_text("utf-8")
    shown = ["git", "show", f"HEAD:./{file.name}"]
    try:
        committed = subprocess.run(shown, cwd=file.parent, capture_output=True, check=False)
    except FileNotFoundError:
        return
    if committed.returncode == 0:
        yield committed.stdout.decode()


def _changed_tags(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Directives that a definition carries in both schemas, and no longer the same ones; the library passes them over."""
    before, after = _tags(old), _tags(new)
    for place in after:
        if place in before and before[place] != after[place]:
            yield place, f"{_shown(before[place])} 改为 {_shown(after[place])}"


def _shown(tags: Sequence[str]) -> str:
    return " ".join(f"`{tag}`" for tag in tags) or "无"


def _tags(sdl: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for definition in parse(sdl, no_location=True).definitions:
        found.update(_tags_of(definition))
    return found


def _tags_of(definition: DefinitionNode) -> Iterator[tuple[str, list[str]]]:
    name = getattr(definition, "name", None)
    owner = name.value if name else "schema"
    yield owner, _printed(getattr(definition, "directives", None))
    for part in (*(getattr(definition, "fields", None) or ()), *(getattr(definition, "values", None) or ())):
        yield f"{owner}.{part.name.value}", _printed(part.directives)


def _printed(directives: Sequence[DirectiveNode] | None) -> list[str]:
    return [print_ast(directive) for directive in directives or ()]
