"""How fresh streams are, what runs did, what was refused and where a value came from: asked over HTTP, without secrets."""

import hashlib
import json

import pytest
from sqlalchemy import select

from contract_tests.delivering import MAPPINGS, agency, records
from contract_tests.stores import database, opened, postgres, url
from gateway.cli import main

__all__ = ["database", "postgres", "url"]


@pytest.fixture
def served(url, tmp_path):
    """A gateway that was delivered to: one record by a body, then three by another, one of them bad."""
    with agency(tmp_path, url) as made:
        made.post(records(1), "k1")
        made.post(records(1, 2, 日期="2024/02/30") + "[1]\n", "k2")
        yield made


def ask(made, text, **variables):
    reply = made.served.ask(text, variables)
    assert "errors" not in reply.json, reply.json
    return reply.json["data"]


def test_streams_tell_how_fresh_they_are(served):
    fields = "source operation entity kind cursor freshAt lag failures haltReason lastRun inQuarantine dueAt"
    told = ask(served, f"{{ streams {{ {fields} }} }}")["streams"]
    assert [(one["source"], one["operation"]) for one in told] == [
        ("ledger", "delivered"),
        ("linxi_ledger", "measures_delivered"),
    ]
    first, second = told
    assert 0 <= first.pop("lag") < 120
    assert first.pop("freshAt").endswith("+08:00")
    assert first == {
        "source": "ledger",
        "operation": "delivered",
        "entity": "CoerciveMeasure",
        "kind": "deliver",
        "cursor": None,
        "failures": 0,
        "haltReason": None,
        "lastRun": "2",
        "inQuarantine": 1,
        "dueAt": None,
    }
    assert (second["freshAt"], second["lag"], second["lastRun"]) == (None, None, None)


def test_runs_and_their_ledgers_balance_and_are_paged_by_what_they_are(served):
    page = "nodes { id status fetched applied unchanged duplicate quarantined } pageInfo { hasNextPage endCursor } totalCount"
    first = ask(served, f"{{ syncRuns(first: 1) {{ {page} }} }}")["syncRuns"]
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (2, True)
    counts = {"fetched": 3, "applied": 2, "unchanged": 0, "duplicate": 0, "quarantined": 1}
    assert first["nodes"] == [{"id": "2", "status": "SUCCEEDED", **counts}]
    text = f"query ($after: Cursor) {{ syncRuns(first: 1, after: $after) {{ {page} }} }}"
    second = ask(served, text, after=first["pageInfo"]["endCursor"])["syncRuns"]
    assert ([node["id"] for node in second["nodes"]], second["pageInfo"]["hasNextPage"]) == (["1"], False)
    where = '{source: "ledger", operation: "delivered", status: SUCCEEDED}'
    assert ask(served, f"{{ syncRuns(where: {where}) {{ totalCount }} }}") == {"syncRuns": {"totalCount": 2}}
    assert ask(served, "{ syncRuns(where: {status: FAILED}) { totalCount } }") == {"syncRuns": {"totalCount": 0}}
    ledger = ask(
        served, '{ ledger(run: "2") { totalCount nodes { page fetched applied unchanged duplicate quarantined } } }'
    )
    assert ledger["ledger"] == {"totalCount": 1, "nodes": [{"page": 1, **counts}]}


def test_quarantine_shows_only_what_is_known_not_to_be_sensitive(served):
    given = {"案号": "案7", "措施种类": "查封", "身份证号": "350102199001010019"}
    served.post(json.dumps(given, ensure_ascii=False), "k3")
    fields = "source entity step reason run rawDigest resolvedAt fields { path value isMasked }"
    text = f"query ($after: Cursor) {{ quarantine(first: 1, after: $after, where: {{isOpen: true}}) {{ nodes {{ {fields} }} "
    text += "pageInfo { endCursor hasNextPage } totalCount } }"
    latest = ask(served, text)["quarantine"]
    (told,) = latest["nodes"]
    assert (told["step"], told["reason"]) == ("identify", "记录没有能够识别的编号")
    assert told["fields"] == [
        {"path": "案号", "value": "案7", "isMasked": False},
        {"path": "措施种类", "value": "查封", "isMasked": False},
        {"path": "身份证号", "value": None, "isMasked": True},
    ]
    assert (latest["totalCount"], latest["pageInfo"]["hasNextPage"]) == (2, True)
    earlier = ask(served, text, after=latest["pageInfo"]["endCursor"])["quarantine"]
    assert [(one["step"], one["run"]) for one in earlier["nodes"]] == [("read", "2")]
    assert "350102199001010019" not in served.served.ask(text).body.decode()
    assert ask(served, '{ quarantine(where: {source: "nobody"}) { totalCount } }') == {"quarantine": {"totalCount": 0}}


