"""A simulated exchange database speaks MySQL's wire protocol with PyMySQL and SQLAlchemy, and lets nobody write."""

import hashlib
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pymysql
import pytest
import sqlalchemy

from adapters.mapping.load import load_mappings
from adapters.simulator.faults import Fault
from adapters.simulator.serve import Simulator, start
from schema.load import load_registry

EXCHANGE = load_mappings(load_registry())["binhai_exchange"]
USER, PASSWORD = "reader", "p@ss:w/%d"
URL = "mysql+pymysql://reader:p%40ss%3Aw%2F%25d@somewhere:3306/exchange?charset=utf8mb4"


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with start(EXCHANGE, {"BINHAI_EXCHANGE_URL": URL}) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def well_behaved(exchange: Simulator) -> None:
    exchange.faults.clear()
    exchange.calls.clear()


def connected(simulator: Simulator, user: str = USER, password: str = PASSWORD) -> Any:
    return pymysql.connect(host="127.0.0.1", port=simulator.port, user=user, password=password, database="exchange")


@pytest.fixture
def cursor(exchange: Simulator) -> Iterator[Any]:
    with closing(connected(exchange)) as connection, connection.cursor() as cursor:
        yield cursor


def test_columns_arrive_with_their_types_nulls_as_none_and_chinese_intact(cursor):
    cursor.execute(
        "SELECT cd_id, cf_cflb, cf_nr_fk, cf_nr_wfsd, cf_jdrq, cd_time FROM t_xzcf_jd WHERE internal_no IN (%s, %s) ORDER BY cd_time",
        ("BHSJ-2024-0086", "it's \\ no ' number"),
    )
    assert cursor.fetchall() == (
        ("CF2024000086", "1，2", Decimal("0.800000"), None, "2024/04/18", datetime(2024, 4, 19, 10, 0)),
        ("CF2024000086", "1，2", Decimal("0.500000"), None, "2024/04/18", datetime(2024, 4, 19, 15, 42, 10)),
    )
    cursor.execute("SELECT administrative_cp FROM t_xzjc_xw WHERE administrative_cp LIKE %s", ("%𠮷%",))
    assert cursor.fetchone() == ("滨海𠮷运货运有限公司",)


def test_aggregates_windows_and_expressions_are_answered(cursor):
    cursor.execute("SELECT COUNT(*), MAX(cd_time), MIN(cf_nr_fk), COUNT(DISTINCT cd_id) FROM exchange.t_xzcf_jd")
    assert cursor.fetchone() == (11, datetime(2025, 3, 4, 16, 0), Decimal("0.010000"), 9)
    cursor.execute(
        """SELECT cd_id, cd_operation FROM (SELECT t.*, ROW_NUMBER() OVER (PARTITION BY cd_id ORDER BY cd_batch DESC, cd_time DESC)
           AS place FROM t_xzcf_jd t) x WHERE place = 1 AND cd_id IN ('CF2024000086', 'CF2025000007') ORDER BY cd_id LIMIT 0, 5"""
    )
    assert cursor.fetchall() == (("CF2024000086", "u"), ("CF2025000007", "d"))


def test_a_cursor_over_a_time_column_is_inclusive_and_pages_to_the_end(cursor):
    statement = """SELECT cd_id, cd_time FROM t_xzcf_jd WHERE cd_time > %(at)s OR (cd_time = %(at)s AND cd_id >= %(id)s)
                   ORDER BY cd_time, cd_id LIMIT 4"""
    seen: list[Any] = []
    at, key = datetime(2000, 1, 1), ""
    while True:
        cursor.execute(statement, {"at": at, "id": key})
        page = cursor.fetchall()
        seen += [row for row in page if row not in seen]
        if len(page) < 4:
            break
        key, at = page[-1]
    assert len(seen) == 11
    assert seen == sorted(seen, key=lambda row: (row[1], row[0]))


