"""Files are read row by row: what is wrong with a row is told by its line and the agency's column, of a file before any of it."""

import tracemalloc
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.file import read_file, reread
from adapters.file_rows import ROWS, Unreadable, payload_of
from contract_tests.files import HEAD, LEDGER, SAMPLES, file_mapping, refusal_of, repacked, rows_of, workbook
from schema.problems import Problems

COLUMNS = HEAD.split(",")
SHEET = "xl/worksheets/sheet1.xml"
ROW = ["Q1", "案1", "查封", "100", "2024/01/02"]


def record(**values: Any) -> dict[str, Any]:
    return dict(zip(COLUMNS, ROW, strict=True)) | values


def written(folder: Path, text: str, charset: str = "utf-8", name: str = "a.csv") -> Path:
    file = folder / name
    file.write_bytes(text.encode(charset))
    return file


# CSV


@pytest.mark.parametrize(("charset", "connect"), [("utf-8", "utf-8"), ("utf-8-sig", "gb18030"), ("gb18030", "gb18030")])
def test_csv_is_read_in_its_own_encoding(tmp_path, charset, connect):
    mapping = file_mapping(tmp_path, f"{{kind: file, charset: {connect}}}")
    file = written(tmp_path, f"{HEAD}\r\nQ1,䶮𠮷1,查封,100,2024/01/02\r\n\r\n", charset)
    assert rows_of(mapping, file) == [(2, record(案号="䶮𠮷1"), None)]


def test_cells_hold_delimiters_quotes_and_lines(tmp_path):
    file = written(tmp_path, f'{HEAD}\n"Q,1","案""1""\n续",查封,,\nQ2,,,,\n')
    assert rows_of(file_mapping(tmp_path), file) == [
        (2, record(措施编号="Q,1", 案号='案"1"\n续', **{"罚款(元)": "", "日期": ""}), None),
        (4, record(措施编号="Q2", 案号="", 措施种类="", **{"罚款(元)": "", "日期": ""}), None),
    ]


def test_other_delimiters_and_a_head_further_down(tmp_path):
    layout = "{deliver: {entity: CoerciveMeasure}, layout: {header: 3}}"
    mapping = file_mapping(tmp_path, "{kind: file, delimiter: tab}", layout)
    lines = ["台账", '"单位\n"', HEAD.replace(",", "\t"), "\t".join(ROW)]
    assert "第 3 行（表头）" in refusal_of(mapping, written(tmp_path, "\n".join(lines)))
    lines[1] = ""
    assert rows_of(mapping, written(tmp_path, "\n".join(lines))) == [(4, record(), None)]


def test_a_faulty_row_is_told_by_line_and_column_and_the_others_are_read(tmp_path):
    good = ",".join(ROW)
    lines = [HEAD, good, "Q2,案2", "Q3,案3,查封,1,2024/01/01,多余", 'Q4,"案"4,查封,1,', good]
    content = "\n".join(lines).encode() + b"\nQ6,\xff\xfe,\xb2\xe9\xb7\xe2,1,2024/01/01\n" + good.encode()
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    assert [(number, fault) for number, _, fault in rows_of(file_mapping(tmp_path), file)] == [
        (2, None),
        (3, "第 3 行只有 2 格，表头有 5 列（缺 “措施种类” 及以后）"),
        (4, "第 4 行：第 6 格有内容，表头却没有列名"),
        (5, "第 5 行不是合法的 CSV：引号之后还有别的内容"),
        (6, None),
        (7, "第 7 行：“案号”、“措施种类” 不是 UTF-8 编码"),
        (8, None),
    ]


