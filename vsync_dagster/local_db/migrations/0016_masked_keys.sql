-- Keys under review are read masked. Whoever must see one asks for it, and the trail tells who did.

-- Recognisable to whoever knows the key, of no use to anybody else: everything but the last two characters as `*`,
-- e-mails as `j***@e***.com`. Of a key too short to hide anything nothing is shown.
create function mask_key(key_type text, key text) returns text
language sql immutable strict set search_path = pg_catalog, pg_temp
as $$
    select case
        when key_type = 'EMAIL' and strpos(key, '@') > 0 then (
            -- Three stars whatever the length: lengths help to guess.
            select (case when length(local) > 1 then left(local, 1) else '' end) || '***@'
                || (case when length(host) > 1 then left(host, 1) else '' end) || '***' || coalesce('.' || top, '')
            from (
                select regexp_replace(key, '@[^@]*$', '') as local,
                    regexp_replace(substring(key from '[^@]*$'), '\.[^.]*$', '') as host,
                    substring(key from '\.([^.@]*)$') as top
            ) as part
        )
        when length(key) > 4 then repeat('*', length(key) - 2) || right(key, 2)
        else repeat('*', length(key))
    end
$$;

alter table manual_review_queue
    add column masked_key text not null generated always as (mask_key(key_type, key)) stored;

-- The mask follows from the rest: what was put up before there was one keeps its digest.
create or replace function review_item_digest(wanted uuid) returns bytea
language sql stable security definer set search_path = pg_catalog, public, pg_temp set timezone = 'UTC'
as $$
    select sha256(convert_to(
        (to_jsonb(q) - array['status', 'reviewed_by', 'reviewed_at', 'action_taken', 'decision', 'ask_again_on',
            'assignee', 'masked_key'])::text, 'UTF8'))
    from public.manual_review_queue q where id = wanted
$$;

alter table review_trail
    drop constraint review_trail_step_check,
    add constraint review_trail_step_check check (
        step in ('PUT_UP', 'DECIDED', 'PROPOSED', 'APPROVED', 'REJECTED', 'CLOSED', 'KEY_SHOWN')
    );

-- Returns an item's key, and tells so in its trail; null where there is no such item.
create function review_show_key(wanted uuid) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
declare
    shown text;
begin
    select key into shown from public.manual_review_queue where id = wanted;
    if found then
        insert into public.review_trail (item_id, step) values (wanted, 'KEY_SHOWN');
    end if;
    return shown;
end
$$;

revoke execute on function review_show_key(uuid) from public;
