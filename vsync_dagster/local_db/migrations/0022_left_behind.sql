-- What a run that was killed has left behind is sealed by the next report of its participant, unless the run has a report of
-- its own by then. It writes nothing more: the lease has another holder, and the fence refuses whoever had it before.

-- What runs with a lower token of the lease have left is sealed.
alter table evidence_chains add column looked_back_to bigint not null default 0;

-- As before. Of the calls those up to one: a call that was under way is still written down when its answer comes.
create function run_evidence(run text, last_call bigint) returns jsonb
language sql stable security definer set search_path = pg_catalog, public, pg_temp set timezone = 'UTC'
as $$
    with evidence as (
        select 'fixes' as name, sha256(convert_to(to_jsonb(f)::text, 'UTF8')) as digest
        from public.fixes f where run_id = run
        union all
        -- Another key may encrypt them; the digest of what is encrypted stays.
        select 'fix_details', sha256(convert_to((to_jsonb(d) - 'key_id' - 'ciphertext')::text, 'UTF8'))
        from public.fix_details d where run_id = run
        union all
        select 'dict_calls', sha256(convert_to(to_jsonb(c)::text, 'UTF8'))
        from public.dict_calls c where run_id = run and (last_call is null or id <= last_call)
        union all
        -- What was sealed before there was the column is without it.
        select 'mass_changes', sha256(convert_to(
            (case when person is null then to_jsonb(m) - 'person' else to_jsonb(m) end)::text, 'UTF8'))
        from public.mass_changes m where run_id = run
    ), sealed as (
        select name, jsonb_build_object(
            'rows', count(*), 'sha256', encode(sha256(string_agg(digest, ''::bytea order by digest)), 'hex')) as seal
        from evidence group by name
    )
    select coalesce(jsonb_object_agg(name, seal), '{}') from sealed
$$;

create or replace function run_evidence(run text) returns jsonb
language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$ select public.run_evidence(run, null) $$;

-- What the runs have left, by run, that had the lease before and have no report.
create function left_behind(ispb text, first_token bigint, before_token bigint) returns jsonb
language sql stable set search_path = pg_catalog, public, pg_temp
as $$
    select coalesce(jsonb_object_agg(run_id, jsonb_build_object(
        'last_call', last_call, 'evidence', public.run_evidence(run_id, last_call))), '{}')
    from public.sync_lease_history h
    cross join lateral (
        select coalesce(max(id), 0) as last_call from public.dict_calls c where c.run_id = h.run_id) as calls
    where participant_ispb = ispb and token >= first_token and token < before_token
        and not exists (select from public.sync_reports r where r.run_id = h.run_id)
$$;

create or replace function chain_report() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    chain public.evidence_chains := public.lock_chain('sync_reports', new.participant_ispb);
    lease_token bigint;
    behind jsonb := '{}';
begin
    if exists (select from public.sync_reports where run_id = new.run_id) then
        -- Never stored: the run has its report.
        new.evidence := '{}';
        new.chain_number := 0;
        new.chain_hash := '\x';
        return new;
    end if;
    new.evidence := public.run_evidence(new.run_id);
    -- Only the run that has the lease knows that those before it are at their end.
    select token into lease_token from public.sync_leases
    where run_id = new.run_id and participant_ispb = new.participant_ispb;
    if found then
        behind := public.left_behind(new.participant_ispb, chain.looked_back_to, lease_token);
    end if;
    if behind <> '{}' then
        new.evidence := new.evidence || jsonb_build_object('left_behind', behind);
    end if;
    new.chain_number := chain.head_number + 1;
    new.chain_hash := public.chain_hash(chain.head_hash, public.report_content(new));
    update public.evidence_chains
    set head_number = new.chain_number, head_hash = new.chain_hash,
        looked_back_to = coalesce(lease_token, looked_back_to)
    where table_name = chain.table_name and participant_ispb = chain.participant_ispb;
    return new;
end
$$;

-- Few reports look back on a killed run.
create index sync_reports_left_behind on sync_reports using gin ((evidence -> 'left_behind'))
    where evidence ? 'left_behind';

-- A report takes with it also what it has sealed of runs that have none.
create or replace function delete_due_reports(batch int) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    due record;
    runs text[];
begin
    select array_agg(id) as ids, array_agg(run_id) as runs, array_agg(participant_ispb::text) as ispbs,
        array_agg(chain_number) as numbers, array_agg(chain_hash) as hashes
    into due
    from (select * from public.due_reports order by participant_ispb, chain_number limit batch) as oldest;
    select due.runs || coalesce(array_agg(run), '{}') into runs
    from public.sync_reports r, jsonb_object_keys(r.evidence -> 'left_behind') as run
    where r.id = any(due.ids) and not exists (select from public.sync_reports own where own.run_id = run);
    perform public.start_chains_after('sync_reports', due.ispbs, due.numbers, due.hashes);
    delete from public.fix_details where run_id = any(runs);
    delete from public.fixes where run_id = any(runs);
    delete from public.dict_calls where run_id = any(runs);
    delete from public.mass_changes where run_id = any(runs);
    delete from public.sync_reports where id = any(due.ids);
    return public.log_retention('sync_reports', coalesce(cardinality(due.ids), 0));
end
$$;

-- Calls that no report speaks of: those of `vsync verify`, and of runs that were killed and that nothing has sealed.
create or replace view due_calls as
select id from dict_calls c
where kept_long_enough(called_at) and not exists (select from sync_reports r where r.run_id = c.run_id)
    and not exists (
        select from sync_reports r where r.evidence ? 'left_behind' and r.evidence -> 'left_behind' ? c.run_id);

revoke execute on function run_evidence(text, bigint), left_behind(text, bigint, bigint) from public;