def test_a_quote_that_never_ends_is_told_with_the_lines_it_swallowed(tmp_path):
    file = written(tmp_path, f'{HEAD}\n"Q1,案,查封,1,\n' + "Q,案,查封,1,\n" * 3)
    assert [(n, fault) for n, _, fault in rows_of(file_mapping(tmp_path), file)] == [
        (2, "第 2 至 5 行不是合法的 CSV：引号没有闭合")
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "文件是空的"),
        (
            "措施编码,案号,措施种类,日期\n".encode(),
            "第 1 行（表头）缺少列 “措施编号”（是否 “措施编码”？）；文件中有 “措施编码”、“案号”、“措施种类”、“日期”",
        ),
        (HEAD.encode("gb18030"), "文件像是 GB18030 编码，约定的是 UTF-8"),
        (HEAD.encode("utf-16"), "文件是 UTF-16 编码，请另存为 UTF-8 或 GB18030 的 CSV"),
        (HEAD.replace(",", ";").encode(), "（只认出一列：分隔符可能是分号）"),
        (f"{HEAD},日期\n".encode(), "第 1 行（表头）有重名的列 “日期”"),
        (b",,,\n", "第 1 行（表头）是空的"),
        (b"PK\x03\x04rest", "文件名是 CSV，内容却是 XLSX（压缩包），请改正扩展名"),
        (HEAD.encode() + b"\n" + b"x" * (2**20 + 2), "第 2 行超过 1048576 字节"),
    ],
    ids=["empty", "column", "gb18030", "utf-16", "delimiter", "doubled", "no head", "zip", "long line"],
)
def test_a_file_that_is_not_as_agreed_is_refused_as_a_whole(tmp_path, content, told):
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    assert told in refusal_of(file_mapping(tmp_path), file)


def test_the_other_way_round_utf8_is_recognised_where_gb18030_was_agreed(tmp_path):
    mapping = file_mapping(tmp_path, "{kind: file, charset: gb18030}")
    assert "文件像是 UTF-8 编码，约定的是 GB18030" in refusal_of(mapping, written(tmp_path, HEAD))


def test_a_file_of_any_length_takes_the_same_memory(tmp_path):
    mapping, file = file_mapping(tmp_path), tmp_path / "a.csv"
    with file.open("w", encoding="utf-8") as lines:
        lines.write(HEAD + "\n")
        lines.writelines(f"Q{n},案{n},查封,1,2024/01/02\n" for n in range(100_000))
    tracemalloc.start()
    with read_file(mapping, mapping.operations["delivered"], file, "csv") as reading:
        count = sum(1 for _ in reading.rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, peak < 2_000_000) == (100_000, True)


# XLSX


def test_cells_of_a_workbook_are_text_as_they_are_shown(tmp_path):
    rows = [COLUMNS, ["Q1", 0.1 + 0.2, True, 1e6, date(2024, 1, 2)], [None] * 5, ["Q2", 12, 12.50, -1, 45747]]
    file = workbook(tmp_path / "a.xlsx", [*rows, ["Q3", None, None, None, datetime(2024, 1, 2, 3, 4)]])
    assert rows_of(file_mapping(tmp_path), file) == [
        (2, record(案号="0.3", 措施种类="TRUE", **{"罚款(元)": "1000000", "日期": "2024/01/02"}), None),
        (4, record(措施编号="Q2", 案号="12", 措施种类="12.5", **{"罚款(元)": "-1", "日期": "45747"}), None),
        (5, dict.fromkeys(COLUMNS) | {"措施编号": "Q3", "日期": "2024-01-02 03:04:00"}, None),
    ]


def test_what_is_no_plain_cell_is_told_by_row_and_column(tmp_path):
    rows = [[None, *COLUMNS[1:]], *[[f"Q{n}", "案", "查封", 1, None] for n in range(8)]]
    rows[0][0] = "措施\n编号"

    def change(page: Any) -> None:
        page["A1"] = "措施编号"
        page["D2"] = "=1+1"
        page["B3"] = "#N/A"
        page["B3"].data_type = "e"
        page["A4"] = 350102199001010019
        page["G5"] = "旁注"
        page.merge_cells("B6:C7")

    file = workbook(tmp_path / "a.xlsx", rows, change)
    assert [(number, fault) for number, _, fault in rows_of(file_mapping(tmp_path), file)] == [
        (2, "第 2 行：“罚款(元)” 是公式，请粘贴为值"),
        (3, "第 3 行：“案号” 是错误值 #N/A"),
        (4, "第 4 行：“措施编号” 是 18 位的数值，Excel 只保留 15 位，请把这一列设为文本"),
        (5, "第 5 行：第 7 格有内容，表头却没有列名"),
        (6, "第 6 行：“案号”、“措施种类” 在合并单元格内，请取消合并、逐行填写"),
        (7, "第 7 行：“案号”、“措施种类” 在合并单元格内，请取消合并、逐行填写"),
        (8, None),
        (9, None),
    ]


