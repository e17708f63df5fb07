"""Relations that only a record tells, and structures: from a source through the engine into the store and out again."""

import json
from collections.abc import Iterator

import pytest

from adapters.mapping.convert import to_structure
from contract_tests.federation import Federation, copy_mappings, federation

pytestmark = pytest.mark.anyio
MARKET = "11350100MB0A00018J"
CASE = "BHSJ-2024-0137"
SIGNATURES = [{"签署人": "林甲", "时间": "2024-06-01T09:00:00+08:00", "证书": {"序列号": 1, "有效": True}}]
TOLD = [{**SIGNATURES[0], "证书": {"序列号": "1", "有效": "true"}}]
"""Scalars are told as their text, whether the structure stood in the record or in a text of it."""
OPERATIONS = """
  materials_by_id:
    request: {method: POST, path: /api/v2/materials/batch, json: {ids: $keys}}
    records: data.list
    lookup: {entity: ElectronicMaterial, by: material_id, batch: 50}

  materials_of_case:
    request: {method: POST, path: /api/v2/materials/query, json: {cases: $keys}}
    records: data.list
    lookup: {entity: ElectronicMaterial, by: case.source_case_no, batch: 50, many: true}
"""
ENTITY = """
  ElectronicMaterial:
    key: material_id
    fields:
      material_id:  CLID
      case:         {path: AJBH, ref: EnforcementCase.source_case_no}
      storage_uri:  CCWZ
      signatures:   {path: QM, as: json}
"""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """The market authority, which has materials of its cases as well."""
    folder = tmp_path_factory.mktemp("carried")
    mappings = copy_mappings(folder)
    file = mappings / "binhai_market" / "mapping.yaml"
    text = file.read_text("utf-8").replace("\nentities:\n", f"{OPERATIONS}\nentities:{ENTITY}", 1)
    file.write_text(text, "utf-8")
    samples = [
        {"CLID": "M1", "AJBH": CASE, "CCWZ": "s3://bucket/1", "QM": SIGNATURES},
        {"CLID": "M2", "AJBH": CASE, "CCWZ": "s3://bucket/2", "QM": json.dumps(SIGNATURES)},
        {"CLID": "M3", "AJBH": "BHSJ-2024-0086", "CCWZ": "s3://bucket/3", "QM": None},
    ]
    (mappings / "binhai_market" / "samples" / "ElectronicMaterial.json").write_text(json.dumps(samples), "utf-8")
    with federation(folder, mappings) as running:
        yield running


async def test_a_case_leads_to_what_is_told_to_be_its_own(market: Federation) -> None:
    query = (
        f'{{ enforcementCase(agencyCode: "{MARKET}", sourceCaseNo: "{CASE}") '
        "{ electronicMaterials { materialId signatures } } }"
    )
    async with market.gateway() as gateway:
        answer = await gateway.ask(query)
    assert answer == {
        "data": {
            "enforcementCase": {
                "electronicMaterials": [
                    {"materialId": "M1", "signatures": TOLD},
                    {"materialId": "M2", "signatures": TOLD},
                ]
            }
        }
    }


async def test_it_leads_back_live_and_from_the_store(market: Federation) -> None:
    wanted = "materialId signatures case { sourceCaseNo caseName }"
    async with market.gateway() as gateway:
        live = [
            (await gateway.ask(f'{{ electronicMaterial(materialId: "{number}") {{ {wanted} }} }}'))["data"]
            for number in ("M1", "M3")
        ]
        await gateway.settle()
        listed = await gateway.ask(f"{{ electronicMaterials {{ nodes {{ {wanted} }} }} }}")
    assert [found["electronicMaterial"]["case"]["sourceCaseNo"] for found in live] == [CASE, "BHSJ-2024-0086"]
    assert all(found["electronicMaterial"]["case"]["caseName"] for found in live)
    assert "errors" not in listed
    nodes = listed["data"]["electronicMaterials"]["nodes"]
    assert [node for node in nodes if node["materialId"] != "M2"] == [found["electronicMaterial"] for found in live]


async def test_what_nobody_tells_has_nothing_behind_it(market: Federation) -> None:
    query = f'{{ enforcementCase(agencyCode: "{MARKET}", sourceCaseNo: "{CASE}") {{ evidences {{ evidenceId }} }} }}'
    async with market.gateway() as gateway:
        assert await gateway.ask(query) == {"data": {"enforcementCase": {"evidences": []}}}


@pytest.mark.parametrize("text", ["", "{", "[NaN]", "[" * 2000, '{"a":1,"a":2}'])
def test_what_is_no_json_is_no_structure(text: str) -> None:
    with pytest.raises(ValueError, match=r"^不是合法的 JSON$"):
        to_structure(text)
