-- Alerts that wait to be told, and what each target was told. Nothing personal in them, and no target's address.

-- In order: a severity can be compared.
create type alert_severity as enum ('info', 'warning', 'critical');

create table alerts (
    id bigint generated always as identity primary key,
    fingerprint text not null,
    name text not null,
    severity alert_severity not null,
    title text not null,
    text text not null,
    link text,
    labels jsonb not null default '{}',
    times_raised int not null default 1,
    raised_at timestamptz not null default now(),
    resolved_at timestamptz
);

-- Raised again, an alert that stands is the same alert; one that was resolved begins anew.
create unique index alerts_standing on alerts (fingerprint) where resolved_at is null;
create index alerts_resolved_at on alerts (resolved_at);

create table alert_targets (
    name text primary key,
    failures int not null default 0,
    last_error text,
    last_told_at timestamptz,
    next_try_at timestamptz not null default now(),
    -- Two relays at once would tell everything twice: one holds the target, and loses it when it dies.
    held_until timestamptz not null default now()
);

create table alert_deliveries (
    alert_id bigint not null references alerts on delete cascade,
    target text not null references alert_targets,
    attempts int not null default 0,
    told_at timestamptz,
    told_severity alert_severity,
    recovery_told_at timestamptz,
    primary key (alert_id, target)
);

create index alert_deliveries_open on alert_deliveries (target, alert_id) where recovery_told_at is null;
