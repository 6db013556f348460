-- A participant's own key table, of another shape, in the place of `entries`: `vsync key-table attach` makes a view of
-- that name. A migration from here on must find `entries` to be either.

-- The mapping in force, as it was read from its file; at most one.
create table key_table (
    only_one boolean primary key default true check (only_one),
    mapping text not null,
    schema_name text not null,
    table_name text not null,
    attached_by text not null default session_user,
    attached_at timestamptz not null default now()
);

-- The table that the keys are in, which has the triggers of the ledger: `entries`, or what it is a view of.
create function keys_kept_in() returns regclass
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        (
            select d.refobjid::regclass
            from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
            where r.ev_class = 'public.entries'::regclass and d.refclassid = 'pg_class'::regclass
                and d.refobjid <> r.ev_class
            limit 1
        ),
        'public.entries'::regclass
    )
$$;

-- The same text as before; a view has a column `xmin` as well, which tells nothing of what the row says.
create or replace function entry_digest(wanted uuid) returns bytea
language sql stable security definer set search_path = pg_catalog, public, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set bytea_output = 'hex'
as $$
    select sha256(convert_to(
        row(
            entry_id, key, key_type, participant_ispb, branch, account_number, account_type, account_opened_at,
            owner_type, owner_tax_id, owner_name, owner_trade_name, request_id, cid, status, created_at,
            key_owned_since, updated_at, deleted_at
        )::text, 'UTF8'))
    from public.entries where entry_id = wanted
$$;
