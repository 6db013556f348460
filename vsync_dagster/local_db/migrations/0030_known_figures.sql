-- A figure that a report does not know is null, never 0; and a report says which run's figures it shows.

alter table sync_reports
    alter column entries_synced drop not null,
    alter column entries_created drop not null,
    alter column entries_updated drop not null,
    alter column entries_deleted drop not null,
    alter column discrepancies drop not null,
    alter column missing_local drop not null,
    alter column outdated_local drop not null,
    alter column missing_bacen drop not null,
    alter column in_flight drop not null,
    alter column fixes_failed drop not null,
    alter column pending drop not null,
    alter column pending drop default,
    -- The run that compared with DICT, and until when (DICT's clock); null where no comparison ended.
    add column compared_by text,
    add column compared_at timestamptz,
    -- The run whose repair ended, and when; null where none did.
    add column repaired_by text,
    add column repaired_at timestamptz;

-- A repair or a proof that rests on another run's comparison.
create index sync_reports_of_comparison on sync_reports (compared_by) where compared_by <> run_id;

-- What was sealed before there were these columns is without them.
create or replace function report_content(report sync_reports) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$
    select content - 'chain_hash' - array(
        select name from unnest(array['compared_by', 'compared_at', 'repaired_by', 'repaired_at']) as name
        where content -> name = 'null'
    )
    from to_jsonb(report) as content
$$;