def test_sqlalchemy_connects_with_the_url_that_is_published_and_reflects(exchange):
    assert exchange.url == URL.replace("somewhere:3306", f"127.0.0.1:{exchange.port}")
    engine = sqlalchemy.create_engine(exchange.url)
    table = sqlalchemy.table("t_xzjc_xw", *map(sqlalchemy.column, ("check_action_code", "check_date")))
    query = sqlalchemy.select(table).where(table.c.check_action_code.in_(["BHJC-2024-0031", "nix"]))
    with engine.connect() as connection:
        assert connection.execute(query).all() == [("BHJC-2024-0031", datetime(2024, 3, 15, 9, 30))]
        inspector = sqlalchemy.inspect(connection)
        assert inspector.get_table_names() == ["t_xzcf_jd", "t_xzjc_xw"]
        types = {column["name"]: str(column["type"]) for column in inspector.get_columns("t_xzcf_jd")}
    engine.dispose()
    assert (types["cd_id"], types["cf_nr_fk"], types["cd_time"]) == ("VARCHAR(32)", "DECIMAL(18, 6)", "TIMESTAMP")


def test_calls_are_seen_as_the_operations_they_are(exchange, cursor):
    cursor.execute("SELECT * FROM t_xzjc_xw WHERE administrative_cp_ui_code IN ('a', 'b', 'c')")
    cursor.execute("SELECT * FROM t_xzjc_xw WHERE cd_time >= '2024-01-01' ORDER BY cd_time LIMIT 5")
    cursor.execute("SELECT * FROM t_xzcf_jd WHERE internal_no = 'a'")
    cursor.execute("SELECT 1")
    assert [(call.operation, call.keys) for call in exchange.calls.seen()] == [
        ("inspections_of_party", 3),
        ("inspections_changed", 0),
        ("penalties_of_case", 1),
    ]


# Refusals


@pytest.mark.parametrize(
    ("user", "password"),
    [(USER, "wrong"), (USER, ""), ("somebody", PASSWORD), ("", "")],
)
def test_a_wrong_password_or_user_is_denied(exchange, user, password):
    with pytest.raises(pymysql.err.OperationalError) as caught:
        connected(exchange, user or "root", password)
    assert caught.value.args[0] == 1045


def test_who_goes_on_after_a_failed_authentication_is_cut_off(exchange):
    """mysql-mimic itself would serve such a client: it tells of the failure, and then reads the next command."""
    with socket.create_connection(("127.0.0.1", exchange.port), timeout=5) as client, client.makefile("rb") as answers:

        def packet() -> bytes:
            header = answers.read(4)
            return answers.read(struct.unpack("<I", header[:3] + b"\0")[0]) if header else b""

        assert packet()[0] == 10
        capabilities = 0x00000200 | 0x00008000 | 0x00080000  # protocol 4.1, secure connection, plugin authentication
        scramble = hashlib.sha1(b"wrong").digest()
        login = struct.pack("<IIB23x", capabilities, 2**24 - 1, 45) + b"reader\0" + bytes([20]) + scramble
        login += b"mysql_native_password\0"
        client.sendall(struct.pack("<I", len(login) | 1 << 24) + login)
        assert packet()[:3] == b"\xff" + struct.pack("<H", 1045)
        query = b"\x03SELECT cd_id FROM t_xzcf_jd"
        try:
            client.sendall(struct.pack("<I", len(query)) + query)
            assert packet() == b""
        except ConnectionError:
            pass
    assert exchange.calls.seen() == []


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t_xzcf_jd (cd_id) VALUES ('x')",
        "UPDATE t_xzcf_jd SET cd_id = 'x'",
        "DELETE FROM t_xzcf_jd",
        "REPLACE INTO t_xzcf_jd VALUES (1)",
        "TRUNCATE TABLE t_xzcf_jd",
        "DROP TABLE t_xzcf_jd",
        "CREATE TABLE x (a INT)",
        "ALTER TABLE t_xzcf_jd ADD a INT",
        "LOCK TABLES t_xzcf_jd WRITE",
        "KILL 1",
        "CALL p()",
        "SELECT 1; DELETE FROM t_xzcf_jd",
        "GRANT ALL ON *.* TO reader",
    ],
)
def test_anything_but_reading_is_an_access_error(cursor, statement):
    with pytest.raises(pymysql.err.OperationalError) as caught:
        cursor.execute(statement)
    assert caught.value.args[0] == 1142
    cursor.execute("SELECT COUNT(*) FROM t_xzcf_jd")
    assert cursor.fetchone() == (11,)


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT * FROM missing", 1146),
        ("SELECT missing FROM t_xzcf_jd", 1054),
        ("SELECT FROM WHERE", 1064),
        ("SELECT * FROM t_xzcf_jd INTO OUTFILE '/tmp/x'", 1064),
    ],
)
def test_what_is_wrong_has_mysqls_error_codes(cursor, statement, code):
    with pytest.raises(pymysql.err.MySQLError) as caught:
        cursor.execute(statement)
    assert caught.value.args[0] == code


