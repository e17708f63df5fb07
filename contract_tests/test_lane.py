"""The short way gives what the executor gives: random records, right and wrong, from the systems of the engine's benchmark."""

import asyncio
import json
import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from multidict import CIMultiDict

from adapters.http import HttpAnswer
from adapters.json_types import JsonReader
from adapters.soap_rows import Rows
from contract_tests.benchmarks.engine_parts import world
from contract_tests.benchmarks.engine_parts.queries import QUERIES, Query
from contract_tests.benchmarks.engine_parts.settings import MAPPINGS
from contract_tests.federation import proven
from gateway.app import Gateway
from gateway.context import EVERYBODY, Deadline, RequestContext
from gateway.engine.calls.breaker import Breaker
from gateway.engine.lane import lane as lanes
from gateway.engine.lane.kept import Kept, mark_of
from gateway.web.response import ENCODER
from schema.formats import CHINA_TIME

WORLDS = 300
ROWS = 4
BY_NAME = {query.name: query for query in QUERIES}
ODD_VALUES = (
    None,
    "",
    " ",
    "x",
    "99",
    7,
    -0.0,
    True,
    "2024-02-30",
    "1,2",
    "零\u200b宽",
    "\ufffd",
    "\u3000空 ",
    ["a"],
    {"a": "b"},
)


