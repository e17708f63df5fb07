"""Values the gateway allots itself, once and for ever: case codes 案件编码; and the hash that stands for a person."""

import base64
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import Connection, Table, insert, select, update

from gateway.store.bulk import insert_columns, listed_in, rows_of, rows_under
from gateway.store.cells import Constant
from gateway.store.database import lock
from gateway.store.keys import Keys, storable
from gateway.store.tables import Tables
from gateway.store.tellers import others_tell
from schema.formats import CHINA_TIME
from schema.identifiers import check_id_no, id_check_digit
from schema.identity import HASH_MARK, HashId, element_in_keys
from schema.registry import Entity, Registry

MOST_AGENCIES, MOST_CASES = 9_999, 999_999
NO_FIELD, NO_DIVISION = "000", "000000"
SERIAL = slice(17, 23)
"""Where the serial number stands in a code."""
BEHIND = "~"
"""A character that stands behind every digit."""


class CodesExhausted(Exception):
    """编码已用尽"""


FOLLOWING = [{str(d): ((product + d) % 10 or 10) * 2 % 11 for d in range(10)} for product in range(11)]
"""ISO 7064 MOD 11,10: product -> next digit -> next product."""


def _product(product: int, digits: str) -> int:
    for digit in digits:
        product = FOLLOWING[product][digit]
    return product


@cache
def _three(product: int) -> dict[str, int]:
    """Three digits -> the product after them: codes of cases are given out by the thousand."""
    return {f"{n:03d}": _product(product, f"{n:03d}") for n in range(1000)}


def make_hash_id(secret: str) -> HashId:
    """What turns the number of an identity document into a key: HMAC-SM3, the old and the new form of a number alike."""
    if not secret:
        raise ValueError("证件号码的哈希需要密钥")

    def hash_id(number: str) -> str:
        mac = HMAC(secret.encode(), hashes.SM3())
        mac.update(normal_number(number).encode("utf-8", "surrogatepass"))
        return HASH_MARK + base64.urlsafe_b64encode(mac.finalize()).decode().rstrip("=")

    return hash_id


def normal_number(number: str) -> str:
    """The number without spaces, in ASCII capitals; a 公民身份号码 of 15 digits as the 18 that replaced it (GB 11643)."""
    plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", number)).upper()
    if not re.fullmatch(r"[0-9]{15}", plain):
        return plain
    try:
        check_id_no(plain)
    except ValueError:
        return plain
    body = f"{plain[:6]}19{plain[6:]}"
    return body + id_check_digit(body)


def case_code(agency_code: str, ordinal: int, field: str, year: int, serial: int) -> str:
    """区划6 + 机关序4 + 领域3 + 年4 + 流水6 + 校验1; the division is the one in the agency's own code."""
    return next(case_codes(agency_code, ordinal, field, year, range(serial, serial + 1)))


def case_codes(agency_code: str, ordinal: int, field: str, year: int, serials: Iterable[int]) -> Iterator[str]:
    """The codes of an agency in a year under these serial numbers."""
    front = _front(agency_code, ordinal, field, year)
    so_far = _product(10, front)
    following = _three(so_far)
    for serial in serials:
        end = f"{serial:06d}"
        yield f"{front}{end}{(11 - _three(following[end[:3]])[end[3:]]) % 10}"


def _front(agency_code: str, ordinal: int, field: str, year: int) -> str:
    """What all codes of an agency in a year begin with."""
    division = agency_code[2:8]
    if not re.fullmatch(r"[0-9]{6}", division):
        division = NO_DIVISION
    return f"{division}{ordinal:04d}{field}{year:04d}"


def check_digit(digits: str) -> str:
    """The check digit of ISO 7064 MOD 11,10: `check_digit("0794") == "5"`."""
    return str((11 - _product(10, digits)) % 10)


def find_values(connection: Connection, tables: Tables, entity: str, keys: Collection[str]) -> dict[str, str]:
    """Key -> allotted value, of those that have one."""
    return _find(connection, tables.identity, entity, "natural_key", "value", keys)


