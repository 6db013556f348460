-- What people decide about keys that only we hold. Who decides is session_user, the login, written here and never told
-- by a client; a deletion takes two logins. All of it goes through the functions below.

alter table manual_review_queue
    add column decision text check (decision in ('CONFIRM_DELETION', 'KEEP', 'RE_REGISTER', 'INVESTIGATE')),
    add column ask_again_on date,
    add column assignee text,
    -- The whole row as it was put up for review. Null in items older than this column: those are known by CID only.
    add column entry_digest bytea;

create table review_trail (
    id bigint generated always as identity primary key,
    item_id uuid not null references manual_review_queue,
    step text not null check (step in ('PUT_UP', 'DECIDED', 'PROPOSED', 'APPROVED', 'REJECTED', 'CLOSED')),
    decision text,
    reason text check (reason ~ '\S'),
    ask_again_on date,
    assignee text,
    done_by text not null default session_user,
    done_at timestamptz not null default clock_timestamp()
);

create index review_trail_item on review_trail (item_id, id);

create function sign_review_step() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
declare
    proposer text;
begin
    new.done_by := session_user;
    new.done_at := clock_timestamp();
    if new.step = 'APPROVED' then
        select done_by into proposer from public.review_trail
        where item_id = new.item_id and step in ('PROPOSED', 'APPROVED', 'REJECTED') order by id desc limit 1;
        if proposer is null or proposer = session_user then
            raise exception 'a deletion takes two people'
                using errcode = 'restrict_violation', table = 'review_trail', constraint = 'two_people';
        end if;
    end if;
    return new;
end
$$;

create function refuse_review_trail_changes() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    raise exception 'review_trail is append-only: % is refused', tg_op
        using errcode = 'restrict_violation', table = 'review_trail', constraint = 'append_only';
end
$$;

create trigger sign_review_step before insert on review_trail for each row execute function sign_review_step();
create trigger refuse_review_trail_changes before update or delete or truncate on review_trail
    for each statement execute function refuse_review_trail_changes();
alter table review_trail enable always trigger sign_review_step;
alter table review_trail enable always trigger refuse_review_trail_changes;

-- With settings of its own: a row's text depends on them.
create function entry_digest(wanted uuid) returns bytea
language sql stable security definer set search_path = pg_catalog, public, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set bytea_output = 'hex'
as $$ select sha256(convert_to(e::text, 'UTF8')) from public.entries e where entry_id = wanted $$;

create function set_review_digest() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    new.entry_digest := public.entry_digest(new.entry_id);
    return new;
end
$$;

-- Putting up and closing are told by the queue itself, so that no road into it can leave the trail behind.
create function trail_review_item() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into public.review_trail (item_id, step, reason) values (new.id, 'PUT_UP', new.reason);
    elsif new.status = 'CLOSED' and old.status <> 'CLOSED' then
        insert into public.review_trail (item_id, step, reason) values (new.id, 'CLOSED', new.action_taken);
    end if;
    return null;
end
$$;

create trigger set_review_digest before insert on manual_review_queue
    for each row execute function set_review_digest();
create trigger trail_review_item after insert or update on manual_review_queue
    for each row execute function trail_review_item();

-- True where the row still is what was put up for review; locks it until the transaction ends.
create function review_row_stands(item manual_review_queue) returns boolean
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform from public.entries e
    where e.entry_id = item.entry_id and e.participant_ispb = item.participant_ispb and e.key = item.key
        and e.cid = item.cid and e.status = 'ACTIVE'
    for update;
    return found and (item.entry_digest is null or item.entry_digest = public.entry_digest(item.entry_id));
end
$$;

-- Decides about an item, or proposes its deletion. Returns DONE, or why nothing was written.
create function review_decide(
    wanted uuid, decision_made text, why text, again_on date, assigned_to text
) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    item public.manual_review_queue;
    deletion constant boolean := decision_made = 'CONFIRM_DELETION';