# Faults


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("fail", times=1), 1105),
        (Fault("throttle", times=1), 1226),
        (Fault("fault", times=1), 1205),
        (Fault("fault", times=1, code="1213"), 1213),
        (Fault("truncate", times=1), 2013),
        (Fault("drop", times=1), 2013),
        (Fault("garbage", times=1), "Packet sequence number wrong - got 80 expected 1"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_fault_is_an_error_once(exchange, fault, code):
    exchange.faults.add(fault)
    with closing(connected(exchange)) as connection, pytest.raises(pymysql.err.MySQLError) as caught:
        connection.cursor().execute("SELECT cd_id FROM t_xzcf_jd")
    assert caught.value.args[0] == code
    with closing(connected(exchange)) as connection:
        assert connection.cursor().execute("SELECT cd_id FROM t_xzcf_jd") == 11
    assert len(exchange.calls.seen()) == 2


def test_slowness_outlasts_a_client_that_waits_less(exchange):
    exchange.faults.add(Fault("slow", seconds=30, times=1, operation="penalties_changed"))
    connection = pymysql.connect(
        host="127.0.0.1", port=exchange.port, user=USER, password=PASSWORD, database="exchange", read_timeout=0.2
    )
    cursor = connection.cursor()
    assert cursor.execute("SELECT cd_id FROM t_xzjc_xw LIMIT 1") == 1
    with pytest.raises(pymysql.err.OperationalError) as caught:
        cursor.execute("SELECT cd_id FROM t_xzcf_jd")
    assert caught.value.args[0] == 2013


def test_rows_can_be_replaced_while_it_runs(exchange, cursor):
    rows = exchange.dataset.records("t_xzcf_jd")
    address = f"{exchange.control_url}/records/t_xzcf_jd"
    try:
        as_json = json.dumps([{"cd_id": "X", "cf_nr_fk": "1.5", "cf_nr": None}])
        assert httpx.put(address, content=as_json, trust_env=False).json() == {"t_xzcf_jd": 1}
        cursor.execute("SELECT cd_id, cf_nr_fk, cf_nr, cd_time FROM t_xzcf_jd")
        assert cursor.fetchall() == (("X", Decimal("1.500000"), None, None),)
        as_csv = 'cd_id,cf_nr\nY,"甲，\n乙"\nZ,\n'.encode()
        httpx.put(address, content=as_csv, headers={"Content-Type": "text/csv"}, trust_env=False)
        cursor.execute("SELECT cd_id, cf_nr FROM t_xzcf_jd ORDER BY cd_id")
        assert cursor.fetchall() == (("Y", "甲，\n乙"), ("Z", None))
    finally:
        exchange.dataset.replace("t_xzcf_jd", rows)
