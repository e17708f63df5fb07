"""The data dictionary can be queried: elements, code tables and entities, from the specification alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract_tests.federation import Federation, federation
from contract_tests.test_registry_mistakes import Copy
from gateway.app import make_preparation
from gateway.definitions import prove
from gateway.engine.explain import explain
from gateway.settings import folders_only
from schema.build import build_schema
from schema.load import load_registry
from schema.registry import Registry
from schema.reserved import ROOTS, TYPES

SPECIFICATION = load_registry()
SCHEMA = build_schema(SPECIFICATION)


def ask(query: str, **variables: Any) -> dict[str, Any]:
    """The answer, read from the registry without any gateway."""
    result: Any = SCHEMA.execute_sync(query, variable_values=variables)
    assert result.errors is None, result.errors
    return result.data  # type: ignore[no-any-return]


def refused(query: str) -> list[tuple[str, str]]:
    result: Any = SCHEMA.execute_sync(query)
    return [(error.extensions["code"], error.message) for error in result.errors]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    with federation(tmp_path_factory.mktemp("metadata")) as running:
        yield running


def test_a_data_element_is_told_with_all_it_has() -> None:
    query = """{ dataElement(id: "ZF06004") {
        id sfRef name fieldName title format kind isList shortest longest unit need condition isCore sensitivity status
        version effectiveTo draftName basis entity { name } codeTable { name } refers { id } } }"""
    assert ask(query) == {
        "dataElement": {
            "id": "ZF06004",
            "sfRef": None,
            "name": "uscc",
            "fieldName": "uscc",
            "title": "统一社会信用代码",
            "format": "C18",
            "kind": "TEXT",
            "isList": False,
            "shortest": 18,
            "longest": 18,
            "unit": None,
            "need": "CONDITIONAL",
            "condition": "类别=法人必填",
            "isCore": True,
            "sensitivity": "PUBLIC",
            "status": "CANDIDATE",
            "version": SPECIFICATION.version,
            "effectiveTo": None,
            "draftName": "uscc",
            "basis": "CF_XDR_SHXYM [V]",
            "entity": {"name": "Party"},
            "codeTable": None,
            "refers": None,
        }
    }
    assert ask('{ dataElement(id: "ZF99999") { id } }') == {"dataElement": None}


def test_every_attribute_of_an_element_can_be_asked_for() -> None:
    fields = set(SCHEMA._schema.type_map["ElementDefinition"].fields)  # type: ignore[attr-defined]
    hidden = {"name", "check", "normal"}
    renamed = {"core": "isCore", "codes": "codeTable", "unindexed": "isFilterable"}
    for slot in type(SPECIFICATION.entities["Party"].elements["uscc"]).__slots__:
        first, *rest = slot.split("_")
        name = renamed.get(slot, first + "".join(map(str.capitalize, rest)))
        assert slot in hidden or name in fields, slot


def test_all_elements_come_page_by_page_in_the_order_of_the_specification() -> None:
    query = """query Page($after: Cursor) { dataElements(first: 100, after: $after) {
        totalCount nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""
    after, found, pages = None, [], []
    while True:
        page = ask(query, after=after)["dataElements"]
        assert page["nodes"] == [edge["node"] for edge in page["edges"]]
        assert page["edges"][-1]["cursor"] == page["pageInfo"]["endCursor"]
        found += [node["id"] for node in page["nodes"]]
        pages.append((len(page["nodes"]), page["pageInfo"]["hasPreviousPage"], page["totalCount"]))
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    written = [x.id for entity in SPECIFICATION.entities.values() for x in entity.elements.values()]
    assert found == written
    total = len(written)
    assert pages == [(min(100, total - start), start > 0, total) for start in range(0, total, 100)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('{id: "ZF06004"}', ["ZF06004"]),
        ('{id: ["ZF06004", "ZF06003"]}', ["ZF06003", "ZF06004"]),
        ('{entity: "Party", title: "地址"}', ["ZF06017", "ZF06018"]),
        ('{entity: "Party", codes: "sex"}', ["ZF06015"]),
        ('{entity: "Party", codes: ["CV14"]}', ["ZF06015"]),
        ('{entity: "Party", sensitivity: MEDIUM}', ["ZF06017"]),
        ('{entity: "Party", need: MANDATORY, isCore: true}', ["ZF06002", "ZF06003"]),
        ('{entity: "Party", name: ["legal_rep_name", "idType"]}', ["ZF06010", "ZF06013"]),
        ('{entity: "Party", text: "18 位全国唯一代码"}', ["ZF06004"]),
        ('{entity: "Nobody"}', []),
        ("{id: []}", []),
        ('{entity: "Party", status: RETIRED}', []),
        ('{entity: "Party", title: "地址", id: null, isCore: null}', ["ZF06017", "ZF06018"]),
    ],
)
def test_elements_are_found_by_what_is_said_of_them(where: str, expected: list[str]) -> None:
    page = ask(f"{{ dataElements(where: {where}) {{ totalCount nodes {{ id }} }} }}")["dataElements"]
    assert (page["totalCount"], [node["id"] for node in page["nodes"]]) == (len(expected), expected)


def test_text_is_looked_for_in_definitions_and_synonyms_too(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.replace(
        "party",
        "    synonyms: [CF_XDR_SHXYM, 社会信用代码]\n    definition: ",
        "    synonyms: [USCI 码]\n    definition: 赋予法人的终身代码，",
    )
    schema = build_schema(load_registry(copy.folder))
    for text in ("终身代码", "usci"):
        result: Any = schema.execute_sync(
            f'{{ dataElements(where: {{text: "{text}"}}) {{ nodes {{ id synonyms }} }} }}'
        )
        assert result.data == {"dataElements": {"nodes": [{"id": "ZF06004", "synonyms": ["USCI 码"]}]}}


def test_a_code_table_tells_what_is_valid_on_a_day_and_what_took_its_place() -> None:
    query = """query On($day: Date) { codeTable(name: "division") { id enumType
        codes(on: $day) { code title validFrom validTo successors { code title } predecessors { code } } } }"""

    def on(day: str | None) -> dict[str, Any]:
        return {code.pop("code"): code for code in ask(query, day=day)["codeTable"]["codes"]}

    retired = {
        "title": "长乐市",
        "validFrom": None,
        "validTo": "2017-12-31",
        "successors": [{"code": "350112", "title": "长乐区"}],
        "predecessors": [],
    }
    assert on("2017-12-31")["350182"] == retired
    assert "350182" not in on("2018-01-01")
    assert on(None)["350182"] == retired
    assert on(None)["350112"]["predecessors"] == [{"code": "350182"}]
    assert len(on(None)) == len(SPECIFICATION.codes["division"].members)


def test_code_tables_are_found_by_name_and_number_and_know_their_elements() -> None:
    by_name, by_number = (
        ask(f'{{ codeTable(name: "{name}") {{ id name enumType elements {{ id }} codes {{ code member }} }} }}')
        for name in ("sex", "CV14")
    )
    assert by_name == by_number
    assert by_name["codeTable"]["enumType"] == "Sex"
    assert {"id": "ZF06015"} in by_name["codeTable"]["elements"]
    assert {"code": "1", "member": "MALE"} in by_name["codeTable"]["codes"]
    assert ask('{ codeTable(name: "nothing") { id } }') == {"codeTable": None}
    assert [t["name"] for t in ask("{ codeTables { name } }")["codeTables"]] == list(SPECIFICATION.codes)


def test_an_entity_tells_its_roots_keys_elements_and_relations_both_ways() -> None:
    entity = ask("""{ entity(name: "Party") { title rootField listField identity lookups elements { name }
        relations { fieldName isList inverse target { name } by { name } }
        referencedBy { name entity { name } by { name } } } }""")["entity"]
    party = SPECIFICATION.entities["Party"]
    assert (entity["rootField"], entity["listField"]) == ("party", "parties")
    assert (entity["identity"], entity["lookups"]) == ([["partyKey"]], [["partyKey"], ["uscc"]])
    assert [element["name"] for element in entity["elements"]] == list(party.elements)
    assert entity["relations"][0] == {
        "fieldName": "enforcementCases",
        "isList": True,
        "inverse": "parties",
        "target": {"name": "EnforcementCase"},
        "by": None,
    }
    assert [(relation["entity"]["name"], relation["name"]) for relation in entity["referencedBy"]] == [
        (other.name, relation.name)
        for other in SPECIFICATION.entities.values()
        for relation in other.relations.values()
        if relation.to == "Party"
    ]
    assert {"name": "holder", "entity": {"name": "License"}, "by": {"name": "party_key"}} in entity["referencedBy"]
    assert ask('{ entity(name: "Nobody") { name } }') == {"entity": None}
    assert [e["name"] for e in ask("{ entities { name } }")["entities"]] == list(SPECIFICATION.entities)


def test_the_whole_dictionary_fits_one_query_and_going_in_circles_is_refused() -> None:
    whole = ask("""{ entities { name elements { id codeTable { codes { code } } } relations { name } } }""")
    assert len(whole["entities"]) == len(SPECIFICATION.entities)
    circle = "{ entities { elements { entity { elements { entity { elements { id } } } } } } }"
    assert refused(circle) == [("QUERY_TOO_LARGE", "查询涉及的定义超过 10000 个，请拆分")]


def test_a_wrong_page_is_refused_with_the_reason() -> None:
    assert refused("{ dataElements(first: 501) { totalCount } }") == [
        ("BAD_USER_INPUT", "first 应在 1 至 500 之间，实为 501")
    ]
    assert refused('{ dataElements(after: "nonsense") { totalCount } }') == [
        ("BAD_USER_INPUT", "after 不是这次查找的翻页位置")
    ]


@pytest.mark.anyio
async def test_definitions_and_data_are_answered_by_one_query(running: Federation) -> None:
    running.forget_calls()
    async with running.gateway() as gateway:
        answer = await gateway.ask("""{ officer(certNo: "35010020240001") { officerName }
            dataElements(where: {entity: "Officer", name: "officerName"}) { nodes { title } }
            codeTable(name: "sex") { title } }""")
        assert answer == {
            "data": {
                "officer": {"officerName": "林甲"},
                "dataElements": {
                    "nodes": [{"title": SPECIFICATION.entities["Officer"].elements["officer_name"].title}]
                },
                "codeTable": {"title": "性别"},
            }
        }
        assert running.calls() == {"provincial_platform.officers_by_cert": [1]}
        circles = " ".join(f"r{n}: entities {{ elements {{ codeTable {{ codes {{ code }} }} }} }}" for n in range(9))
        answer = await gateway.ask(f"{{ {circles} }}")
        assert answer["errors"][0]["extensions"]["code"] == "QUERY_TOO_LARGE"


def test_definitions_take_no_step_of_a_plan() -> None:
    settings, definitions = prove(folders_only(), with_secrets=False)
    prepared = make_preparation(definitions, settings).prepare('{ dataElement(id: "ZF06004") { title } }', {}, None)
    assert explain(prepared.plan, definitions.registry, definitions.mappings) == "0 waves, 0 steps, 0 sources: -"


def test_no_entity_and_no_code_table_may_take_a_name_of_the_schema(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.replace("clue", "entity: Clue\n", "entity: DataElement\n")
    copy.replace("license_status", "type: LicenseStatus", "type: PageInfo")
    copy.replace("sex", "type: Sex", "type: Party")
    problems = [problem for problem in copy.problems() if "已由" in problem]
    where = (copy.at("license_status", "type: PageInfo"), copy.at("sex", "type: Party"))
    entity = copy.at("clue", "entity: DataElement")
    assert [problem.split(": ", 1) for problem in problems] == [
        [where[0], "type: 类型 “PageInfo” 已由统一 schema 自身使用"],
        [where[1], "type: 类型 “Party” 已由 Party 使用"],
        [entity, "entity: 查询入口 “dataElements” 已由统一 schema 自身使用"],
        [entity, "entity: 查询入口 “dataElement” 已由统一 schema 自身使用"],
    ]


def test_every_name_of_the_schema_that_no_specification_gave_it_is_reserved() -> None:
    names = {name for name in SCHEMA._schema.type_map if not name.startswith("_")}
    roots = set(SCHEMA._schema.type_map["Query"].fields)  # type: ignore[attr-defined]
    assert names - derived_types(SPECIFICATION) - TYPES == set(), "add them to TYPES in schema/reserved.py"
    assert {name for name in roots if "数据字典" in str(described(name))} <= ROOTS


def derived_types(registry: Registry) -> set[str]:
    """The types that come from entities (all that begin with an entity's name) and from code tables."""
    made = {name for name in SCHEMA._schema.type_map if any(name.startswith(entity) for entity in registry.entities)}
    enums = {str(table.type) for table in registry.codes.values()}
    return made | enums | {f"{name}Filter" for name in enums} | {"link__Import", "link__Purpose"}


def described(root: str) -> str | None:
    return SCHEMA._schema.type_map["Query"].fields[root].description  # type: ignore[attr-defined,no-any-return]
