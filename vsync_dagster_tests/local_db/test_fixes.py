"""Fixes: guarded by what was compared, written with their events, and never written twice."""

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from vsync_dagster.local_db import fixes
from vsync_dagster.local_db.database import Connection, Database
from vsync_dagster.local_db.entries import local_entries_by_id
from vsync_dagster.local_db.errors import DatabaseError
from vsync_dagster.local_db.fixes import Fix, FixRecord, FixResult, apply_batch
from vsync_dagster.reconcile.entry import Entry
from vsync_dagster_tests.local_db.parts import CIPHER, ISPB, OTHER_ISPB, RUN, insert, make_entry, rows, stored, value

LATER = datetime(2024, 2, 3, 4, 5, 6, 789_000, tzinfo=UTC)


def create(target: Entry) -> Fix:
    return Fix("CREATE", None, None, None, target)


def update(conn: Connection, entry_id: UUID, target: Entry) -> Fix:
    """An update of the row as it is now."""
    [row] = local_entries_by_id(conn, target.participant, [entry_id])
    return Fix("UPDATE", entry_id, row.cid, row.row_version, target)


def apply(database: Database, *batch: Fix, run_id: str = RUN) -> list[FixResult]:
    return database.retrying(lambda conn: apply_batch(conn, CIPHER, run_id, ISPB, batch))


def outcomes(results: Sequence[FixResult]) -> list[str]:
    return [result.outcome for result in results]


def logged(conn: Connection) -> list[tuple[Any, ...]]:
    return rows(conn, "select event_type, cid from cid_events order by event_id")


def counts(conn: Connection) -> dict[str, int]:
    return {
        table: value(conn, f"select count(*) from {table}")  # noqa: S608 - the three names below
        for table in ("cid_events", "outbox", "fixes")
    }


def everything_else(number: int, **changes: Any) -> Entry:
    """The entry of a number with every attribute but the request id another one."""
    return make_entry(
        number,
        key_type="PHONE",
        key=f"+55119{number:08}",
        branch=None,
        account_number="0042",
        account_type="SVGS",
        account_opened_at=LATER,
        owner_type="LEGAL_PERSON",
        owner_tax_id="00000000000191",
        owner_name="Açaí & Cia",
        owner_trade_name="Açaí",
        created_at=LATER,
        key_owned_since=LATER,
        **changes,
    )


def test_the_helper_changes_every_attribute() -> None:
    before, after = make_entry(1), everything_else(1)
    same = {field.name for field in fields(Entry) if getattr(before, field.name) == getattr(after, field.name)}
    assert same == {"participant", "request_id"}


def test_a_missing_entry_is_created_exactly(database: Database) -> None:
    target = everything_else(1)
    [result] = apply(database, create(target))
    assert (result.cid, result.outcome, result.error) == (target.cid(), "APPLIED", None)
    assert result.entry_id is not None
    with database.connect() as conn:
        assert stored(conn, result.entry_id) == target
        assert rows(conn, "select cid, status, deleted_at, updated_at > now() - interval '1 min' from entries") == [
            (target.cid(), "ACTIVE", None, True)
        ]
        assert logged(conn) == [("ADDED", target.cid())]
        assert rows(conn, "select participant_ispb, event_type, payload, published_at from outbox") == [
            (
                ISPB,
                "vsync.entry.created",
                {
                    "entry_id": str(result.entry_id),
                    "key_type": "PHONE",
                    "participant_ispb": ISPB,
                    "cid": target.cid().hex(),
                    "run_id": RUN,
                },
                None,
            )
        ]
        kept = "select run_id, participant_ispb, kind, key_type, entry_id, cid, outcome, error from fixes"
        assert rows(conn, kept) == [(RUN, ISPB, "CREATE", "PHONE", result.entry_id, target.cid(), "APPLIED", None)]


