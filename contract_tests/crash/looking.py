"""What is left when workers are gone, compared with the world: records, links, changes, what was refused, runs and ledger."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from contract_tests.crash.places import Place
from contract_tests.crash.world import Way, World, moment
from gateway.store.due import FIRST_PAUSE
from gateway.store.runs import INTERRUPTED, RunSuperseded
from schema.formats import CHINA_TIME

LATE = str(RunSuperseded())
"""What a run ends with that woke up when its lease was over: it has nothing to say of its stream."""


@dataclass
class Outcome:
    """What was found wrong; nothing, if all is well."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    killed_at: set[tuple[str, str]] = field(default_factory=set)
    """Tasks, and points of them."""

    @property
    def is_well(self) -> bool:
        """Whether the store says exactly what the world says."""
        return not (self.lost or self.twice or self.other)


def look(world: World, minute: int, place: Place, outcome: Outcome) -> None:
    """While workers come and go: everything that the stream has passed is there."""
    way, ours = world.way, _there(world.way, place)
    settled, wanted = _settled(world, place), world.wanted(minute)
    for event in world.at(minute).values():
        key = way.key_of(event.key)
        stands = event.number if world.kind == "since" else event.stamp
        if not event.is_bad and stands < settled and ours.get(key) != wanted.get(key):
            outcome.lost.append(f"{key}: {ours.get(key)} instead of {wanted.get(key)}, behind the cursor")
    _look_at_due(way, place, outcome)


def look_at_end(world: World, minute: int, place: Place, outcome: Outcome, is_mended: bool) -> None:
    """When all is read: exactly what the world says is there, and all that goes with it."""
    tables, way = place.store.tables, world.way
    ours, wanted = _there(way, place), world.wanted(minute, is_mended)
    outcome.lost += [
        f"{key}: {ours.get(key)} instead of {wanted[key]}" for key in wanted if ours.get(key) != wanted[key]
    ]
    outcome.twice += [f"{key}: is there and should not" for key in ours if key not in wanted]
    current = tables.current[way.entity]
    holds = dict(place.read(select(current.c.key, current.c[way.element])))
    if holds != ours:
        outcome.other.append(
            f"what holds now differs from what was told: {sorted(set(holds.items()) ^ set(ours.items()))}"
        )
    if way.has_links:
        link = tables.link
        linked = {row[0] for row in place.read(select(link.c.key).where(link.c.entity == way.entity))}
        outcome.lost += [f"{key}: its link" for key in ours if key not in linked]
        outcome.twice += [f"{key}: a link though it is gone" for key in linked - set(ours)]
    changed = tables.changed
    counted = Counter(
        key for (keys,) in place.read(select(changed.c["keys"]).where(changed.c.entity == way.entity)) for key in keys
    )
    versions = world.versions(minute)
    outcome.twice += [f"{k}: changed {n} times" for k, n in counted.items() if n > versions.get(k, 0)]
    _look_at_refused(world, minute, place, outcome, is_mended)
    _look_at_runs(place, outcome)
    if left := place.read(select(tables.shadow_key.c.key)) + place.read(select(tables.shadow.c.page)):
        outcome.other.append(f"{len(left)} rows of a shadow are left behind")


def _there(way: Way, place: Place) -> dict[str, str]:
    """Key -> what it is called, of everything that the store says is there."""
    entity = place.store.tables.entities[way.entity]
    told = place.read(select(entity.c.key, entity.c[way.element]).where(entity.c.deleted_at.is_(None)))
    return dict(told)


def _settled(world: World, place: Place) -> int:
    """What is before this the stream has passed for good."""
    stream = place.store.tables.stream
    mine = select(stream.c.cursor).where(stream.c.operation == world.way.operation)
    cursor = next((row[0] for row in place.read(mine)), None)
    if cursor is None:
        return 0
    if world.kind == "since":
        return int(cursor) - world.overlap
    at = datetime.fromisoformat(cursor).astimezone(CHINA_TIME)
    return int((at - moment(0)).total_seconds() // 60) - world.overlap


def _look_at_due(way: Way, place: Place, outcome: Outcome) -> None:
    """How a run has ended and when its stream is due again are one thing: there is never the one without the other."""
    run, stream, name = place.store.tables.run, place.store.tables.stream, way.operation
    role = way.mapping.operations[name].changes
    assert role is not None
    known = select(stream.c.failures, stream.c.due_at, stream.c.reconcile_due_at).where(stream.c.operation == name)
    failures, *due = (place.read(known) or [(0, None, None)])[0]
    kinds = {name: "due", f"{name}#reconcile": "reconcile_due", f"{name}#refresh": "reconcile_due"}
    theirs = (run.c.status != "running", run.c.error.is_distinct_from(INTERRUPTED), run.c.error.is_distinct_from(LATE))
    ended = select(run.c.operation, run.c.status, run.c.finished_at).where(*theirs).order_by(run.c.finished_at)
    not_before: dict[str, datetime] = {}
    failed = 0
    for what, status, at in place.read(ended):
        if what not in kinds:
            continue
        if what == name:
            failed = failed + 1 if status == "failed" else 0
        every = role.every if what == name else role.reconcile_every
        not_before[kinds[what]] = at + timedelta(seconds=FIRST_PAUSE if status == "failed" else every)
    if failed != failures:
        outcome.other.append(f"{failed} runs failed one after the other, the stream counts {failures}")
    for kind, at in zip(("due", "reconcile_due"), due, strict=True):
        if kind in not_before and (at is None or at < not_before[kind]):
            outcome.other.append(f"a run has ended, and {kind}_at is {at}: before {not_before[kind]}")


def _look_at_refused(world: World, minute: int, place: Place, outcome: Outcome, is_mended: bool) -> None:
    """Each record that nobody can take is kept once; what a mended mapping takes waits no more."""
    quarantine = place.store.tables.quarantine
    is_open = quarantine.c.resolved_at.is_(None)
    refused = len(place.read(select(quarantine.c.record_digest).where(is_open)))
    expected = 0 if is_mended and world.way.mended is not None else len(world.refused(minute))
    if refused < expected:
        outcome.lost.append(f"{expected - refused} records that were refused are not kept")
    if refused > expected:
        outcome.twice.append(f"{refused - expected} records were kept as refused more than once")


def _look_at_runs(place: Place, outcome: Outcome) -> None:
    run, ledger = place.store.tables.run, place.store.tables.ledger
    mine = run.alias()
    of_stream = [run.c.source == mine.c.source, run.c.operation == mine.c.operation, mine.c.id == ledger.c.run_id]
    late = select(mine.c.id).where(*of_stream, run.c.id > mine.c.id, ledger.c.at > run.c.started_at).distinct()
    outcome.other += [f"run {row[0]} wrote when another had the stream" for row in place.read(late)]
    parts = ledger.c.applied + ledger.c.unchanged + ledger.c.duplicate + ledger.c.quarantined
    unbalanced = place.read(select(ledger.c.run_id).where(ledger.c.fetched != parts))
    outcome.other += [f"the ledger of run {row[0]} does not balance" for row in unbalanced]
    sums = select(func.sum(ledger.c.fetched), func.max(ledger.c.page), func.count()).where(ledger.c.run_id == run.c.id)
    for run_id, fetched in place.read(select(run.c.id, run.c.fetched).where(run.c.status == "succeeded")):
        total, last, pages = place.read(sums.where(run.c.id == run_id))[0]
        if (total or 0) != fetched or (last or 0) != pages:
            outcome.other.append(f"run {run_id} fetched {fetched}, its ledger says {total} on {pages} pages to {last}")
