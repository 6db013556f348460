-- One report a run, never changed afterwards: the audit trail that is kept for years.

create table sync_reports (
    id uuid primary key,
    run_id text not null unique,
    participant_ispb char(8) not null,
    sync_type text not null check (sync_type in ('FULL', 'INCREMENTAL')),
    sync_day date not null,
    sync_timestamp timestamptz not null,
    duration_ms bigint not null,
    status text not null check (status in ('COMPLETED', 'PARTIAL', 'FAILED')),
    error_message text,
    dry_run boolean not null,
    entries_synced int not null,
    entries_created int not null,
    entries_updated int not null,
    -- Entries put up for review: nothing is ever deleted.
    entries_deleted int not null,
    discrepancies int not null,
    missing_local int not null,
    outdated_local int not null,
    missing_bacen int not null,
    in_flight int not null,
    fixes_failed int not null,
    verified boolean not null,
    key_types jsonb not null,
    created_at timestamptz not null default now()
);

create index idx_sync_reports_timestamp on sync_reports (sync_timestamp desc);

create function refuse_report_changes() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    raise exception 'sync_reports is append-only: % is refused', tg_op
        using errcode = 'restrict_violation', table = 'sync_reports', constraint = 'append_only';
end
$$;

create trigger refuse_report_changes before update or delete or truncate on sync_reports
    for each statement execute function refuse_report_changes();

-- ALWAYS, and no exception for the owner: whoever must change a report has to drop this trigger first, and be seen.
alter table sync_reports enable always trigger refuse_report_changes;
