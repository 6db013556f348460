"""What each difference between the two snapshots *is*: Polars joins on CIDs and entry ids.

The same key on both sides under different CIDs is one OUTDATED_LOCAL, not a pair of others. Which key a CID belongs
to cannot be read from it, so the entry id stands in for the key on both sides: `bacen_snapshot` writes down which of
our entries, if any, holds the key of a CID that it looked up.
"""

from enum import StrEnum

import polars as pl

from vsync_dagster.reconcile.look_up import Found


class Kind(StrEnum):
    """What a difference is, in the words of the owner's description."""

    MISSING_LOCAL = "MISSING_LOCAL"
    OUTDATED_LOCAL = "OUTDATED_LOCAL"
    MISSING_BACEN = "MISSING_BACEN"


LOCAL_SCHEMA = pl.Schema({"key_type": pl.String(), "entry_id": pl.Binary(), "cid": pl.Binary()})
"""`bacen_snapshot`: those of our ACTIVE entries that the differences are about, as they were at the moment of
`local_snapshot`; entry ids of 16 bytes, CIDs of 32."""

DICT_ONLY_SCHEMA = pl.Schema(
    {
        "key_type": pl.String(),
        "cid": pl.Binary(),
        "found": pl.String(),
        "entry_id": pl.Binary(),
        "row_version": pl.Int64(),
        "in_flight": pl.Boolean(),
    }
)
"""`bacen_snapshot`: CIDs that DICT holds and we do not, or that our row no longer hashes to. `entry_id` and
`row_version` are those of our ACTIVE entry with the same key, if any."""

LOCAL_ONLY_SCHEMA = pl.Schema(
    {
        "key_type": pl.String(),
        "cid": pl.Binary(),
        "in_flight": pl.Boolean(),
        "under_review": pl.Boolean(),
        "removed_at": pl.Datetime("us", "UTC"),
    }
)
"""`bacen_snapshot`: CIDs that we hold and DICT does not; `removed_at` is DICT's log's word, if it has one."""

DISCREPANCY_SCHEMA = pl.Schema(
    {
        "kind": pl.String(),
        "key_type": pl.String(),
        "entry_id": pl.Binary(),
        "local_cid": pl.Binary(),
        "dict_cid": pl.Binary(),
        "found": pl.String(),
        "row_version": pl.Int64(),
        "in_flight": pl.Boolean(),
        "pending": pl.Boolean(),
        "removed_at": pl.Datetime("us", "UTC"),
    }
)
"""`discrepancies`: one row a difference; those in flight or pending are counted, not repaired, and `kind` is no more
than what they look like."""

SETTLED = ~pl.col("in_flight") & ~pl.col("pending")
"""Rows of `DISCREPANCY_SCHEMA` that may be repaired."""


def classify(local: pl.LazyFrame, dict_only: pl.LazyFrame, local_only: pl.LazyFrame) -> pl.DataFrame:
    """Return one row a difference, in the columns of `DISCREPANCY_SCHEMA`.

    Keys under review are no news: they are left out, unless DICT now holds another CID of theirs.

    A CID that could not be looked up yet is pending. It may be the new CID of any key of its type, so a key of that
    type which seems to be missing at DICT is pending too; where DICT cannot answer for a CID, such a key is
    UNREADABLE.
    """
    entry_of = local.select("entry_id", local_cid="cid")
    ours = local_only.join(entry_of, left_on="cid", right_on="local_cid", how="left").rename({"cid": "local_cid"})
    # A CID whose entry is nowhere to be found has gone since, whatever the ledger says.
    ours = ours.with_columns(in_flight=pl.col("in_flight") | pl.col("entry_id").is_null())
    gone = pl.col("found").is_in([Found.GONE, Found.NOT_OURS])
    # Two CIDs of one key cannot both be true: the set moved while it was looked up.
    twice = pl.col("entry_id").is_not_null() & pl.col("entry_id").is_duplicated()
    held = dict_only.filter(~gone).with_columns(in_flight=pl.col("in_flight") | twice)
    outdated = _outdated(held, entry_of, ours)
    missing_local = _missing_local(held.join(outdated, left_on="cid", right_on="dict_cid", how="anti"))
    # A CID that DICT listed and no longer holds is on its way; one that only we hold (a row that was tampered with)
    # is told below.
    vanished = _missing_local(dict_only.filter(gone).join(local_only, on="cid", how="anti"), in_flight=True)
    missing_bacen = _missing_bacen(ours.join(outdated, on="entry_id", how="anti"), dict_only)
    found = pl.concat([missing_local, vanished, outdated, missing_bacen])
    found = found.with_columns(pending=pl.col("pending") & ~pl.col("in_flight"))
    return found.collect().match_to_schema(DISCREPANCY_SCHEMA)


