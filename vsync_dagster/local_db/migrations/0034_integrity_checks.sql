-- Of each participant the last time that every CID was recomputed from its row, as a FULL sync does: how many rows no
-- longer hash to the CID beside them. Those were changed beneath their CID, which no verification by DICT can see.
create table integrity_checks (
    participant_ispb text primary key references participants,
    run_id text not null,
    checked_at timestamptz not null default now(),
    tampered bigint not null check (tampered >= 0)
);
