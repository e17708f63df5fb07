"""Rounds of questions: both servers are asked the same ones in turn, in blocks, the one that goes first changing."""

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contract_tests.benchmarks.engine_parts.processes import cpu_seconds
from contract_tests.benchmarks.lists_parts.queries import OURS, PEER, Drawn, Query, peer_cursor, read
from contract_tests.benchmarks.lists_parts.servers import Server


@dataclass(slots=True)
class Times:
    """Of one kind of question and one server: seconds of each request, and processor time of all together."""

    seconds: list[float] = field(default_factory=list)
    own: float = 0.0
    database: float = 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of requests was answered."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    @property
    def cpu_ms(self) -> tuple[float, float]:
        """Milliseconds of processor time of a request: of the server's process, of PostgreSQL's."""
        return self.own * 1000 / len(self.seconds), self.database * 1000 / len(self.seconds)


def compare(servers: Mapping[str, Server], query: Query, drawn: Drawn) -> int:
    """Ask both; how many cases or groups they answer. Raises AssertionError when they do not answer the same."""
    told = {
        name: read(name, query.is_page, server.data(drawn.body(name, query.is_page)))
        for name, server in servers.items()
    }
    mine, theirs = told[OURS], told[PEER]
    if not query.is_page:
        theirs = theirs[: len(mine)]  # it always answers all groups
    assert mine == theirs, f"{query.name} {drawn.ours}:\n{str(mine)[:1500]}\n{str(theirs)[:1500]}"
    return len(mine[0]) if query.is_page else len(mine)


def draw(query: Query, rng: random.Random, sample: str, last: Drawn | None = None) -> Drawn:
    """A question that is not the last one."""
    while (drawn := query.draw(rng)) == last:
        pass
    place = drawn.peer.get("after")
    if isinstance(place, list):
        drawn.peer["after"] = peer_cursor(sample, place)
    return drawn


def measure(
    servers: Mapping[str, Server], database: int, query: Query, questions: Sequence[Drawn], times: dict[str, Times]
) -> None:
    """One block: every question to each server, one after the other."""
    for name, server in servers.items():
        server.greet()
        own, of_database = cpu_seconds(server.pid), _of_children(database)
        for drawn in questions:
            seconds, told = server.ask(drawn.body(name, query.is_page))
            assert not told.startswith(b'{"errors"'), told[:500]
            times[name].seconds.append(seconds)
        times[name].own += cpu_seconds(server.pid) - own
        times[name].database += _of_children(database) - of_database


def _of_children(pid: int) -> float:
    """Processor time of a PostgreSQL: of its processes that run, and of those that have ended."""
    total = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                total += cpu_seconds(int(child))
            except (FileNotFoundError, ProcessLookupError):
                continue
    waited = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return total + (int(waited[13]) + int(waited[14])) / 100


def line(name: str, times: Mapping[str, Times]) -> str:
    """A line of the table."""
    cells = []
    for who, of in times.items():
        own, database = of.cpu_ms
        median = statistics.median(of.seconds) * 1000
        cells.append(f"{who} p50 {median:7.1f} p95 {of.percentile(0.95):7.1f} ms (CPU {own:6.1f} + {database:6.1f})")
    return f"  {name:<11} " + "   ".join(cells)
