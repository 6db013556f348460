-- A fix that was applied stays in the record as it was written, whoever writes: a run that tries a fix again may replace
-- only what did not come about.

create function refuse_changes_of_applied_fixes() returns trigger
language plpgsql set search_path = pg_catalog, public, pg_temp
as $$
begin
    raise exception 'an applied fix stays as it was recorded'
        using errcode = 'restrict_violation', table = 'fixes', constraint = 'applied_stays';
end
$$;

create trigger refuse_changes_of_applied_fixes before update on fixes
    for each row when (old.outcome = 'APPLIED') execute function refuse_changes_of_applied_fixes();

alter table fixes enable always trigger refuse_changes_of_applied_fixes;
