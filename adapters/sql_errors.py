"""What a database's error means to us. Texts of drivers are not passed on: they name hosts, users and SQL."""

import re
from contextlib import suppress
from typing import Any

import psycopg
import pymysql
import sqlalchemy as sa
from sqlalchemy import exc

from adapters.errors import (
    SourceContractBroken,
    SourceDenied,
    SourceError,
    SourceRejected,
    SourceThrottled,
    SourceTimeout,
    SourceUnavailable,
)

POSTGRES: tuple[tuple[str, type[SourceError]], ...] = (
    ("57014", SourceTimeout),  # statement_timeout
    ("55P03", SourceTimeout),  # lock_timeout
    ("28", SourceDenied),
    ("42501", SourceDenied),
    ("3D000", SourceContractBroken),
    ("3F000", SourceContractBroken),
    ("42", SourceContractBroken),
    ("0A", SourceContractBroken),
    ("22", SourceRejected),
    ("25006", SourceRejected),  # read-only transaction
)
"""SQLSTATE or its class -> error, the first that fits; anything else is unavailable."""

LOST_POSTGRES = ("08", "57P01", "57P02", "57P03")
"""SQLSTATEs after which a connection is gone: it failed, or the server is going down, has crashed, or is starting."""

MYSQL: dict[int, type[SourceError]] = {
    **dict.fromkeys((1044, 1045, 1142, 1143, 1227, 1370, 1698, 1820, 3118), SourceDenied),
    **dict.fromkeys((1049, 1054, 1064, 1109, 1146, 1356), SourceContractBroken),
    **dict.fromkeys((1203, 1226), SourceThrottled),
    **dict.fromkeys((1205, 1317, 1969, 3024), SourceTimeout),
    **dict.fromkeys((1267, 1292, 1366, 1411, 1525, 1792, 3854), SourceRejected),
}
SQLITE: tuple[tuple[str, type[SourceError]], ...] = (
    ("interrupted", SourceTimeout),
    ("locked", SourceTimeout),
    ("no such", SourceContractBroken),
    ("not a database", SourceContractBroken),
    ("malformed", SourceContractBroken),
    ("decode", SourceContractBroken),
    ("readonly", SourceRejected),
)
REFUSED = re.compile(r"authentication failed|pg_hba|password|no encryption|认证失败|密码|role .* does not exist")
"""libpq gives no SQLSTATE when connecting; these words, in the languages its servers use here, tell a refusal."""


def sql_error(error: Exception, table: str) -> SourceError:
    """The SourceError for what SQLAlchemy or a driver raised while `table` was read."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, UnicodeError):
        return SourceContractBroken(f"表 {table} 的文字编码与连接不符")
    if isinstance(error, exc.TimeoutError | TimeoutError):
        return SourceTimeout()
    kind, told = _of_driver(error, getattr(error, "orig", error))
    return kind(f"表 {table}：{told}")


def _of_driver(error: Exception, original: object) -> tuple[type[SourceError], str]:
    told = type(original).__name__
    words = str(original)
    number = original.args[0] if isinstance(original, Exception) and original.args else None
    if isinstance(original, pymysql.Error):
        timed_out = number == 2013 and "timed out" in words
        return (SourceTimeout if timed_out else MYSQL.get(number, _by_class(error))), f"错误 {number}"  # type: ignore[arg-type]
    state = getattr(original, "sqlstate", None)
    if isinstance(state, str):
        kind = next((kind for prefix, kind in POSTGRES if state.startswith(prefix)), SourceUnavailable)
        return kind, f"SQLSTATE {state}"
    if type(original).__module__.startswith("sqlite3"):
        return next((kind for word, kind in SQLITE if word in words), _by_class(error)), told
    if REFUSED.search(words):
        return SourceDenied, told
    if "timeout" in words or "timed out" in words:
        return SourceTimeout, told
    return _by_class(error), told


def is_missing_column(error: Exception) -> bool:
    """Whether the database knows a column no more."""
    original = getattr(error, "orig", error)
    if isinstance(original, pymysql.Error):
        return bool(original.args) and original.args[0] == 1054
    return getattr(original, "sqlstate", None) == "42703" or "no such column" in str(original)


def is_stale(error: Exception, dialect: sa.Dialect, raw: Any) -> bool:
    """Whether the connection is of no more use: lost, out of step, or remembering a table that has changed since."""
    match error:
        case psycopg.Error():
            state = error.sqlstate or ""
            remembers = state == "0A000" and "cached plan" in str(error)
            return bool(raw.closed) or remembers or state.startswith(LOST_POSTGRES)
        case pymysql.Error():
            number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            return not raw.open or not (1000 <= number < 2000 or number >= 3000)
    with suppress(Exception):
        return bool(dialect.is_disconnect(error, raw, None))  # type: ignore[arg-type]
    return False


def _by_class(error: Exception) -> type[SourceError]:
    """By the names that Python's database interface gives to errors; SQLAlchemy and every driver have them."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if getattr(error, "connection_invalidated", False):
        return SourceUnavailable
    if "DataError" in names:
        return SourceRejected
    if names & {"ProgrammingError", "NotSupportedError", "IntegrityError"}:
        return SourceContractBroken
    return SourceUnavailable
