"""Issues 质量问题 in the store: each kept once, with when it was seen, until a later telling of the record has it no more."""

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, insert, select, update

from adapters.mapping.record import Issue
from gateway.store.database import chunks
from gateway.store.tables import Tables
from schema.formats import UNSTORABLE


@dataclass(frozen=True, slots=True)
class OpenIssue:
    """An issue that the last telling of its record had; `times` counts the tellings that had it."""

    issue: Issue
    first_seen: datetime
    last_seen: datetime
    times: int


def open_issues(connection: Connection, tables: Tables, source: str | None, limit: int) -> list[OpenIssue]:
    """What is wrong now, latest first."""
    table = tables.issue
    query = select(table).where(table.c.resolved_at.is_(None)).order_by(table.c.last_seen.desc(), table.c.digest)
    if source is not None:
        query = query.where(table.c.source == source)
    return [_open_issue(row) for row in connection.execute(query.limit(limit)).mappings()]


def record_issues(
    connection: Connection,
    tables: Tables,
    source: str,
    found: Iterable[Issue],
    told: Collection[tuple[str, str]],
    moment: datetime,
) -> None:
    """Keep what was found; what is open for an entity that was `told` (entity, key) and was not found again is resolved."""
    now = {_digest(issue): issue for issue in found}
    table = tables.issue
    known: set[str] = set()
    for some in chunks(sorted(now)):
        known.update(connection.execute(select(table.c.digest).where(table.c.digest.in_(some))).scalars())
    if known:
        again = update(table).where(table.c.digest == bindparam("seen"))
        values = {"last_seen": moment, "times": table.c.times + 1, "resolved_at": None}
        connection.execute(again.values(values), [{"seen": digest} for digest in sorted(known)])
    if new := [_row(digest, issue, moment) for digest, issue in now.items() if digest not in known]:
        connection.execute(insert(table), new)
    gone = _open_digests(connection, tables, source, told) - now.keys()
    for some in chunks(sorted(gone)):
        connection.execute(update(table).where(table.c.digest.in_(some)).values(resolved_at=moment))


def _open_digests(
    connection: Connection, tables: Tables, source: str, told: Collection[tuple[str, str]]
) -> set[str]:
    table = tables.issue
    keys: dict[str, list[str]] = {}
    for entity, key in told:
        keys.setdefault(entity, []).append(key)
    digests: set[str] = set()
    for entity, of_entity in keys.items():
        for some in chunks(sorted(of_entity)):
            query = select(table.c.digest).where(
                table.c.source == source,
                table.c.entity == entity,
                table.c.key.in_(some),
                table.c.resolved_at.is_(None),
            )
            digests.update(connection.execute(query).scalars())
    return digests


def storable(text: str) -> str:
    """The text with what no database keeps written as `\\\\u0000`."""
    return UNSTORABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _digest(issue: Issue) -> str:
    what = [issue.source, issue.entity, issue.key, issue.element, issue.check_type, issue.raw]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _row(digest: str, issue: Issue, moment: datetime) -> dict[str, Any]:
    return {
        "digest": digest,
        "source": issue.source,
        "entity": issue.entity,
        "key": issue.key,
        "element": issue.element,
        "element_id": issue.element_id,
        "check_type": issue.check_type,
        "reason": storable(issue.reason),
        "raw": None if issue.raw is None else storable(issue.raw),
        "first_seen": moment,
        "last_seen": moment,
        "times": 1,
    }


def _open_issue(row: RowMapping) -> OpenIssue:
    issue = Issue(
        row["source"],
        row["entity"],
        row["key"],
        row["element"],
        row["element_id"],
        row["check_type"],
        row["reason"],
        row["raw"],
    )
    return OpenIssue(issue, row["first_seen"], row["last_seen"], row["times"])