def bomb(content: bytes) -> bytes:
    return content.replace(b"<sheetData>", b"<sheetData>" + b" " * (40 * 2**20))


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        (SHEET, bomb, "疑为压缩炸弹"),
        ("xl/sharedStrings.xml", lambda _: b"<a/>" + b" " * (70 * 2**20), "共享文字和样式解压后超过 64 MB"),
        (SHEET, lambda c: c.replace(b"<worksheet", b'<!DOCTYPE a [<!ENTITY a "b">]><worksheet', 1), "DOCTYPE"),
        (SHEET, lambda c: c[: len(c) // 2], "XLSX 文件"),
        ("xl/workbook.xml", lambda _: b"<nonsense/>", "有 0 个工作表"),
    ],
    ids=["bomb", "strings", "entities", "cut", "nonsense"],
)
def test_a_hostile_or_broken_workbook_is_refused(tmp_path, part, change, told):
    file = repacked(workbook(tmp_path / "a.xlsx", [COLUMNS, ROW]), {part: change})
    assert told in refusal_of(file_mapping(tmp_path), file)


def test_a_workbook_larger_than_agreed_is_refused(tmp_path):
    mapping = file_mapping(tmp_path, "{kind: file, max_bytes: 4KB}")
    file = workbook(tmp_path / "a.xlsx", [COLUMNS, *[ROW] * 500])
    assert "max_bytes" in refusal_of(mapping, file) or "解压后过大" in refusal_of(mapping, file)
    assert "解压后过大" in refusal_of(file_mapping(tmp_path, "{kind: file, max_bytes: 16KB}"), file)


def test_no_workbook_and_the_wrong_sheet_are_refused(tmp_path):
    file = written(tmp_path, "no zip", name="a.xlsx")
    assert refusal_of(file_mapping(tmp_path), file) == "不是 XLSX 文件，或者已加密、已损坏"
    named = file_mapping(tmp_path, operation="{deliver: {entity: CoerciveMeasure}, layout: {sheet: 台账}}")
    two = workbook(tmp_path / "a.xlsx", [COLUMNS], lambda page: page.parent.create_sheet("说明"))
    assert refusal_of(named, two) == "没有工作表 “台账”（有：Sheet、说明）"
    assert "有 2 个工作表（Sheet、说明）" in refusal_of(file_mapping(tmp_path), two)


# JSON


def test_json_and_ndjson_are_read_at_their_place(tmp_path):
    mapping = file_mapping(tmp_path, operation="{records: data.list, deliver: {entity: CoerciveMeasure}}")
    one, two = '{"措施编号": "Q1", "罚款(元)": 1.50}', '{"措施编号": "Q2"}'
    told = [{"措施编号": "Q1", "罚款(元)": "1.50"}, {"措施编号": "Q2"}]
    file = written(tmp_path, f'{{"data": {{"list": [{one}, 7, {two}]}}}}', name="a.json")
    assert rows_of(mapping, file) == [
        (1, told[0], None),
        (2, {"": "7"}, "第 2 条不是记录（JSON 对象）"),
        (3, told[1], None),
    ]
    file = written(tmp_path, f"\ufeff{one}\n\n{{\n[1]\n{two}", name="a.ndjson")
    rows = rows_of(mapping, file)
    assert [(n, r) for n, r, fault in rows if fault is None] == [(1, told[0]), (5, told[1])]
    assert [fault for *_, fault in rows if fault] == [
        "第 3 行不是合法的 JSON（第 2 列）",
        "第 4 行不是记录（JSON 对象）",
    ]


@pytest.mark.parametrize(
    ("text", "told"), [('{"a": []}', "JSON 里没有 data.list"), ("{", "不是合法的 JSON"), ('{"a": 1, "a": 2}', "键重复")]
)
def test_json_that_is_not_as_agreed_is_refused(tmp_path, text, told):
    mapping = file_mapping(tmp_path, operation="{records: data.list, deliver: {entity: CoerciveMeasure}}")
    assert told in refusal_of(mapping, written(tmp_path, text, name="a.json"))


# Names, and what mappings may say


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("qzcs.csv", "不属于任何操作（约定的文件名：qzcs_*）"),
        ("qzcs_1.json", "不是约定的格式（csv、xlsx）"),
        ("qzcs_1.xls", ".xls 请另存为 .xlsx"),
    ],
)
def test_the_name_of_a_file_tells_its_operation_and_format(tmp_path, name, told):
    assert told in refusal_of(LEDGER, written(tmp_path, "x", name=name))


