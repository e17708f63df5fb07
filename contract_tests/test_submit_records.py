"""The mutation takes in records as every other delivery, for holders of a key, by POST only, each record with its result."""

import hashlib
import json
from urllib.parse import quote

import pytest

from contract_tests.delivering import agency, records
from contract_tests.stores import database, postgres, url

__all__ = ["database", "postgres", "url"]
SUBMIT = """
mutation Submit($records: [JSON!]!, $key: String = "k1", $source: String = "ledger", $operation: String = "delivered") {
  submitRecords(source: $source, operation: $operation, idempotencyKey: $key, records: $records) {
    id status isNew sent accepted rejected pending applied unchanged duplicate
    records { number outcome reason issues { column severity reason } }
  }
}
"""


@pytest.fixture
def served(url, tmp_path):
    """An agency at a gateway."""
    with agency(tmp_path, url) as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same for tests that do not count what is there."""
    folder = tmp_path_factory.mktemp("agency")
    with agency(folder, f"sqlite:///{folder / 'gateway.db'}") as made:
        yield made


def asked(made, text=SUBMIT, with_key=True, **variables):
    headers = {"authorization": f"Bearer {made.key}"} if with_key else {}
    return made.served.ask(text, variables, **headers)


def rows(*numbers, **values):
    return [json.loads(line) for line in records(*numbers, **values).splitlines()]


def test_records_are_taken_in_each_with_its_result(served):
    given = [*rows(1), *rows(2, 日期="2024/02/30"), {"案号": "无"}, 7, *rows(1)]
    told = asked(served, records=given).json["data"]["submitRecords"]
    issue = {"column": "日期", "severity": "ERROR", "reason": "没有这一天"}
    results = [(r["number"], r["outcome"], r["reason"], r["issues"]) for r in told.pop("records")]
    assert results == [
        (1, "DUPLICATE", None, []),
        (2, "APPLIED", None, [issue]),
        (3, "QUARANTINED", "没有能够识别记录的编号（“措施编号”）", []),
        (4, "QUARANTINED", "第 4 条不是记录（JSON 对象）", []),
        (5, "APPLIED", None, []),
    ]
    identifier = told.pop("id")
    counts = {"sent": 5, "accepted": 3, "rejected": 2, "pending": 0, "applied": 2, "unchanged": 0, "duplicate": 1}
    assert told == {"status": "DONE", "isNew": True, **counts}
    again = asked(served, records=given).json["data"]["submitRecords"]
    assert (again["id"], again["isNew"], len(again["records"])) == (identifier, False, 5)
    found = asked(served, "query ($id: ID!) { deliveryReceipt(id: $id) { id sent } }", id=identifier)
    assert found.json == {"data": {"deliveryReceipt": {"id": identifier, "sent": 5}}}
    other = asked(served, records=rows(9))
    assert (other.codes, other.json["data"]) == (["KEY_REUSED"], None)
    listed = served.served.ask("{ coerciveMeasures { nodes { measureId dueDate } } }").json["data"]
    nodes = [{"measureId": "Q1", "dueDate": "2024-01-02"}, {"measureId": "Q2", "dueDate": None}]
    assert listed == {"coerciveMeasures": {"nodes": nodes}}


def test_several_submissions_of_one_operation_are_done_in_their_order(shared):
    fields = [
        f'a{n}: submitRecords(source: "ledger", operation: "delivered", idempotencyKey: "o{n}", records: $r{n}) '
        "{ applied unchanged }"
        for n in range(3)
    ]
    text = f"mutation ($r0: [JSON!]!, $r1: [JSON!]!, $r2: [JSON!]!) {{ {' '.join(fields)} }}"
    told = asked(shared, text, r0=rows(51), r1=rows(51, 措施种类="扣押"), r2=rows(51, 措施种类="扣押")).json["data"]
    assert told == {
        "a0": {"applied": 1, "unchanged": 0},
        "a1": {"applied": 1, "unchanged": 0},
        "a2": {"applied": 0, "unchanged": 1},
    }


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"source": "linxi_ledger", "operation": "measures_delivered"}, "FORBIDDEN"),
        ({"operation": "nothing"}, "BAD_USER_INPUT"),
        ({"key": "a b"}, "BAD_USER_INPUT"),
        ({"records": [{}] * 2001}, "BAD_USER_INPUT"),
        ({"records": None}, "BAD_USER_INPUT"),
    ],
)
def test_what_cannot_be_submitted_is_an_error_with_a_code(shared, variables, code):
    assert asked(shared, **({"records": rows(1)} | variables)).codes == [code]


def test_only_holders_of_a_key_may_submit_or_ask_for_receipts(shared):
    reply = asked(shared, with_key=False, records=rows(1))
    assert (reply.status, reply.codes) == (200, ["UNAUTHENTICATED"])
    assert shared.served.ask(SUBMIT, {"records": rows(1)}, authorization="Bearer mzf_wrong").codes == [
        "UNAUTHENTICATED"
    ]
    assert shared.served.ask('{ deliveryReceipt(id: "x") { id } }').codes == ["UNAUTHENTICATED"]
    assert asked(shared, '{ deliveryReceipt(id: "x") { id } }').json == {"data": {"deliveryReceipt": None}}


def test_a_mutation_by_get_is_refused(shared):
    text = 'mutation{submitRecords(source:"ledger",operation:"delivered",idempotencyKey:"g",records:[]){id}}'
    reply = shared.served.get(f"query={quote(text)}", authorization=f"Bearer {shared.key}")
    assert (reply.status, reply.codes) == (405, ["METHOD_NOT_ALLOWED"])


def test_a_mutation_may_be_a_persisted_query(shared):
    digest = hashlib.sha256(SUBMIT.encode()).hexdigest()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    body = {"extensions": extensions, "variables": {"records": rows(71), "key": "p1"}}
    headers = {"authorization": f"Bearer {shared.key}"}
    assert shared.served.post(body, **headers).codes == ["PERSISTED_QUERY_NOT_FOUND"]
    assert shared.served.post({**body, "query": SUBMIT}, **headers).json["data"]["submitRecords"]["applied"] == 1
    again = shared.served.post(body, **headers).json["data"]["submitRecords"]
    assert (again["isNew"], again["sent"]) == (False, 1)


def test_the_name_of_the_root_alone_is_answered(shared):
    assert asked(shared, "mutation { __typename }").json == {"data": {"__typename": "Mutation"}}