begin
    select * into item from public.manual_review_queue where id = wanted for update;
    if not found or item.status = 'CLOSED' then
        return 'NOT_OPEN';
    elsif not (item.decision is null or item.decision = 'INVESTIGATE' or item.ask_again_on <= current_date) then
        return 'DECIDED';
    elsif not public.review_row_stands(item) then
        return 'MOVED';
    elsif why is null or why !~ '\S' then
        return 'NO_REASON';
    elsif decision_made in ('KEEP', 'RE_REGISTER') and coalesce(again_on <= current_date, true) then
        return 'NO_DATE';
    elsif decision_made = 'INVESTIGATE' and coalesce(assigned_to !~ '\S', true) then
        return 'NO_ASSIGNEE';
    end if;
    update public.manual_review_queue
    set decision = decision_made, reviewed_by = session_user, reviewed_at = now(),
        status = case when decision_made in ('KEEP', 'RE_REGISTER') then 'KEPT' else 'PENDING' end,
        ask_again_on = case when decision_made in ('KEEP', 'RE_REGISTER') then again_on end,
        assignee = case when decision_made = 'INVESTIGATE' then assigned_to end
    where id = wanted returning * into item;
    insert into public.review_trail (item_id, step, decision, reason, ask_again_on, assignee)
    values (wanted, case when deletion then 'PROPOSED' else 'DECIDED' end, decision_made, why, item.ask_again_on,
        item.assignee);
    return 'DONE';
end
$$;

-- Approves a proposed deletion, as another login than the proposer's, and deletes.
create function review_approve(wanted uuid, why text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    item public.manual_review_queue;
begin
    select * into item from public.manual_review_queue where id = wanted for update;
    if not found or item.status = 'CLOSED' then
        return 'NOT_OPEN';
    elsif item.decision is distinct from 'CONFIRM_DELETION' then
        return 'NOT_PROPOSED';
    elsif item.reviewed_by = session_user then
        return 'SAME_PERSON';
    elsif not public.review_row_stands(item) then
        return 'MOVED';
    elsif why is null or why !~ '\S' then
        return 'NO_REASON';
    end if;
    insert into public.review_trail (item_id, step, decision, reason)
    values (wanted, 'APPROVED', 'CONFIRM_DELETION', why);
    update public.entries set status = 'DELETED', deleted_at = now(), updated_at = now() where entry_id = item.entry_id;
    update public.manual_review_queue
    set status = 'CLOSED', action_taken = 'deleted here' where id = wanted;
    insert into public.outbox (participant_ispb, event_type, payload)
    values (item.participant_ispb, 'vsync.entry.deleted', jsonb_build_object(
        'entry_id', item.entry_id, 'key_type', item.key_type, 'participant_ispb', item.participant_ispb,
        'cid', encode(item.cid, 'hex'), 'review_item_id', item.id));
    return 'DONE';
end
$$;

-- Takes a proposed deletion back, by anybody who may decide: the item waits again.
create function review_reject(wanted uuid, why text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    item public.manual_review_queue;
begin
    select * into item from public.manual_review_queue where id = wanted for update;
    if not found or item.status = 'CLOSED' then
        return 'NOT_OPEN';
    elsif item.decision is distinct from 'CONFIRM_DELETION' then
        return 'NOT_PROPOSED';
    elsif why is null or why !~ '\S' then
        return 'NO_REASON';
    end if;
    insert into public.review_trail (item_id, step, decision, reason)
    values (wanted, 'REJECTED', 'CONFIRM_DELETION', why);
    update public.manual_review_queue set decision = null, reviewed_by = null, reviewed_at = null where id = wanted;
    return 'DONE';
end
$$;

-- Nobody decides unless granted: `vsync_compliance` is, the application is not.
revoke execute on function
    sign_review_step(), refuse_review_trail_changes(), set_review_digest(), trail_review_item(), entry_digest(uuid),
    review_row_stands(manual_review_queue), review_decide(uuid, text, text, date, text), review_approve(uuid, text),
    review_reject(uuid, text)
    from public;
