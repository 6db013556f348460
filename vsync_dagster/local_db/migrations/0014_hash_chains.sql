-- Reports and the steps of reviews are chained, participant by participant: each row holds a number and a hash of the
-- row before it and of itself, given by triggers. A report also holds digests of what its run has left in other tables,
-- and the first step of a review item one of the item. `local_db.chains` finds what does not fit.
--
-- The functions below say what is hashed. A migration that adds a column to one of these tables takes it out here where
-- it is null, or the rows before it seem to be changed.

create table evidence_chains (
    table_name text not null check (table_name in ('sync_reports', 'review_trail')),
    participant_ispb char(8) not null,
    head_number bigint not null default 0,
    head_hash bytea not null default '\x' check (octet_length(head_hash) in (0, 32)),
    -- The last row that retention has deleted: the chain begins after it.
    start_number bigint not null default 0,
    start_hash bytea not null default '\x',
    start_signed_by text,
    start_signed_at timestamptz,
    primary key (table_name, participant_ispb)
);

alter table sync_reports
    add column evidence jsonb,
    add column chain_number bigint,
    add column chain_hash bytea;

alter table review_trail
    add column participant_ispb char(8),
    add column item_digest bytea,
    add column chain_number bigint,
    add column chain_hash bytea;

create function chain_hash(previous bytea, content jsonb) returns bytea
language sql immutable set search_path = pg_catalog, pg_temp
as $$ select sha256(previous || convert_to(content::text, 'UTF8')) $$;

create function report_content(report sync_reports) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$ select to_jsonb(report) - 'chain_hash' $$;

create function trail_content(step review_trail) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
as $$ select to_jsonb(step) - 'chain_hash' $$;

-- How many rows a run has left in each table, and a digest over them.
create function run_evidence(run text) returns jsonb
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
        select 'dict_calls', sha256(convert_to(to_jsonb(c)::text, 'UTF8')) from public.dict_calls c where run_id = run
        union all
        select 'mass_changes', sha256(convert_to(to_jsonb(m)::text, 'UTF8'))
        from public.mass_changes m where run_id = run
    ), sealed as (
        select name, jsonb_build_object(
            'rows', count(*), 'sha256', encode(sha256(string_agg(digest, ''::bytea order by digest)), 'hex')) as seal
        from evidence group by name
    )
    select coalesce(jsonb_object_agg(name, seal), '{}') from sealed
$$;

-- The item as it was put up for review; what a decision changes is in the trail.
create function review_item_digest(wanted uuid) returns bytea
language sql stable security definer set search_path = pg_catalog, public, pg_temp set timezone = 'UTC'
as $$
    select sha256(convert_to(
        (to_jsonb(q) - array['status', 'reviewed_by', 'reviewed_at', 'action_taken', 'decision', 'ask_again_on',
            'assignee'])::text, 'UTF8'))
    from public.manual_review_queue q where id = wanted
$$;

-- The chain that the next row of a participant goes to, locked until the transaction ends.
create function lock_chain(name text, ispb text) returns evidence_chains
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
declare
    chain public.evidence_chains;
begin
    insert into public.evidence_chains (table_name, participant_ispb) values (name, ispb) on conflict do nothing;
    select * into chain from public.evidence_chains where table_name = name and participant_ispb = ispb for update;
    return chain;
end
$$;

create function chain_report() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    chain public.evidence_chains := public.lock_chain('sync_reports', new.participant_ispb);
begin
    if exists (select from public.sync_reports where run_id = new.run_id) then
        -- Never stored: the run has its report.
        new.evidence := '{}';
        new.chain_number := 0;
        new.chain_hash := '\x';
        return new;
    end if;
    new.evidence := public.run_evidence(new.run_id);
    new.chain_number := chain.head_number + 1;
    new.chain_hash := public.chain_hash(chain.head_hash, public.report_content(new));
    update public.evidence_chains set head_number = new.chain_number, head_hash = new.chain_hash
    where table_name = chain.table_name and participant_ispb = chain.participant_ispb;
    return new;
end
$$;

create function chain_review_step() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    chain public.evidence_chains;
begin
    select participant_ispb into new.participant_ispb from public.manual_review_queue where id = new.item_id;
    chain := public.lock_chain('review_trail', new.participant_ispb);
    new.item_digest := case when new.step = 'PUT_UP' then public.review_item_digest(new.item_id) end;
    new.chain_number := chain.head_number + 1;
    new.chain_hash := public.chain_hash(chain.head_hash, public.trail_content(new));
    update public.evidence_chains set head_number = new.chain_number, head_hash = new.chain_hash
    where table_name = chain.table_name and participant_ispb = chain.participant_ispb;
    return new;
end
$$;

-- What is there already is chained in the order in which it was written.
alter table sync_reports disable trigger refuse_report_changes;
alter table review_trail disable trigger refuse_review_trail_changes;
do $$
declare
    report sync_reports;
    step review_trail;
    chain evidence_chains;
begin
    for report in select * from sync_reports order by created_at, id loop
        chain := lock_chain('sync_reports', report.participant_ispb);
        report.evidence := run_evidence(report.run_id);
        report.chain_number := chain.head_number + 1;
        report.chain_hash := chain_hash(chain.head_hash, report_content(report));
        update sync_reports set evidence = report.evidence, chain_number = report.chain_number,
            chain_hash = report.chain_hash where id = report.id;
        update evidence_chains set head_number = report.chain_number, head_hash = report.chain_hash
        where table_name = chain.table_name and participant_ispb = chain.participant_ispb;
    end loop;
    for step in select * from review_trail order by id loop
        select participant_ispb into step.participant_ispb from manual_review_queue where id = step.item_id;
        chain := lock_chain('review_trail', step.participant_ispb);
        step.item_digest := case when step.step = 'PUT_UP' then review_item_digest(step.item_id) end;
        step.chain_number := chain.head_number + 1;
        step.chain_hash := chain_hash(chain.head_hash, trail_content(step));
        update review_trail set participant_ispb = step.participant_ispb, item_digest = step.item_digest,
            chain_number = step.chain_number, chain_hash = step.chain_hash where id = step.id;
        update evidence_chains set head_number = step.chain_number, head_hash = step.chain_hash
        where table_name = chain.table_name and participant_ispb = chain.participant_ispb;
    end loop;
end
$$;
alter table sync_reports enable always trigger refuse_report_changes;
alter table review_trail enable always trigger refuse_review_trail_changes;

alter table sync_reports
    alter column evidence set not null,
    alter column chain_number set not null,
    alter column chain_hash set not null;
alter table review_trail
    alter column participant_ispb set not null,
    alter column chain_number set not null,
    alter column chain_hash set not null;

create unique index sync_reports_chain on sync_reports (participant_ispb, chain_number);
create unique index review_trail_chain on review_trail (participant_ispb, chain_number);

-- Triggers run in the order of their names: a step is signed, and then chained.
create trigger chain_report before insert on sync_reports for each row execute function chain_report();
create trigger z_chain_review_step before insert on review_trail
    for each row execute function chain_review_step();
alter table sync_reports enable always trigger chain_report;
alter table review_trail enable always trigger z_chain_review_step;

revoke execute on function
    run_evidence(text), review_item_digest(uuid), lock_chain(text, text), chain_report(), chain_review_step()
    from public;
