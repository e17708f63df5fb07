"""Bodies that were read before: the same bytes ask for the same, and only what was answered whole by a query is known."""

import json

import pytest

from contract_tests.federation import Federation
from contract_tests.hostile import sources
from contract_tests.serving import served
from gateway.engine.lane import lane as lanes
from gateway.limits import GraphQLRequest
from gateway.web import bodies
from gateway.web.bodies import LARGEST, Bodies

__all__ = ["sources"]
QUERY = "query Q($no: String!) { officer(certNo: $no) { certNo officerName } }"
ASKED = GraphQLRequest("{ a }", None, None, None)


def body(number: str, query: str = QUERY) -> bytes:
    return json.dumps({"query": query, "variables": {"no": number}}).encode()


def test_the_same_bytes_are_read_once_and_answered_alike(sources: Federation, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[bytes] = []
    read: list[bytes] = []
    keep, of = Bodies.keep, Bodies.of

    def keep_and_tell(self: Bodies, said: bytes, asked: GraphQLRequest) -> None:
        known.append(said)
        keep(self, said, asked)

    def of_and_tell(self: Bodies, said: bytes) -> GraphQLRequest | None:
        if (found := of(self, said)) is None:
            read.append(said)
        return found

    monkeypatch.setattr(lanes, "TAKEN_AFTER", 0)
    monkeypatch.setattr(Bodies, "keep", keep_and_tell)
    monkeypatch.setattr(Bodies, "of", of_and_tell)
    first, second, wrong = body("35010020240001"), body("35010020240002"), body("35010020240001", QUERY + " {")
    unknown, empty = body("no such officer"), json.dumps({"query": QUERY, "variables": {}}).encode()
    with served(sources) as gateway:
        for _ in range(3):
            told = [gateway.post(said) for said in (first, second, wrong, empty, unknown)]
            assert [reply.status for reply in told[:4]] == [200, 200, 400, 400]
            names = [reply.json["data"]["officer"]["certNo"] for reply in told[:2]]
            assert names == ["35010020240001", "35010020240002"]
            assert told[4].json["data"] == {"officer": None}
    assert {first, second} <= set(known)
    assert not {wrong, empty} & set(known), "what is refused is read every time"
    assert (read.count(first), read.count(second), read.count(wrong)) == (1, 1, 3)


def test_only_small_ones_are_kept_and_never_more_than_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_BODIES", 3)
    known = Bodies()
    known.keep(b"x" * (LARGEST + 1), ASKED)
    assert len(known) == 0
    for number in range(8):
        known.keep(b"%d" % number, ASKED)
        known.keep(b"%d" % number, ASKED)
        assert known.of(b"%d" % number) is ASKED
        assert len(known) <= 3
    assert known.of(b"0") is None
