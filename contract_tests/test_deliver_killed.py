"""A process that is killed in the middle of a delivery loses nothing and leaves nothing twice: the same again completes it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import text

from contract_tests.deliveries import csv, good_rows, ledger_sums, stored
from contract_tests.delivering import MAPPINGS, defined
from contract_tests.stores import database, opened, postgres, url

__all__ = ["database", "postgres", "url"]
GATEWAY = str(Path(sys.executable).parent / "gateway")
ROWS = 4_000


def committed(store):
    """How many records of the delivery are in, by its receipt."""
    query = text("SELECT sent - pending FROM delivery")
    return store.database.read(lambda c: c.execute(query).scalar()) or 0


def test_kill_and_deliver_again(url, tmp_path):
    mapping = defined().mappings["ledger"]
    file = csv(tmp_path, *good_rows(ROWS))
    environment = {
        "PATH": os.defpath,
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_PARTY_KEY_SECRET": "tests-only",
        "GATEWAY_MAPPINGS": str(MAPPINGS),
    }
    command = [GATEWAY, "deliver", "ledger", str(file)]
    with opened(url) as store:
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
        try:
            until = time.monotonic() + 60
            while committed(store) < 500 * 2:
                assert running.poll() is None
                assert time.monotonic() < until
        finally:
            running.send_signal(signal.SIGKILL)
            running.communicate()
        before = committed(store)
        assert 0 < before < ROWS
        assert stored(store, mapping) == before
        store.database.write(lambda c: c.execute(text("UPDATE lease SET expires_at = :then"), {"then": "2020-01-01"}))
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert f"共 {ROWS} 条：写入 {ROWS}，未变 0，重复 0，隔离 0，待处理 0" in ended.stdout
        assert stored(store, mapping) == ROWS
        assert ledger_sums(store) == {
            "fetched": ROWS,
            "applied": ROWS,
            "unchanged": 0,
            "duplicate": 0,
            "quarantined": 0,
        }
        numbers = text("SELECT count(*), min(number), max(number) FROM delivery_record")
        assert store.database.read(lambda c: tuple(c.execute(numbers).one())) == (ROWS, 1, ROWS)
