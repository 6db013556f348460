-- Who let a sync change more keys than a sync may change unasked, and why.

create table mass_changes (
    run_id text primary key,
    participant_ispb char(8) not null,
    sync_day date not null,
    changes int not null,
    participants_keys int not null,
    reason text not null check (reason ~ '\S'),
    -- The login that the run used.
    allowed_by text not null default session_user,
    allowed_at timestamptz not null default clock_timestamp()
);

create function refuse_mass_change_changes() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    raise exception 'mass_changes is append-only: % is refused', tg_op
        using errcode = 'restrict_violation', table = 'mass_changes', constraint = 'append_only';
end
$$;

create trigger refuse_mass_change_changes before update or delete or truncate on mass_changes
    for each statement execute function refuse_mass_change_changes();
alter table mass_changes enable always trigger refuse_mass_change_changes;