def test_an_outdated_entry_becomes_exactly_dicts(database: Database) -> None:
    before, target = make_entry(1), everything_else(1)
    with database.connect() as conn:
        entry_id = insert(conn, before)
        conn.execute("update entries set updated_at = '2000-01-01'")
        conn.execute("delete from cid_events")
        fix = update(conn, entry_id, target)
    assert apply(database, fix) == [FixResult(target.cid(), entry_id, "APPLIED", None)]
    with database.connect() as conn:
        assert stored(conn, entry_id) == target
        assert rows(conn, "select cid, status, updated_at > now() - interval '1 min' from entries") == [
            (target.cid(), "ACTIVE", True)
        ]
        assert logged(conn) == [("REMOVED", before.cid()), ("ADDED", target.cid())]
        [(event_type, payload)] = rows(conn, "select event_type, payload from outbox")
        assert event_type == "vsync.entry.updated"
        assert (payload["cid"], payload["previous_cid"]) == (target.cid().hex(), before.cid().hex())


def test_a_tampered_row_is_repaired_without_a_cid_event(database: Database) -> None:
    """Its stored CID is DICT's, its attributes are not: membership does not change."""
    target = make_entry(1)
    with database.connect() as conn:
        entry_id = insert(conn, replace(target, owner_name="Mallory"), cid=target.cid())
        conn.execute("delete from cid_events")
        fix = update(conn, entry_id, target)
    assert outcomes(apply(database, fix)) == ["APPLIED"]
    with database.connect() as conn:
        assert stored(conn, entry_id) == target
        assert logged(conn) == []
        assert value(conn, "select count(*) from outbox") == 1


def test_applying_a_batch_again_doubles_nothing(database: Database) -> None:
    with database.connect() as conn:
        ids = [insert(conn, make_entry(n)) for n in (1, 2)]
        batch = [update(conn, ids[0], everything_else(1)), update(conn, ids[1], everything_else(2))]
    batch.append(create(make_entry(3)))
    assert outcomes(apply(database, *batch)) == ["APPLIED"] * 3
    with database.connect() as conn:
        before = counts(conn)
        versions = rows(conn, "select entry_id, xmin::text from entries order by entry_id")
    again = apply(database, *batch)
    assert outcomes(again) == ["ALREADY"] * 3
    assert again[0].entry_id == ids[0]
    assert again[2].entry_id is not None
    # Under another run id as well: what is there is there.
    assert outcomes(apply(database, *batch, run_id="run-2")) == ["ALREADY"] * 3
    with database.connect() as conn:
        assert counts(conn) == before
        assert rows(conn, "select entry_id, xmin::text from entries order by entry_id") == versions


MOVES = {
    "another cid": "update entries set cid = sha256(cid)",
    "an attribute that the cid does not cover": "update entries set owner_type = 'LEGAL_PERSON'",
    "an attribute, and back": "update entries set branch = '9'; commit; update entries set branch = '0001'",
    "deleted softly": "update entries set status = 'DELETED'",
    "deleted softly, and its time": "update entries set status = 'DELETED', deleted_at = now()",
    "deleted": "delete from entries",
    "to another participant": "update entries set participant_ispb = '12345678'",
}


@pytest.mark.parametrize("change", MOVES.values(), ids=MOVES.keys())
def test_a_row_that_moved_since_is_left_alone(database: Database, change: str) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
        conn.commit()
        fix = update(conn, entry_id, everything_else(1))
        conn.execute(change.encode())
        conn.commit()
        before = rows(conn, "select e.*, xmin::text from entries e"), counts(conn)["cid_events"]
    [result] = apply(database, fix)
    assert (result.entry_id, result.outcome) == (entry_id, "MOVED")
    assert result.error == "the row is no longer what was compared"
    with database.connect() as conn:
        assert (rows(conn, "select e.*, xmin::text from entries e"), counts(conn)["cid_events"]) == before
        assert rows(conn, "select outcome from fixes") == [("MOVED",)]
        assert counts(conn)["outbox"] == 0


@pytest.mark.parametrize(
    "guard",
    [{"compared_cid": b"\x01" * 32}, {"row_version": 1}, {"entry_id": UUID(int=1)}],
    ids=lambda guard: next(iter(guard)),
)
def test_each_guard_holds_alone(database: Database, guard: dict[str, Any]) -> None:
    with database.connect() as conn:
        fix = update(conn, insert(conn, make_entry(1)), everything_else(1))
    assert outcomes(apply(database, replace(fix, **guard))) == ["MOVED"]
    assert outcomes(apply(database, fix)) == ["APPLIED"]


