import psycopg
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


@pytest.mark.parametrize("ispb", ["1234567", "123456789", "1234567-", "1234567á", "12345678\n", "١٢٣٤٥٦٧٨", ""])
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


@pytest.mark.parametrize("ispb", ["ABCD1234", "abcd1234", "00A0000z"])
def test_an_ispb_may_hold_letters_and_keeps_their_case(conn: Connection, ispb: str) -> None:
    """DICT API 2.12.1, schema ISPB."""
    assert participants.add(conn, ispb) == Participant(ispb, None, None, True)
    assert participants.add(conn, ISPB, via=ispb) == Participant(ISPB, None, ispb, True)
    assert participants.get(conn, ispb).ispb == ispb


def test_an_ispb_has_one_spelling(conn: Connection) -> None:
    participants.add(conn, "ABCD1234")
    participants.add(conn, ISPB, via="WXYZ0000")
    for ispb, via in (("abcd1234", None), (OTHER_ISPB, "Abcd1234"), (OTHER_ISPB, "wxyz0000"), ("wxyz0000", None)):
        with pytest.raises(PermanentError, match="in another case of letters"):
            participants.add(conn, ispb, via=via)
    with pytest.raises(PermanentError, match="acts for itself"):
        participants.add(conn, "ABCD1234", via="abcd1234")
    assert [each.ispb for each in participants.list_all(conn)] == [ISPB, "ABCD1234"]


def test_the_database_itself_refuses_a_second_spelling(conn: Connection) -> None:
    """Two `vsync participants add` at once do not see each other's row."""
    participants.add(conn, "ABCD1234")
    with pytest.raises(psycopg.errors.UniqueViolation, match="participants_one_spelling"):
        conn.execute("insert into participants (participant_ispb) values ('abcd1234')")


def test_another_spelling_than_the_registered_one_is_told_which_that_is(conn: Connection) -> None:
    participants.add(conn, "ABCD1234")
    with pytest.raises(PermanentError, match="abcd1234 is not registered, ABCD1234 is"):
        participants.get(conn, "abcd1234")