class Upstream:
    """Answers as the HTTP client does, from memory; `spoil` has the last word on every body."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def send(self, method: str, url: str, headers: Any, body: bytes | None, deadline: float) -> HttpAnswer:
        del method, headers, deadline
        await asyncio.sleep(0)
        parts = urlsplit(url)
        is_soap = body is not None
        name = "soap" if is_soap else parts.path.rpartition("/")[2]
        self.asked.append(f"{name} {sorted(dict(parse_qsl(parts.query)).items())}")
        media_type = "text/xml; charset=utf-8" if is_soap else "application/json"
        return HttpAnswer(200, CIMultiDict({"content-type": media_type}), self.answers[name])

    async def aclose(self) -> None:
        """Nothing to close."""


@pytest.fixture
def gateway(tmp_path, monkeypatch) -> Iterator[tuple[Gateway, Upstream]]:
    monkeypatch.setattr(lanes, "TAKEN_AFTER", 0)
    monkeypatch.setattr(Breaker, "refuses", lambda _self: None)  # so much nonsense in a row would open it
    settings, definitions = proven(
        {
            "GATEWAY_MAPPINGS": str(MAPPINGS),
            "GATEWAY_PARTY_KEY_SECRET": "lane",
            "GATEWAY_DATABASE_URL": f"sqlite:///{tmp_path}/gateway.db",
            "BENCH_REST_URL": "http://127.0.0.1:1",
            "BENCH_SOAP_URL": "http://127.0.0.1:1/soap",
        }
    )
    gateway = Gateway(definitions, settings)
    upstream = Upstream()
    for source in gateway.calls.sources.values():
        source.http = upstream
    yield gateway, upstream
    gateway.store.close()


def answers_of(name: str) -> dict[str, Any]:
    """What the systems say for one question of a query, as trees or, for SOAP, as text."""
    match name:
        case "one":
            return {"case": {"data": {"AJ": world.rest_case(world.case_number(0), world.OWNER, 0)}}}
        case "soap":
            return {"soap": world.soap_answer(0)}
    agency = world.agency_code(name, 0)
    nested = name == "nested"
    cases = [
        world.nested_case(f"QT-{n}", agency, 0, n) if nested else world.rest_case(f"LB-{n}", agency, n)
        for n in range(ROWS)
    ]
    officers = [world.officer(0, n) for n in range(world.OFFICERS)]
    return {
        "agency": {"data": {"JG": {"JGDM": agency, "JGMC": "滨海市综合行政执法局", "AJLB": cases}}},
        "officers": {"data": {"list": officers}},
    }


def spoil(rng: random.Random, tree: Any) -> None:
    """One random fault somewhere in a tree."""
    objects: list[dict[str, Any]] = []
    lists: list[list[Any]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        (objects if isinstance(node, dict) else lists).append(node)
        waiting += [v for v in (node.values() if isinstance(node, dict) else node) if isinstance(v, dict | list)]
    if lists and rng.random() < 0.2:
        chosen = rng.choice(lists)
        if not chosen:
            return
        at = rng.randrange(len(chosen))
        match rng.randrange(3):
            case 0:
                chosen.append(deepcopy(chosen[at]))  # the same twice
            case 1:
                del chosen[at]
            case 2:
                chosen.insert(at, deepcopy(rng.choice((None, "", {}, "x"))))
        return
    if not (full := [one for one in objects if one]):
        return
    target = rng.choice(full)
    name = rng.choice(list(target))
    match rng.randrange(4):
        case 0:
            target[name] = deepcopy(rng.choice(ODD_VALUES))
        case 1:
            del target[name]
        case 2:
            target["新字段"] = deepcopy(rng.choice(ODD_VALUES))
        case 3:
            other = rng.choice(full)
            target[name] = deepcopy(other[rng.choice(list(other))])


def written(rng: random.Random, tree: Any) -> bytes:
    """A tree as a body; now and then a member stands twice, or letters are escaped."""
    text = json.dumps({"code": "0", "success": True, "msg": "成功", **tree}, ensure_ascii=rng.random() < 0.1)
    if rng.random() < 0.05:
        text = text.replace('"AJMC": ', '"AJMC": "旧", "AJMC": ', 1)
    return text.encode()


async def ask(gateway: Gateway, query: Query) -> tuple[bytes, int]:
    """The whole response, and how many answers were left for the store."""
    waiting = gateway.write_back.waiting
    context = RequestContext(Deadline.after(5))
    result = await gateway.engine.execute(query.text, query.variables[0], None, context)
    offered = waiting.qsize()
    while not waiting.empty():
        gateway.write_back.waiting_bytes -= len(waiting.get_nowait().page.raw)
    return ENCODER.encode(result.body()), offered


def lane_of(gateway: Gateway, query: Query) -> lanes.Lane:
    lane = gateway.engine.preparation.prepare(query.text, query.variables[0], None).lane
    assert lane is not None
    return lane


@pytest.mark.anyio
@pytest.mark.parametrize("name", list(BY_NAME))
async def test_answers_are_those_of_the_executor_whatever_the_records_are(gateway, monkeypatch, name):
    running, upstream = gateway
    query = BY_NAME[name]
    rng = random.Random(name)
    lane = lane_of(running, query)
    for number in range(WORLDS if name != "soap" else WORLDS // 4):
        told = answers_of(name)
        for of, tree in told.items():
            if isinstance(tree, str):
                text = tree
                for _ in range(rng.choice((0, 1, 1, 2))):
                    old, new = rng.choice(
                        (
                            ("<t:status>10", "<t:status>77"),
                            ("2024-", "二〇二四-"),
                            ("<t:major>true", "<t:major/>"),
                            ("某某", "&#x200B;"),
                            ("<t:place>", "<t:place> "),
                        )
                    )
                    text = text.replace(old, new, rng.choice((1, -1)))
                upstream.answers[of] = text.encode()
            else:
                for _ in range(rng.choice((0, 0, 1, 1, 2, 5))):
                    spoil(rng, tree["data"])
                upstream.answers[of] = written(rng, tree)
        found = []
        for after in (0, 10**9, 0):  # the short way, the executor, and the short way that knows these bytes
            monkeypatch.setattr(lanes, "TAKEN_AFTER", after)
            upstream.asked.clear()
            found.append((*await ask(running, query), sorted(upstream.asked)))
        assert found[0] == found[1] == found[2], f"world {number}: {upstream.answers}"
    kept = running.engine.services.kept
    assert kept.reused > WORLDS / 40, "hardly any answer was given again: this test would prove nothing"
    assert lane.taken > lane.asked / 10, "the short way is hardly ever taken: this test would prove nothing"


@pytest.mark.anyio
@pytest.mark.parametrize("name", list(BY_NAME))
async def test_an_ordinary_answer_takes_the_short_way(gateway, name):
    running, upstream = gateway
    upstream.answers = {
        of: tree.encode() if isinstance(tree, str) else written(random.Random(5), tree)
        for of, tree in answers_of(name).items()
    }
    for _ in range(3):
        await ask(running, BY_NAME[name])
    assert lane_of(running, BY_NAME[name]).taken == 3


def bodies_of(name: str, change: str = "") -> dict[str, bytes]:
    """What the systems say, as bytes; `change` is in the name of a case."""
    told = {
        of: tree.encode() if isinstance(tree, str) else written(random.Random(5), tree)
        for of, tree in answers_of(name).items()
    }
    return {of: body.replace("某某".encode(), f"某某{change}".encode()) for of, body in told.items()}


@pytest.mark.anyio
@pytest.mark.parametrize("name", list(BY_NAME))
async def test_the_same_bytes_are_not_read_again_and_others_are(gateway, monkeypatch, name):
    running, upstream = gateway
    kept, query = running.engine.services.kept, BY_NAME[name]
    upstream.answers = bodies_of(name)
    answers = [(await ask(running, query))[0] for _ in range(3)]
    known = upstream.asked.copy()
    monkeypatch.setattr(JsonReader, "read", None)  # whoever reads fails
    monkeypatch.setattr(Rows, "read", None)
    before = kept.reused
    upstream.asked.clear()
    assert (await ask(running, query))[0] == answers[0] == answers[1] == answers[2]
    assert kept.reused == before + 1
    assert upstream.asked == known[-len(upstream.asked) :], "every source is asked all the same"
    monkeypatch.undo()
    upstream.answers = bodies_of(name, "改")
    changed = (await ask(running, query))[0]
    assert ("改".encode() in changed, changed != answers[0]) == (True, True)
    upstream.answers = bodies_of(name)
    assert (await ask(running, query))[0] == answers[0]


@pytest.mark.anyio
async def test_what_only_one_of_two_sources_says_anew_is_in_the_answer(gateway):
    running, upstream = gateway
    query = BY_NAME["nested"]
    upstream.answers = bodies_of("nested")
    for _ in range(2):
        first = (await ask(running, query))[0]
    officers = json.loads(upstream.answers["officers"])
    officers["data"]["list"][0]["XM"] = "改了名"
    upstream.answers["officers"] = json.dumps(officers, ensure_ascii=False).encode()
    changed = (await ask(running, query))[0]
    assert changed != first
    assert "改了名" in changed.decode()
    assert (await ask(running, query))[0] == changed


@pytest.mark.anyio
async def test_nobody_is_given_what_was_worked_out_for_another_viewer_or_another_key(gateway):
    running, upstream = gateway
    kept, query = running.engine.services.kept, BY_NAME["one"]
    upstream.answers = bodies_of("one")
    for _ in range(2):
        await ask(running, query)
    assert kept.reused == 1
    for viewer in (replace(EVERYBODY, scope="350100"), replace(EVERYBODY, masking="masked")):
        result = await running.engine.execute(
            query.text, query.variables[0], None, RequestContext(Deadline.after(5), viewer)
        )
        assert (bool(result.data), kept.reused) == (True, 1)
    other = await running.engine.execute(query.text, query.variables[1], None, RequestContext(Deadline.after(5)))
    assert (other.data, kept.reused) == ({"enforcementCase": None}, 1), "the record of another case is no answer"


@pytest.mark.anyio
async def test_the_day_and_the_media_type_are_part_of_what_an_answer_is_known_by(gateway):
    running, upstream = gateway
    query = BY_NAME["list"]
    upstream.answers = bodies_of("list")
    await ask(running, query)
    line = next(iter(lane_of(running, query)._ways.values())).root
    (mark,) = line.reader.known
    assert mark == mark_of(upstream.answers["agency"], "application/json", datetime.now(CHINA_TIME).date())
    for other in ("application/json; charset=gb18030", "text/plain"):
        assert mark_of(upstream.answers["agency"], other, mark[2]) not in line.reader.known
    assert mark_of(upstream.answers["agency"], mark[1], mark[2] - timedelta(days=1)) not in line.reader.known


def test_what_is_kept_is_bounded():
    kept = Kept(40_000)
    for number in range(100):
        assert kept.put(number, b"", 1000)
        kept.get(0)
    assert (kept.bytes <= 40_000, len(kept), kept.get(0), kept.get(1), kept.get(99)) == (True, 25, b"", None, b"")
    assert not kept.put("large", b"", 5000)
    kept.put(0, b"x", 2000)
    assert kept.bytes == sum(cost for _, cost in kept._held.values()) <= 40_000
    assert not Kept(0).put(0, b"", 1)


@pytest.mark.anyio
async def test_nothing_is_kept_when_there_is_no_room_for_it(gateway):
    running, upstream = gateway
    running.engine.services.kept.largest = 0
    upstream.answers = bodies_of("nested")
    answers = {(await ask(running, BY_NAME["nested"]))[0] for _ in range(4)}
    line = next(iter(lane_of(running, BY_NAME["nested"])._ways.values())).root
    assert (len(answers), line.reader.known, running.engine.services.kept.reused) == (1, {}, 0)


@pytest.mark.anyio
async def test_whoever_compiles_it_in_portions_is_left_to_it(gateway, monkeypatch):
    running, upstream = gateway
    monkeypatch.setattr(lanes, "TAKEN_AFTER", 1)
    query = BY_NAME["nested"]
    upstream.answers = {of: written(random.Random(5), tree) for of, tree in answers_of("nested").items()}
    lane = lane_of(running, query)
    first = await ask(running, query)
    assert lane.due() is None, "nobody has asked again"
    assert await ask(running, query) == first
    portions = lane.due()
    assert portions is not None
    assert lane.due() is None, "somebody has it"
    assert len(list(portions)) > 1
    assert lane.taken == 0
    assert await ask(running, query) == first
    assert lane.taken == 1


@pytest.mark.anyio
async def test_an_operation_that_was_forgotten_is_prepared_anew(gateway):
    running, upstream = gateway
    query = BY_NAME["one"]
    upstream.answers = {of: written(random.Random(5), tree) for of, tree in answers_of("one").items()}
    first = await ask(running, query)
    running.engine.preparation.plans_kept = 1
    running.engine.preparation.prepare("{ __typename }", {}, None)
    assert await ask(running, query) == first
