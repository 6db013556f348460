from datetime import UTC, date, datetime

from vsync_dagster.local_db import cid_files
from vsync_dagster.local_db.cid_files import OpenFile
from vsync_dagster.local_db.database import Connection
from vsync_dagster_tests.local_db.parts import ISPB, OTHER_ISPB, value

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = date(2026, 11, 24)


def test_a_file_stays_open_until_it_is_closed(conn: Connection) -> None:
    assert cid_files.open_file(conn, ISPB, "CPF", DAY) is None
    cid_files.keep(conn, ISPB, "CPF", DAY, 2**40, NOON)
    assert cid_files.open_file(conn, ISPB, "CPF", DAY) == OpenFile(2**40, NOON)
    for ispb, key_type, day in (
        (OTHER_ISPB, "CPF", DAY),
        (ISPB, "EVP", DAY),
        (ISPB, "CPF", date(2026, 11, 25)),
    ):
        assert cid_files.open_file(conn, ispb, key_type, day) is None
        cid_files.close(conn, ispb, key_type, day)
    assert cid_files.open_file(conn, ISPB, "CPF", DAY) is not None
    cid_files.close(conn, ISPB, "CPF", DAY)
    assert cid_files.open_file(conn, ISPB, "CPF", DAY) is None


def test_a_new_file_closes_the_one_before(conn: Connection) -> None:
    cid_files.keep(conn, ISPB, "CPF", DAY, 1, NOON)
    cid_files.keep(conn, ISPB, "CPF", DAY, 2, NOON)
    assert cid_files.open_file(conn, ISPB, "CPF", DAY) == OpenFile(2, NOON)
    assert value(conn, "select closed_at is not null from cid_files where file_id = 1")


def test_keeping_the_same_file_again_changes_nothing(conn: Connection) -> None:
    cid_files.keep(conn, ISPB, "CPF", DAY, 1, NOON)
    cid_files.keep(conn, ISPB, "CPF", DAY, 1, NOON)
    assert cid_files.open_file(conn, ISPB, "CPF", DAY) == OpenFile(1, NOON)
    assert value(conn, "select count(*) from cid_files") == 1
