-- What is deleted when it need be kept no longer: by the functions below and nothing else, which only vsync_retention may
-- run. They say in retention_log what they have deleted.

-- Ten years of daily reports of 300 participants are a million rows.
create index sync_reports_of_participant on sync_reports (participant_ispb, sync_timestamp desc, id);

create table retention_log (
    id bigint generated always as identity primary key,
    what text not null,
    rows_deleted bigint not null,
    done_by text not null default session_user,
    done_at timestamptz not null default clock_timestamp()
);

-- Reports and trail: seven years (README of VSYNC, "Compliance Considerations").
create function kept_long_enough(written timestamptz) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select written < now() - interval '7 years' $$;

create function refuse_early_deletion() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
declare
    old_row constant jsonb := to_jsonb(old);
begin
    if public.kept_long_enough(greatest(
        (old_row ->> 'created_at')::timestamptz, (old_row ->> 'sync_timestamp')::timestamptz,
        (old_row ->> 'done_at')::timestamptz, (old_row ->> 'allowed_at')::timestamptz))
    then
        return old;
    end if;
    raise exception '% keeps a row for seven years', tg_table_name
        using errcode = 'restrict_violation', table = tg_table_name, constraint = 'append_only';
end
$$;

drop trigger refuse_report_changes on sync_reports;
create trigger refuse_report_changes before update or truncate on sync_reports
    for each statement execute function refuse_report_changes();
create trigger refuse_early_deletion before delete on sync_reports
    for each row execute function refuse_early_deletion();
alter table sync_reports enable always trigger refuse_report_changes;
alter table sync_reports enable always trigger refuse_early_deletion;

drop trigger refuse_review_trail_changes on review_trail;
create trigger refuse_review_trail_changes before update or truncate on review_trail
    for each statement execute function refuse_review_trail_changes();
create trigger refuse_early_deletion before delete on review_trail
    for each row execute function refuse_early_deletion();
alter table review_trail enable always trigger refuse_review_trail_changes;
alter table review_trail enable always trigger refuse_early_deletion;

drop trigger refuse_mass_change_changes on mass_changes;
create trigger refuse_mass_change_changes before update or truncate on mass_changes
    for each statement execute function refuse_mass_change_changes();
create trigger refuse_early_deletion before delete on mass_changes
    for each row execute function refuse_early_deletion();
alter table mass_changes enable always trigger refuse_mass_change_changes;
alter table mass_changes enable always trigger refuse_early_deletion;

-- A chain loses rows from its beginning on and nowhere else: what is old enough behind a row that is not stays.
create view due_reports as
select id, run_id, participant_ispb, chain_number, chain_hash
from (
    select *, bool_and(kept_long_enough(greatest(sync_timestamp, created_at)))
        over (partition by participant_ispb order by chain_number) as due
    from sync_reports
) as report
where due;

-- The steps of an item stay as long as it is open, and then for seven years after the last of them.
create view due_steps as
select id, participant_ispb, chain_number, chain_hash
from (
    select step.*, bool_and(item.status = 'CLOSED' and kept_long_enough(item.last_done_at))
        over (partition by step.participant_ispb order by step.chain_number) as due
    from review_trail step
    join (
        select q.id, q.status, max(s.done_at) as last_done_at
        from manual_review_queue q join review_trail s on s.item_id = q.id group by q.id, q.status
    ) as item on item.id = step.item_id
) as step
where due;

create view due_items as
select id from manual_review_queue q
where status = 'CLOSED' and kept_long_enough(greatest(created_at, reviewed_at))
    and not exists (select from review_trail s where s.item_id = q.id);

-- Calls that no report speaks of: those of `vsync verify`, and of runs that were killed.
create view due_calls as
select id from dict_calls c
where kept_long_enough(called_at) and not exists (select from sync_reports r where r.run_id = c.run_id);

