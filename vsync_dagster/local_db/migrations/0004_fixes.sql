-- What waits to be changed, what was changed, and what a person must decide.

-- Personal data: entries as DICT answered them, waiting to be applied.
create table looked_up_entries (
    participant_ispb char(8) not null,
    cid bytea not null check (octet_length(cid) = 32),
    key_type text not null,
    key varchar(77) not null,
    branch text,
    account_number text not null,
    account_type text not null,
    account_opened_at timestamptz not null,
    owner_type text not null,
    owner_tax_id text not null,
    owner_name text not null,
    owner_trade_name text,
    created_at timestamptz not null,
    key_owned_since timestamptz not null,
    request_id uuid not null,
    looked_up_at timestamptz not null default now(),
    primary key (participant_ispb, cid)
);

create table fixes (
    id bigint generated always as identity primary key,
    run_id text not null,
    participant_ispb char(8) not null,
    kind text not null check (kind in ('CREATE', 'UPDATE', 'REVIEW')),
    key_type text not null,
    entry_id uuid,
    -- DICT's CID, or ours where the fix is a review item.
    cid bytea not null,
    outcome text not null check (outcome in ('APPLIED', 'MOVED', 'INVALID', 'FAILED')),
    error text,
    created_at timestamptz not null default now(),
    -- A run that tries a fix again says how it ended, once.
    constraint fixes_once_a_run unique (run_id, participant_ispb, kind, cid)
);

create table manual_review_queue (
    id uuid primary key default gen_random_uuid(),
    entry_id uuid not null,
    participant_ispb char(8) not null,
    key varchar(77) not null,
    key_type text not null,
    cid bytea not null check (octet_length(cid) = 32),
    reason text not null,
    status text not null default 'PENDING' check (status in ('PENDING', 'KEPT', 'CLOSED')),
    evidence jsonb not null default '{}',
    run_id text not null,
    reviewed_by text,
    reviewed_at timestamptz,
    action_taken text,
    created_at timestamptz not null default now()
);

create unique index manual_review_queue_open on manual_review_queue (participant_ispb, key)
    where status in ('PENDING', 'KEPT');

create table outbox (
    id bigint generated always as identity primary key,
    message_id uuid not null unique default gen_random_uuid(),
    participant_ispb char(8) not null,
    event_type text not null,
    payload jsonb not null,
    created_at timestamptz not null default now(),
    published_at timestamptz,
    attempts int not null default 0,
    last_error text
);

create index outbox_unpublished on outbox (id) where published_at is null;
