"""Classification on small worlds: what each difference is, and that repairing by it makes the two sides equal."""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from vsync_dagster.reconcile.discrepancies import (
    DICT_ONLY_SCHEMA,
    DISCREPANCY_SCHEMA,
    LOCAL_ONLY_SCHEMA,
    LOCAL_SCHEMA,
    classify,
    counts,
)
from vsync_dagster.reconcile.look_up import Found
from vsync_dagster.reconcile.vsync import vsync

REMOVED_AT = datetime(2026, 11, 24, 5, tzinfo=UTC)


def cid(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def entry_id(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def local(*rows: tuple[str, str, str]) -> pl.LazyFrame:
    """(key type, entry, CID)."""
    return pl.LazyFrame([(kind, entry_id(entry), cid(c)) for kind, entry, c in rows], LOCAL_SCHEMA, orient="row")


def dict_only(*rows: tuple[str, str, Found, str | None, bool]) -> pl.LazyFrame:
    """(key type, CID, look-up, entry with that key, in flight)."""
    data = [
        (kind, cid(c), found.value, entry and entry_id(entry), 7 if entry else None, moving)
        for kind, c, found, entry, moving in rows
    ]
    return pl.LazyFrame(data, DICT_ONLY_SCHEMA, orient="row")


def local_only(*rows: tuple[str, str, bool, bool]) -> pl.LazyFrame:
    """(key type, CID, in flight, under review)."""
    data = [(kind, cid(c), moving, review, REMOVED_AT) for kind, c, moving, review in rows]
    return pl.LazyFrame(data, LOCAL_ONLY_SCHEMA, orient="row")


def kinds(found: pl.DataFrame) -> list[tuple[str, str, bool]]:
    return sorted(found.select("kind", "key_type", "in_flight").rows())


def test_the_same_key_under_two_cids_is_one_outdated_entry() -> None:
    found = classify(
        local(("CPF", "e1", "old"), ("CPF", "e2", "same")),
        dict_only(("CPF", "new", Found.FOUND, "e1", False)),
        local_only(("CPF", "old", False, False)),
    )

    assert found.schema == DISCREPANCY_SCHEMA
    assert found.rows() == [
        ("OUTDATED_LOCAL", "CPF", entry_id("e1"), cid("old"), cid("new"), "FOUND", 7, False, False, REMOVED_AT)
    ]


def test_a_key_filed_under_the_wrong_type_is_one_outdated_entry() -> None:
    found = classify(
        local(("PHONE", "e1", "old")),
        dict_only(("EMAIL", "new", Found.FOUND, "e1", False)),
        local_only(("PHONE", "old", False, False)),
    )

    assert kinds(found) == [("OUTDATED_LOCAL", "EMAIL", False)]


def test_keys_of_one_side_only() -> None:
    found = classify(
        local(("EVP", "e1", "ours")),
        dict_only(("CPF", "theirs", Found.FOUND, None, False)),
        local_only(("EVP", "ours", False, False)),
    )

    assert kinds(found) == [("MISSING_BACEN", "EVP", False), ("MISSING_LOCAL", "CPF", False)]
    assert found.filter(kind="MISSING_BACEN")["removed_at"].to_list() == [REMOVED_AT]


def test_a_row_that_no_longer_hashes_to_its_cid_is_outdated_under_the_same_cid() -> None:
    found = classify(
        local(("CPF", "e1", "stored")), dict_only(("CPF", "stored", Found.FOUND, "e1", False)), local_only()
    )

    assert found.select("kind", "local_cid", "dict_cid").rows() == [("OUTDATED_LOCAL", cid("stored"), cid("stored"))]


def test_a_row_tampered_with_whose_key_dict_has_changed_too_is_one_outdated_entry() -> None:
    """Its stored CID is looked up and gone; that is no second difference, and nothing on its way."""
    found = classify(
        local(("CPF", "e1", "stored")),
        dict_only(("CPF", "stored", Found.GONE, "e1", False), ("CPF", "new", Found.FOUND, "e1", False)),
        local_only(("CPF", "stored", False, False)),
    )

    assert kinds(found) == [("OUTDATED_LOCAL", "CPF", False)]


def test_a_row_tampered_with_whose_key_dict_has_deleted_is_missing_there() -> None:
    found = classify(
        local(("CPF", "e1", "stored")),
        dict_only(("CPF", "stored", Found.GONE, "e1", False)),
        local_only(("CPF", "stored", False, False)),
    )

    assert kinds(found) == [("MISSING_BACEN", "CPF", False)]


def test_what_moves_is_in_flight_whatever_it_looks_like() -> None:
    found = classify(
        local(("CPF", "e1", "a"), ("CPF", "e2", "b"), ("CPF", "e3", "c")),
        dict_only(
            ("CPF", "a2", Found.FOUND, "e1", True),  # DICT's log names it after our snapshot
            ("CPF", "b2", Found.FOUND, "e2", False),  # its counterpart moves
            ("CPF", "gone", Found.GONE, None, False),
            ("CPF", "ported", Found.NOT_OURS, None, False),
            ("CPF", "late", Found.FOUND, "e9", False),  # its key has come to us since the snapshot
        ),
        local_only(("CPF", "a", False, False), ("CPF", "b", True, False), ("CPF", "c", True, False)),
    )

    assert found["in_flight"].all()
    assert len(found) == 6


def test_a_cid_whose_entry_is_nowhere_to_be_found_is_in_flight() -> None:
    found = classify(local(), dict_only(), local_only(("CPF", "gone", False, False)))

    assert found.select("kind", "entry_id", "local_cid", "in_flight").rows() == [
        ("MISSING_BACEN", None, cid("gone"), True)
    ]


def test_two_cids_of_one_key_cannot_both_be_true() -> None:
    found = classify(
        local(("CPF", "e1", "a")),
        dict_only(("CPF", "a2", Found.FOUND, "e1", False), ("CPF", "a3", Found.FOUND, "e1", False)),
        local_only(("CPF", "a", False, False)),
    )

    assert kinds(found) == [("OUTDATED_LOCAL", "CPF", True)] * 2


def test_a_key_under_review_is_no_news() -> None:
    found = classify(local(("CPF", "e1", "a")), dict_only(), local_only(("CPF", "a", False, True)))

    assert found.is_empty()
    assert found.schema == DISCREPANCY_SCHEMA


def test_a_key_under_review_that_dict_holds_again_is_repaired() -> None:
    found = classify(
        local(("CPF", "e1", "a")),
        dict_only(("CPF", "a2", Found.FOUND, "e1", False)),
        local_only(("CPF", "a", False, True)),
    )

    assert kinds(found) == [("OUTDATED_LOCAL", "CPF", False)]


def test_an_answer_that_does_not_hash_to_its_cid_stays_a_discrepancy() -> None:
    found = classify(local(), dict_only(("CPF", "liar", Found.MISMATCH, None, False)), local_only())

    assert found.select("kind", "found", "in_flight").rows() == [("MISSING_LOCAL", "MISMATCH", False)]


def test_counts_by_key_type() -> None:
    found = classify(
        local(("CPF", "e1", "a"), ("EVP", "e2", "b")),
        dict_only(("CPF", "a2", Found.FOUND, "e1", False), ("CPF", "n", Found.FOUND, None, True)),
        local_only(("CPF", "a", False, False), ("EVP", "b", False, False)),
    )

    assert counts(found).rows() == [("CPF", 0, 1, 0, 1, 0), ("EVP", 0, 0, 1, 0, 0)]


@dataclass(frozen=True)
class Content:
    """What stands behind a key: the type it is filed under, and all its other attributes."""

    key_type: str
    version: int

    def cid(self, key: int) -> bytes:
        return cid(f"{self.key_type}/{key}/{self.version}")


contents = st.builds(Content, st.sampled_from(["CPF", "PHONE"]), st.integers(0, 2))
worlds = st.dictionaries(st.integers(0, 8), contents)


@given(worlds, worlds)
def test_repairing_by_classification_makes_the_vsyncs_equal_up_to_the_keys_under_review(
    ours: dict[int, Content], theirs: dict[int, Content]
) -> None:
    our_cids = {content.cid(key): key for key, content in ours.items()}
    their_cids = {content.cid(key): key for key, content in theirs.items()}
    found = classify(
        pl.LazyFrame(
            [(content.key_type, entry_id(str(key)), content.cid(key)) for key, content in ours.items()],
            LOCAL_SCHEMA,
            orient="row",
        ),
        pl.LazyFrame(
            [
                (theirs[key].key_type, c, "FOUND", entry_id(str(key)) if key in ours else None, 1, False)
                for c, key in their_cids.items()
                if c not in our_cids
            ],
            DICT_ONLY_SCHEMA,
            orient="row",
        ),
        pl.LazyFrame(
            [(ours[key].key_type, c, False, False, None) for c, key in our_cids.items() if c not in their_cids],
            LOCAL_ONLY_SCHEMA,
            orient="row",
        ),
    )

    repaired = {entry_id(str(key)): content.cid(key) for key, content in ours.items()}
    review = set()
    for kind, entry, dict_cid in found.select("kind", "entry_id", "dict_cid").rows():
        match kind:
            case "MISSING_LOCAL":
                repaired[dict_cid[:16]] = dict_cid
            case "OUTDATED_LOCAL":
                repaired[entry] = dict_cid
            case _:
                review.add(repaired[entry])

    assert vsync(set(repaired.values()) - review) == vsync(their_cids)
    assert review == {content.cid(key) for key, content in ours.items() if key not in theirs}


def test_what_could_not_be_looked_up_is_pending_and_so_is_what_it_may_explain() -> None:
    found = classify(
        local(("CPF", "e1", "old"), ("EVP", "e2", "gone"), ("PHONE", "e3", "moved")),
        dict_only(
            ("CPF", "new", Found.PENDING, None, False),
            ("CPF", "known", Found.FOUND, None, False),
            ("PHONE", "moving", Found.PENDING, None, True),
        ),
        local_only(("CPF", "old", False, False), ("EVP", "gone", False, False), ("PHONE", "moved", False, False)),
    )
    assert sorted(found.select("key_type", "kind", "in_flight", "pending").rows()) == [
        ("CPF", "MISSING_BACEN", False, True),  # "new" may be its CID
        ("CPF", "MISSING_LOCAL", False, False),
        ("CPF", "MISSING_LOCAL", False, True),
        ("EVP", "MISSING_BACEN", False, False),
        ("PHONE", "MISSING_BACEN", False, True),
        ("PHONE", "MISSING_LOCAL", True, False),
    ]
    assert counts(found)["pending"].to_list() == [2, 0, 1]
