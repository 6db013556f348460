-- What the console lists: closed items, latest first, and days without a report of participants that were enabled by then.

create index review_trail_closed on review_trail (done_at desc, id desc) where step = 'CLOSED';

-- Since when a participant is to be synced without a break; of no meaning while it is not.
alter table participants add column enabled_since timestamptz not null default now();
update participants set enabled_since = created_at;

create function set_enabled_since() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    new.enabled_since := now();
    return new;
end
$$;

create trigger set_enabled_since before update on participants
    for each row when (new.enabled and not old.enabled) execute function set_enabled_since();
