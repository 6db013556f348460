"""The participants that are reconciled, each by its ISPB."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from vsync_dagster.local_db.database import Connection
from vsync_dagster.reconcile.errors import InvalidInputError, PermanentError
from vsync_dagster.reconcile.full_syncs import LastFull
from vsync_dagster.reconcile.ispb import RULE, is_ispb, other_spelling

_SELECT = "select participant_ispb as ispb, name, via, enabled from participants"

# Of all ISPBs in the table, one that differs in the case of its letters.
_OTHER_SPELLING = """
select known::text
from participants cross join lateral (values (participant_ispb), (via)) as known_as (known)
where upper(known collate "C") = upper(%(ispb)s::text collate "C") and known <> %(ispb)s limit 1
"""

_LAST_FULLS = """
select p.participant_ispb as ispb,
    coalesce(
        (select via from dict_budget_readings where scope_ispb = via and subject = 'SHARING' and shared),
        p.participant_ispb
    ) as scope,
    max(sync_timestamp) as tried_at,
    max(sync_timestamp) filter (where status <> 'FAILED') as done_at
from participants p
left join sync_reports r on r.participant_ispb = p.participant_ispb and sync_type = 'FULL' and not dry_run
    -- A run that repeats a part of another's is no FULL sync.
    and (compared_by is null or compared_by = run_id)
    and sync_timestamp > now() - interval '60 days'
where enabled group by p.participant_ispb
"""


class UnknownParticipantError(InvalidInputError):
    """The participant is not registered."""

    code = "participant-unknown"


class RegisteredOtherwiseError(InvalidInputError):
    """The participant is registered with other particulars than were given."""

    code = "participant"


@dataclass(frozen=True, slots=True)
class Participant:
    """`via` is the ISPB of the direct participant that acts for this one; a direct participant has none."""

    ispb: str
    name: str | None
    via: str | None
    enabled: bool


def check_ispb(ispb: str) -> str:
    """Return the ISPB.

    Raises:
        PermanentError: it is not eight digits or letters.
    """
    if not is_ispb(ispb):
        raise PermanentError(RULE, code="participant")
    return ispb


def add(conn: Connection, ispb: str, *, name: str | None = None, via: str | None = None) -> bool:
    """Register a participant; False where it was registered already, which then stays as it is.

    Raises:
        PermanentError: an ISPB is malformed or known in another spelling, or the participant would act through itself.
        RegisteredOtherwiseError: it is registered with another name or direct participant than the ones given.
    """
    _check_ispbs(conn, ispb, via)
    added = conn.execute(
        """
        insert into participants (participant_ispb, name, via) values (%s, %s, %s)
        on conflict (participant_ispb) do nothing
        """,
        [ispb, name, via],
    )
    if added.rowcount == 1:
        return True
    known = get(conn, ispb)
    if (name or known.name, via or known.via) != (known.name, known.via):
        raise RegisteredOtherwiseError(
            f"participant {ispb} is registered already, with another name or direct participant:"
            f" `vsync participants change {ispb}` changes them"
        )
    return False


def change(
    conn: Connection, ispb: str, *, name: str | None = None, via: str | None = None, direct: bool = False
) -> Participant:
    """Change what is given of a registered participant; what is not given stays.

    Args:
        conn: the caller's transaction.
        ispb: the participant.
        name: its new name.
        via: the direct participant that acts for it from now on.
        direct: have it act for itself from now on.

    Raises:
        PermanentError: an ISPB is malformed or known in another spelling, or the participant would act through itself.
        UnknownParticipantError: it is not registered.
    """
    get(conn, ispb)
    _check_ispbs(conn, ispb, via)
    conn.execute(
        """
        update participants set name = coalesce(%(name)s, name),
            via = case when %(direct)s then null else coalesce(%(via)s, via) end
        where participant_ispb = %(ispb)s
        """,
        {"ispb": ispb, "name": name, "via": via, "direct": direct},
    )
    return get(conn, ispb)


def _check_ispbs(conn: Connection, ispb: str, via: str | None) -> None:
    check_ispb(ispb)
    if via is not None and (check_ispb(via) == ispb or other_spelling(via, ispb)):
        raise PermanentError("a direct participant acts for itself: leave out --via", code="participant")
    for each in (ispb, via) if via is not None else (ispb,):
        known = _other_spelling(conn, each)
        if known is not None:
            raise PermanentError(
                f"{each} is {known} in another case of letters: write it as it is registered", code="participant"
            )


def set_enabled(conn: Connection, ispb: str, *, enabled: bool) -> None:
    """Have a participant synced from now on, or no more.

    Raises:
        PermanentError: the ISPB is malformed or not registered.
    """
    get(conn, ispb)
    conn.execute("update participants set enabled = %s where participant_ispb = %s", [enabled, ispb])


def get(conn: Connection, ispb: str) -> Participant:
    """Return one participant.

    Raises:
        PermanentError: the ISPB is malformed.
        UnknownParticipantError: it is not registered.
    """
    with conn.cursor(row_factory=class_row(Participant)) as cursor:
        cursor.execute(f"{_SELECT} where participant_ispb = %s", [check_ispb(ispb)])
        participant = cursor.fetchone()
    if participant is None:
        known = _other_spelling(conn, ispb)
        if known is not None:
            raise UnknownParticipantError(
                f"participant {ispb} is not registered, {known} is: upper and lower case differ"
            )
        raise UnknownParticipantError(f"participant {ispb} is not registered: run `vsync participants add {ispb}`")
    return participant


def _other_spelling(conn: Connection, ispb: str) -> str | None:
    row = conn.execute(_OTHER_SPELLING, {"ispb": ispb}).fetchone()
    return None if row is None else str(row[0])


def require_known(conn: Connection, ispb: str) -> None:
    """Check that there can be anything to say of a participant: it is registered, or has a report.

    Raises:
        UnknownParticipantError: neither; an empty answer would read as "there is nothing".
    """
    query = "select from participants where participant_ispb = %(ispb)s union all select from sync_reports"
    if conn.execute(f"{query} where participant_ispb = %(ispb)s limit 1", {"ispb": ispb}).fetchone() is None:
        raise UnknownParticipantError(
            f"participant {ispb} is not registered and has no report: `vsync participants list` lists those that are"
        )


def list_all(conn: Connection) -> list[Participant]:
    """Return every participant, by ISPB."""
    with conn.cursor(row_factory=class_row(Participant)) as cursor:
        return cursor.execute(f"{_SELECT} order by participant_ispb").fetchall()


def enabled(conn: Connection) -> list[Participant]:
    """Return the participants that are to be reconciled, by ISPB."""
    return [participant for participant in list_all(conn) if participant.enabled]


def enabled_since(conn: Connection) -> dict[str, datetime]:
    """Return since when each participant that is to be reconciled has been so without a break, by ISPB."""
    return dict(conn.execute("select participant_ispb, enabled_since from participants where enabled").fetchall())


def last_fulls(conn: Connection) -> list[LastFull]:
    """Return when each participant that is to be reconciled was last synced in full, within the last 60 days."""
    with conn.cursor(row_factory=class_row(LastFull)) as cursor:
        return cursor.execute(_LAST_FULLS).fetchall()
