"""The specification leaves as a workbook, as JSON Schema and as a data contract, and comes back without loss."""

import importlib.resources
import io
import json
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import openpyxl
import pytest
import yaml

from contract_tests.specification import Copy
from gateway.cli import main
from schema.dictionary.json_schema import entity_schema
from schema.dictionary.sheets import ELEMENTS, make_sheets
from schema.dictionary.taking import take_workbook
from schema.load import load_registry
from schema.shape import WrittenElement

REGISTRY = load_registry()
Change = Callable[[Any], None]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("export") / "数据字典.xlsx"
    assert main(["spec", "export", "--format", "xlsx", "--out", str(file)]) == 0
    return file


@pytest.fixture
def changed(exported: Path, tmp_path: Path) -> Callable[[Change], Path]:
    """The exported workbook after somebody worked on it."""

    def change(work: Change) -> Path:
        book = openpyxl.load_workbook(exported)
        work(book)
        book.save(tmp_path / "changed.xlsx")
        return tmp_path / "changed.xlsx"

    return change


def refused(file: Path) -> list[str]:
    return [str(refusal) for refusal in take_workbook(file).refusals]


def test_what_is_exported_and_imported_is_the_same_specification(exported: Path, tmp_path: Path):
    folder, again = tmp_path / "schema" / "spec", tmp_path / "again.xlsx"
    assert main(["spec", "import", str(exported), "--out", str(folder)]) == 0
    assert load_registry(folder) == REGISTRY
    assert main(["spec", "export", "--format", "xlsx", "--spec", str(folder), "--out", str(again)]) == 0
    assert again.read_bytes() == exported.read_bytes()


def test_attributes_that_only_some_elements_have_come_back_too(tmp_path: Path):
    copy = Copy(tmp_path)
    copy.replace("party", "need: O", "need: O\n    sf_ref: SF-1\n    status: retired", behind="  sex:")
    copy.replace(
        "party", "need: O", "need: O\n    effective_from: 2024-01-01\n    effective_to: 2025-01-01", behind="  phone:"
    )
    copy.replace("party", "need: O", "need: O\n    version: v2\n    submitting_agency: 某厅", behind="  birth_date:")
    copy.replace("party", "synonyms: [CF_FRDB,", 'synonyms: ["=1+1", "@x", CF_FRDB,')
    copy.replace("sex", "title: 未知}", "title: 未知, valid_to: 2020-12-31, no_successor: true}")
    registry, file, folder = load_registry(copy.folder), tmp_path / "a.xlsx", tmp_path / "out"
    assert main(["spec", "export", "--format", "xlsx", "--spec", str(copy.folder), "--out", str(file)]) == 0
    assert main(["spec", "import", str(file), "--out", str(folder)]) == 0
    assert (load_registry(folder) == registry, registry == REGISTRY) == (True, False)


def test_every_attribute_of_an_element_is_a_column(exported: Path):
    assert {column.word for column in ELEMENTS} - {"", "entity", "name"} == set(WrittenElement.model_fields)
    titles = [cell.value for cell in openpyxl.load_workbook(exported)["数据元"][1]]
    assert (titles[:2], titles[-1]) == (["标识", "中文名"], "官方标识")


def test_the_workbook_holds_nothing_but_text_and_says_how_to_use_it(exported: Path):
    book = openpyxl.load_workbook(exported)
    assert book.sheetnames == ["说明", "实体", "数据元", "关系", "代码表", "代码"]
    cells = [cell for page in book for row in page.iter_rows() for cell in row if cell.value is not None]
    assert {(cell.data_type, cell.number_format) for cell in cells} == {("s", "@")}
    page = book["数据元"]
    assert (page.freeze_panes, page.auto_filter.ref, page.max_row) == ("C2", "A1:AD367", 367)
    lists = {rule.formula1 for rule in page.data_validations.dataValidation}
    assert '"必备,条件必备,可选"' in lists


