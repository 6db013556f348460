-- The one calendar: a day is a day in São Paulo. `vsync_dagster/reconcile/calendar.py` has the same rule.

create function sync_day(moment timestamptz) returns date
language sql stable set search_path = pg_catalog, pg_temp
as $$ select (moment at time zone 'America/Sao_Paulo')::date $$;

create function sync_today() returns date
language sql stable set search_path = pg_catalog, pg_temp
as $$ select public.sync_day(now()) $$;

-- A day's first moment.
create function sync_day_begins(day date) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp
as $$ select day::timestamp at time zone 'America/Sao_Paulo' $$;

-- As before, but for the days. They were those of UTC: after 21:00 in São Paulo, tomorrow was refused as today, and what
-- was to be asked again tomorrow could be decided at once.
create or replace function review_decide(
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
    elsif not (item.decision is null or item.decision = 'INVESTIGATE' or item.ask_again_on <= public.sync_today()) then
        return 'DECIDED';
    elsif not public.review_row_stands(item) then
        return 'MOVED';
    elsif why is null or why !~ '\S' then
        return 'NO_REASON';
    elsif decision_made in ('KEEP', 'RE_REGISTER') and coalesce(again_on <= public.sync_today(), true) then
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
