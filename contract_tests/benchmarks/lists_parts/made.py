"""What the made-up cases are made of: agencies, divisions and parties, put into a schema of its own of a database."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from schema.identifiers import org_code_check_digit, uscc_check_digit
from schema.load import load_registry

PARTS = Path(__file__).parent
AGENCIES, PROVINCIAL = 300, 12
DIVISIONS = tuple(
    sorted(
        code.member
        for code in load_registry().codes["division"].members.values()
        if code.member.startswith("35") and not code.member.endswith("00") and code.valid_to is None
    )
)
"""The counties of Fujian."""
NAMES = ("海丰", "泉盛", "闽兴", "榕安", "鹭达", "莆田", "龙腾", "武夷", "九龙", "三明")
TRADES = ("食品经营部", "建材有限公司", "运输有限公司", "餐饮店", "贸易有限公司", "装饰工程有限公司", "便利店")
TABLES = """
CREATE SCHEMA made;
CREATE TABLE made.division (number int PRIMARY KEY, code text NOT NULL);
CREATE TABLE made.agency (number int PRIMARY KEY, code text NOT NULL, home int NOT NULL, is_provincial boolean NOT NULL);
CREATE TABLE made.party (number int PRIMARY KEY, uscc text NOT NULL, name text NOT NULL, party_type text NOT NULL,
    address text NOT NULL, division text NOT NULL);
"""


def agency(number: int) -> str:
    """The 统一社会信用代码 of an agency."""
    return _uscc("11", number)


def party_name(number: int) -> str:
    """The name of a party; no two have the same."""
    return f"{NAMES[number // 1000 % 10]}{number:06d}号{TRADES[number % 7]}"


def make(connection: psycopg.Connection[Any], parties: int) -> None:
    """Everything of which cases can be made, with the function that makes them."""
    connection.execute(TABLES.encode())
    _copy(connection, "division", enumerate(DIVISIONS))
    _copy(connection, "agency", map(_agency, range(AGENCIES)))
    _copy(connection, "party", map(_party, range(parties)))
    connection.execute((PARTS / "made.sql").read_bytes())
    connection.execute("ANALYZE made.division, made.agency, made.party")


def _agency(number: int) -> tuple[Any, ...]:
    return number, agency(number), number * 5 % len(DIVISIONS), number % (AGENCIES // PROVINCIAL) == 3


def _party(number: int) -> tuple[Any, ...]:
    division = DIVISIONS[number * 11 % len(DIVISIONS)]
    kind = "SOLE_TRADER" if number % 7 in (0, 3, 6) else "ORGANIZATION"
    return number, _uscc("91", number), party_name(number), kind, f"工业路{number % 900}号", division


def _uscc(registrar: str, number: int) -> str:
    organisation = f"MA{number:06d}"
    body = f"{registrar}350100{organisation}{org_code_check_digit(organisation)}"
    return body + uscc_check_digit(body)


def _copy(connection: psycopg.Connection[Any], table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY made.{table} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)
