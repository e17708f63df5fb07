"""The page for agencies tells the truth: its commands are run as they stand, and every code it names is one we answer."""

import json
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from contract_tests.delivering import agency
from contract_tests.servers import find_curl
from gateway.receiving.receive import LONGEST_KEY
from gateway.receiving.spool import EXPIRY
from gateway.receiving.submit import MOST_RECORDS
from gateway.store.receipts import Outcome
from gateway.web.deliver import MOST_OPEN
from gateway.web.problem import TITLES
from gateway.web.uploads import VERSION

PAGE = (Path(__file__).parents[1] / "docs" / "deliver.zh.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BETWEEN = "\n@@@@\n"


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each block of commands prints, all of them run one after another in one shell."""
    folder, work = tmp_path_factory.mktemp("agency"), tmp_path_factory.mktemp("work")
    find_curl()
    with agency(folder, f"sqlite:///{folder / 'gateway.db'}") as made:
        script = "\nprintf '\\n@@@@\\n'\n".join(BLOCKS)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=work,
            env={"GATEWAY": made.served.address, "KEY": made.key, "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split(BETWEEN)


def test_the_examples_do_what_the_page_says(answers):
    posted, packed, found, noted, place, patched, received, submitted = answers
    told = json.loads(posted)
    assert (told["status"], told["sent"], told["accepted"], told["rejected"], told["pending"]) == ("done", 3, 2, 1, 0)
    assert [(one["place"], one["outcome"]) for one in told["problems"]] == [(2, "applied"), (3, "quarantined")]
    assert json.loads(packed)["receipt"] == json.loads(found)["receipt"] == told["receipt"]
    assert [one["reason"] for one in json.loads(noted)["records"]] == [None, "没有能够识别记录的编号（“措施编号”）"]
    assert place.strip().startswith("/deliver/uploads/")
    assert re.search(r"(?i)^upload-offset: [1-9][0-9]*\s*$", patched, re.MULTILINE)
    told = json.loads(received)
    assert (told["idempotencyKey"], told["sent"], told["accepted"], told["unchanged"]) == ("2024-01-tus", 3, 2, 2)
    told = json.loads(submitted)["data"]["submitRecords"]
    assert (told["sent"], told["accepted"], told["records"][0]["outcome"]) == (1, 1, "APPLIED")


def test_every_code_is_explained_with_its_status_and_no_other():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert rows == {code: str(status) for code, (status, _) in TITLES.items()}


def test_every_outcome_and_limit_is_on_the_page():
    assert [outcome for outcome in get_args(Outcome) if f"`{outcome}`" not in PAGE] == []
    assert f"tus {VERSION}" in PAGE
    assert f"至多 {MOST_RECORDS} 条" in PAGE
    assert f"至多 {MOST_OPEN} 个没有完成的上传" in PAGE
    assert f"保留 {EXPIRY / 3600:g} 小时" in PAGE
    assert f"1 至 {LONGEST_KEY} 个可见的 ASCII 字符" in PAGE
