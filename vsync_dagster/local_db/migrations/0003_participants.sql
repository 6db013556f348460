-- Who is reconciled, how far, and what is left of the budgets.

create table participants (
    participant_ispb char(8) primary key check (participant_ispb ~ '^[0-9]{8}$'),
    name text,
    -- The direct participant that acts for this one, null for a direct participant.
    via char(8) check (via ~ '^[0-9]{8}$'),
    enabled boolean not null default true,
    created_at timestamptz not null default now()
);

create table sync_state (
    participant_ispb char(8) not null,
    key_type text not null,
    -- The last verification that was OK: DICT's ResponseTime, and the VSync that was sent.
    verified_at timestamptz,
    verified_vsync bytea check (octet_length(verified_vsync) = 32),
    -- CIDs under review that were taken out of that VSync.
    excluded_cids bytea[] not null default '{}',
    -- The snapshot in which that VSync was computed, and the server that its transaction ids belong to.
    local_snapshot pg_snapshot,
    cluster text,
    log_read_to timestamptz,
    -- The last verification that DICT answered, whatever the answer.
    answered_at timestamptz,
    updated_at timestamptz not null default now(),
    primary key (participant_ispb, key_type)
);

create table dict_budgets (
    scope_ispb char(8) not null,
    policy text not null,
    tokens double precision not null,
    capacity int not null check (capacity > 0),
    refill_tokens int not null check (refill_tokens > 0),
    refill_period_sec int not null check (refill_period_sec > 0),
    updated_at timestamptz not null default clock_timestamp(),
    -- When DICT itself last told the size and state of the bucket.
    policies_read_at timestamptz,
    primary key (scope_ispb, policy)
);

create table dict_calls (
    id bigint generated always as identity primary key,
    run_id text,
    participant_ispb char(8) not null,
    operation text not null,
    key_type text,
    correlation_id text,
    response_time timestamptz,
    -- The id of the verification or of the CID set file.
    reference text,
    http_status int,
    result text,
    called_at timestamptz not null,
    duration_ms int not null
);

create index dict_calls_run on dict_calls (run_id);
create index dict_calls_called_at on dict_calls (participant_ispb, called_at);

-- A CID set file costs one of 40 a day and cannot be listed: its id is kept as soon as it is known.
create table cid_files (
    participant_ispb char(8) not null,
    key_type text not null,
    sync_day date not null,
    file_id bigint not null,
    requested_at timestamptz not null,
    closed_at timestamptz,
    primary key (participant_ispb, key_type, sync_day, file_id)
);

create unique index cid_files_open on cid_files (participant_ispb, key_type, sync_day) where closed_at is null;