@pytest.mark.parametrize("guards", [(None, b"\x01" * 32, 1), (UUID(int=1), None, 1), (UUID(int=1), b"\x01" * 32, None)])
def test_an_update_without_its_guards_is_a_mistake(
    database: Database, guards: tuple[UUID | None, bytes | None, int | None]
) -> None:
    with pytest.raises(ValueError, match="UPDATE names its row"):
        apply(database, Fix("UPDATE", *guards, make_entry(1)))


def test_a_pending_row_of_the_same_registration_is_completed(database: Database) -> None:
    target = everything_else(1)
    registered = replace(make_entry(1), key=target.key, owner_tax_id=target.owner_tax_id)
    with database.connect() as conn:
        other = insert(conn, replace(registered, request_id=make_entry(7).request_id), status="PENDING")
        pending = insert(conn, registered, status="PENDING")
        conn.execute("update entries set updated_at = '2000-01-01' where entry_id = %s", [pending])
        insert(conn, replace(registered, participant=OTHER_ISPB), status="PENDING")
        insert(conn, registered, status="DELETED")
    # Of two of the same owner, the one of the same request, though the other is younger.
    assert apply(database, create(target)) == [FixResult(target.cid(), pending, "APPLIED", None)]
    with database.connect() as conn:
        assert stored(conn, pending) == target
        assert rows(conn, "select entry_id, cid from entries where status = 'ACTIVE'") == [(pending, target.cid())]
        assert value(conn, "select status from entries where entry_id = %s", [other]) == "PENDING"
        assert logged(conn) == [("ADDED", target.cid())]
        assert rows(conn, "select event_type from outbox") == [("vsync.entry.created",)]


@pytest.mark.parametrize(
    "other",
    [
        {"owner_tax_id": "99999999999"},
        {"owner_tax_id": "99999999999", "request_id": make_entry(7).request_id},
        {"request_id": make_entry(7).request_id},
    ],
    ids=["another person", "another person and request", "another request of the same person"],
)
def test_a_pending_registration_that_is_not_the_same_is_never_overwritten(
    database: Database, other: dict[str, Any]
) -> None:
    target = make_entry(1)
    registered = replace(target, owner_name="Maria", account_number="7", **other)
    with database.connect() as conn:
        pending = insert(conn, registered, status="PENDING")
    [result] = apply(database, create(target))
    assert (result.outcome, result.entry_id == pending) == ("APPLIED", False)
    with database.connect() as conn:
        assert stored(conn, pending) == registered
        assert value(conn, "select status from entries where entry_id = %s", [pending]) == "PENDING"
        assert rows(conn, "select cid from entries where status = 'ACTIVE'") == [(target.cid(),)]


def test_a_key_that_is_active_here_is_not_created(database: Database) -> None:
    mine, other, same = make_entry(1), make_entry(2, participant=OTHER_ISPB), make_entry(3)
    with database.connect() as conn:
        moved_id = insert(conn, mine)
        insert(conn, other)
        same_id = insert(conn, same)
    results = apply(
        database,
        create(replace(mine, owner_name="Maria")),
        create(replace(other, participant=ISPB)),
        create(same),
    )
    assert [(r.outcome, r.entry_id, r.error) for r in results] == [
        ("MOVED", moved_id, "the key has become active here"),
        ("FAILED", None, "the key is active under another participant here"),
        ("ALREADY", same_id, None),
    ]
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 3
        assert rows(conn, "select outcome from fixes order by outcome") == [("FAILED",), ("MOVED",)]


def test_a_cid_or_key_of_another_row_fails_alone(database: Database) -> None:
    """The others of the batch go on."""
    taken, target = make_entry(1), make_entry(2)
    with database.connect() as conn:
        insert(conn, replace(taken, key="x"), cid=target.cid())
        insert(conn, make_entry(5))
        third, fourth = insert(conn, make_entry(3)), insert(conn, make_entry(4))
        batch = [
            create(target),
            update(conn, third, replace(make_entry(3), key=make_entry(5).key)),
            update(conn, fourth, everything_else(4)),
            create(make_entry(6)),
        ]
    results = apply(database, *batch)
    assert [(r.outcome, r.error) for r in results] == [
        ("FAILED", "its CID is active in another row here"),
        ("FAILED", "its key is active in another row here"),
        ("APPLIED", None),
        ("APPLIED", None),
    ]


