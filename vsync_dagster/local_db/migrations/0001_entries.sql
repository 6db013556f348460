-- The participant's keys. Rows come and go by plain SQL from the participant's own systems as well as from fixes.

create table entries (
    entry_id uuid primary key default gen_random_uuid(),
    key varchar(77) not null,
    -- No list of types: DICT may add some, and a row of an unknown type must be seen rather than refused.
    key_type text not null,
    participant_ispb char(8) not null check (participant_ispb ~ '^[0-9]{8}$'),
    -- Branch, account and tax id are text: leading zeros count, in the CID as well.
    branch text,
    account_number text not null,
    account_type text not null,
    account_opened_at timestamptz,
    owner_type text,
    owner_tax_id text not null,
    owner_name text not null,
    owner_trade_name text,
    request_id uuid not null,
    cid bytea not null check (octet_length(cid) = 32),
    status text not null check (status in ('ACTIVE', 'PENDING', 'DELETED')),
    created_at timestamptz not null default now(),
    key_owned_since timestamptz,
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);

create unique index entries_active_key on entries (key) where status = 'ACTIVE';
-- XOR cancels: the same CID twice would vanish from the VSync and make a false "in sync".
create unique index entries_active_cid on entries (cid) where status = 'ACTIVE';

create index idx_entries_key on entries (key);
create index idx_entries_ispb on entries (participant_ispb);
create index idx_entries_updated_at on entries (updated_at desc);
create index idx_entries_ispb_key on entries (participant_ispb, key);
