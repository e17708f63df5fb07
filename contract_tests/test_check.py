"""`gateway check` tells an agency every mistake of its mapping at once, with its place and what was probably meant."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contract_tests.federation import copy_mappings
from gateway.cli import main


def spoil(file: Path, old: str, new: str) -> tuple[int, int]:
    """Replace text once; where the line and column of the replacement are, counted from 1."""
    text = file.read_text("utf-8")
    assert text.count(old) == 1, old
    start = text.index(old)
    file.write_text(text.replace(old, new), "utf-8")
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def check(mappings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    monkeypatch.setenv("GATEWAY_MAPPINGS", str(mappings))
    monkeypatch.setenv("GATEWAY_PARTY_KEY_SECRET", "tests-only")
    status = main(["check"])
    return status, capsys.readouterr().err.splitlines()


def test_a_misspelt_word_is_named_with_file_line_column_and_suggestion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    line, column = spoil(mappings / "binhai_market" / "mapping.yaml", "case_name:     ", "case_nmae:     ")
    status, told = check(mappings, capsys, monkeypatch)
    assert status == 1
    assert told[0].startswith(
        f"mappings/binhai_market/mapping.yaml:{line}:{column}: entities.EnforcementCase.fields.case_nmae: "
    )
    assert "did you mean case_name?" in told[0]


def test_every_mistake_of_every_mapping_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    market, licence = mappings / "binhai_market" / "mapping.yaml", mappings / "transport_licence" / "mapping.yaml"
    exchange, police = mappings / "binhai_exchange" / "mapping.yaml", mappings / "traffic_police" / "mapping.yaml"
    places = {
        "代码表 case_status 没有成员 “FILD”": (market, spoil(market, '"10": FILED ', '"10": FILD ')),
        "不认识的占位符 “$kyes”": (market, spoil(market, "{ajbhList: $keys", "{ajbhList: $kyes")),
        "involved_amount 的格式是 Money": (market, spoil(market, "SAJE, as: money, unit: 万元", "SAJE, as: integer")),
        "规范的 EnforcementCase 没有数据元 “violation_palce”": (
            market,
            spoil(market, "violation_place:  ", "violation_palce:  "),
        ),
        "ref 应指向能识别对方的数据元": (
            exchange,
            spoil(exchange, "ref: EnforcementCase.source_case_no", "ref: EnforcementCase.case_name"),
        ),
        "by 应是映射了的数据元或 关系.数据元，没有 “holder.usc”": (
            licence,
            spoil(licence, "by: holder.uscc", "by: holder.usc"),
        ),
        "映射文件夹里没有 service.wsld": (licence, spoil(licence, "wsdl: service.wsdl ", "wsdl: service.wsld ")),
        "xml 需要 text，此处却是 bytes": (
            police,
            spoil(police, "answer: [percent_decode, xml]", "answer: [base64, xml]"),
        ),
    }
    status, told = check(mappings, capsys, monkeypatch)
    assert status == 1
    for what, (file, (line, _)) in places.items():
        matching = [text for text in told if what in text]
        assert len(matching) == 1, (what, told)
        assert matching[0].startswith(f"mappings/{file.parent.name}/mapping.yaml:{line}:"), matching[0]


def test_an_unknown_word_of_the_language_is_a_mistake_with_a_suggestion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    market = mappings / "binhai_market" / "mapping.yaml"
    spoil(market, "  concurrency: 4", "  concurency: 4")
    police = mappings / "traffic_police" / "mapping.yaml"
    spoil(police, "  kind: soap", "  kind: sopa")
    status, told = check(mappings, capsys, monkeypatch)
    assert status == 1
    assert any("connect.concurency" in text and "did you mean concurrency?" in text for text in told), told
    assert any("connect.kind" in text and "did you mean soap?" in text for text in told), told


def test_what_the_gateway_gives_out_cannot_be_asked_of_a_source(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    market, exchange = mappings / "binhai_market" / "mapping.yaml", mappings / "binhai_exchange" / "mapping.yaml"
    spoil(market, "by: source_case_no, batch: 50", "by: case_code, batch: 50")
    spoil(market, "      source_case_no:          AJBH", "      source_case_no:          AJBH\n      case_code: AJM")
    line, _ = spoil(exchange, "ref: EnforcementCase.source_case_no", "ref: EnforcementCase.case_code")
    status, told = check(mappings, capsys, monkeypatch)
    assert status == 1
    assert any("operations.cases_by_no.lookup.by: “case_code” 由网关编发，来源不能按它查" in text for text in told), (
        told
    )
    assert any(
        f"binhai_exchange/mapping.yaml:{line}:" in text and "ref 应指向能识别对方的数据元" in text for text in told
    )


def test_a_mapping_that_forces_one_call_a_key_is_told_and_allowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    line, _ = spoil(mappings / "national_registry" / "mapping.yaml", "by: uscc, batch: 20", "by: uscc, batch: 1")
    monkeypatch.setenv("GATEWAY_MAPPINGS", str(mappings))
    assert main(["check", "--no-secrets"]) == 0
    told = capsys.readouterr().out
    assert f"提示 mappings/national_registry/mapping.yaml:{line}:" in told
    assert "N+1" in told


def test_missing_secrets_are_named_and_never_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BINHAI_MARKET_URL", "http://127.0.0.1:9/secret-path")
    status, told = check(copy_mappings(tmp_path), capsys, monkeypatch)
    assert status == 1
    assert any("env:BINHAI_MARKET_TOKEN: 环境变量没有设置" in text for text in told)
    assert not any("secret-path" in text for text in told)


def test_a_bare_environment_does_not_hide_the_mistakes_of_a_mapping(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mappings = copy_mappings(tmp_path)
    spoil(mappings / "binhai_market" / "mapping.yaml", "case_name:     ", "case_nmae:     ")
    monkeypatch.setenv("GATEWAY_MAPPINGS", str(mappings))
    monkeypatch.delenv("GATEWAY_PARTY_KEY_SECRET", raising=False)
    assert main(["check"]) == 1
    told = capsys.readouterr().err
    assert "GATEWAY_PARTY_KEY_SECRET: 必须设置" in told
    assert "did you mean case_name?" in told


def test_the_gateway_does_not_start_on_a_broken_mapping(tmp_path: Path) -> None:
    mappings = copy_mappings(tmp_path)
    spoil(mappings / "binhai_market" / "mapping.yaml", "case_name:     ", "case_nmae:     ")
    environment = {**os.environ, "GATEWAY_MAPPINGS": str(mappings), "GATEWAY_PARTY_KEY_SECRET": "tests-only"}  # noqa: TID251
    served = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "serve", "--port", "0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert served.returncode == 1
    assert "did you mean case_name?" in served.stderr


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("GATEWAY_REQUEST_TIMEOUT", "soon", "“soon” 不是合法的数字"),
        ("GATEWAY_ALLOW_EXPLAIN", "perhaps", "“perhaps” 不是合法的布尔值"),
        ("GATEWAY_PROT", "8080", "没有这个设置"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str, value: str, what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_PARTY_KEY_SECRET", "tests-only")
    monkeypatch.setenv(name, value)
    assert main(["check"]) == 1
    assert f"environment:1:1: {name}: {what}" in capsys.readouterr().err