LINEAGE = """
query ($id: ID!, $field: String!) {
  lineage(entity: "CoerciveMeasure", id: $id, field: $field) {
    source sourceTitle operation run isShown isMasked value rawText recordPath fieldPath mappingLine rule rawDigest rawBytes
    mediaType elementId note issues { severity reason }
  }
}
"""


def identifier(made, measure):
    text = "query ($id: String!) { coerciveMeasure(measureId: $id) { id provenance { mode run rawDigest mappingVersion lag } } }"
    return ask(made, text, id=measure)["coerciveMeasure"]


def test_a_value_is_followed_back_to_the_bytes_it_came_in(served, url):
    found = identifier(served, "Q2")
    (told,) = ask(served, LINEAGE, id=found["id"], field="measureType")["lineage"]
    with opened(url) as store:
        landing = store.tables.landing
        raw = store.database.read(
            lambda c: c.execute(select(landing.c.raw).where(landing.c.digest == told["rawDigest"])).scalar_one()
        )
    assert hashlib.sha256(raw).hexdigest() == told.pop("rawDigest") == found["provenance"][0]["rawDigest"]
    assert len(raw) == told.pop("rawBytes")
    line = told.pop("mappingLine")
    written = (MAPPINGS / "ledger" / "mapping.yaml").read_text("utf-8").splitlines()[line - 1]
    assert written.strip().startswith("measure_type:")
    assert json.loads(raw.splitlines()[1])["措施种类"] == "查封"
    assert told == {
        "source": "ledger",
        "sourceTitle": "试验台账",
        "operation": "delivered",
        "run": "2",
        "isShown": True,
        "isMasked": False,
        "value": "SEAL_UP",
        "rawText": "查封",
        "recordPath": "[1]",
        "fieldPath": "措施种类",
        "rule": "codes: kind",
        "mediaType": "application/x-ndjson; line=1",
        "elementId": "ZF16002",
        "note": None,
        "issues": [],
    }


def test_a_value_that_was_refused_is_followed_back_as_well(served):
    (told,) = ask(served, LINEAGE, id=identifier(served, "Q2")["id"], field="due_date")["lineage"]
    assert (told["value"], told["rawText"], told["rule"]) == (None, "2024/02/30", "as: date，format: %Y/%m/%d")
    assert told["issues"] == [{"severity": "ERROR", "reason": "没有这一天"}]
    (told,) = ask(served, LINEAGE, id=identifier(served, "Q2")["id"], field="releasedAt")["lineage"]
    assert told["note"] == "由网关编发或由其他数据元推得，不在来源的记录里"


def test_provenance_of_what_the_store_tells_says_how_old_it_is(served):
    (told,) = identifier(served, "Q1")["provenance"]
    assert (told["mode"], told["run"], len(told["mappingVersion"])) == ("STORE", "2", 12)
    assert 0 <= told["lag"] < 120


@pytest.mark.parametrize(
    "text",
    [
        "{ syncRuns(first: 0) { totalCount } }",
        "{ syncRuns(first: 201) { totalCount } }",
        '{ syncRuns(after: "bad") { totalCount } }',
        '{ quarantine(after: "WzFd") { totalCount } }',
        '{ ledger(run: "x") { totalCount } }',
        '{ ledger(run: "99999999999999") { totalCount } }',
        '{ lineage(entity: "Nobody", id: "x", field: "y") { source } }',
        '{ lineage(entity: "Party", id: "x", field: "uscc") { source } }',
    ],
)
def test_what_cannot_be_asked_is_told(shared, text):
    assert shared.served.ask(text).codes == ["BAD_USER_INPUT"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A gateway without data."""
    folder = tmp_path_factory.mktemp("agency")
    with agency(folder, f"sqlite:///{folder / 'gateway.db'}") as made:
        yield made


def test_the_commands_tell_the_same(tmp_path, monkeypatch, capsys):
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    with agency(tmp_path, url) as made:
        made.post(records(1), "k1")
        found = identifier(made, "Q1")["id"]
    monkeypatch.setenv("GATEWAY_DATABASE_URL", url)
    monkeypatch.setenv("GATEWAY_PARTY_KEY_SECRET", "tests-only")
    monkeypatch.setenv("GATEWAY_MAPPINGS", str(MAPPINGS))
    capsys.readouterr()
    assert main(["streams"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("ledger.delivered（deliver，CoerciveMeasure）：新到 ")
    assert second == "linxi_ledger.measures_delivered（deliver，CoerciveMeasure）：还没有运行到末尾"
    for name in (found, "Q1"):
        assert main(["lineage", "CoerciveMeasure", name, "dueDate"]) == 0
        told = capsys.readouterr().out
        assert "  值      2024-01-02\n  原文    2024/01/02\n  位置    [0] 日期\n" in told
    assert main(["lineage", "CoerciveMeasure", "nobody", "dueDate"]) == 1
    assert main(["lineage", "CoerciveMeasure", "Q1", "nothing"]) == 1
