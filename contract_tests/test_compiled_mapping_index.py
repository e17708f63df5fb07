"""A row that takes whole records over knows what it would know had it learnt every element by itself."""

from datetime import datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.mapping.compiled import Compiler
from adapters.mapping.load import load_mappings
from adapters.mapping.wants import Want
from contract_tests.expectations import hash_id, samples_of
from gateway.engine.index import ASKED, NAMED, RELATED, REMEMBERED, Index, Origin, Row, provenance_of
from gateway.engine.taking import Adopter, Taker
from schema.formats import CHINA_TIME
from schema.load import load_registry

REGISTRY = load_registry()
MAPPINGS = load_mappings(REGISTRY)
NOON = datetime(2026, 6, 1, 12, tzinfo=CHINA_TIME)
NAMES = ("party_key", "uscc", "party_name", "phone", "legal_rep_name")
RANKS = st.sampled_from([REMEMBERED, NAMED, RELATED, ASKED])
SOURCES = st.sampled_from(["a", "b", "c"])
VALUES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2", "3"]))
TELLINGS = st.one_of(
    st.tuples(st.just("record"), RANKS, SOURCES, VALUES, st.frozensets(st.sampled_from(NAMES))),
    st.tuples(st.just("value"), RANKS, SOURCES, st.sampled_from(NAMES), st.sampled_from(["1", "2", None])),
    st.tuples(st.just("name"), SOURCES),
)


class Learner:
    """Every element by itself: the first source in order counts, and of its words the best informed; null never does."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values, self.ranks = dict(values), dict[str, tuple[int, str]]()

    def learn(self, name: str, value: Any, rank: int, source: str) -> None:
        known = self.ranks.get(name)
        is_better = known is None or (source, -rank) < (known[1], -known[0])
        is_new = value is not None and (is_better or self.values.get(name) is None)
        if is_new or known is None:
            self.values[name] = value if value is not None else self.values.get(name)
            self.ranks[name] = (rank, source)


@given(tellings=st.lists(TELLINGS, max_size=6))
@settings(max_examples=400, deadline=None)
def test_taking_a_record_over_is_learning_each_of_its_elements(tellings: list[Any]) -> None:
    known = {"party_key": "K", "uscc": "K"}
    row, learner = Row(REGISTRY.entities["Party"], "K", Index(REGISTRY), dict(known)), Learner(known)
    for telling in tellings:
        match telling:
            case ("record", rank, source, values, names):
                told = {name: value for name, value in values.items() if name in names}
                for name in names:
                    learner.learn(name, told.get(name), rank, source)
                row.adopt(told, names, rank, source)
            case ("value", rank, source, name, value):
                learner.learn(name, value, rank, source)
                row.learn(name, value, rank, source)
            case ("name", source):
                for name in learner.values.keys() - learner.ranks.keys():
                    learner.learn(name, learner.values[name], NAMED, source)
                row.be_named(source)
        assert {n: row.values.get(n) for n in NAMES} == {n: learner.values.get(n) for n in NAMES}
        assert {n: row.rank_of(n) for n in NAMES} == {n: learner.ranks.get(n) for n in NAMES}
        assert {n for n in NAMES if row.lacks(n)} == set(NAMES) - learner.ranks.keys()


def rows_of(index: Index, want: dict[str, Want]) -> dict[tuple[str, str], Any]:
    """What an answer may read of the rows."""
    found = {}
    for (entity, key), row in index.rows.items():
        names = (want[entity].elements | want[entity].relations) if entity in want else frozenset()
        told = {name: row.values.get(name) for name in names}
        origins = {(place, c.is_reference) for place, c in row.contributions.items()}
        found[entity, key] = told, origins, {name for name in names if row.lacks(name)}
    return found


def test_an_index_of_what_is_wanted_answers_as_one_of_everything() -> None:
    market = MAPPINGS["binhai_market"]
    records = samples_of(market)["EnforcementCase"]
    compiler = Compiler(hash_id)
    want = {
        "EnforcementCase": Want(
            frozenset({"source_case_no", "agency_code", "case_name", "matter_code", "filed_date"}),
            frozenset({"parties", "officers"}),
        ),
        "Party": Want(frozenset({"party_key", "uscc", "party_name", "id_type"})),
        "Officer": Want(frozenset({"cert_no", "officer_name"})),
    }
    origin = Origin(market.name, "cases_by_no", "LIVE", NOON, NOON, REGISTRY.version)
    some, everything = Index(REGISTRY), Index(REGISTRY)
    adopter, taker = Adopter(some, market, want, 1), Taker(everything, market, 1)
    for entity in compiler.compiled(market, "EnforcementCase", frozenset(want.items())).page(records, NOON.date()):
        adopter.add(entity, origin, ASKED)
    for entity in compiler.compiled(market, "EnforcementCase", None).page(records, NOON.date()):
        taker.add(entity, origin, ASKED)
    wanted = {place: told for place, told in rows_of(everything, want).items() if place[0] in want}
    assert rows_of(some, want) == wanted
    elements = {i.element for i in some.issues}
    assert elements < {i.element for i in everything.issues}
    assert elements <= {name for w in want.values() for name in w.elements}


def test_origins_name_every_element_a_source_told_when_they_are_asked_for() -> None:
    registry = MAPPINGS["national_registry"]
    record = samples_of(registry)["Party"][0]
    want = frozenset({("Party", Want(frozenset({"party_name"}), is_whole=True))})
    compiled = Compiler(hash_id).compiled(registry, "Party", want)
    index = Index(REGISTRY)
    origin = Origin(registry.name, "enterprises_by_uscc", "LIVE", NOON, NOON, REGISTRY.version)
    (mapped,) = compiled.page([record], NOON.date())
    Adopter(index, registry, dict(want), 1).add(mapped, origin, ASKED)
    ((_, row),) = index.rows.items()
    ((told,)) = [told["elements"] for told in provenance_of(row)]
    assert {"partyKey", "partyName", "uscc", "legalRepName", "businessRegNo"} <= set(told)
