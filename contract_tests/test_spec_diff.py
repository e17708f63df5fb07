"""`gateway spec diff` tells what changed, what of it breaks, and whose mappings and queries it breaks."""

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from contract_tests.specification import Copy
from gateway.cli import main
from gateway.specification.revision import specification_at, unpack
from schema.load import load_registry
from schema.registry import SPEC_FOLDER

ROOT = SPEC_FOLDER.parents[1]
QUERY = """query Probe {
  party(uscc: "91350100M000100Y43") {
    partyName
    registeredAddress
    sex
  }
  enforcementCase(caseCode: "1") {
    caseName
    clues { clueNo }
    events { seqNo }
  }
}
"""


class Changed:
    """A copy of the specification after changes, compared to the present one with the real mappings."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.copy, self.folder, self.capsys = Copy(folder), folder, capsys
        self.query = folder / "probe.graphql"
        self.query.write_text(QUERY, encoding="utf-8")

    def diff(self, *options: str) -> tuple[int, str]:
        arguments = ["spec", "diff", str(SPEC_FOLDER), str(self.copy.folder), "--documents", str(self.query), *options]
        return main(arguments), self.capsys.readouterr().out

    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.diff("--json")[1])
        return told

    def breaking(self) -> dict[str, str]:
        return {change["at"]: change["what"] for change in self.told()["breaking"]}


@pytest.fixture
def changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Changed:
    return Changed(tmp_path, capsys)


def test_the_same_specification_has_no_changes(changed: Changed):
    assert changed.diff() == (
        0,
        "规范 draft-2024.1 → draft-2024.1\n没有变化\n\n破坏性变化 0 个，涉及映射 0 个、查询 0 个\n",
    )


def test_what_is_added_breaks_nothing(changed: Changed):
    changed.copy.replace("sex", "  UNKNOWN:", "  OTHER: {code: 8, title: 其他}\n  UNKNOWN:")
    changed.copy.replace("party", "title: 相对人名称", "title: 当事人名称")
    changed.copy.replace("party", "format: C..400", "format: C..500", behind="  business_address:")
    changed.copy.replace(
        "clue",
        "relations:",
        "  clue_grade:\n    id: ZF07009\n    title: 等级\n    english_name: Grade\n    definition: 紧急程度。\n"
        "    property_term: 等级\n    representation_term: 代码\n    format: C1\n    need: O\nrelations:",
    )
    status, report = changed.diff()
    assert (status, report.splitlines()) == (
        0,
        [
            "规范 draft-2024.1 → draft-2024.1",
            "",
            "其他变化（2）",
            "  Party.business_address：格式放宽：C..400 → C..500",
            "  Party.party_name：中文名：相对人名称 → 当事人名称",
            "",
            "新增（2）",
            "  Clue.clue_grade：新增数据元“等级”（ZF07009，C1，可选）",
            "  sex.OTHER：新增代码 8“其他”",
            "",
            "破坏性变化 0 个，涉及映射 0 个、查询 0 个",
        ],
    )


def test_each_breaking_change_is_told_with_the_mappings_and_queries_it_breaks(changed: Changed):
    changed.copy.replace("party", "  registered_address:", "  reg_address:")
    status, report = changed.diff()
    lines = report.splitlines()
    assert (status, lines[2:4]) == (
        1,
        ["破坏性变化（1）", "  Party.registered_address：数据元“注册(户籍)地址”（ZF06017）改名为 reg_address"],
    )
    mapping = ROOT / "mappings" / "national_registry" / "mapping.yaml"
    number, line = next(
        (n, x) for n, x in enumerate(mapping.read_text("utf-8").splitlines(), 1) if "registered_address:" in x
    )
    column = line.index("registered_address") + 1
    where = f"mappings/national_registry/mapping.yaml:{number}:{column} entities.Party.fields.registered_address"
    assert f"    映射 {where}" in lines
    assert (
        f"    查询 {changed.query}:4:5 Party.registeredAddress 无效："
        "Cannot query field 'registeredAddress' on type 'Party'. Did you mean 'regAddress'?"
    ) in lines


def test_every_kind_of_breaking_change_is_known_as_one(changed: Changed):
    copy = changed.copy
    copy.replace("party", "format: C..200", "format: C..100", behind="  party_name:")
    copy.replace("party", "need: O", "need: M", behind="  sex:")
    copy.replace("party", "sensitivity: medium", "sensitivity: high")
    copy.replace("party", "format: C..40", "format: N..9", behind="  phone:")
    copy.replace("payment", "format: C..32", "format: C..40", behind="  payment_no:")
    copy.replace("electronic_material", "format: N..12", "format: N..13")
    copy.replace("inspection_plan", "format: N..3", "format: N..12")
    copy.replace("sex", "  MALE: {code: 1, title: 男}\n", "")
    copy.replace("sex", "  FEMALE:", "  WOMAN:")
    copy.replace("severity", "type: Severity", "type: IssueSeverity")
    copy.replace("enforcement_case", "- [agency_code, source_case_no]", "- [source_case_no, agency_code]")
    copy.replace("enforcement_case", "  events: {", "  steps: {")
    copy.replace("discretion_standard", "    refers: EnforcementMatter.matter_code\n", "")
    copy.replace("discretion_standard", "by: matter_code", "carried: true")
    assert changed.breaking() == {
        "DataQualityIssue.severity": "GraphQL 类型：Severity → IssueSeverity",
        "DiscretionStandard.matter": "依据数据元：matter_code → （空）",
        "DiscretionStandard.matter_code": "引用：EnforcementMatter、matter_code → （空）",
        "EnforcementCase": "标识组：agency_code、source_case_no；case_code → source_case_no、agency_code；case_code",
        "EnforcementCase.events": "关系“过程节点”删除",
        "InspectionPlan.annual_freq_cap": "GraphQL 类型：Int → Long",
        "Party.party_name": "格式收窄：C..200 → C..100",
        "Party.phone": "格式改为另一类型：C..40 → N..9",
        "Party.registered_address": "敏感级提高：敏感（中） → 敏感（高）",
        "Party.sex": "必备性提高：可选 → 必备",
        "severity": "枚举类型：Severity → IssueSeverity",
        "sex.FEMALE": "代码 2“女”的成员名改为 WOMAN",
        "sex.MALE": "代码 1“男”删除",
    }


def test_a_removed_code_is_found_in_the_code_maps_and_the_queries_that_select_it(changed: Changed):
    changed.copy.replace("penalty_kind", "  SUSPEND_OPERATION: {code: 42, title: 责令停产停业}\n", "")
    changed.copy.replace("penalty_kind", 'successors: ["42"]', "no_successor: true")
    (change,) = changed.told()["breaking"]
    text = (ROOT / "mappings" / "binhai_exchange" / "mapping.yaml").read_text("utf-8").splitlines()
    line = next(number for number, line in enumerate(text, start=1) if '"4": SUSPEND_OPERATION' in line)
    assert [(use["file"], use["line"], use["path"]) for use in change["mappings"]] == [
        ("mappings/binhai_exchange/mapping.yaml", line, "codes.penalty_kind.4")
    ]
    assert {query["field"] for query in change["queries"]} == {"PenaltyDecision.penaltyKinds"}


def test_a_need_that_is_raised_breaks_the_mappings_that_do_not_have_the_element(changed: Changed):
    changed.copy.replace("license", "need: O", "need: M", behind="  cert_name:")
    (change,) = changed.told()["breaking"]
    without = {
        f"mappings/{file.parent.name}/mapping.yaml"
        for file in (ROOT / "mappings").glob("*/mapping.yaml")
        if "\n  License:" in (text := file.read_text("utf-8")) and "cert_name:" not in text
    }
    assert {use["file"] for use in change["mappings"]} == without


def test_a_lookup_by_what_is_removed_is_a_use_of_it(changed: Changed):
    changed.copy.replace("inspection", "  inspection_no:", "  check_no:")
    changed.copy.replace("inspection", "- [inspection_no]", "- [check_no]")
    changed.copy.replace("joint_suggestion", "refers: Inspection.inspection_no", "refers: Inspection.check_no")
    removed = next(c for c in changed.told()["breaking"] if c["at"] == "Inspection.inspection_no")
    assert {use["path"] for use in removed["mappings"]} >= {
        "entities.Inspection.key",
        "entities.Inspection.fields.inspection_no",
        "operations.inspections_by_no.lookup.by",
    }


def test_a_query_that_is_invalid_for_no_single_change_is_told_too(changed: Changed):
    changed.copy.replace("party", "  party_key: [uscc, id_no]", "  party_key: [business_reg_no, id_no]")
    (error,) = [e["error"] for e in changed.told()["invalidQueries"] if e["file"] == str(changed.query)]
    assert error.startswith("Unknown argument 'uscc' on field 'Query.party'")


def test_a_query_that_was_never_valid_is_not_blamed_on_the_change(changed: Changed):
    changed.query.write_text("{ party(uscc: 1) { nothing } nowhere }", encoding="utf-8")
    assert changed.told()["invalidQueries"] == []


def test_a_revision_of_git_is_the_specification_as_it_was(tmp_path: Path):
    def git(*arguments: str) -> None:
        names = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *names, *arguments], cwd=tmp_path, check=True, capture_output=True)

    copy = Copy(tmp_path)
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    copy.replace("party", "title: 相对人名称", "title: 当事人名称")
    with specification_at("git:HEAD", copy.folder) as folder:
        assert (load_registry(folder) == load_registry(), load_registry(copy.folder) == load_registry()) == (
            True,
            False,
        )
    assert not folder.exists()


def test_of_an_archive_only_plain_files_inside_the_folder_are_unpacked(tmp_path: Path):
    packed, folder = io.BytesIO(), tmp_path / "inside"
    folder.mkdir()
    with tarfile.open(fileobj=packed, mode="w") as files:
        for name in ("a/good.yaml", "../outside.yaml", str(tmp_path / "absolute.yaml")):
            member = tarfile.TarInfo(name)
            member.size = 2
            files.addfile(member, io.BytesIO(b"ok"))
        link = tarfile.TarInfo("a/link.yaml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        files.addfile(link)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as files:
        unpack(files, folder)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.yaml")] == ["inside/a/good.yaml"]


def test_a_specification_that_todays_rules_are_too_strict_for_is_compared_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    copy = Copy(tmp_path)
    copy.replace("payment", "english_name: Refund Amount\n    ", "")
    assert main(["spec", "diff", str(copy.folder)]) == 0
    told = capsys.readouterr()
    assert "  Payment.refund_amount：英文名：（空） → Refund Amount" in told.out.splitlines()
    assert told.err == "提示：旧规范按现行规则有 1 个问题（gateway spec check），仍作比较\n"


@pytest.mark.parametrize("old", ["git:no-such-revision", "git:--help", "/nowhere"])
def test_what_cannot_be_read_ends_with_two(old: str, capsys: pytest.CaptureFixture[str]):
    assert main(["spec", "diff", old]) == 2
    assert capsys.readouterr().err != ""
