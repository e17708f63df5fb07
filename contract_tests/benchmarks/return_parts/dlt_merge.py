"""The same merge by dlt, run by the Python of a virtual environment that has it: `FEED TARGET_URL SOURCE` prints seconds.

It reads the same two feeds, converts and checks the same thirty fields with ten checks in one `add_map`, and merges by the
case number. Nothing of the gateway is imported.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from cpu import busy  # type: ignore[import-not-found]  # beside it, as it runs

CHINA = timezone(timedelta(hours=8))
CODES = {
    "cxlx": {"1": "SUMMARY", "2": "ORDINARY", "3": "FAST_TRACK"},
    "ajzt": {
        "10": "FILED",
        "20": "INVESTIGATING",
        "30": "LEGAL_REVIEW",
        "40": "DECIDED",
        "50": "EXECUTING",
        "90": "CLOSED",
    },
    "lrfs": {"0": "REALTIME", "1": "BACKFILL"},
    "blyy": {"1": "NO_NETWORK"},
    "jalx": {"1": "PERFORMED"},
    "mj": {"0": "PUBLIC", "1": "INTERNAL"},
}
DATES, INSTANTS, TRUTHS = ("lasj", "wfksrq", "wfzzrq", "jarq"), ("zasj", "cjsj", "gdsj", "cd_time"), ("sfzd", "sffxc")
LONGEST = {"ajbh": 100, "ajmc": 300, "ay": 200, "wfss": 4000}
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)


def checked(row: dict[str, Any]) -> dict[str, Any]:
    """The row, its texts converted; raises ValueError where one of the ten checks fails."""
    row = {name: value for name, value in row.items() if value not in (None, "")}
    for name, members in CODES.items():  # checks 1 to 6
        if name in row:
            row[name] = members[row[name]]
    for name in DATES:  # 7
        if name in row:
            row[name] = date.fromisoformat(row[name])
    for name in INSTANTS:
        if name in row:
            row[name] = datetime.fromisoformat(row[name]).replace(tzinfo=CHINA)
    for name in TRUTHS:
        row[name] = {"1": True, "0": False}[row[name]]
    amount = Decimal(row["saje"]) * 100  # 8
    if amount != int(amount):
        raise ValueError("saje")
    row["saje"] = int(amount)
    for name in ("jgdm", "dsr"):  # 9
        code = row[name]
        total = sum(ALPHABET.index(letter) * weight for letter, weight in zip(code[:17], WEIGHTS, strict=True))
        if code[17] != ALPHABET[(31 - total % 31) % 31]:
            raise ValueError(name)
    for name, most in LONGEST.items():  # 10
        if len(row[name]) > most:
            raise ValueError(name)
    return row


def main(feed: str, target: str, source: str) -> None:
    """Run a pipeline into an empty dataset and print how long it took."""
    folder = tempfile.mkdtemp(prefix="dlt-")
    quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR", "DLT_DATA_DIR": folder}
    os.environ.update(quiet)  # noqa: TID251 - dlt is told so
    import dlt
    from dlt.sources.helpers import requests
    from dlt.sources.sql_database import sql_table

    @dlt.resource(name="t_case")
    def paged() -> Iterator[list[dict[str, Any]]]:
        number, size = 1, 5000
        while True:
            answer = requests.get(f"{source}/cases", params={"page": number, "size": size}).json()
            yield answer["data"]["list"]
            if number * size >= answer["data"]["total"]:
                return
            number += 1

    resource = paged() if feed == "paged" else sql_table(source, table="t_case", chunk_size=10_000)
    resource.add_map(checked)
    resource.apply_hints(write_disposition="merge", primary_key="ajbh")
    if target.startswith("sqlite"):
        destination: Any = dlt.destinations.sqlalchemy(target)
    else:
        destination = dlt.destinations.postgres(target)
    pipeline = dlt.pipeline("bench", pipelines_dir=folder, destination=destination, dataset_name="dlt_bench")
    started, before = time.perf_counter(), busy()
    pipeline.run(resource)
    seconds, cpu = time.perf_counter() - started, busy() - before
    with pipeline.sql_client() as client, client.execute_query("SELECT COUNT(*) FROM t_case") as cursor:
        rows = cursor.fetchone()[0]
    print(json.dumps({"seconds": seconds, "cpu": cpu, "rows": rows}))


if __name__ == "__main__":
    main(*sys.argv[1:4])
