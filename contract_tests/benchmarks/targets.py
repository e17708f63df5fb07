"""What was promised beside what was measured: a line for each target, and everything as one JSON object in the last line."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One promise: what was found is at most `limit`, or at least. What could not be measured (NaN) does not hold."""

    name: str
    found: float
    limit: float
    is_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether it was kept in this run."""
        return self.found >= self.limit if self.is_least else self.found <= self.limit

    @property
    def bound(self) -> str:
        """What was promised, in words."""
        return f"at {'least' if self.is_least else 'most'} {self.limit:g}"


def conclude(figures: Mapping[str, object], targets: Sequence[Target]) -> bool:
    """Print the verdicts and the last line; whether all hold. `fails` names those that do not."""
    for target in targets:
        print(f"  {'holds' if target.holds else 'FAILS':<6} {target.name}: {target.found:.4g} ({target.bound})")
    fails = {target.name: round(target.found, 3) for target in targets if not target.holds}
    told = {"holds": len(targets) - len(fails), "fails": fails, "load average": round(os.getloadavg()[0], 1)}
    print(json.dumps({**figures, **told}, ensure_ascii=False))
    return not fails
