-- An item under review stands for its row as it was when the item was made. `updated_at` says nothing about the key: a
-- system that touches it, and nothing else, leaves the item as it is. Any other change closes the item in the next sync,
-- which makes a new one where the key is still missing at DICT.

create or replace function entry_digest(wanted uuid) returns bytea
language sql stable security definer set search_path = pg_catalog, public, pg_temp
set timezone = 'UTC' set datestyle = 'ISO, YMD' set bytea_output = 'hex'
as $$
    select sha256(convert_to(
        row(
            entry_id, key, key_type, participant_ispb, branch, account_number, account_type, account_opened_at,
            owner_type, owner_tax_id, owner_name, owner_trade_name, request_id, cid, status, created_at,
            key_owned_since, deleted_at
        )::text, 'UTF8'))
    from public.entries where entry_id = wanted
$$;