def test_rows_that_swapped_their_keys_are_swapped_back(database: Database) -> None:
    first, second = make_entry(1), make_entry(2)
    with database.connect() as conn:
        ids = [insert(conn, replace(first, key=second.key), cid=first.cid())]
        ids.append(insert(conn, replace(second, key=first.key), cid=second.cid()))
        third = insert(conn, make_entry(3))
        conn.execute("delete from cid_events")
        batch = [update(conn, ids[0], first), update(conn, ids[1], second), update(conn, third, everything_else(3))]
    assert outcomes(apply(database, *batch)) == ["APPLIED"] * 3
    with database.connect() as conn:
        assert [stored(conn, entry_id) for entry_id in (*ids, third)] == [first, second, everything_else(3)]
        assert value(conn, "select count(*) from entries where status = 'ACTIVE'") == 3
        assert counts(conn)["outbox"] == 3
        # Parked and put back: each CID left and came back, and the log's net effect is right.
        net = "select cid from cid_events group by cid having count(*) filter (where event_type = 'ADDED') > \
            count(*) filter (where event_type = 'REMOVED')"
        assert rows(conn, net) == [(everything_else(3).cid(),)]


def test_rows_that_pass_their_cids_on_in_a_chain(database: Database) -> None:
    with database.connect() as conn:
        entries = [make_entry(n) for n in range(4)]
        # Each row holds the CID that the next one ought to have.
        ids = [insert(conn, entries[n], cid=entries[n + 1].cid()) for n in range(3)]
        batch = [update(conn, entry_id, entry) for entry_id, entry in zip(ids, entries, strict=False)]
    assert outcomes(apply(database, *batch)) == ["APPLIED"] * 3
    with database.connect() as conn:
        assert {cid for (cid,) in rows(conn, "select cid from entries")} == {entry.cid() for entry in entries[:3]}


def test_what_the_schema_refuses_fails_alone_and_quotes_nothing(database: Database) -> None:
    with database.connect() as conn:
        outdated = insert(conn, make_entry(1))
        batch = [
            update(conn, outdated, make_entry(1, key="x" * 78)),
            create(make_entry(2)),
            create(make_entry(3, key="y" * 78)),
        ]
    results = apply(database, *batch)
    assert outcomes(results) == ["FAILED", "APPLIED", "FAILED"]
    for result in (results[0], results[2]):
        assert result.error is not None
        assert "SQLSTATE 22001" in result.error
        assert "xxx" not in result.error
        assert "yyy" not in result.error
    with database.connect() as conn:
        assert stored(conn, outdated) == make_entry(1)
        assert counts(conn)["outbox"] == 1


def test_a_rule_of_the_participants_own_fails_alone(database: Database) -> None:
    with database.connect() as conn:
        conn.execute("alter table entries add constraint own_rule check (owner_name <> 'Mallory')")
        entry_id = insert(conn, make_entry(1))
        batch = [update(conn, entry_id, make_entry(1, owner_name="Mallory")), create(make_entry(2))]
    results = apply(database, *batch)
    assert outcomes(results) == ["FAILED", "APPLIED"]
    assert "own_rule" in (results[0].error or "")
    assert "Mallory" not in (results[0].error or "")


def test_a_unique_rule_of_the_participants_own_fails_those_who_break_it(database: Database) -> None:
    with database.connect() as conn:
        conn.execute("create unique index own_accounts on entries (account_number)")
        ids = [insert(conn, make_entry(n)) for n in (1, 2)]
        batch = [
            update(conn, ids[0], make_entry(1, account_number="7")),
            update(conn, ids[1], make_entry(2, account_number="7")),
        ]
    results = apply(database, *batch, create(make_entry(3, account_number="7")), create(make_entry(4)))
    assert outcomes(results) == ["APPLIED", "FAILED", "FAILED", "APPLIED"]
    assert "own_accounts" in (results[1].error or "")
    with database.connect() as conn:
        assert rows(conn, "select status from entries where entry_id = %s", [ids[1]]) == [("ACTIVE",)]


def test_an_update_can_free_the_key_of_a_creation(database: Database) -> None:
    """A row whose key was changed to another customer's: mended first, that key can come back."""
    first, second = make_entry(1), make_entry(2)
    with database.connect() as conn:
        entry_id = insert(conn, replace(first, key=second.key), cid=first.cid())
        fix = update(conn, entry_id, first)
    assert outcomes(apply(database, create(second), fix)) == ["APPLIED", "APPLIED"]


