-- Alerts that a person resolves or silences: who, when and why. Who is session_user, the login, which no client can claim.

create table alert_trail (
    id bigint generated always as identity primary key,
    fingerprint text not null,
    step text not null check (step in ('RESOLVED', 'SILENCED')),
    reason text not null check (reason ~ '\S'),
    silenced_until timestamptz check ((step = 'SILENCED') = (silenced_until is not null)),
    done_by text not null default session_user,
    done_at timestamptz not null default now()
);

create index alert_trail_fingerprint on alert_trail (fingerprint, id);

create function sign_alert_step() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    new.done_by := session_user;
    new.done_at := now();
    return new;
end
$$;

create function refuse_alert_trail_changes() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    raise exception 'alert_trail is append-only: % is refused', tg_op
        using errcode = 'restrict_violation', table = 'alert_trail', constraint = 'append_only';
end
$$;

create trigger sign_alert_step before insert on alert_trail for each row execute function sign_alert_step();
create trigger refuse_alert_trail_changes before update or delete or truncate on alert_trail
    for each statement execute function refuse_alert_trail_changes();
alter table alert_trail enable always trigger sign_alert_step;
alter table alert_trail enable always trigger refuse_alert_trail_changes;

-- Until when an alert was silenced, as it was at a moment; null where it was not. The latest silence counts.
create function alert_silenced_until(about text, moment timestamptz) returns timestamptz
language sql stable security definer set search_path = pg_catalog, public, pg_temp
as $$
    select case when silenced_until > moment then silenced_until end from public.alert_trail
    where fingerprint = about and step = 'SILENCED' and done_at <= moment order by id desc limit 1
$$;

-- Resolves an alert that stands. Returns DONE, or why nothing was written.
create function alert_resolve(about text, why text) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    if why is null or why !~ '\S' then
        return 'NO_REASON';
    end if;
    update public.alerts set resolved_at = now() where fingerprint = about and resolved_at is null;
    if not found then
        return 'NOT_STANDING';
    end if;
    insert into public.alert_trail (fingerprint, step, reason) values (about, 'RESOLVED', why);
    return 'DONE';
end
$$;

-- Silences an alert that stands, for 30 days at most; also when it is resolved and raised again meanwhile.
create function alert_silence(about text, why text, until timestamptz) returns text
language plpgsql security definer set search_path = pg_catalog, public, pg_temp
as $$
begin
    if why is null or why !~ '\S' then
        return 'NO_REASON';
    elsif coalesce(until <= now() or until > now() + interval '30 days', true) then
        return 'NO_END';
    elsif not exists (select from public.alerts where fingerprint = about and resolved_at is null) then
        return 'NOT_STANDING';
    end if;
    insert into public.alert_trail (fingerprint, step, reason, silenced_until) values (about, 'SILENCED', why, until);
    return 'DONE';
end
$$;

revoke execute on function
    sign_alert_step(), refuse_alert_trail_changes(), alert_resolve(text, text), alert_silence(text, text, timestamptz)
    from public;