def find_keys(connection: Connection, tables: Tables, entity: str, values: Collection[str]) -> dict[str, str]:
    """Allotted value -> key, of those that were given out."""
    return _find(connection, tables.identity, entity, "value", "natural_key", values)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose values are asked for, as far as that can be told without the store: `told` are the values that stand in the keys or that
    a `source` tells in this very transaction, `by_agency` the keys without one, by the agency of which they are."""

    keys: Keys
    told: Mapping[str, str]
    by_agency: Mapping[str, Sequence[str]]
    source: str | None = None


def asked_for(entity: Entity, keys: Iterable[str], values: Mapping[str, Any], source: str | None = None) -> Asked:
    """What it takes to allot these keys their values; anonymous ones get none. `values`: those that are told, None for none."""
    wanted = storable(key for key in keys if not key.startswith("~"))
    told = element_in_keys(entity, str(entity.allotted), wanted)
    told.update((key, str(value)) for key in wanted if (value := values.get(key)) is not None)
    by_agency: dict[str, list[str]] = {}
    others = [key for key in wanted if key not in told] if told else wanted
    for key, agency in element_in_keys(entity, "agency_code", others).items():
        by_agency.setdefault(agency, []).append(key)
    return Asked(wanted, told, by_agency, source)


def allot(
    connection: Connection, tables: Tables, registry: Registry, entity: Entity, asked: Asked, moment: datetime
) -> dict[str, str]:
    """Key -> allotted value for every key that can have one, allotting what is missing. Takes part in a write transaction.

    A value that a source told, or that is the key itself, is kept; what the source of `asked` tells is all there is, unless others
    tell of such entities. Raises CodesExhausted.
    """
    if not asked.keys:
        return {}
    lock(connection, "identity")
    found = find_values(connection, tables, entity.name, asked.keys)
    missing = [key for key in asked.keys if key not in found] if found else asked.keys
    if asked.source is None or others_tell(connection, tables, entity.name, asked.source):
        asked = asked_for(
            entity, missing, _told(connection, tables.entities[entity.name], str(entity.allotted), missing)
        )
    elif found:
        asked = asked_for(entity, missing, asked.told)
    told = asked.told
    taken = find_keys(connection, tables, entity.name, told.values()) if told else {}
    rows: dict[str, str] = {}
    for key in sorted(told):
        if told[key] not in taken:
            taken[told[key]] = key
            rows[key] = told[key]
    found.update(told)
    exhausted = ""  # the words alone: an exception that is kept keeps everything here, itself included, in a circle
    year = moment.astimezone(CHINA_TIME).year
    for agency, its in asked.by_agency.items():
        try:
            codes = _codes(connection, tables, registry, entity.name, agency, year, its, taken)
        except CodesExhausted as error:
            exhausted = exhausted or str(error)
            continue
        found |= codes
        rows |= codes
        if len(codes) < len(its):
            exhausted = exhausted or f"机关 {agency} 在 {year} 年已编发 {MOST_CASES} 个案件编码"
    columns: dict[str, Sequence[Any] | Constant] = {
        "entity": Constant(entity.name),
        "natural_key": list(rows),
        "value": list(rows.values()),
        "allotted_at": Constant(moment),
    }
    insert_columns(connection, tables.identity, columns, len(rows))
    if exhausted:
        raise CodesExhausted(exhausted)
    return found


def _find(
    connection: Connection, table: Table, entity: str, by: str, gives: str, values: Collection[str]
) -> dict[str, str]:
    text, listed = listed_in(connection, values)
    query = f'SELECT {by}, {gives} FROM "{table.name}" WHERE entity = %s AND {by} {text}'
    return dict(rows_of(connection, query, (entity, listed)))


def _told(connection: Connection, table: Table, name: str, keys: Sequence[str]) -> dict[str, str]:
    """The values that come from the sources themselves."""
    rows, listed = rows_under(connection, table.name, f'"{name}" IS NOT NULL', keys)
    query = f'SELECT told.key, told."{name}" FROM {rows} ORDER BY told.source DESC'
    return {key: str(value) for key, value in rows_of(connection, query, (listed,))}


def _codes(
    connection: Connection,
    tables: Tables,
    registry: Registry,
    entity: str,
    agency: str,
    year: int,
    keys: Sequence[str],
    taken: Collection[str],
) -> dict[str, str]:
    """The next codes of an agency in a year for these keys, those passed over that are `taken` or that a source told before; for
    fewer of them than were asked for behind the last. Raises CodesExhausted when the agency can have none."""
    ordinal = _ordinal(connection, tables.agency_ordinal, agency)
    field = _field_code(connection, tables, registry, agency)
    table = tables.agency_serial
    mine = (table.c.agency_code == agency, table.c.year == year)
    last = connection.execute(select(table.c.last).where(*mine)).scalar()
    serials = range((last or 0) + 1, MOST_CASES + 1)
    codes = case_codes(agency, ordinal, field, year, serials)
    front = _front(agency, ordinal, field, year)
    ahead = 'SELECT value FROM "identity" WHERE entity = %s AND value > %s AND value < %s'
    told = rows_of(connection, ahead, (entity, f"{front}{last or 0:06d}{BEHIND}", f"{front}{BEHIND}"))
    passed = {*taken, *(value for (value,) in told)} if taken or told else ()
    given = dict(zip(keys, (code for code in codes if code not in passed) if passed else codes, strict=False))
    if given:
        end = int(given[keys[len(given) - 1]][SERIAL])
        noted = insert(table).values(agency_code=agency, year=year) if last is None else update(table).where(*mine)
        connection.execute(noted.values(last=end))
    return given


def _ordinal(connection: Connection, table: Table, agency: str) -> int:
    known: int | None = connection.execute(select(table.c.ordinal).where(table.c.agency_code == agency)).scalar()
    if known is not None:
        return known
    last = connection.execute(select(table.c.ordinal).order_by(table.c.ordinal.desc()).limit(1)).scalar()
    ordinal: int = (last or 0) + 1
    if ordinal > MOST_AGENCIES:
        raise CodesExhausted(f"机关序号已用尽（{MOST_AGENCIES} 个），机关 {agency} 没有序号")
    connection.execute(insert(table).values(agency_code=agency, ordinal=ordinal))
    return ordinal


def _field_code(connection: Connection, tables: Tables, registry: Registry, agency: str) -> str:
    """The code of the agency's field of enforcement 执法领域, as far as the store knows the agency."""
    table, entity = tables.entities.get("Agency"), registry.entities.get("Agency")
    element = entity.elements.get("enforcement_field") if entity else None
    if table is None or element is None:
        return NO_FIELD
    known = select(table.c.enforcement_field).where(
        table.c.key == agency, table.c.deleted_at.is_(None), table.c.enforcement_field.is_not(None)
    )
    member = connection.execute(known.order_by(table.c.as_of.desc()).limit(1)).scalar()
    codes = registry.codes.get(element.codes or "")
    code = codes.members.get(str(member)) if codes and member is not None else None
    return code.code if code else NO_FIELD
