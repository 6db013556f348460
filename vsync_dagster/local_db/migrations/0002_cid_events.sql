-- The local twin of DICT's CID event log: every CID ever held, and when it came and went.
--
-- Only the triggers below write it, in the transaction that changes `entries`, so that no road into that table (COPY,
-- INSERT, ON CONFLICT, MERGE, UPDATE, DELETE, TRUNCATE) can leave the log behind. A row is a member of its
-- participant's CID set while its status is ACTIVE, and an event is written only when membership changes.
--
-- One road is closed by PostgreSQL itself: rows that logical replication applies fire no statement-level trigger.
-- `entries` must not be the target of a subscription.

create table cid_events (
    event_id bigint generated always as identity primary key,
    participant_ispb char(8) not null,
    key_type text not null,
    entry_id uuid not null,
    cid bytea not null,
    event_type text not null check (event_type in ('ADDED', 'REMOVED')),
    occurred_at timestamptz not null default clock_timestamp(),
    -- Which snapshots see the event. Neither event_id nor occurred_at can tell: both are given out before the commit.
    xid xid8 not null default pg_current_xact_id()
);

create index cid_events_xid on cid_events (participant_ispb, xid);
create index cid_events_cid on cid_events (cid);
create index cid_events_occurred_at on cid_events using brin (occurred_at);

create function record_inserted_cids() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
    select participant_ispb, key_type, entry_id, cid, 'ADDED'
    from new_rows where status = 'ACTIVE';
    return null;
end
$$;

create function record_updated_cids() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    -- REMOVED before ADDED, as DICT logs an update.
    insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
    select gone.*, 'REMOVED'
    from (
        select participant_ispb, key_type, entry_id, cid from old_rows where status = 'ACTIVE'
        except
        select participant_ispb, key_type, entry_id, cid from new_rows where status = 'ACTIVE'
    ) as gone;

    insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
    select come.*, 'ADDED'
    from (
        select participant_ispb, key_type, entry_id, cid from new_rows where status = 'ACTIVE'
        except
        select participant_ispb, key_type, entry_id, cid from old_rows where status = 'ACTIVE'
    ) as come;
    return null;
end
$$;

create function record_deleted_cids() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
    select participant_ispb, key_type, entry_id, cid, 'REMOVED'
    from old_rows where status = 'ACTIVE';
    return null;
end
$$;

create function record_truncated_cids() returns trigger
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    -- TRUNCATE empties the table of rows that an older snapshot does not show, and the log would miss those.
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception 'entries can be truncated only in a READ COMMITTED transaction'
            using errcode = 'invalid_transaction_state', table = 'entries', constraint = 'read_committed_truncate';
    end if;
    insert into public.cid_events (participant_ispb, key_type, entry_id, cid, event_type)
    select participant_ispb, key_type, entry_id, cid, 'REMOVED'
    from public.entries where status = 'ACTIVE';
    return null;
end
$$;

create trigger record_inserted_cids after insert on entries
    referencing new table as new_rows
    for each statement execute function record_inserted_cids();
create trigger record_updated_cids after update on entries
    referencing old table as old_rows new table as new_rows
    for each statement execute function record_updated_cids();
create trigger record_deleted_cids after delete on entries
    referencing old table as old_rows
    for each statement execute function record_deleted_cids();
create trigger record_truncated_cids before truncate on entries
    for each statement execute function record_truncated_cids();

-- ALWAYS: also under session_replication_role = replica, which restores and bulk loaders use to skip triggers.
alter table entries enable always trigger record_inserted_cids;
alter table entries enable always trigger record_updated_cids;
alter table entries enable always trigger record_deleted_cids;
alter table entries enable always trigger record_truncated_cids;

-- Nobody may hang these functions on a table of their own and so write the log.
revoke execute on function
    record_inserted_cids(), record_updated_cids(), record_deleted_cids(), record_truncated_cids()
    from public;
