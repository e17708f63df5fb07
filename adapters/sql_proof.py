"""What an account may do and a table has, asked of the database itself over a driver's connection."""

from collections.abc import Iterable
from contextlib import closing, suppress
from typing import Any

import psycopg
import pymysql

REFUSED_POSTGRES = ("42501", "25006", "55000", "42809", "0A000", "42P01", "42703", "3F000")
"""Not allowed, on a standby, no table that rows can be written to, or no such table, which its query will tell."""

LOST_MYSQL = (2006, 2013)


def can_write(raw: Any, probes: Iterable[str]) -> bool:
    """Whether any of the statements, which touch no row, is carried out in a transaction that may write.

    A refusal is the proof that the account may only read; whatever else goes wrong is raised as it is.
    """
    return any(not _is_refused(raw, probe) for probe in probes)


def columns_of(raw: Any, query: str) -> list[str]:
    """The columns of a query's rows."""
    with closing(raw.cursor()) as cursor:
        cursor.execute(query)
        return [column[0] for column in cursor.description]


def _is_refused(raw: Any, probe: str) -> bool:
    begin = {psycopg.Connection: "BEGIN READ WRITE", pymysql.Connection: "START TRANSACTION READ WRITE"}.get(type(raw))
    with closing(raw.cursor()) as cursor:
        try:
            if begin:
                cursor.execute(begin)
            cursor.execute(probe)
            return False
        except psycopg.Error as error:
            if error.sqlstate not in REFUSED_POSTGRES:
                raise
            return True
        except pymysql.Error as error:
            if error.args and error.args[0] in LOST_MYSQL:
                raise
            return True
        except Exception as error:
            if isinstance(error, OSError | ValueError):
                raise
            return True
        finally:
            with suppress(Exception):
                if begin:
                    cursor.execute("ROLLBACK")
                else:
                    raw.rollback()
