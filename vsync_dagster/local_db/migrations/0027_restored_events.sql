-- Which events of the ledger were loaded by a restore instead of being written by their own transaction.
--
-- `cid_events.xid` is a transaction id of the server that wrote the event. After pg_dump and pg_restore to another
-- server, the ids of the old one can be larger than any id of the new one, so that no snapshot would ever see them. A
-- restored row gives itself away: `xmin`, which the server keeps for each row, is the id of the transaction that loaded
-- it, and lies before the event's `xid`. For an event that was written here, `xmin` is the same transaction, or one of
-- its subtransactions, which get their ids later.

create function event_was_restored(event_xid xid8, row_xmin xid, newest xid8) returns boolean
language sql immutable parallel safe
as $$
    select event_xid::text::bigint
        -- `xmin` is the lower half of an id: the upper half is that of the newest id, or one less.
        > ids.newest - ids.newest % 4294967296 + ids.row
        - case when ids.row > ids.newest % 4294967296 + 2147483648 then 4294967296 else 0 end
    from (select newest::text::bigint as newest, row_xmin::text::bigint as row) ids
$$;
