"""Leases: who may write to a stream. Times are the database's; a fence tells a holder that woke up late from the present one."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, insert, select, text, update

from gateway.store.tables import Tables


class StreamBusy(Exception):
    """数据流正由另一进程运行"""

    def __init__(self, holder: str, until: datetime) -> None:
        self.holder, self.until = holder, until
        super().__init__(f"{type(self).__doc__}（{holder}，租约至 {until:%H:%M:%S}）")


class RunSuperseded(Exception):
    """这次运行的租约已过期或已由别的运行接替，不再写入"""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


def database_now(connection: Connection) -> datetime:
    """The time by the clock that all workers share."""
    if connection.dialect.name == "postgresql":
        now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return now
    return datetime.now(UTC)  # a file is shared by processes of one machine only


def take(connection: Connection, tables: Tables, source: str, operation: str, holder: str, seconds: float) -> int:
    """The fence under which `holder` may write for so many seconds. Raises StreamBusy while another one may."""
    lease = tables.lease
    mine = (lease.c.source == source, lease.c.operation == operation)
    held = connection.execute(select(lease).where(*mine).with_for_update()).one_or_none()
    now = database_now(connection)
    until = now + timedelta(seconds=seconds)
    if held is None:
        row = {"source": source, "operation": operation, "fence": 1}
        connection.execute(insert(lease).values(**row, holder=holder, seconds=seconds, expires_at=until))
        return 1
    if held.expires_at > now:
        raise StreamBusy(held.holder, held.expires_at)
    fence: int = held.fence + 1
    connection.execute(update(lease).where(*mine).values(holder=holder, fence=fence, seconds=seconds, expires_at=until))
    return fence


def hold(connection: Connection, tables: Tables, source: str, operation: str, fence: int | None) -> None:
    """Make sure, to the end of this transaction, that nobody else may write. Raises RunSuperseded.

    A process that is stopped in the middle of a transaction does not keep the lease for longer than its time: then the
    database ends the transaction.
    """
    lease = tables.lease
    mine = (lease.c.source == source, lease.c.operation == operation)
    held = connection.execute(select(lease).where(*mine).with_for_update()).one_or_none()
    if held is None or held.fence != fence or held.expires_at <= database_now(connection):
        raise RunSuperseded
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {max(1, int(held.seconds * 1000))}"))


def renew(connection: Connection, tables: Tables, source: str, operation: str, fence: int, seconds: float) -> None:
    """Hold the lease for so many seconds from now. Raises RunSuperseded when it has gone to somebody else, or is over."""
    lease = tables.lease
    mine = (lease.c.source == source, lease.c.operation == operation, lease.c.fence == fence)
    until = connection.execute(select(lease.c.expires_at).where(*mine).with_for_update()).scalar_one_or_none()
    now = database_now(connection)  # once nobody can release it any more: a late heartbeat would hold what is over
    if until is None or until <= now:
        raise RunSuperseded
    connection.execute(update(lease).where(*mine).values(seconds=seconds, expires_at=now + timedelta(seconds=seconds)))


def release(connection: Connection, tables: Tables, source: str, operation: str, fence: int | None) -> None:
    """Let others take the stream at once."""
    lease = tables.lease
    mine = (lease.c.source == source, lease.c.operation == operation, lease.c.fence == fence)
    connection.execute(update(lease).where(*mine).values(expires_at=database_now(connection)))
