import psycopg
import pytest

from vsync_dagster.local_db import participants
from vsync_dagster.local_db.database import Connection
from vsync_dagster.local_db.participants import Participant, RegisteredOtherwiseError, UnknownParticipantError
from vsync_dagster.reconcile.errors import PermanentError
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB


def test_participants_are_listed_by_ispb(conn: Connection) -> None:
    assert participants.add(conn, OTHER_ISPB, name="Indireto", via=ISPB)
    assert participants.add(conn, ISPB)
    assert participants.list_all(conn) == [
        Participant(ISPB, None, None, True),
        Participant(OTHER_ISPB, "Indireto", ISPB, True),
    ]


def test_adding_again_changes_nothing_that_is_not_named(conn: Connection) -> None:
    participants.add(conn, OTHER_ISPB, name="Indireto", via=ISPB)
    participants.set_enabled(conn, OTHER_ISPB, enabled=False)
    for again in ({}, {"name": "Indireto"}, {"via": ISPB}):
        assert not participants.add(conn, OTHER_ISPB, **again)
        assert participants.get(conn, OTHER_ISPB) == Participant(OTHER_ISPB, "Indireto", ISPB, False)


@pytest.mark.parametrize("other", [{"name": "Outro"}, {"via": "11111111"}], ids=str)
def test_adding_again_with_other_particulars_is_refused(conn: Connection, other: dict[str, str]) -> None:
    participants.add(conn, OTHER_ISPB, name="Indireto", via=ISPB)
    with pytest.raises(RegisteredOtherwiseError, match=f"vsync participants change {OTHER_ISPB}"):
        participants.add(conn, OTHER_ISPB, **other)
    assert participants.get(conn, OTHER_ISPB) == Participant(OTHER_ISPB, "Indireto", ISPB, True)


def test_changing_changes_what_is_named_and_nothing_else(conn: Connection) -> None:
    participants.add(conn, OTHER_ISPB, name="Indireto", via=ISPB)
    assert participants.change(conn, OTHER_ISPB, name="Outro") == Participant(OTHER_ISPB, "Outro", ISPB, True)
    changed = participants.change(conn, OTHER_ISPB, via="11111111")
    assert changed == Participant(OTHER_ISPB, "Outro", "11111111", True)
    assert participants.change(conn, OTHER_ISPB, direct=True) == Participant(OTHER_ISPB, "Outro", None, True)
    with pytest.raises(UnknownParticipantError):
        participants.change(conn, "11111111", name="Quem")


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
    assert participants.add(conn, ispb)
    assert participants.get(conn, ispb) == Participant(ispb, None, None, True)
    assert participants.add(conn, ISPB, via=ispb)
    assert participants.get(conn, ISPB) == Participant(ISPB, None, ispb, True)
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
