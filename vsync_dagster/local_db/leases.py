"""Who works on a participant: a lease that one run holds at a time, and the fence in front of everything it writes.

Times are PostgreSQL's `clock_timestamp()`: runs are on several machines, whose clocks differ.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection, Database, retry_transient
from vsync_dagster.reconcile.errors import RefusedError

# A run that had the lease before cannot take it: whatever it has compared is not what is true now.
_TAKE = """
with taken as (
    insert into sync_leases as lease (participant_ispb, token, run_id, host, expires_at)
    values (%(ispb)s, 1, %(run_id)s, %(host)s, clock_timestamp() + make_interval(secs => %(seconds)s))
    on conflict (participant_ispb) do update
    set token = lease.token + 1, run_id = excluded.run_id, host = excluded.host, since = clock_timestamp(),
        expires_at = excluded.expires_at
    where lease.expires_at <= clock_timestamp()
        and not exists (select from sync_lease_history as earlier where earlier.run_id = excluded.run_id)
    returning run_id, participant_ispb, token, host, since
)
insert into sync_lease_history select * from taken returning token
"""
_RENEW = """
update sync_leases set expires_at = clock_timestamp() + make_interval(secs => %s)
where participant_ispb = %s and run_id = %s
"""
_RELEASE = "update sync_leases set expires_at = clock_timestamp() where participant_ispb = %s and run_id = %s"
_HOLDER = """
select run_id, host, since, expires_at <= clock_timestamp() as expired from sync_leases where participant_ispb = %s
"""
_HAD_IT = "select from sync_lease_history where run_id = %s"
_NOT_HELD = """
select run_id from sync_lease_history as taken where run_id = any(%s)
    and not exists (select from sync_leases as held where held.run_id = taken.run_id and expires_at > clock_timestamp())
"""
_FENCE = "select from sync_leases where participant_ispb = %s and run_id = %s for key share"
_SHUT_OUT = """
update sync_leases set token = token + 1, run_id = run_id || ' (reported as killed)', expires_at = clock_timestamp()
where run_id = %s
"""


class SupersededRunError(RefusedError):
    """Another run works on the participant now; this one can write nothing more."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that took a participant's lease last; `expired` where it has let go of it or is dead."""

    run_id: str
    host: str
    since: datetime
    expired: bool

    def __str__(self) -> str:
        return f"run {self.run_id} on {self.host}, at work since {self.since:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True, slots=True)
class Fence:
    """What stands in front of everything that one run writes about one participant."""

    ispb: str
    run_id: str

    def check(self, conn: Connection) -> None:
        """Let the transaction go on if the run has the lease, and nobody take it over before the transaction ends.

        An expired lease that nobody took over is good enough: what the run has compared is still the newest.

        Raises:
            SupersededRunError: another run has it; the text names that one.
        """
        if conn.execute(_FENCE, [self.ispb, self.run_id]).rowcount == 0:
            raise _superseded(self, holder(conn, self.ispb))


@contextmanager
def fenced(database: Database, fence: Fence) -> Iterator[None]:
    """Let the block run if the run has the lease, and nobody take it over before the block ends.

    Raises:
        SupersededRunError: another run has it.
        TransientError: PostgreSQL does not answer, also after some tries; the block has not run.
    """
    with ExitStack() as held:
        retry_transient()(_enter, held, database, fence)
        yield


def _enter(held: ExitStack, database: Database, fence: Fence) -> None:
    with ExitStack() as attempt:
        fence.check(attempt.enter_context(database.connect()))
        held.enter_context(attempt.pop_all())


def acquire(conn: Connection, fence: Fence, host: str, seconds: float) -> bool:
    """Take the participant's lease for so many seconds, or renew it; False where another run holds it.

    Raises:
        SupersededRunError: the run had the lease before, and another run has taken it since.
    """
    if renew(conn, fence, seconds):
        return True
    values = {"ispb": fence.ispb, "run_id": fence.run_id, "host": host, "seconds": seconds}
    if conn.execute(_TAKE, values).rowcount == 1:
        return True
    if conn.execute(_HAD_IT, [fence.run_id]).rowcount == 1:
        raise _superseded(fence, holder(conn, fence.ispb))
    return False


def renew(conn: Connection, fence: Fence, seconds: float) -> bool:
    """Hold on to the lease for so many seconds from now; False where the run does not have it."""
    return conn.execute(_RENEW, [seconds, fence.ispb, fence.run_id]).rowcount == 1


def release(conn: Connection, fence: Fence) -> None:
    """Let go of the lease; of another run's nothing is changed."""
    conn.execute(_RELEASE, [fence.ispb, fence.run_id])


def shut_out(conn: Connection, run_id: str) -> None:
    """Take the lease from a run that is thought to be dead, once what it is writing just now is written.

    Should it live, it writes nothing after this transaction: a report that is written in it seals all there ever is.
    """
    conn.execute(_SHUT_OUT, [run_id])


def holder(conn: Connection, ispb: str) -> Holder | None:
    """Return who took the participant's lease last; None where nobody ever did."""
    with conn.cursor(row_factory=class_row(Holder)) as cursor:
        return cursor.execute(_HOLDER, [ispb]).fetchone()


def had_lease(database: Database, run_id: str) -> bool:
    """Tell whether a run ever had a lease in this database."""
    return database.retrying(lambda conn: conn.execute(_HAD_IT, [run_id]).rowcount == 1)


def without_lease(conn: Connection, run_ids: Sequence[str]) -> set[str]:
    """Return those of the runs that once had a lease and do not hold it now: let go, expired, or taken over."""
    return {run_id for (run_id,) in conn.execute(_NOT_HELD, [list(run_ids)]).fetchall()}


def _superseded(fence: Fence, by: Holder | None) -> SupersededRunError:
    return SupersededRunError(
        f"run {fence.run_id} may not work on {fence.ispb} any more: superseded by {by or 'nobody known'}; nothing more"
        " of it is written, and a new run starts from what is true now"
    )
