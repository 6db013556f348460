-- When DICT last said OK to a participant's whole set, no key under review left out: its true VSync.

alter table sync_state add column true_ok_at timestamptz;

update sync_state as state set true_ok_at = case
    when cardinality(excluded_cids) = 0 then verified_at
    -- The start of the sync that proved it: a little too early, never too late.
    else (
        select max(sync_timestamp) from sync_reports as report
        where report.participant_ispb = state.participant_ispb and not dry_run
            and key_types -> state.key_type ->> 'proof' = 'VSYNC'
    )
end
where verified_at is not null;