def test_fixes_for_the_same_thing_in_one_batch(database: Database) -> None:
    with database.connect() as conn:
        entry_id = insert(conn, make_entry(1))
        fix = update(conn, entry_id, everything_else(1))
    results = apply(
        database, fix, fix, create(make_entry(2)), create(make_entry(2)), create(make_entry(2, owner_name="Maria"))
    )
    assert outcomes(results) == ["APPLIED", "FAILED", "APPLIED", "FAILED", "FAILED"]
    assert results[1].error == "another fix of the same batch is for the same entry, key or CID"
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 2
        assert value(conn, "select count(*) from outbox") == 2


def test_an_entry_of_another_participant_is_refused(database: Database) -> None:
    [result] = apply(database, create(make_entry(1, participant=OTHER_ISPB)))
    assert (result.outcome, result.error) == ("FAILED", "DICT's entry is another participant's")
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 0
        assert rows(conn, "select participant_ispb, outcome from fixes") == [(ISPB, "FAILED")]


def test_a_batch_is_written_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(DatabaseError), database.connect() as conn:
        _apply_and_fail(conn)
    with database.connect() as conn:
        assert value(conn, "select count(*) from entries") == 0
        assert counts(conn) == {"cid_events": 0, "outbox": 0, "fixes": 0}


def _apply_and_fail(conn: Connection) -> None:
    assert outcomes(apply_batch(conn, CIPHER, RUN, ISPB, [create(make_entry(1))])) == ["APPLIED"]
    conn.execute("select 1 / 0")


def test_several_batches_in_one_transaction(conn: Connection) -> None:
    for number in range(3):
        assert outcomes(apply_batch(conn, CIPHER, RUN, ISPB, [create(make_entry(number))])) == ["APPLIED"]
    assert apply_batch(conn, CIPHER, RUN, ISPB, []) == []


def test_a_full_batch(database: Database) -> None:
    with database.connect() as conn:
        ids = [insert(conn, make_entry(n)) for n in range(500)]
        batch = [update(conn, entry_id, everything_else(n)) for n, entry_id in enumerate(ids)]
    batch += [create(make_entry(n)) for n in range(500, 1000)]
    assert set(outcomes(apply(database, *batch))) == {"APPLIED"}
    with database.connect() as conn:
        assert counts(conn) == {"cid_events": 500 + 1000 + 500, "outbox": 1000, "fixes": 1000}
        assert [stored(conn, entry_id) for entry_id in ids[:3]] == [everything_else(n) for n in range(3)]


def test_a_fix_that_is_tried_again_is_kept_once(database: Database) -> None:
    target = make_entry(1)
    with database.connect() as conn:
        insert(conn, replace(target, participant=OTHER_ISPB))
    assert outcomes(apply(database, create(target))) == ["FAILED"]
    assert outcomes(apply(database, create(target))) == ["FAILED"]
    with database.connect() as conn:
        conn.execute("delete from entries")
    assert outcomes(apply(database, create(target))) == ["APPLIED"]
    with database.connect() as conn:
        assert fixes.outcomes(conn, RUN, ISPB) == {("CREATE", "APPLIED"): 1}
        conn.execute("update entries set cid = sha256(cid)")
    # Changed here after it was applied: that it was applied stays true.
    assert outcomes(apply(database, create(target))) == ["MOVED"]
    with database.connect() as conn:
        assert fixes.outcomes(conn, RUN, ISPB) == {("CREATE", "APPLIED"): 1}


def test_outcomes_from_elsewhere_are_kept_too(conn: Connection) -> None:
    invalid = FixRecord("CREATE", "CPF", None, make_entry(1).cid(), "INVALID", "the name has no letters")
    fixes.record(
        conn, RUN, ISPB, [invalid, replace(invalid, cid=make_entry(2).cid()), replace(invalid, outcome="ALREADY")]
    )
    fixes.record(conn, RUN, ISPB, [invalid])
    assert fixes.outcomes(conn, RUN, ISPB) == {("CREATE", "INVALID"): 2}
    assert fixes.outcomes(conn, "run-2", ISPB) == {}
    assert fixes.outcomes(conn, RUN, OTHER_ISPB) == {}


def test_a_fix_shows_no_personal_data() -> None:
    assert "João" not in repr(create(make_entry(1)))
