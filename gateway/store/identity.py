"""Values the gateway allots itself, once and for ever: case codes 案件编码; and the hash that stands for a person."""

import base64
import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import Connection, Table, insert, select, update

from gateway.store.database import key_chunks, lock
from gateway.store.tables import Tables
from schema.formats import CHINA_TIME, UNSTORABLE
from schema.identifiers import check_id_no, id_check_digit
from schema.identity import HASH_MARK, HashId, values_in_key
from schema.registry import Entity, Registry

MOST_AGENCIES, MOST_CASES = 9_999, 999_999
NO_FIELD, NO_DIVISION = "000", "000000"


class CodesExhausted(Exception):
    """编码已用尽"""


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
    division = agency_code[2:8]
    if not re.fullmatch(r"[0-9]{6}", division):
        division = NO_DIVISION
    body = f"{division}{ordinal:04d}{field}{year:04d}{serial:06d}"
    return body + check_digit(body)


def check_digit(digits: str) -> str:
    """The check digit of ISO 7064 MOD 11,10: `check_digit("0794") == "5"`."""
    product = 10
    for digit in digits:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return str((11 - product) % 10)


def find_values(connection: Connection, tables: Tables, entity: str, keys: Iterable[str]) -> dict[str, str]:
    """Key -> allotted value, of those that have one."""
    return _find(connection, tables.identity, entity, "natural_key", "value", keys)


def find_keys(connection: Connection, tables: Tables, entity: str, values: Iterable[str]) -> dict[str, str]:
    """Allotted value -> key, of those that were given out."""
    return _find(connection, tables.identity, entity, "value", "natural_key", values)


def allot(
    connection: Connection, tables: Tables, registry: Registry, entity: Entity, keys: Iterable[str], moment: datetime
) -> dict[str, str]:
    """Key -> allotted value for every key that can have one, allotting what is missing. Takes part in a write transaction.

    A value that a source told, or that is the key itself, is kept; anonymous keys get none. Raises CodesExhausted.
    """
    wanted = sorted({key for key in keys if not key.startswith("~") and not UNSTORABLE.search(key)})
    found = find_values(connection, tables, entity.name, wanted)
    if len(found) == len(wanted):
        return found
    lock(connection, "identity")
    found = find_values(connection, tables, entity.name, wanted)
    missing = [key for key in wanted if key not in found]
    told = _told(connection, tables.entities[entity.name], entity, missing)
    taken = find_keys(connection, tables, entity.name, told.values())
    rows = []
    for key in missing:
        value = told.get(key)
        if value is None:
            agency = values_in_key(entity, key).get("agency_code")
            if agency is None:
                continue
            value = _next_code(connection, tables, registry, agency, moment.astimezone(CHINA_TIME).year)
        found[key] = value
        if value not in taken:
            taken[value] = key
            rows.append({"entity": entity.name, "natural_key": key, "value": value, "allotted_at": moment})
    if rows:
        connection.execute(insert(tables.identity), rows)
    return found


def _find(
    connection: Connection, table: Table, entity: str, by: str, gives: str, values: Iterable[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for some in key_chunks(values):
        query = select(table.c[by], table.c[gives]).where(table.c.entity == entity, table.c[by].in_(some))
        found.update((row[0], row[1]) for row in connection.execute(query))
    return found


def _told(connection: Connection, table: Table, entity: Entity, keys: list[str]) -> dict[str, str]:
    """The values that come from the sources themselves, or stand in the key."""
    name = str(entity.allotted)
    told: dict[str, str] = {}
    for some in key_chunks(keys):
        query = select(table.c.key, table.c[name]).where(table.c.key.in_(some), table.c[name].is_not(None))
        told.update((row[0], row[1]) for row in connection.execute(query.order_by(table.c.source.desc())))
    own = {key: values_in_key(entity, key).get(name) for key in keys}
    return {**{key: str(value) for key, value in own.items() if value is not None}, **told}


def _next_code(connection: Connection, tables: Tables, registry: Registry, agency: str, year: int) -> str:
    ordinal = _ordinal(connection, tables.agency_ordinal, agency)
    table = tables.agency_serial
    mine = (table.c.agency_code == agency, table.c.year == year)
    last = connection.execute(select(table.c.last).where(*mine)).scalar()
    serial = (last or 0) + 1
    if serial > MOST_CASES:
        raise CodesExhausted(f"机关 {agency} 在 {year} 年已编发 {MOST_CASES} 个案件编码")
    if last is None:
        connection.execute(insert(table).values(agency_code=agency, year=year, last=serial))
    else:
        connection.execute(update(table).where(*mine).values(last=serial))
    return case_code(agency, ordinal, _field_code(connection, tables, registry, agency), year, serial)


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