create function start_chains_after(name text, ispbs text[], numbers bigint[], hashes bytea[]) returns void
language sql set search_path = pg_catalog, public, pg_temp
as $$
    update public.evidence_chains c
    set start_number = last.number, start_hash = last.hash, start_signed_by = session_user,
        start_signed_at = clock_timestamp()
    from (
        select distinct on (ispb) ispb, number, hash
        from unnest(ispbs, numbers, hashes) as deleted (ispb, number, hash) order by ispb, number desc
    ) as last
    where c.table_name = name and c.participant_ispb = last.ispb
$$;

create function log_retention(what text, deleted bigint) returns bigint
language sql set search_path = pg_catalog, public, pg_temp
as $$
    insert into public.retention_log (what, rows_deleted) select what, deleted where deleted > 0;
    select deleted
$$;

-- Each deletes one batch and returns its rows; 0 when nothing is left that may go. A report takes with it what its run
-- has left in other tables.

create function delete_due_reports(batch int) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    due record;
begin
    select array_agg(id) as ids, array_agg(run_id) as runs, array_agg(participant_ispb::text) as ispbs,
        array_agg(chain_number) as numbers, array_agg(chain_hash) as hashes
    into due
    from (select * from public.due_reports order by participant_ispb, chain_number limit batch) as oldest;
    perform public.start_chains_after('sync_reports', due.ispbs, due.numbers, due.hashes);
    delete from public.fix_details where run_id = any(due.runs);
    delete from public.fixes where run_id = any(due.runs);
    delete from public.dict_calls where run_id = any(due.runs);
    delete from public.mass_changes where run_id = any(due.runs);
    delete from public.sync_reports where id = any(due.ids);
    return public.log_retention('sync_reports', coalesce(cardinality(due.ids), 0));
end
$$;

create function delete_due_steps(batch int) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    due record;
begin
    select array_agg(id) as ids, array_agg(participant_ispb::text) as ispbs, array_agg(chain_number) as numbers,
        array_agg(chain_hash) as hashes
    into due
    from (select * from public.due_steps order by participant_ispb, chain_number limit batch) as oldest;
    perform public.start_chains_after('review_trail', due.ispbs, due.numbers, due.hashes);
    delete from public.review_trail where id = any(due.ids);
    return public.log_retention('review_trail', coalesce(cardinality(due.ids), 0));
end
$$;

create function delete_due_items(batch int) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    deleted bigint;
begin
    delete from public.manual_review_queue where id in (select id from public.due_items limit batch);
    get diagnostics deleted = row_count;
    return public.log_retention('manual_review_queue', deleted);
end
$$;

create function delete_due_calls(batch int) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    deleted bigint;
begin
    delete from public.dict_calls where id in (select id from public.due_calls limit batch);
    get diagnostics deleted = row_count;
    return public.log_retention('dict_calls', deleted);
end
$$;

create function delete_expired_lookups(batch int) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    deleted bigint;
begin
    delete from public.looked_up_entries where (participant_ispb, cid) in (
        select participant_ispb, cid from public.looked_up_entries where expires_at <= now() limit batch);
    get diagnostics deleted = row_count;
    return public.log_retention('looked_up_entries', deleted);
end
$$;

create function delete_published_events(batch int, kept_for interval) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    deleted bigint;
begin
    delete from public.outbox where id in (
        select id from public.outbox where published_at < now() - kept_for order by id limit batch);
    get diagnostics deleted = row_count;
    return public.log_retention('outbox', deleted);
end
$$;

-- What could be deleted now.
create function retention_due(events_kept_for interval) returns table (what text, due bigint)
language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
    select 'sync_reports', count(*) from public.due_reports
    union all select 'review_trail', count(*) from public.due_steps
    union all select 'manual_review_queue', count(*) from public.due_items
    union all select 'dict_calls', count(*) from public.due_calls
    union all select 'looked_up_entries', count(*) from public.looked_up_entries where expires_at <= now()
    union all select 'outbox', count(*) from public.outbox where published_at < now() - events_kept_for
$$;

revoke execute on function
    start_chains_after(text, text[], bigint[], bytea[]), log_retention(text, bigint), delete_due_reports(int),
    delete_due_steps(int), delete_due_items(int), delete_due_calls(int), delete_expired_lookups(int),
    delete_published_events(int, interval), retention_due(interval)
    from public;
