"""Which of several sources is asked for a key: the fewest that tell what is wanted, by rule, by the store, or all of a few."""

import json
from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.federation import Asking, Federation, federation
from contract_tests.test_check import spoil
from gateway.engine.routing import smallest_cover
from gateway.settings import PROJECT

pytestmark = pytest.mark.anyio
REGISTRY_FILE = PROJECT / "mappings" / "national_registry" / "mapping.yaml"
KNOWN, FIRST, ELSEWHERE = "91350100MA0B00015H", "91350100MA0B00023C", "91350100MA0B000317"
UNKNOWN = "91350100MA0B0004XY"
QUERY = "query ($uscc: Uscc!) { party(uscc: $uscc) { partyName provenance { source mode } } }"
elements = st.frozensets(st.sampled_from("abcdefg"))


@given(wanted=elements, offered=st.lists(elements, max_size=6))
def test_the_cover_is_the_smallest_there_is_and_tells_all_that_can_be_told(
    wanted: frozenset[str], offered: list[frozenset[str]]
) -> None:
    offers = {f"source{number}": some for number, some in enumerate(offered)}
    chosen = smallest_cover(wanted, offers)
    reachable = frozenset().union(*offered) & wanted
    assert frozenset().union(*(offers[name] for name in chosen)) & wanted == reachable
    for size in range(len(chosen)):
        for fewer in combinations(offers.values(), size):
            assert not reachable <= frozenset().union(*fewer)


@given(wanted=elements, offered=st.lists(elements, min_size=7, max_size=12))
def test_of_many_sources_too_all_is_told_and_nobody_is_asked_in_vain(
    wanted: frozenset[str], offered: list[frozenset[str]]
) -> None:
    offers = {f"source{number}": some for number, some in enumerate(offered)}
    chosen = smallest_cover(wanted, offers)
    told: frozenset[str] = frozenset()
    for name in chosen:
        assert offers[name] & wanted - told
        told |= offers[name]
    assert told & wanted == frozenset().union(*offered) & wanted


def another(mappings: Path, name: str, keys: list[str], **changes: str) -> None:
    """A registry like the national one, of its own name, with these enterprises only."""
    text = (
        REGISTRY_FILE.read_text("utf-8").replace("national_registry", name).replace("NATIONAL_REGISTRY", name.upper())
    )
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new, 1)
    folder = mappings / name
    (folder / "samples").mkdir(parents=True)
    (folder / "mapping.yaml").write_text(text, "utf-8")
    records = json.loads((PROJECT / "mappings" / "national_registry" / "samples" / "Party.json").read_text("utf-8"))
    mine = [{**record, "entname": f"{record['entname']}（{name}）"} for record in records if record["uniscid"] in keys]
    (folder / "samples" / "Party.json").write_text(json.dumps(mine, ensure_ascii=False), "utf-8")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Federation, Asking]]:
    """Three registries, each with enterprises of its own; two of them may be asked at once."""
    folder = tmp_path_factory.mktemp("three")
    mappings = folder / "mappings"
    another(mappings, "city_a", [FIRST])
    another(mappings, "city_b", [KNOWN])
    another(mappings, "city_c", [ELSEWHERE])
    (mappings / "source_of_truth.yaml").write_text("fan_out: 2\n", "utf-8")
    with federation(folder, mappings) as running:
        async with running.gateway() as asking:
            yield running, asking


def asked_sources(running: Federation) -> list[str]:
    return sorted(name.partition(".")[0] for name in running.calls())


async def test_nobody_is_known_to_have_it_so_a_few_are_asked_at_once_and_then_who_told(
    three: tuple[Federation, Asking],
) -> None:
    running, asking = three
    running.forget_calls()
    first = await asking.ask(QUERY, explain=True, uscc=KNOWN)
    assert first["data"]["party"]["partyName"].endswith("（city_b）")
    assert asked_sources(running) == ["city_a", "city_b"]
    plan = "\n".join(first["extensions"]["plan"])
    assert "[1] store who told of -> Party" in plan
    assert plan.count("route: by store, else fan-out <= 2") == 3
    await asking.settle()
    running.forget_calls()
    second = await asking.ask(QUERY, uscc=KNOWN)
    assert second["data"] == first["data"]
    assert asked_sources(running) == ["city_b"]


async def test_a_key_that_one_source_too_many_may_have_is_an_error_and_never_silently_nobodys(
    three: tuple[Federation, Asking],
) -> None:
    running, asking = three
    running.forget_calls()
    answer = await asking.ask(QUERY, uscc=ELSEWHERE)
    assert answer["data"] == {"party": None}
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["TOO_MANY_HOLDERS"]
    assert asked_sources(running) == ["city_a", "city_b"]


async def test_what_the_store_has_seen_there_is_asked_there_however_many_there_are(
    three: tuple[Federation, Asking],
) -> None:
    running, asking = three
    await returned(running, asking, "city_c")
    running.forget_calls()
    answer = await asking.ask(QUERY, uscc=ELSEWHERE)
    assert answer["data"]["party"]["provenance"] == [{"source": "city_c", "mode": "LIVE"}]
    assert asked_sources(running) == ["city_c"]


async def returned(running: Federation, asking: Asking, source: str) -> None:
    import asyncio

    from gateway.returning import Wanted, return_data

    definitions = asking.gateway.definitions
    assert await asyncio.to_thread(return_data, running.settings, definitions, source, Wanted(), lambda _: None)


async def test_by_rule_only_who_holds_it_or_has_them_all_is_asked(tmp_path: Path) -> None:
    mappings = tmp_path / "mappings"
    another(
        mappings, "city_a", [FIRST], **{"    key: uscc\n": "    key: uscc\n    holds: {uscc: 91350100MA0B00023C}\n"}
    )
    another(mappings, "nation", [FIRST, KNOWN], **{"    key: uscc\n": "    key: uscc\n    holds: all\n"})
    with federation(tmp_path, mappings) as running:
        async with running.gateway() as asking:
            answer = await asking.ask(QUERY, explain=True, uscc=KNOWN)
            assert asked_sources(running) == ["nation"]
            assert "route: by rule" in "\n".join(answer["extensions"]["plan"])
    spoil(mappings / "nation" / "mapping.yaml", "holds: all", "holds: {uscc: 91350100MA0B00015H}")
    with federation(tmp_path, mappings) as running:
        async with running.gateway() as asking:
            told: list[Any] = [
                (await asking.ask(QUERY, uscc=uscc))["data"]["party"] for uscc in (FIRST, KNOWN, UNKNOWN)
            ]
    assert [party and party["provenance"][0]["source"] for party in told] == ["city_a", "nation", None]
    assert len(running.calls()) == 2
