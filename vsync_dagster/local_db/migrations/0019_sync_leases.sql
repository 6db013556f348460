-- Which run works on a participant: one at a time, whatever started it and wherever it runs.

create table sync_leases (
    participant_ispb char(8) primary key check (participant_ispb ~ '^[0-9]{8}$'),
    -- Grows by one with each run that takes the lease.
    token bigint not null,
    -- Unique, so that PostgreSQL takes it for a key: a transaction of the run locks the row FOR KEY SHARE, which holds
    -- up whoever takes the lease over, and not the run's own renewal.
    run_id text not null unique,
    host text not null,
    since timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null
);

-- A run takes the lease once and never again, so its id is as good as its token.
create table sync_lease_history (
    run_id text primary key,
    participant_ispb char(8) not null,
    token bigint not null,
    host text not null,
    since timestamptz not null,
    unique (participant_ispb, token)
);
