-- A key under review is handed out only after the step that says so is committed.
--
-- One function used to write the step and return the key: whoever called it in a transaction or savepoint that was rolled
-- back afterwards had the key, and left no step.

-- Writes the step; false where there is no such item.
create function review_log_key_shown(wanted uuid) returns boolean
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    if not exists (select from public.manual_review_queue where id = wanted) then
        return false;
    end if;
    insert into public.review_trail (item_id, step) values (wanted, 'KEY_SHOWN');
    return true;
end
$$;

-- Returns an item's key to a login whose step is committed and no more than a minute old; null where there is no such item.
create or replace function review_show_key(wanted uuid) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    -- A step of this very transaction, or of a savepoint of it, is not older than the transaction.
    if not exists (
        select from public.review_trail
        where item_id = wanted and step = 'KEY_SHOWN' and done_by = session_user
            and done_at < transaction_timestamp() and done_at > clock_timestamp() - interval '1 minute'
    ) then
        raise exception 'call review_log_key_shown first, and commit'
            using errcode = 'restrict_violation', table = 'review_trail', constraint = 'step_before_key';
    end if;
    return (select key from public.manual_review_queue where id = wanted);
end
$$;

revoke execute on function review_log_key_shown(uuid) from public;