def _missing_local(dict_only: pl.LazyFrame, *, in_flight: bool = False) -> pl.LazyFrame:
    return dict_only.select(
        kind=pl.lit(Kind.MISSING_LOCAL.value),
        key_type="key_type",
        entry_id=pl.lit(None, dtype=pl.Binary),
        local_cid=pl.lit(None, dtype=pl.Binary),
        dict_cid="cid",
        found="found",
        row_version=pl.lit(None, dtype=pl.Int64),
        # An entry with this key that the snapshot does not know has come since.
        in_flight=pl.lit(in_flight) | pl.col("in_flight") | pl.col("entry_id").is_not_null(),
        pending=pl.col("found") == Found.PENDING,
        removed_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
    )


def _outdated(dict_only: pl.LazyFrame, entry_of: pl.LazyFrame, ours: pl.LazyFrame) -> pl.LazyFrame:
    moving = ours.select("entry_id", "removed_at", local_in_flight="in_flight")
    return (
        dict_only.join(entry_of, on="entry_id", how="inner")
        .join(moving, on="entry_id", how="left")
        .select(
            kind=pl.lit(Kind.OUTDATED_LOCAL.value),
            key_type="key_type",
            entry_id="entry_id",
            local_cid="local_cid",
            dict_cid="cid",
            found="found",
            row_version="row_version",
            in_flight=pl.col("in_flight") | pl.col("local_in_flight").fill_null(value=False),
            pending=pl.col("found") == Found.PENDING,
            removed_at="removed_at",
        )
    )


def _missing_bacen(ours: pl.LazyFrame, dict_only: pl.LazyFrame) -> pl.LazyFrame:
    return (
        ours.filter(~pl.col("under_review"))
        .join(_types_with(dict_only, Found.PENDING, "pending"), on="key_type", how="left")
        .join(_types_with(dict_only, Found.UNREADABLE, "unreadable"), on="key_type", how="left")
        .select(
            kind=pl.lit(Kind.MISSING_BACEN.value),
            key_type="key_type",
            entry_id="entry_id",
            local_cid="local_cid",
            dict_cid=pl.lit(None, dtype=pl.Binary),
            found=pl.when("unreadable").then(pl.lit(Found.UNREADABLE.value)),
            row_version=pl.lit(None, dtype=pl.Int64),
            in_flight="in_flight",
            pending=pl.col("pending").fill_null(value=False),
            removed_at="removed_at",
        )
    )


def _types_with(dict_only: pl.LazyFrame, found: Found, name: str) -> pl.LazyFrame:
    """Return the key types with a look-up that ended so, and a column that says so."""
    return dict_only.filter(pl.col("found") == found).select("key_type", pl.lit(value=True).alias(name)).unique()


def counts(discrepancies: pl.DataFrame) -> pl.DataFrame:
    """Return one row a key type with the number of each kind, and of those in flight and pending (Int64)."""
    return (
        discrepancies.group_by("key_type")
        .agg(
            *((SETTLED & (pl.col("kind") == kind.value)).sum().cast(pl.Int64).alias(kind.lower()) for kind in Kind),
            pl.col("in_flight", "pending").sum().cast(pl.Int64),
        )
        .sort("key_type")
    )
