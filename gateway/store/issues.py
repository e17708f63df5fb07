"""Issues 质量问题 in the store: each kept once, with when it was seen, until a later telling of the record has it no more."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, bindparam, select, update

from adapters.mapping.record import Issue
from adapters.mapping.truth import CONFLICT
from gateway.store.bulk import among, insert_columns, listed_in, rows_of
from gateway.store.tables import Tables
from gateway.store.tellings import Place
from schema.formats import UNSTORABLE, print_datetime


@dataclass(frozen=True, slots=True)
class OpenIssue:
    """An issue that the last telling of its record had; `times` counts the tellings that had it."""

    issue: Issue
    first_seen: datetime
    last_seen: datetime
    times: int

    def __str__(self) -> str:
        issue, raw = self.issue, "" if self.issue.raw is None else f"，原值 “{self.issue.raw}”"
        seen = f"{print_datetime(self.first_seen)} 至 {print_datetime(self.last_seen)}，{self.times} 次"
        severity = "警告" if issue.severity == "warning" else "错误"
        return f"{severity} {issue.source} {issue.entity} {issue.key} 的 {issue.element}：{issue.reason}{raw}（{seen}）"


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
    found: Iterable[tuple[Issue, Place]],
    told: Mapping[str, Collection[str]],
    moment: datetime,
) -> None:
    """Keep what was found, each with the record it was found in; what is open for a record that was `told` (entity -> keys) and
    was not found in it again is resolved."""
    now = {_digest(issue): (issue, record) for issue, record in found}
    _keep(connection, tables, now, moment)
    mine = (tables.issue.c.source == source, tables.issue.c.check_type != CONFLICT)
    doubted = {entity: keys for entity, keys in told.items() if _ever_had_any(connection, tables, source, entity)}
    _resolve(connection, tables, _open_digests(connection, tables, mine, doubted) - now.keys(), moment)


def record_conflicts(
    connection: Connection, tables: Tables, entity: str, keys: Iterable[str], found: Iterable[Issue], moment: datetime
) -> None:
    """Keep what sources do not agree on about these entities; what they did not agree on before and do now is resolved."""
    now = {_digest(issue): (issue, (entity, str(issue.key))) for issue in found}
    _keep(connection, tables, now, moment)
    open_before = _open_digests(connection, tables, (tables.issue.c.check_type == CONFLICT,), {entity: list(keys)})
    _resolve(connection, tables, open_before - now.keys(), moment)


def _keep(connection: Connection, tables: Tables, now: Mapping[str, tuple[Issue, Place]], moment: datetime) -> None:
    table = tables.issue
    known: set[str] = set()
    if now:
        text, listed = listed_in(connection, now)
        known = {row[0] for row in rows_of(connection, f'SELECT digest FROM "issue" WHERE digest {text}', (listed,))}
    if known:
        again = update(table).where(table.c.digest == bindparam("seen"))
        again = again.values(last_seen=moment, times=table.c.times + 1, resolved_at=None)
        rows = [{"seen": digest, **_record(now[digest][1]), **_judgement(now[digest][0])} for digest in sorted(known)]
        connection.execute(again, rows)
    new = [_row(digest, *now[digest], moment) for digest in now if digest not in known]
    if new:
        insert_columns(connection, table, {name: [row[name] for row in new] for name in new[0]}, len(new))


def _resolve(connection: Connection, tables: Tables, gone: Collection[str], moment: datetime) -> None:
    table = tables.issue
    if gone:
        connection.execute(update(table).where(among(connection, table.c.digest, gone)).values(resolved_at=moment))


def _ever_had_any(connection: Connection, tables: Tables, source: str, entity: str) -> bool:
    """Whether any record of an entity ever had an issue by the word of this source: where none had, nothing has to be looked
    for record by record."""
    table = tables.issue
    query = select(table.c.digest).where(table.c.source == source, table.c.record_entity == entity).limit(1)
    return connection.execute(query).first() is not None


def _open_digests(
    connection: Connection, tables: Tables, of: Sequence[ColumnElement[bool]], told: Mapping[str, Collection[str]]
) -> set[str]:
    table = tables.issue
    digests: set[str] = set()
    for entity, keys in told.items():
        if not keys:
            continue
        query = select(table.c.digest).where(
            *of,
            table.c.record_entity == entity,
            among(connection, table.c.record_key, keys),
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


def _record(record: Place) -> dict[str, str]:
    return {"record_entity": record[0], "record_key": storable(record[1])}


def _judgement(issue: Issue) -> dict[str, str]:
    """What may be said differently of the same value another time: a code that has been retired since."""
    return {"severity": issue.severity, "reason": storable(issue.reason)}


def _row(digest: str, issue: Issue, record: Place, moment: datetime) -> dict[str, Any]:
    return {
        "digest": digest,
        "source": issue.source,
        "entity": issue.entity,
        "key": None if issue.key is None else storable(issue.key),
        **_record(record),
        "element": issue.element,
        "element_id": issue.element_id,
        "check_type": issue.check_type,
        **_judgement(issue),
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
        row["severity"],
    )
    return OpenIssue(issue, row["first_seen"], row["last_seen"], row["times"])
