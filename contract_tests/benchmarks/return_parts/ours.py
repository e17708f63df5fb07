"""One data return of ours, in a process of its own: `python -m … FEED TARGET_URL SOURCE` prints seconds and resident memory."""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from adapters.mapping.load import load_mappings
from adapters.open import open_source
from contract_tests.benchmarks.return_parts.cpu import busy
from gateway.returning import settled
from gateway.store.identity import make_hash_id
from gateway.store.store import Store
from gateway.sync.run import run_changes
from schema.load import load_registry

FOLDER = Path(__file__).parent / "mappings"


async def take_in(feed: str, target: str, source_address: str) -> dict[str, float]:
    """Run the stream of the feed to its end in an empty store."""
    registry = load_registry()
    mapping = load_mappings(registry, FOLDER)[feed]
    store = Store(target, registry)
    store.create()
    secrets = {"BENCH_EXCHANGE_URL": source_address, "BENCH_PAGED_URL": source_address}
    source = open_source(mapping, secrets)
    with settled():
        started, before = time.perf_counter(), busy()
        result = await run_changes(source, mapping, "cases_changed", store, make_hash_id("benchmark"), lambda _: None)
        seconds, cpu = time.perf_counter() - started, busy() - before
    assert (result.applied + result.unchanged, result.quarantined) == (result.fetched, 0), result
    assert not store.issues(limit=1), store.issues(limit=1)
    await source.aclose()
    store.close()
    return {
        "seconds": seconds,
        "cpu": cpu,
        "rows": result.applied,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(take_in(*sys.argv[1:4]))))