def test_columns_are_taken_by_their_titles_in_any_order(changed: Callable[[Change], Path]):
    def turn(book: Any) -> None:
        for page in book:
            page.move_range(f"A1:A{page.max_row}", cols=page.max_column)

    assert take_workbook(changed(turn)).registry == REGISTRY


def test_edits_of_people_arrive(changed: Callable[[Change], Path]):
    def edit(book: Any) -> None:
        assert (book["数据元"]["A2"].value, book["代码表"]["B2"].value) == ("ZF01001", "CV01")
        book["数据元"]["B2"].value = "执法主体代码"
        book["数据元"]["AA2"].value = datetime(2025, 1, 1)
        book["数据元"].append(
            ["ZF07009", "线索等级", None, "Clue", "clue_grade", "Clue Grade", "线索的紧急程度。", "C1", None, "可选"]
            + [None] * 3 + ["公开", "案源线索", "等级", "代码"] + [None] * 8 + ["候选", None, None, "待定（草案）"]
        )  # fmt: skip

    taken = take_workbook(changed(edit))
    assert list(taken.refusals) == []
    assert taken.registry is not None
    code, grade = taken.registry.entities["Agency"].elements["agency_code"], taken.registry.entities["Clue"].elements
    assert (code.title, str(code.effective_from)) == ("执法主体代码", "2025-01-01")
    assert (grade["clue_grade"].id, grade["clue_grade"].version) == ("ZF07009", "draft-2024.1")


