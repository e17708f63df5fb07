"""The native store: everything that was ever fetched, on SQLite or PostgreSQL. Synchronous; callers use a thread."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from adapters.mapping.truth import NOTHING_SAID, Truth
from gateway.store import entities, identity, runs
from gateway.store.arriving import Landing, make_ready
from gateway.store.current import refresh, renew
from gateway.store.database import Database
from gateway.store.due import Interval
from gateway.store.entities import Stored
from gateway.store.evolution import bring_up
from gateway.store.faults import store_fault
from gateway.store.feed import Position, Reading, end_of_changes, read_changes
from gateway.store.groups import Grouped, Groups, count_groups
from gateway.store.history import Told, history
from gateway.store.issues import OpenIssue, open_issues
from gateway.store.landing import Also, land
from gateway.store.points import reach
from gateway.store.return_reading import runs_of
from gateway.store.run_states import RunState, run_states
from gateway.store.runs import Begun, Landed, Progress
from gateway.store.search import Found, Search, find
from gateway.store.tables import make_tables
from gateway.store.whole_page import Shown, WholePage, read_whole_page
from schema.formats import CHINA_TIME
from schema.problems import Problem, Problems
from schema.registry import Registry

__all__ = ["Begun", "Landed", "Landing", "OpenIssue", "Progress", "Store", "Stored"]


def china_now() -> datetime:
    """Now, in China time."""
    return datetime.now(CHINA_TIME)


class Store:
    """The store behind one URL, shaped by the specification. May be used from many threads and many processes.

    `truth` is whose word counts where several sources tell of one entity; who only reads may leave it out.
    """

    def __init__(
        self,
        url: str,
        registry: Registry,
        clock: Callable[[], datetime] = china_now,
        truth: Truth | None = None,
    ) -> None:
        self.registry, self.clock = registry, clock
        self.said, self.truth = truth, truth or NOTHING_SAID
        self.tables = make_tables(registry)
        self.database = Database(url)
        self.on_change: list[Callable[[], None]] = []
        """Called, in the thread that wrote, after each landing and each step of a run of this very object."""

    def create(self) -> None:
        """Make what is missing, and bring an older store to today's form; safe to repeat and to race.

        Raises Problems for a change that needs a reviewed migration, and for a store that newer code has made.
        """

        def renewed(connection: Connection, changed: Collection[str]) -> None:
            renew(connection, self.tables, self.registry, self.said, changed, self.clock())

        try:
            self.database.write(lambda connection: bring_up(connection, self.tables, self.registry, renewed))
        except DBAPIError as error:
            raise Problems([Problem("存储", 1, 1, "", store_fault(error), "存储未改动")]) from error

    def is_reachable(self) -> bool:
        """Whether the database answers."""
        try:
            return self.database.read(lambda connection: connection.execute(select(1)).scalar()) == 1
        except SQLAlchemyError:
            return False

    def close(self) -> None:
        """Let go of all connections; may be called twice."""
        self.database.close()

    def make_ready(self, landing: Landing, writes_rows: bool) -> Landing:
        """The page with all that can be made of it before it lands; with its rows where most of it is expected to be new."""
        dialect = self.database.engine.dialect.name
        return make_ready(self.tables, self.registry, dialect, landing, writes_rows, self.database.turns.give_way)

    def land(self, landing: Landing, progress: Progress | None = None, also: Also | None = None) -> Landed:
        """Take one page in, by one transaction; with `progress` the run's cursor and ledger are in it too, and what `also` writes."""
        landed = self.database.write(lambda connection: self.land_within(connection, landing, progress, also))
        self._tell()
        return landed

    def land_within(
        self, connection: Connection, landing: Landing, progress: Progress | None = None, also: Also | None = None
    ) -> Landed:
        """Take one page in, within a write transaction that does more than that."""
        if progress is not None:
            runs.hold(connection, self.tables, progress.run_id)
            reach(connection, "landing.before")
        return land(connection, self.tables, self.registry, self.truth, landing, progress, self.clock(), also)

    def answers(
        self, source: str, operation: str, key_texts: Sequence[str], embedded: Mapping[str, str] | None = None
    ) -> dict[str, list[Stored]]:
        """What a source last answered to each key; a key is absent when the store cannot tell.

        What stood inside the records along the relations of `embedded` (relation -> entity) is inside again.
        """
        return self.database.read(
            lambda connection: entities.answers(
                connection, self.tables, self.registry, source, operation, key_texts, embedded or {}
            )
        )

    def by_keys(self, entity: str, keys: Iterable[str]) -> list[Stored]:
        """Every source's copy of these entities that is not deleted."""
        return self.database.read(
            lambda connection: entities.by_keys(connection, self.tables, self.registry, entity, keys)
        )

    def copies(
        self, source: str, entity: str, keys: Iterable[str], embedded: Mapping[str, str] | None = None
    ) -> dict[str, Stored | None]:
        """What one source told of each key: None where it said that the entity is gone, absent where it told nothing."""
        return self.database.read(
            lambda connection: entities.told_by(
                connection, self.tables, self.registry, source, entity, keys, embedded or {}
            )
        )

    def related(
        self, entity: str, relation: str, targets: Sequence[str], limit: int, source: str | None = None
    ) -> dict[str, list[str]]:
        """For every target the keys of the entities that refer to it, at most `limit` of each; as one source tells it."""
        return self.database.read(
            lambda connection: entities.related(connection, self.tables, entity, relation, targets, limit, source)
        )

    def history(self, entity: str, key: str, source: str | None = None) -> list[Told]:
        """Every version of one entity that a source ever told, each source's in the order in which they held."""
        return self.database.read(
            lambda connection: history(connection, self.tables, self.registry, entity, key, source)
        )

    def has_run(self, source: str, operations: Collection[str]) -> bool:
        """Whether one of these streams was ever run to its end, so that the store has all that the source had then."""
        return self.database.read(lambda connection: runs.has_run(connection, self.tables, source, operations))

    def runs_of(self, digests: Collection[str]) -> dict[str, int]:
        """Digest of a payload -> the run it came in."""
        return self.database.read(lambda connection: runs_of(connection, self.tables, digests))

    def search(self, search: Search) -> Found:
        """A page of a list: what fulfils the condition, in the order asked for."""
        return self.database.read(lambda connection: find(connection, self.tables, self.registry, search))

    def whole_page(self, search: Search, shown: Shown, truth: Truth) -> WholePage:
        """A page of a list with everything that is shown of it; what several tell leads where `truth` says."""
        return self.database.read(
            lambda connection: read_whole_page(connection, self.tables, self.registry, truth, search, shown)
        )

    def count(self, grouped: Grouped) -> Groups:
        """Groups of what fulfils the condition, the largest first."""
        return self.database.read(lambda connection: count_groups(connection, self.tables, self.registry, grouped))

    def identify(self, entity: str, keys: Sequence[str]) -> dict[str, str]:
        """Key -> allotted value, allotting it now where there is none. Raises CodesExhausted."""
        known = self.database.read(lambda connection: identity.find_values(connection, self.tables, entity, keys))
        missing = [key for key in keys if key not in known and not key.startswith("~")]
        if not missing:
            return known
        what = self.registry.entities[entity]
        if what.allotted is None:
            raise ValueError(f"{entity} 没有由网关编发的数据元")

        def allot(connection: Connection) -> dict[str, str]:
            asked = identity.asked_for(what, missing, {})
            given = identity.allot(connection, self.tables, self.registry, what, asked, self.clock())
            refresh(connection, self.tables, self.registry, self.truth, entity, missing, self.clock())
            return given

        return known | self.database.write(allot)

    def find_identified(self, entity: str, values: Sequence[str]) -> dict[str, str]:
        """Allotted value -> key."""
        return self.database.read(lambda connection: identity.find_keys(connection, self.tables, entity, values))

    def sources_of(self, entity: str, keys: Iterable[str]) -> dict[str, frozenset[str]]:
        """Which sources told of each key, and have not said since that it is gone; absent: nobody."""
        return self.database.read(lambda connection: entities.sources_of(connection, self.tables, entity, keys))

    def issues(self, source: str | None = None, limit: int = 100) -> list[OpenIssue]:
        """What is wrong in the data now, latest first."""
        return self.database.read(lambda connection: open_issues(connection, self.tables, source, limit))

    def begin_run(
        self, source: str, operation: str, kind: str = "changes", holder: str = "?", seconds: float = runs.LEASE
    ) -> Begun:
        """Start a run of a stream. Raises StreamBusy while another one goes on, StreamHalted when a person has to look."""
        beginning = runs.Beginning(source, operation, kind, holder, seconds)
        begun = self.database.write(lambda connection: runs.begin_run(connection, self.tables, beginning, self.clock))
        self._tell()
        return begun

    def set_cursor(self, source: str, operation: str, cursor: str | None) -> None:
        """A person says from where the stream goes on, None: from the beginning. Raises StreamBusy while a run goes on."""
        self.database.write(
            lambda connection: runs.set_cursor(connection, self.tables, source, operation, cursor, self.clock())
        )

    def renew_run(self, run_id: int, seconds: float = runs.LEASE) -> None:
        """A heartbeat: the run goes on. Raises RunSuperseded."""
        self.database.write(lambda connection: runs.renew(connection, self.tables, run_id, seconds))

    def finish_run(
        self,
        run_id: int,
        cursor: str | None,
        fetched: int | None = None,
        notes: Sequence[str] = (),
        cursor_key: str | None = None,
        interval: Interval | None = None,
    ) -> None:
        """The run came to its end, the stream stands at `cursor` and is due again as `interval` says. Raises RunSuperseded;
        what the ledger does not account for is refused by the database."""
        progress = Progress(run_id, 0, cursor, cursor_key)
        self.database.write(
            lambda connection: runs.finish_run(
                connection, self.tables, progress, self.clock(), fetched, notes, interval
            )
        )
        self._tell()

    def fail_run(
        self,
        run_id: int,
        error: str,
        notes: Sequence[str] = (),
        interval: Interval | None = None,
        halts: bool = False,
    ) -> None:
        """The run ended with an error, told without secrets; the stream stands where its last page left it. It is tried again
        as `interval` says, or waits for a person if the error `halts` it."""
        self.database.write(
            lambda connection: runs.fail_run(
                connection, self.tables, run_id, error, self.clock(), notes, interval, halts
            )
        )
        self._tell()

    def end_of_changes(self) -> Position:
        """The position behind all changes that are committed by now."""
        return self.database.read(lambda connection: end_of_changes(connection, self.tables))

    def changes(self, since: Position, most: int) -> Reading:
        """What was committed since, each change once, whoever wrote it; at most so many at a time."""
        return self.database.read(lambda connection: read_changes(connection, self.tables, since, most))

    def run_states(self, known: Collection[RunState] | None = None) -> list[RunState]:
        """How the newest runs stand, and those among `known` that were running; of None, all that are running."""
        return self.database.read(lambda connection: run_states(connection, self.tables, known))

    def _tell(self) -> None:
        for listener in list(self.on_change):
            listener()
