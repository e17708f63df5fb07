"""Everything that is promised of the gateway under attack and overload, measured program by program, and which promises were kept.

hostile, half_open, overload, sick_source, memory and rolling run one after another, each over a gateway of its own. NAMES="…"
chooses some; QUICK=1 takes about eight minutes. The last line is one JSON object: what fails, by program.
"""

import json
import os
import subprocess
import sys

from gateway.settings import PROJECT

NAMES = os.environ.get("NAMES", "hostile half_open overload sick_source memory rolling")  # noqa: TID251 - its own switch


def main() -> None:
    """Run them, and tell."""
    verdicts: dict[str, object] = {}
    for name in NAMES.split():
        print(f"== {name}", flush=True)
        command = [sys.executable, "-m", f"contract_tests.benchmarks.{name}"]
        done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
        *table, last = done.stdout.splitlines() or [""]
        print("\n".join(table), flush=True)
        try:
            told = json.loads(last)
            verdicts[name] = {key: told[key] for key in ("holds", "fails", "load average")}
        except (ValueError, KeyError):
            verdicts[name] = f"ended with {done.returncode}: {last[:200]}"
    print(json.dumps(verdicts, ensure_ascii=False))


if __name__ == "__main__":
    main()
