import pytest

from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.participants import Participant
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB


def test_participants_are_listed_by_ispb(conn: Connection) -> None:
    participants.add(conn, OTHER_ISPB, name="Indireto", via=ISPB)
    assert participants.add(conn, ISPB) == Participant(ISPB, None, None, True)
    assert participants.list_all(conn) == [
        Participant(ISPB, None, None, True),
        Participant(OTHER_ISPB, "Indireto", ISPB, True),
    ]


def test_adding_again_renames(conn: Connection) -> None:
    participants.add(conn, ISPB, name="Antes")
    conn.execute("update participants set enabled = false")
    assert participants.add(conn, ISPB, name="Depois") == Participant(ISPB, "Depois", None, False)
    assert participants.enabled(conn) == []
    assert len(participants.list_all(conn)) == 1


@pytest.mark.parametrize("ispb", ["1234567", "123456789", "1234567a", "12345678\n", "١٢٣٤٥٦٧٨", ""])
def test_a_malformed_ispb_is_refused(conn: Connection, ispb: str) -> None:
    with pytest.raises(PermanentError, match="eight digits"):
        participants.add(conn, ispb)
    with pytest.raises(PermanentError, match="eight digits"):
        participants.add(conn, ISPB, via=ispb)


def test_nobody_acts_through_itself(conn: Connection) -> None:
    with pytest.raises(PermanentError, match="acts for itself"):
        participants.add(conn, ISPB, via=ISPB)


def test_an_unknown_participant_is_told_how_to_be_added(conn: Connection) -> None:
    with pytest.raises(PermanentError, match=f"vsync participants add {ISPB}"):
        participants.get(conn, ISPB)
