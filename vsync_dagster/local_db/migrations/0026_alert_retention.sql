-- Alerts are deleted some time after they were resolved, with what was told of them. One that stands stays, and so does
-- one that waits for a target which was tried in that time; a target that is no longer configured is not.

create function due_alerts(kept_for interval) returns setof bigint
language sql stable set search_path = pg_catalog, public, pg_temp
as $$
    select id from public.alerts a
    where resolved_at < now() - kept_for and not exists (
        select from public.alert_deliveries d join public.alert_targets t on t.name = d.target
        where d.alert_id = a.id and d.recovery_told_at is null and t.held_until > now() - kept_for)
    order by id
$$;

create function delete_resolved_alerts(batch int, kept_for interval) returns bigint
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    deleted bigint;
begin
    delete from public.alerts where id in (select due from public.due_alerts(kept_for) as due limit batch);
    get diagnostics deleted = row_count;
    return public.log_retention('alerts', deleted);
end
$$;

-- As before, and alerts.
drop function retention_due(interval);
create function retention_due(events_kept_for interval, alerts_kept_for interval)
returns table (what text, due bigint)
language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
    select 'sync_reports', count(*) from public.due_reports
    union all select 'review_trail', count(*) from public.due_steps
    union all select 'manual_review_queue', count(*) from public.due_items
    union all select 'dict_calls', count(*) from public.due_calls
    union all select 'looked_up_entries', count(*) from public.looked_up_entries where expires_at <= now()
    union all select 'outbox', count(*) from public.outbox where published_at < now() - events_kept_for
    union all select 'alerts', count(*) from public.due_alerts(alerts_kept_for)
$$;

revoke execute on function due_alerts(interval), delete_resolved_alerts(int, interval), retention_due(interval, interval)
from public;
