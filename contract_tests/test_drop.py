"""Files handed in by hand or dropped into a folder are taken in once, put away with their receipts, and told about."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from contract_tests.deliveries import csv, good_rows, receiver, stored
from contract_tests.files import LEDGER, SAMPLES, file_mapping
from contract_tests.stores import database, opened, postgres, store, url
from gateway.cli import main
from gateway.receiving.drop import SETTLING, take_drop

__all__ = ["database", "postgres", "store", "url"]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A store and a drop folder of our own, for commands."""
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:  # noqa: TID251 - so that nothing else counts
        monkeypatch.delenv(name)
    drop = tmp_path / "drop"
    drop.mkdir()
    monkeypatch.setenv("GATEWAY_DATABASE_URL", f"sqlite:///{tmp_path / 'gateway.db'}")
    monkeypatch.setenv("GATEWAY_PARTY_KEY_SECRET", "tests-only")
    monkeypatch.setenv("GATEWAY_DROP_FOLDER", str(drop))
    mappings = tmp_path / "mappings"
    shutil.copytree(LEDGER.folder, mappings / "linxi_ledger")
    monkeypatch.setenv("GATEWAY_MAPPINGS", str(mappings))
    return drop


def later() -> float:
    """A moment at which every file has been left alone for long enough."""
    return time.time() + SETTLING + 1


def names(folder: Path) -> list[str]:
    return sorted(file.name.partition("-")[2] for file in folder.iterdir()) if folder.is_dir() else []


