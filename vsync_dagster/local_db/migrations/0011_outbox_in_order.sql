-- Events of one participant become visible in the order of their ids: whoever adds one waits until the transaction
-- that added the one before has ended. The id that the column's default gave was drawn before that wait.

create function order_outbox() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(hashtext('outbox'), hashtext(new.participant_ispb));
    new.id := nextval('public.outbox_id_seq');
    return new;
end
$$;

create trigger order_outbox before insert on outbox for each row execute function order_outbox();
alter table outbox enable always trigger order_outbox;

revoke execute on function order_outbox() from public;

create index outbox_created_at on outbox (created_at);
