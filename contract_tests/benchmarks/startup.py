"""What it costs to start with the whole specification, and to validate a query against it.

Each figure comes from a process of its own. `ours`: registry and schema. `gateway`: everything that is proven before a
gateway opens its sources: settings, registry, mappings, schema. `floor`: importing Strawberry and building a schema of one
field. `peer`: graphql-core's `build_schema` of the printed SDL, which checks no specification and resolves nothing.
QUICK=1 makes fewer rounds.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
EXAMPLES = sorted((PROJECT / "schema" / "examples").glob("*.graphql"))
ROUNDS, QUICK_ROUNDS, VALIDATIONS = 11, 3, 20


def main() -> None:
    """Measure and print; with the name of one run as argument, be that run."""
    if len(sys.argv) > 1:
        print(json.dumps(RUNS[sys.argv[1]]()))
        return
    rounds = QUICK_ROUNDS if os.environ.get("QUICK") else ROUNDS  # noqa: TID251 - a benchmark's own switch
    found: dict[str, list[dict[str, float]]] = {name: [] for name in RUNS}
    for number in range(rounds + 1):
        for name in RUNS:
            figures = _child(name)
            if number:
                found[name].append(figures)
    medians = {
        name: {key: round(statistics.median(one[key] for one in all_of), 3) for key in all_of[0]}
        for name, all_of in found.items()
    }
    _report(f"startup: medians of {rounds} interleaved rounds, a fresh process each", medians)


def _child(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "contract_tests.benchmarks.startup", name, str(time.time())]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _ours() -> dict[str, float]:
    watch = _Watch()
    from schema.build import build_schema
    from schema.load import load_registry

    watch.lap("imports")
    registry = load_registry()
    watch.lap("registry")
    schema = build_schema(registry)
    watch.lap("schema")
    return watch.figures(schema._schema, lambda text: schema.execute_sync(text))


def _gateway() -> dict[str, float]:
    watch = _Watch()
    from gateway.definitions import prove
    from gateway.settings import folders_only

    watch.lap("imports")
    _, definitions = prove(folders_only(), with_secrets=False)
    schema = definitions.schema
    watch.lap("definitions")
    return watch.figures(schema._schema, lambda text: schema.execute_sync(text))


def _peer() -> dict[str, float]:
    watch = _Watch()
    from graphql import build_schema, experimental_execute_incrementally, parse

    watch.lap("imports")
    sdl = (PROJECT / "schema" / "schema.graphql").read_text("utf-8")
    watch.lap("registry")
    schema = build_schema(sdl)
    watch.lap("schema")
    return watch.figures(schema, lambda text: experimental_execute_incrementally(schema, parse(text)))


def _floor() -> dict[str, float]:
    watch = _Watch()
    import strawberry

    watch.lap("imports")
    watch.lap("registry")

    @strawberry.type
    class Query:
        one: int = 1

    schema = strawberry.Schema(Query)
    watch.lap("schema")
    return watch.figures(schema._schema, lambda text: schema.execute_sync(text), with_examples=False)


class _Watch:
    """Milliseconds of one process, step by step, from when its parent started it."""

    def __init__(self) -> None:
        self.found = {"interpreter": (time.time() - float(sys.argv[2])) * 1000}
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        """What happened since the last lap is `name`."""
        now = time.perf_counter()
        self.found[name], self.last = (now - self.last) * 1000, now

    def figures(self, schema: Any, execute: Callable[[str], Any], with_examples: bool = True) -> dict[str, float]:
        """The laps, the memory after starting, the first and a later introspection, and the validation of each example."""
        self.found["start"] = sum(self.found.values())
        self.found["start_mb"] = _peak()
        from graphql import get_introspection_query, parse, validate

        self.lap("_")
        text = get_introspection_query()
        for name in ("introspection_first", "introspection_again"):
            assert not execute(text).errors
            self.lap(name)
        for file in EXAMPLES if with_examples else ():
            document = parse(file.read_text("utf-8"))
            assert validate(schema, document) == [], file.name
            self.lap("_")
            for _ in range(VALIDATIONS):
                validate(schema, document)
            self.lap(f"validate {file.stem}")
            self.found[f"validate {file.stem}"] /= VALIDATIONS
        del self.found["_"]
        return {**self.found, "peak_mb": _peak()}


def _peak() -> float:
    """Peak resident memory in MB; Linux counts it in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _report(title: str, figures: dict[str, dict[str, float]]) -> None:
    print(title)
    keys = list(dict.fromkeys(key for one in figures.values() for key in one))
    print(f"  {'':<28}" + "".join(f"{name:>14}" for name in figures))
    for key in keys:
        unit = "MB" if key.endswith("_mb") else "ms"
        cells = (f"{one[key]:>11.2f} {unit}" if key in one else f"{'–':>14}" for one in figures.values())
        print(f"  {key:<28}" + "".join(cells))
    print(json.dumps(figures))


RUNS: dict[str, Callable[[], dict[str, float]]] = {"floor": _floor, "ours": _ours, "gateway": _gateway, "peer": _peer}


if __name__ == "__main__":
    main()
