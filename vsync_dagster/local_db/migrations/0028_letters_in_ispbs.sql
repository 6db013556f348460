-- An ISPB may hold letters (DICT API 2.12.1, schema ISPB), in either case.

-- The rows that are there passed the narrower rule, so the wider one needs no scan of the table: NOT VALID. While a
-- participant's own key table is attached, VSYNC's own table has another name, and keeps its constraint.
do $$
declare
    kept_in regclass;
begin
    for kept_in in
        select conrelid::regclass from pg_constraint
        where connamespace = 'public'::regnamespace and conname = 'entries_participant_ispb_check'
    loop
        execute format(
            'alter table %s drop constraint entries_participant_ispb_check,
                add constraint entries_participant_ispb_check check (participant_ispb ~ %L) not valid',
            kept_in, '^[0-9A-Za-z]{8}$');
    end loop;
end
$$;

alter table participants
    drop constraint participants_participant_ispb_check,
    drop constraint participants_via_check,
    add constraint participants_participant_ispb_check check (participant_ispb ~ '^[0-9A-Za-z]{8}$'),
    add constraint participants_via_check check (via ~ '^[0-9A-Za-z]{8}$');

-- Two spellings of one ISPB would share a folder on file systems that do not tell them apart, and DICT may not either.
-- By the rules of "C": Turkish ones have two letters I.
create unique index participants_one_spelling on participants (upper(participant_ispb collate "C"));

alter table sync_leases
    drop constraint sync_leases_participant_ispb_check,
    add constraint sync_leases_participant_ispb_check check (participant_ispb ~ '^[0-9A-Za-z]{8}$');