def test_every_cell_that_cannot_be_taken_is_told_at_once_and_nothing_is_written(
    changed: Callable[[Change], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def spoil(book: Any) -> None:
        elements, codes, relations = book["数据元"], book["代码"], book["关系"]
        elements["H2"].value = "C..x"
        elements["J3"].value = "必须"
        elements["M4"].value = "agency_levle"
        elements["G5"].value = None
        elements["B6"].value = "=A1"
        elements["F7"].value = " Enforcement Field"
        elements["A8"].value = "ZF01009"
        elements["C9"].value = "某机关"
        elements["AA10"].value = "2024-13-01"
        elements["AF11"].value = "备注"
        elements["N12"].value = True
        codes["C2"].value = 10
        codes["A3"].value = "agency_natur"
        codes["E5"].value = codes["E4"].value
        codes["G6"].value = datetime(2020, 1, 1, 12, 30)
        relations["G2"].value = "parent_agency"
        book["说明"]["B6"].value = "随便"

    file, folder = changed(spoil), tmp_path / "out"
    assert main(["spec", "import", str(file), "--out", str(folder)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-2:] == ["17 处不能采用", "什么也没有写"]
    assert not folder.exists()
    assert told[:-2] == [
        "代码!C2：“10”：数字单元格，可能已丢失前导零；请设为文本",
        "代码!A3：“agency_natur”：“代码表”表中没有 — 是否应为 agency_nature？（did you mean agency_nature?）",
        "代码!E5：“AUTHORIZED_ORGANIZATION”：前面已有同名的一行",
        "代码!G6：“2020-01-01 12:30:00”：日期单元格；请设为文本",
        "关系!G2：“parent_agency”：本实体没有数据元 “parent_agency” — 是否应为 parent_agency_code？（did you mean parent_agency_code?）",
        "数据元!H2：“C..x”：不认识的格式 “C..x”（例：C18、C..200、N..3、D10、DT、B、Money、J、URI，列表加 []）",
        "数据元!J3：“必须”：应为 必备、条件必备、可选",
        "数据元!M4：“agency_levle”：不认识的词 “agency_levle” — 是否应为 agency_level？（did you mean agency_level?）",
        "数据元!G5：必须填写",
        "数据元!B6：“=A1”：公式；请改为它的值",
        "数据元!F7：“ Enforcement Field”：首尾有空白",
        "数据元!C9：“某机关”：此列只供阅读，“实体”表中是“执法主体（机关）”",
        "数据元!A10：“ZF01009”：数据元标识 “ZF01009” 已在 实体/Agency 中定义",
        "数据元!AA10：“2024-13-01”：“2024-13-01” 不是日期 — 写作 YYYY-MM-DD",
        "数据元!AF11：“备注”：这一列没有认识的表头，不会被采用",
        "数据元!N12：“True”：逻辑值单元格；请设为文本",
        "说明!B6：“随便”：这一行只供阅读，改动不会被采用",
    ]  # fmt: skip


def test_a_part_is_written_only_when_asked_for_and_is_a_specification(
    changed: Callable[[Change], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    def spoil(book: Any) -> None:
        book["代码"]["C2"].value = 10
        book["数据元"]["H4"].value = "C..x"

    folder = tmp_path / "out"
    assert main(["spec", "import", str(changed(spoil)), "--out", str(folder), "--partial"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "2 处不能采用"
    part = load_registry(folder)
    lost = set(REGISTRY.entities["Agency"].elements) - set(part.entities["Agency"].elements)
    assert (lost, len(REGISTRY.codes["agency_nature"].members) - len(part.codes["agency_nature"].members)) == (
        {"agency_short_name"},
        1,
    )


def test_a_folder_that_holds_something_is_left_alone(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["spec", "import", str(exported), "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"无法写入：{tmp_path} 不是空文件夹\n"
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("work", "told"),
    [
        (lambda book: book.remove(book["关系"]), ["关系：缺少这个工作表"]),
        (lambda book: book["数据元"].delete_cols(7), ["缺少“定义”列"]),
        (lambda book: book["代码"].insert_rows(1), ["表头应在第 1 行"]),
        (lambda book: book.create_sheet("附注"), ["附注：不认识的工作表，不会被采用"]),
        (lambda book: book["代码"].__setitem__("J1", "代码"), ["代码!J1：“代码”：这一列出现了两次"]),
        (lambda book: book["数据元"].__setitem__("B3", book["数据元"]["B2"].value), ["数据元!B3：“执法主体统一社会信用代码”：中文名"]),
        (lambda book: book["数据元"].__setitem__("E3", "agency_code"), ["数据元!E3：“agency_code”：前面已有同名的一行"]),
        (lambda book: book["实体"].__setitem__("D2", "agency_code +"), ["实体!D2：本实体没有数据元 “”"]),
        (lambda book: book["实体"].__setitem__("F4", "nothing"), ["实体!F4：“nothing”：EnforcementMatter 的推导应写作"]),
        (lambda book: book["代码"].__setitem__("XFD1048576", "x"), ["代码!XFD1048576：“x”：这一列没有认识的表头，不会被采用"]),
        (lambda book: book["实体"].__setitem__("A3", "Agency"), ["实体!A3：“Agency”：前面已有同名的一行"]),
    ],
)  # fmt: skip
def test_a_workbook_of_another_shape_is_told(changed: Callable[[Change], Path], work: Change, told: list[str]):
    lines = refused(changed(work))
    assert [part for part in told if not any(part in line for line in lines)] == []


def zipped(**parts: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), content)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "不是 XLSX 文件，或者已加密、已损坏"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "不是 XLSX 文件，或者已加密、已损坏"),
        ("标识,中文名\n".encode("gb18030"), "不是 XLSX 文件，或者已加密、已损坏"),
        (zipped(a=b"a"), "不是完好的 XLSX 文件："),
        (zipped(xl__worksheets__sheet1_xml=b"\0" * (129 * 2**20)), "解压后过大"),
        (zipped(xl__workbook_xml=b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>'), "含有 DOCTYPE 声明"),
        (zipped(xl__workbook_xml='<!doctype x><x/>'.encode("utf-16")), "含有 DOCTYPE 声明"),
    ],
)  # fmt: skip
def test_what_is_no_workbook_is_told_and_does_no_harm(tmp_path: Path, content: bytes, reason: str):
    (tmp_path / "a.xlsx").write_bytes(content)
    taken = take_workbook(tmp_path / "a.xlsx")
    assert (taken.registry, len(taken.refusals)) == (None, 1)
    assert reason in str(taken.refusals[0])


def test_a_missing_file_is_told(tmp_path: Path):
    assert refused(tmp_path / "none.xlsx") == ["工作簿：无法读取：No such file or directory"]


def test_the_contract_is_valid_by_the_published_schema_of_the_standard(tmp_path: Path):
    assert main(["spec", "export", "--format", "odcs", "--out", str(tmp_path / "a.odcs.yaml")]) == 0
    contract = yaml.safe_load((tmp_path / "a.odcs.yaml").read_text("utf-8"))
    published = json.loads(
        (importlib.resources.files("open_data_contract_standard") / "schema.json").read_text("utf-8")
    )
    validator = jsonschema.validators.validator_for(published)(published)
    assert [error.message for error in validator.iter_errors(contract)] == []
    assert [error.message for error in validator.iter_errors({**contract, "kind": "Data"})] != []
    assert (len(contract["schema"]), sum(len(entity["properties"]) for entity in contract["schema"])) == (28, 366)


def test_a_json_schema_stands_for_each_entity(tmp_path: Path):
    assert main(["spec", "export", "--format", "json-schema", "--out", str(tmp_path)]) == 0
    schemas = [json.loads(file.read_text("utf-8")) for file in sorted(tmp_path.iterdir())]
    for schema in schemas:
        jsonschema.Draft202012Validator.check_schema(schema)
    assert [schema["$id"].rpartition(":")[2] for schema in schemas] == sorted(REGISTRY.entities)


PAYMENT = {
    "payment_no": "1",
    "case_code": "3" * 24,
    "payable_amount": "200.00",
    "pay_channel": "1",
    "collect_mode": "2",
    "collector_org": "某银行",
}


@pytest.mark.parametrize(
    ("change", "is_valid"),
    [
        ({}, True),
        ({"payable_amount": "-0.05", "paid_at": "2024-06-01T08:00:00+08:00", "receipt_code": "01020324"}, True),
        ({"payable_amount": "200.0"}, False),
        ({"payable_amount": 200}, False),
        ({"pay_channel": "9"}, False),
        ({"case_code": "3" * 23}, False),
        ({"paid_at": "2024-06-01T08:00:00Z"}, False),
        ({"defer_approved_to": "2024/06/01"}, False),
        ({"nothing": "1"}, False),
        ({"payment_no": None}, False),
    ],
)
def test_the_json_schema_accepts_what_the_specification_accepts(change: dict[str, Any], is_valid: bool):
    schema = entity_schema(REGISTRY, REGISTRY.entities["Payment"])
    assert jsonschema.Draft202012Validator(schema).is_valid(PAYMENT | change) is is_valid


def test_numbers_lists_and_either_length_are_said_in_json_schema():
    def valid(entity: str, element: str, value: object) -> bool:
        schema = entity_schema(REGISTRY, REGISTRY.entities[entity])["properties"][element]
        return jsonschema.Draft202012Validator(schema).is_valid(value)

    assert [valid("InspectionPlan", "plan_year", year) for year in (2024, 999, 10000, "2024")] == [
        True,
        False,
        False,
        False,
    ]
    assert [valid("CaseEvent", "seq_no", number) for number in (0, 999, -999, 1000)] == [True, True, True, False]
    assert [valid("PenaltyDecision", "penalty_kinds", kinds) for kinds in (["11", "21"], ["1"], "11")] == [
        True,
        False,
        False,
    ]
    assert [valid("Agency", "division_code", "1" * length) for length in (6, 9, 8)] == [True, True, False]


def test_the_sheets_of_a_specification_follow_the_draft():
    elements = make_sheets(REGISTRY)[2]
    assert [row[0] for row in elements.rows] == sorted(row[0] for row in elements.rows)