def test_what_is_dropped_is_taken_in_and_put_away_with_its_receipt(store, tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    for name in ("qzcs_2024.csv", "qzcs_2025.xlsx"):
        shutil.copy(SAMPLES / name, folder)
    (folder / "其他.csv").write_text("a,b\n", "utf-8")
    (folder / "qzcs_3.csv.part").write_text("unfinished", "utf-8")
    (folder / "qzcs_4.csv").symlink_to("/etc/passwd")
    taken = list(take_drop(receiver(store), LEDGER, folder, clock=later))
    assert [(one.name, one.is_good, one.is_over) for one in taken] == [
        ("qzcs_2024.csv", True, True),
        ("qzcs_2025.xlsx", True, True),
        ("其他.csv", False, True),
    ]
    done = ["qzcs_2024.csv", "qzcs_2024.csv.receipt.json", "qzcs_2025.xlsx", "qzcs_2025.xlsx.receipt.json"]
    assert names(folder / "done") == done
    assert names(folder / "refused") == ["其他.csv", "其他.csv.receipt.json"]
    assert sorted(file.name for file in folder.iterdir()) == [
        ".working",
        "done",
        "qzcs_3.csv.part",
        "qzcs_4.csv",
        "refused",
    ]
    (told,) = (json.loads(f.read_text("utf-8")) for f in (folder / "done").glob("*2024.csv.receipt.json"))
    assert (told["status"], told["sent"], told["accepted"], told["rejected"], told["pending"]) == ("done", 5, 4, 1, 0)
    assert stored(store, LEDGER) == 7


def test_the_same_file_again_changes_nothing_and_says_so(store, tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    for _ in range(2):
        shutil.copy(SAMPLES / "qzcs_2024.csv", folder / "qzcs_again.csv")
        (taken,) = take_drop(receiver(store), LEDGER, folder, clock=later)
    assert "已收的内容相同，没有变化；共 5 条" in taken.told
    assert len(receiver(store).latest(LEDGER.name, 10)) == 1


def test_a_file_still_being_written_is_left_alone(store, tmp_path):
    folder = tmp_path / "drop"
    folder.mkdir()
    shutil.copy(SAMPLES / "qzcs_2024.csv", folder / "qzcs_new.csv")
    os.utime(folder / "qzcs_new.csv")
    assert list(take_drop(receiver(store), LEDGER, folder)) == []


def test_what_was_being_taken_in_when_the_process_ended_is_taken_up_again(url, tmp_path):
    mapping, folder = file_mapping(tmp_path), tmp_path / "drop"
    (folder / ".working").mkdir(parents=True)
    csv(folder / ".working", *good_rows(3), name="a.csv")
    with opened(url) as store:
        (taken,) = take_drop(receiver(store), mapping, folder)
        assert (taken.is_good, stored(store, mapping)) == (True, 3)


@pytest.mark.usefixtures("environment")
def test_the_command_delivers_files_and_tells_what_is_wrong(capsys):
    file = SAMPLES / "qzcs_2024.csv"
    assert main(["deliver", "linxi_ledger", str(file)]) == 0
    first, *problems = capsys.readouterr().out.splitlines()
    assert first.startswith("qzcs_2024.csv：共 5 条：写入 4，未变 0，重复 0，隔离 1，待处理 0（回执 ")
    assert problems == [
        "  第 3 条（位置 5）写入：“期限届满日” 没有这一天；“解除原因” 代码未在映射中登记",
        "  第 4 条（位置 6）隔离：“措施种类”：代码未在映射中登记",
    ]
    assert main(["deliver", "linxi_ledger", str(file)]) == 0
    assert "没有变化" in capsys.readouterr().out
    assert main(["deliver", "linxi_ledger", str(SAMPLES / "qzcs_2025.xlsx"), "--key", "k1"]) == 0
    assert main(["deliver", "linxi_ledger", str(file), "--key", "k1"]) == 1
    assert "这个幂等键已用于另一份内容" in capsys.readouterr().out
    assert main(["receipts", "--source", "linxi_ledger"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("：")[0] for line in lines] == [
        "linxi_ledger.measures_delivered qzcs_2025.xlsx",
        "linxi_ledger.measures_delivered qzcs_2024.csv",
    ]
    receipt = lines[1].rpartition("回执 ")[2].rstrip("）")
    assert main(["receipts", receipt]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == problems
    assert main(["receipts", "nobody"]) == 1


def test_a_sync_of_a_source_of_files_takes_what_is_in_its_drop_folder(environment, capsys):
    folder = environment / "linxi_ledger"
    folder.mkdir()
    shutil.copy(SAMPLES / "qzcs_2025.xlsx", folder)
    os.utime(folder / "qzcs_2025.xlsx", (1, 1))
    assert main(["sync", "linxi_ledger"]) == 0
    assert "qzcs_2025.xlsx：共 3 条：写入 3" in capsys.readouterr().out
    assert names(folder / "done") == ["qzcs_2025.xlsx", "qzcs_2025.xlsx.receipt.json"]
    assert main(["deliver", "linxi_ledger"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody"], "没有这个来源"),
        (["linxi_ledger", "/nowhere.csv"], "没有这个文件"),
        (["linxi_ledger", __file__, "--operation", "measures"], "没有这个 deliver 操作 — 是否应为 measures_delivered"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_what_cannot_be_delivered_is_a_problem(capsys, arguments, told):
    assert main(["deliver", *arguments]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_without_a_drop_folder_files_have_to_be_named(capsys, monkeypatch):
    monkeypatch.delenv("GATEWAY_DROP_FOLDER")
    assert main(["deliver", "linxi_ledger"]) == 1
    assert "没有设置投递文件夹" in capsys.readouterr().err
    monkeypatch.setenv("GATEWAY_DROP_FOLDER", "/nowhere")
    assert main(["deliver", "linxi_ledger"]) == 1
    assert "文件夹 /nowhere 不存在" in capsys.readouterr().err


@pytest.mark.usefixtures("environment")
def test_a_file_may_be_delivered_to_an_operation_it_does_not_belong_to_by_name(tmp_path, capsys):
    file = tmp_path / "任意.csv"
    shutil.copy(SAMPLES / "qzcs_2024.csv", file)
    assert main(["deliver", "linxi_ledger", str(file)]) == 1
    assert "不属于任何操作" in capsys.readouterr().out
    assert main(["deliver", "linxi_ledger", str(file), "--operation", "measures_delivered"]) == 0


def test_the_simulator_has_nothing_to_play_for_files(capsys):
    assert main(["simulate", "linxi_ledger"]) == 1
    assert "gateway deliver" in capsys.readouterr().err
