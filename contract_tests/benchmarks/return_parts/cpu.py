"""Processor time of whoever calls and of the database's server together, whose first process BENCH_SERVER names."""

import os
import time
from pathlib import Path


def busy() -> float:
    """Seconds of processor time so far: of this process, and of all processes of the server, ended or not."""
    server = os.environ["BENCH_SERVER"]  # noqa: TID251 - from the benchmark to its parts
    ended = _fields(Path(f"/proc/{server}/stat"))
    seconds = time.process_time() + (int(ended[13]) + int(ended[14])) / os.sysconf("SC_CLK_TCK")
    for process in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        seconds += int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    return seconds


def _fields(stat: Path) -> list[str]:
    return stat.read_text().rpartition(")")[2].split()
