"""Registering trusted documents: read from files and manifests, each proven against the schema, stored all or none."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphql import GraphQLError

from adapters.json_keys import distinct
from gateway.engine.preparation import Preparation, Refused
from gateway.limits import is_document_id
from gateway.web.documents import identifier_of, read_documents
from schema.problems import Problem, Problems

SUFFIXES = (".graphql", ".gql")
APOLLO = "apollo-persisted-query-manifest"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document somebody wants registered: its identifier and text, the file it is in, and where in a manifest."""

    identifier: str
    text: str
    file: Path
    place: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """How many documents were given, how many of them were new, and how many there are now."""

    given: int
    new: int
    total: int


def register(paths: Sequence[Path], store: Path, preparation: Preparation) -> Registered:
    """Add the documents of these files, folders and manifests to `store`; giving them again changes nothing.

    Raises Problems with everything that is wrong with any of them, and then none was added.
    """
    problems: list[Problem] = []
    candidates: list[Candidate] = []
    for file in _files(paths):
        try:
            candidates += read_candidates(file)
        except (OSError, ValueError) as error:
            problems.append(Problem(str(file), 1, 1, file.name, f"读不了：{_reason(error)}"))
    if not candidates and not problems:
        problems.append(Problem(str(paths[0]), 1, 1, "documents", f"没有找到文档（{'、'.join(SUFFIXES)} 或清单 JSON）"))
    for candidate in candidates:
        problems += _problems_of(candidate, preparation)
    if problems:
        raise Problems(problems)
    with _alone(store):
        known = _known(store)
        added = _added(candidates, known, store)
        if added:
            _replace(store, {**known, **added})
        return Registered(len(candidates), len(added), len(known) + len(added))


def read_candidates(path: Path) -> list[Candidate]:
    """The document of a `.graphql` file, or those of a manifest. Raises OSError or ValueError."""
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix != ".json":
        return [Candidate(identifier_of(text), text, path)]
    return [
        Candidate(identifier, body, path, _place_of(identifier, text))
        for identifier, body in _manifest(json.loads(text, object_pairs_hook=distinct))
    ]


def _files(paths: Sequence[Path]) -> list[Path]:
    """Each file once: those named, and in place of a folder the queries in it."""
    found: dict[Path, None] = {}
    for path in paths:
        inside = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        found.update(dict.fromkeys(inside))
    return list(found)


def _manifest(tree: Any) -> Iterator[tuple[str, str]]:
    """Identifier and text: of Apollo's manifest, else of the plain object that GraphQL Code Generator and Relay write."""
    entries: Any = tree.items() if isinstance(tree, dict) else None
    if isinstance(tree, dict) and tree.get("format") == APOLLO:
        if tree.get("version") != 1 or not isinstance(tree.get("operations"), list):
            raise ValueError("Apollo 清单应为 version 1，有 operations 列表")
        entries = ((entry.get("id"), entry.get("body")) for entry in tree["operations"] if isinstance(entry, dict))
    if entries is None:
        raise ValueError("清单应为 JSON 对象：标识符对应查询文本")
    for identifier, body in entries:
        if not isinstance(identifier, str) or not isinstance(body, str):
            raise ValueError(f"清单里 {str(identifier)[:80]} 不是 标识符对应查询文本")
        yield identifier, body


def _problems_of(candidate: Candidate, preparation: Preparation) -> Iterator[Problem]:
    what, text = candidate.identifier, candidate.text
    line, column = candidate.place or (1, 1)
    if not is_document_id(what):
        yield Problem(str(candidate.file), line, column, what[:80], "不是文档标识符：只能有字母、数字和 - . _ ~")
    elif what.startswith("sha256:") and what != identifier_of(text):
        yield Problem(str(candidate.file), line, column, what, "不是这段文本的 SHA-256")
    try:
        preparation.check(text)
    except Refused as refused:
        for error in refused.errors:
            yield _problem_of(error, candidate)


def _problem_of(error: GraphQLError, candidate: Candidate) -> Problem:
    """A `.graphql` file has the error where GraphQL says; in a manifest the text is one line, so that place is said beside."""
    line, column = (error.locations[0].line, error.locations[0].column) if error.locations else (1, 1)
    code = str((error.extensions or {}).get("code"))
    if candidate.place is None:
        return Problem(str(candidate.file), line, column, code, error.message)
    message = f"{error.message}（文档内 {line}:{column}）"
    return Problem(str(candidate.file), *candidate.place, candidate.identifier, message)


def _known(store: Path) -> dict[str, str]:
    try:
        return read_documents(store)
    except (OSError, ValueError) as error:
        raise Problems([Problem(str(store), 1, 1, store.name, f"读不了：{_reason(error)}")]) from None


def _added(candidates: Sequence[Candidate], known: Mapping[str, str], store: Path) -> dict[str, str]:
    added: dict[str, str] = {}
    problems = []
    for candidate in candidates:
        earlier = known.get(candidate.identifier, added.get(candidate.identifier))
        if earlier is None:
            added[candidate.identifier] = candidate.text
        elif earlier != candidate.text:
            place = candidate.place or (1, 1)
            told = f"已在 {store.name} 登记为另一段文本"
            problems.append(Problem(str(candidate.file), *place, candidate.identifier, told))
    if problems:
        raise Problems(problems)
    return added


@contextmanager
def _alone(store: Path) -> Iterator[None]:
    """Nobody else registers meanwhile; the lock is of the folder, since the file itself is replaced."""
    store.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(store.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _replace(store: Path, documents: Mapping[str, str]) -> None:
    """Write the whole file beside the old one, then put it in its place: readers see either, never a part."""
    content = json.dumps(documents, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=store.parent, suffix=".new", delete=False) as file:
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).chmod(0o644)
            Path(file.name).replace(store)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def _place_of(identifier: str, text: str) -> tuple[int, int]:
    """Line and column at which a manifest has an identifier."""
    at = max(text.find(json.dumps(identifier)), text.find(json.dumps(identifier, ensure_ascii=False)), 0)
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "不是 UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"不是合法的 JSON（{error.lineno}:{error.colno}）"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