def test_the_samples_are_read_in_both_formats():
    assert [
        number for file in ("qzcs_2024.csv", "qzcs_2025.xlsx") for number, *_ in rows_of(LEDGER, SAMPLES / file)
    ] == [
        *(3, 4, 5, 6, 7),
        *(3, 4, 5),
    ]


@pytest.mark.parametrize(
    ("connect", "operation", "told"),
    [
        ("{kind: file, timeout: 3s}", "{deliver: {entity: CoerciveMeasure}}", "timeout 不用于 file"),
        ("{kind: file, charset: big5}", "{deliver: {entity: CoerciveMeasure}}", "connect.charset"),
        (
            "{kind: file}",
            "{request: {table: x}, lookup: {entity: CoerciveMeasure, by: measure_id}}",
            "file 的来源只能交付",
        ),
        ("{kind: file}", "{deliver: {entity: CoerciveMeasure}, page: {size: 3}}", "page 不用于 deliver"),
        ("{kind: file}", "{deliver: {entity: Nobody}}", "本映射没有实体"),
        ("{kind: file}", "{deliver: {entity: CoerciveMeasure}, layout: {names: a/b}}", "应是文件名，不是路径"),
        ("{kind: sql, url: env:X}", "{deliver: {entity: CoerciveMeasure}, layout: {}}", "layout 只用于 file"),
        ("{kind: sql, url: env:X}", "{lookup: {entity: CoerciveMeasure, by: measure_id}}", "必须填写"),
    ],
)
def test_words_that_do_not_go_together_are_problems(tmp_path, connect, operation, told):
    with pytest.raises(Problems, match=told):
        file_mapping(tmp_path, connect, operation)


def test_any_source_may_be_delivered_to(tmp_path):
    mapping = file_mapping(tmp_path, "{kind: sql, url: env:X}")
    file = written(tmp_path, '{"措施编号": "Q1"}', name="a.ndjson")
    assert rows_of(mapping, file) == [(1, {"措施编号": "Q1"}, None)]


# Payloads that are kept


def written_xlsx(folder: Path) -> Path:
    formula = ["Q2", "=1+1", "查封", 1, date(2024, 1, 2)]
    return workbook(folder / "a.xlsx", [COLUMNS, ROW, formula, [None] * 5, [*ROW[:4], 45747]])


def kept_files(folder: Path) -> dict[str, Path]:
    """Files of every format with rows of every kind, empty lines among them."""
    good = ",".join(ROW)
    lines = [HEAD, good, "", "Q2,案2", '"Q3","案\n3",查封,1,2024/01/01', "", "", 'Q4,"案"4,查封,1,', good, good, ""]
    ndjson = ['{"措施编号": "Q1"}', "", "[1]", "", "{", '{"措施编号": "Q2", "n": 1.50}', '{"措施编号": "Q3"}']
    return {
        "csv": written(folder, "\r\n".join(lines), "gb18030"),
        "ndjson": written(folder, "\n".join(ndjson), name="a.ndjson"),
        "json": written(folder, f"[{ndjson[0]}, 7, {ndjson[5]}, null, {ndjson[6]}]", name="a.json"),
        "xlsx": written_xlsx(folder),
    }


@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "xlsx"])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_what_is_kept_of_any_rows_is_read_again_as_the_same_rows_in_the_same_places(tmp_path, form, size):
    mapping = file_mapping(tmp_path, "{kind: file, charset: gb18030}")
    with read_file(mapping, mapping.operations["delivered"], kept_files(tmp_path)[form], form) as reading:
        rows = list(reading.rows)
        assert {row.fault is None for row in rows} == {True, False}
        for at in range(0, len(rows), size):
            some = rows[at : at + size]
            again = list(reread(mapping, *payload_of(reading, some)))
            assert [(r.number, r.record, r.fault) for r in again] == [(r.number, r.record, r.fault) for r in some]


def test_a_payload_that_is_none_of_ours_is_told(tmp_path):
    for raw, media_type in ((b"[1]", ROWS), (b"x", "text/html")):
        with pytest.raises(Unreadable):
            list(reread(file_mapping(tmp_path), raw, media_type))
