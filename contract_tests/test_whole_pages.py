"""A list that the store answers whole is the list that the steps of its plan make: random lists over random stores, both ways."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from adapters.mapping.load import load_mapping
from adapters.mapping.model import EntityMapping, SourceMapping
from adapters.mapping.record import Mapped
from adapters.mapping.truth import EntityTruth, truth_of
from contract_tests.operations import Operations
from contract_tests.stores import REGISTRY, database, page, postgres
from contract_tests.stores import url as url
from contract_tests.worlds import random_value
from gateway.app import Gateway
from gateway.context import Deadline, RequestContext
from gateway.definitions import Definitions
from gateway.engine.engine import Asked
from gateway.settings import PROJECT, read_settings
from schema.identity import HashId, derived_values, key_of
from schema.names import list_field
from schema.registry import OWNER, Entity

__all__ = ["database", "postgres", "url"]
pytestmark = pytest.mark.anyio
LISTED = ("EnforcementCase", "Party", "PenaltyDecision", "Inspection", "Officer", "Agency", "LegalBasis", "Clue")
MAPPED, UNMAPPED = ("alpha", "beta"), "moved"
KEYS, LISTS = 5, 160
OWNERS = ("11350100MB0A00018J", "11350181MB0B002115")
WHERE = {
    "EnforcementCase": [
        'caseName: {contains: "福"}',
        "parties: {some: {partyName: {isNull: false}}}",
        "isMajor: {eq: true}",
    ],
    "Party": ["not: {uscc: {isNull: true}}", 'partyName: {gte: "a"}'],
}
ORDERS = {
    "EnforcementCase": ("FILED_DATE", "CASE_STATUS", "CASE_CODE"),
    "Party": ("PARTY_NAME",),
    "PenaltyDecision": ("DECISION_DATE",),
}


def random_definitions(rng: random.Random) -> Definitions:
    """Two sources that nobody can ask, each telling some of the elements of some entities."""
    shipped = load_mapping(REGISTRY, PROJECT / "mappings" / "linxi_ledger")
    (measure,) = shipped.entities.values()
    some_field = next(iter(measure.fields.values()))

    def told(entity: Entity, share: float) -> EntityMapping:
        names = [name for name in entity.elements if name in entity.identity[0] or rng.random() < share]
        return EntityMapping(entity, (), dict.fromkeys(names, some_field), {}, {}, {})

    mappings: dict[str, SourceMapping] = {}
    for source, share in zip(MAPPED, (0.9, 0.6), strict=True):
        entities = {name: told(REGISTRY.entities[name], share) for name in LISTED if share > 0.8 or rng.random() < 0.7}
        mappings[source] = replace(shipped, name=source, operations={}, entities=entities)
    said = {"Party": EntityTruth(("beta", "alpha"), {"party_name": ("moved", "alpha")})}
    return Definitions(REGISTRY, mappings, truth_of(mappings, said))


def random_entities(rng: random.Random, hash_id: HashId) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Some keys of each entity, made of its first identifying elements or of others, with their values."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name in LISTED:
        entity = REGISTRY.entities[name]
        for number in range(KEYS):
            combination = entity.identity[0 if rng.random() < 0.8 else -1]
            sources = {source for of in combination for source in entity.derived.get(of, (of,))[:1]}
            values: dict[str, Any] = {element: f"{element[0]}{number}" for element in sources}
            values |= {OWNER: rng.choice(OWNERS)}
            values |= {"agency_code": rng.choice(OWNERS)} if "agency_code" in combination else {}
            values |= derived_values(entity, values, hash_id)
            key = key_of(entity, values, hash_id)
            assert key is not None
            found.setdefault(name, []).append((key, values))
    return found


def random_telling(
    rng: random.Random, name: str, key: str, known: dict[str, Any], keys: dict[str, list[str]]
) -> Mapped:
    """What a source tells of an entity; once in a while it contradicts the key."""
    entity = REGISTRY.entities[name]
    values = {e.name: random_value(rng, REGISTRY, e) for e in entity.elements.values() if rng.random() < 0.6}
    values.pop(str(entity.allotted), None)
    values |= {n: v for n, v in known.items() if n in entity.elements and rng.random() < 0.96}
    mapped = Mapped(name, key, str(known[OWNER]), values)
    for relation in entity.relations.values():
        if relation.is_told and relation.to in keys and rng.random() < 0.7:
            targets = [*keys[relation.to], f"{relation.to}-nobody-tells"]
            mapped.refs[relation.name] = tuple(rng.sample(targets, rng.randint(0, 3) if relation.many else 1))
    return mapped


def fill(rng: random.Random, gateway: Gateway) -> None:
    """What three sources tell, the third not mapped any more; with entities that nobody identified, and some deleted since."""
    entities = random_entities(rng, gateway.hash_id)
    keys = {name: [key for key, _ in known] for name, known in entities.items()}
    hour, deleted = 100, rng.random() < 0.7
    for name, known in entities.items():
        for key, values in known:
            for source in rng.sample((*MAPPED, UNMAPPED), rng.choice((0, 1, 1, 1, 2, 3))):
                told = random_telling(rng, name, key, values, keys)
                if name == "EnforcementCase" and rng.random() < 0.3:
                    nobody = Mapped("Party", f"~{source}-{hour}", str(values[OWNER]), {"party_name": "无名氏"})
                    told.embedded["parties"] = (nobody,)
                    told.refs["parties"] = (*told.refs.get("parties", ()), nobody.key)
                gone = ((name, key),) if deleted and rng.random() < 0.1 else ()
                gateway.store.land(page(told, received=hour, source=source))
                gateway.store.land(page(received=hour + 1, source=source, deleted=gone))
                hour += 2


def random_list(rng: random.Random, operations: Operations) -> tuple[str, dict[str, bool]]:
    """A list with whatever there is to be shown of it."""
    operations.fragments, operations.flags = [], {"flag0": rng.random() < 0.5, "flag1": rng.random() < 0.5}
    name = rng.choice(LISTED)
    kind = operations.schema.type_map[f"{name}Connection"]
    arguments = [f"{rng.choice(('first', 'last'))}: {rng.randint(1, 6)}"]
    if rng.random() < 0.4 and name in WHERE:
        arguments.append(f"where: {{{rng.choice(WHERE[name])}}}")
    if rng.random() < 0.5 and name in ORDERS:
        arguments.append(f"orderBy: [{{field: {rng.choice(ORDERS[name])}, direction: {rng.choice(('ASC', 'DESC'))}}}]")
    selections = operations._selections(kind, rng.choice((3, 4, 5, 6)))
    nodes = operations._selections(operations.schema.type_map[name], rng.choice((1, 2, 3, 4)))
    groups = " enforcementCaseGroups(groupBy: [CASE_STATUS]) { groups { count } }" if rng.random() < 0.1 else ""
    listed = (
        f"listed: {list_field(REGISTRY.entities[name])}({', '.join(arguments)}) {{ nodes {{ {nodes} }} {selections} }}"
    )
    text = f"query ($flag0: Boolean!, $flag1: Boolean!) {{ {listed}{groups} __typename @include(if: $flag0)"
    text += " also: __typename @skip(if: $flag1) }\n" + "\n".join(operations.fragments)
    return text, dict(operations.flags)


def forget_some_codes(rng: random.Random, gateway: Gateway) -> None:
    """As before the gateway gave them out."""
    identity, cases = gateway.store.tables.identity, gateway.store.tables.current["EnforcementCase"]
    with gateway.store.database.engine.begin() as connection:
        for key in connection.execute(identity.select().with_only_columns(identity.c.natural_key)).scalars().all():
            if rng.random() < 0.2:
                connection.execute(identity.delete().where(identity.c.natural_key == key))
                connection.execute(cases.update().where(cases.c.key == key).values(case_code=None))


@asynccontextmanager
async def gateway_over(url: str, definitions: Definitions) -> AsyncIterator[Gateway]:
    settings = replace(
        read_settings({"GATEWAY_DATABASE_URL": url, "GATEWAY_PARTY_KEY_SECRET": "tests-only"}),
        most_fields=5000,
        most_aliases=5000,
        most_cost=10**12,
        most_tokens=50_000,
    )
    async with Gateway(definitions, settings).running() as gateway:
        yield gateway


async def both_ways(gateway: Gateway, text: str, variables: dict[str, bool]) -> tuple[Any, bool] | None:
    """The answer, the same both ways, and whether the page was read whole; None where no plan reads it whole."""
    gateway.storage.identities.clear()
    asked = gateway.engine.ask(text, variables, None, RequestContext(Deadline.after(60)))
    if not isinstance(asked, Asked) or asked.prepared.plan.page_read is None:
        return None
    plan = replace(asked.prepared.plan, page_read=None)
    stepwise = asked._replace(prepared=asked.prepared._replace(plan=plan))
    (found, is_whole), (expected, is_stepwise) = (await answered(gateway, asked), await answered(gateway, stepwise))
    assert found == expected, text
    assert not is_stepwise
    return found[0], is_whole


async def answered(gateway: Gateway, asked: Asked) -> tuple[Any, bool]:
    """The answer, its data issues in one order, and whether the page was read whole."""
    engine = gateway.engine
    execution = engine._execution(asked)
    await execution.run()
    assert asked.prepared.projection is not None
    data, errors = asked.prepared.projection.answer(execution, asked.prepared.document)
    extensions = msgspec.to_builtins(engine._extensions(execution, asked.context))
    extensions["dataIssues"] = sorted(extensions.get("dataIssues", ()), key=repr)
    return (msgspec.to_builtins(data), [error.formatted for error in errors], extensions), bool(execution.done)


@pytest.mark.parametrize("seed", range(3))
async def test_a_list_read_whole_is_the_list_read_step_by_step(url: str, seed: int) -> None:
    rng = random.Random(seed)
    definitions = random_definitions(rng)
    whole, by_steps, shown = 0, 0, 0
    async with gateway_over(url, definitions) as gateway:
        fill(rng, gateway)
        forget_some_codes(rng, gateway)
        operations = Operations(rng, definitions.schema._schema, REGISTRY, {name: ["x"] for name in LISTED})
        for _ in range(LISTS):
            text, variables = random_list(rng, operations)
            if (told := await both_ways(gateway, text, variables)) is not None:
                found, is_whole = told
                whole, by_steps = whole + is_whole, by_steps + (not is_whole)
                shown += len(found["listed"]["nodes"])
    assert whole > by_steps > 0, (whole, by_steps)
    assert shown > whole


async def test_what_is_allotted_to_others_is_read_with_the_page_once_it_is_allotted(url: str) -> None:
    rng = random.Random(0)
    async with gateway_over(url, random_definitions(rng)) as gateway:
        entities = random_entities(rng, gateway.hash_id)
        (told, known), *_ = entities["EnforcementCase"]
        gateway.store.land(page(Mapped("EnforcementCase", told, known[OWNER], {}), source="alpha"))
        leads = ((told,), (told,), ("nobody-tells",), ("~nobody-knows",), ())
        for hour, ((key, values), cases) in enumerate(zip(entities["PenaltyDecision"], leads, strict=True), 101):
            refs = {"case": cases} if cases else {}
            decision = Mapped("PenaltyDecision", key, values[OWNER], values, refs=refs)
            gateway.store.land(page(decision, received=hour, source="alpha"))
        answers = [
            await both_ways(gateway, "{ listed: penaltyDecisions(first: 9) { nodes { caseCode } } }", {})
            for _ in range(2)
        ]
    assert answers[0] is not None
    assert answers[1] == (answers[0][0], True)
    assert answers[0][1] is False
    codes = [node["caseCode"] for node in answers[0][0]["listed"]["nodes"]]
    (code,) = {code for code in codes if code is not None and codes.count(code) == 2}
    assert (codes.count(None), len({*codes} - {None, code})) == (2, 1)
